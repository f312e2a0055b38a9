/** Where each image stands: rows of one height that fill the width, under the heading of their day. */

import { keyOf } from "./interface.js";
import { dayOf } from "./words.js";

// A panorama or a strip is cut to this, so that it fills no row by itself and still can be seen.
const WIDEST = 2.4;
const NARROWEST = 0.6;
// A day's last row may be so much higher, to fill the width, or lower, to leave no image over.
const FULL_ENOUGH = 1.4;
const LOW_ENOUGH = 0.75;
const UNKNOWN = 4 / 3; // an image of which an earlier version of Sealcast noted no width and height

/**
 * Return the days, newest first, and the height of all; everything in pixels.
 *
 * A day has `key`, `day`, `top`, `height` and `tiles`; a tile has `key`, `image`, `top` (from its day's), `left`, `width`,
 * `height`.
 */
export function layOut(images, width, { row, gap, heading, between }) {
  const days = [];
  const times = new Map(); // a clock that was wrong for a while has a day come more than once
  let top = 0;
  for (const members of byDay(images)) {
    const { tiles, bottom } = fill(members, width, row, gap, heading);
    const day = dayOf(members[0].saved_at);
    times.set(day, (times.get(day) ?? 0) + 1);
    days.push({ key: `${day} ${times.get(day)}`, day, top, height: bottom, tiles });
    top += bottom + between;
  }
  return { days, height: Math.max(0, top - between) };
}

function byDay(images) {
  const days = [];
  let current;
  for (const image of images) {
    const day = dayOf(image.saved_at);
    if (day !== current) days.push([]);
    current = day;
    days.at(-1).push(image);
  }
  return days;
}

function fill(images, width, row, gap, top) {
  const tiles = [];
  let waiting = [];
  const place = (height) => {
    let left = 0;
    for (const image of waiting) {
      const own = ratioOf(image) * height;
      tiles.push({ key: keyOf(image), image, top, left, width: own, height });
      left += own + gap;
    }
    top += height + gap;
    waiting = [];
  };
  for (const image of images) {
    const without = fullHeight(waiting, width, gap);
    const full = fullHeight([...waiting, image], width, gap);
    // Whichever is nearer to the common height: the row with this image, or without it.
    const isLast = image === images.at(-1); // which would be alone in its row
    if (full < row * (isLast ? LOW_ENOUGH : 1) && without - row < row - full) place(without);
    waiting.push(image);
    if (full <= row && waiting.length > 1) place(full);
  }
  if (waiting.length) {
    const full = fullHeight(waiting, width, gap);
    place(full < row * FULL_ENOUGH ? full : row);
  }
  return { tiles, bottom: top - gap };
}

/** Return how high a row of these images is that fills the width. */
function fullHeight(images, width, gap) {
  const ratios = images.reduce((sum, image) => sum + ratioOf(image), 0);
  return (width - gap * (images.length - 1)) / ratios;
}

function ratioOf({ width, height }) {
  const ratio = width && height ? width / height : UNKNOWN;
  return Math.min(WIDEST, Math.max(NARROWEST, ratio));
}
