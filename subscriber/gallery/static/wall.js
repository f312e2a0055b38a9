/** Draws the collection: only what is near the window is on the page, however many images there are. */

import { withChanges } from "./address.js";
import { create, reconcile } from "./elements.js";
import { thumbnailOf } from "./interface.js";
import { layOut } from "./layout.js";
import { forget, loadWhenSeen } from "./thumbnails.js";
import { alternative, dayName } from "./words.js";

const HEADING = 48;
const LOAD_AHEAD = 3; // windows

export class Wall {
  #root;
  #collection;
  #plan = { days: [], height: 0 };
  #sections = new Map(); // by the key of their day
  #tiles = new Map(); // by image
  #drawing = false;
  #arranging = false;

  constructor(root, collection) {
    this.#root = root;
    this.#collection = collection;
    collection.addEventListener("restarted", () => this.#startAnew());
    collection.addEventListener("changed", () => this.#arrange());
    addEventListener("scroll", () => this.#drawSoon(), { passive: true });
    new ResizeObserver(() => this.#arrange()).observe(root);
  }

  /** Tell whether one looks at the newest images. */
  get isAtTop() {
    return scrollY < HEADING;
  }

  /** Bring an image into the window, if it is not, and give it the focus. */
  focus(key) {
    const place = this.#placeOf(key);
    if (!place) return;
    const { top, height } = this.#root.getBoundingClientRect();
    const [from, to] = [top + place.top, top + place.top + place.height];
    if (height && (from < HEADING * 2 || to > innerHeight)) {
      scrollTo({ top: scrollY + from - (innerHeight - place.height) / 2, behavior: "instant" });
    }
    this.#draw();
    this.#tiles.get(key)?.firstElementChild.focus({ preventScroll: true });
  }

  #startAnew() {
    for (const tile of this.#tiles.values()) this.#drop(tile);
    this.#tiles.clear();
    scrollTo({ top: 0, behavior: "instant" });
    this.#arrange();
  }

  /** Lay all out anew, and keep in its place what one looks at. */
  #arrange() {
    const width = this.#root.clientWidth;
    if (!width) return; // another view is shown
    const kept = this.isAtTop ? undefined : this.#firstSeen();
    const isNarrow = width < 600;
    const measures = { row: isNarrow ? 130 : 180, gap: isNarrow ? 3 : 6, heading: HEADING, between: isNarrow ? 14 : 24 };
    this.#plan = layOut(this.#collection.images, width, measures);
    this.#root.style.height = `${this.#plan.height}px`;
    const moved = kept ? (this.#placeOf(kept.key)?.top ?? kept.top) - kept.top : 0;
    if (moved) scrollBy({ top: moved, behavior: "instant" });
    this.#draw();
  }

  #arrangeSoon() {
    if (this.#arranging) return;
    this.#arranging = true;
    requestAnimationFrame(() => {
      this.#arranging = false;
      this.#arrange();
    });
  }

  #drawSoon() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  #draw() {
    const top = -this.#root.getBoundingClientRect().top;
    const [from, to] = [top - innerHeight / 2, top + innerHeight * 1.5];
    const isNear = (one, offset = 0) => offset + one.top < to && offset + one.top + one.height > from;
    const gone = new Set(this.#tiles.keys());
    // What has the focus stays: the next Tab goes on from it.
    const focused = this.#root.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    const isKept = (tile, day) => isNear(tile, day.top) || tile.key === focused;
    let place = 1;
    const sections = [];
    for (const day of this.#plan.days) {
      if (isNear(day) || this.#sections.get(day.key)?.contains(document.activeElement)) {
        sections.push(this.#drawDay(day, isKept, place, gone));
      }
      place += day.tiles.length;
    }
    reconcile(this.#root, sections);
    for (const key of gone) {
      this.#drop(this.#tiles.get(key));
      this.#tiles.delete(key);
    }
    if (to + innerHeight * LOAD_AHEAD > this.#plan.height) this.#collection.more().catch(() => {});
  }

  #drawDay(day, isKept, firstPlace, gone) {
    const section = this.#sectionOf(day);
    section.style.top = `${day.top}px`;
    section.style.height = `${day.height}px`;
    const tiles = [];
    day.tiles.forEach((place, at) => {
      if (!isKept(place, day)) return;
      gone.delete(place.key);
      tiles.push(this.#drawTile(place, firstPlace + at));
    });
    reconcile(section.lastElementChild, tiles);
    return section;
  }

  #sectionOf({ key, day }) {
    let section = this.#sections.get(key);
    const name = dayName(day);
    if (!section) {
      const id = `day-${key.replaceAll(" ", "-")}`;
      section = create("section", { class: "day", "aria-labelledby": id }, create("h3", { id }), create("ul"));
      this.#sections.set(key, section);
    }
    const heading = section.firstElementChild;
    if (heading.textContent !== name) heading.textContent = name;
    return section;
  }

  #drawTile(place, number) {
    let tile = this.#tiles.get(place.key);
    if (tile?.dataset.isHere !== String(place.image.is_here)) {
      tile?.remove();
      tile = this.#makeTile(place);
      this.#tiles.set(place.key, tile);
    }
    const { style } = tile;
    for (const side of ["top", "left", "width", "height"]) style[side] = `${place[side]}px`;
    tile.setAttribute("aria-posinset", number);
    tile.setAttribute("aria-setsize", Math.max(this.#collection.total, this.#collection.images.length));
    return tile;
  }

  #makeTile({ key, image }) {
    const picture = create("img", { alt: alternative(image), draggable: "false" });
    const link = create("a", { href: withChanges({ image: key }), "data-key": key }, picture, this.#label(image));
    if (!image.is_here) link.classList.add("broken");
    else loadWhenSeen(picture, thumbnailOf(image), () => this.#turn(picture, image));
    return create("li", { "data-is-here": image.is_here }, link);
  }

  /** The header says how wide and high a photograph is before it is turned as its camera was: now one sees it. */
  #turn({ naturalWidth, naturalHeight }, image) {
    if (naturalWidth < naturalHeight === image.width < image.height || naturalWidth === naturalHeight) return;
    [image.width, image.height] = [image.height, image.width];
    this.#arrangeSoon();
  }

  /** Return what the pointer or the focus brings up, and what stands there without a thumbnail; its words are the alt text's. */
  #label(image) {
    return create("span", { class: "label", "aria-hidden": "true", dir: "auto" }, alternative(image));
  }

  #drop(tile) {
    forget(tile.querySelector("img"));
    tile.remove();
  }

  #firstSeen() {
    const from = HEADING * 2 - this.#root.getBoundingClientRect().top;
    for (const day of this.#plan.days) {
      const tile = day.tiles.find((one) => day.top + one.top > from);
      if (tile) return { key: tile.key, top: day.top + tile.top };
    }
    return undefined;
  }

  #placeOf(key) {
    for (const day of this.#plan.days) {
      const tile = day.tiles.find((one) => one.key === key);
      if (tile) return { top: day.top + tile.top, height: tile.height };
    }
    return undefined;
  }
}
