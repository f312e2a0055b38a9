/** What the page says, in the browser's language for dates and numbers. */

const DAY = 24 * 60 * 60 * 1000;
const dayWithWeekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dayWithYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
const number = new Intl.NumberFormat();

const REASONS = {
  not_verified: "It is not what its owner signed, or nobody whom your registrar certifies has signed it.",
  expired: "Its owner let it expire before it came to this device.",
  not_recipient: "It is meant for other people.",
  removed: "Its owner has removed it.",
};

export const dayOf = (time) => new Date(time).toDateString();

/** Return the name of a day: Today, Yesterday, or its date. */
export function dayName(day, now = new Date()) {
  const date = new Date(day);
  const daysAgo = Math.round((new Date(now.toDateString()) - date) / DAY);
  if (daysAgo === 0) return "Today";
  if (daysAgo === 1) return "Yesterday";
  return (date.getFullYear() === now.getFullYear() ? dayWithWeekday : dayWithYear).format(date);
}

export const timeOf = (time) => moment.format(new Date(time));

export const count = (many, one, several) => `${number.format(many)} ${many === 1 ? one : several}`;

export function size(bytes) {
  if (bytes < 1000) return count(bytes, "byte", "bytes");
  const [amount, unit] = bytes < 1_000_000 ? [bytes / 1000, "kB"] : [bytes / 1_000_000, "MB"];
  return `${new Intl.NumberFormat(undefined, { maximumFractionDigits: amount < 10 ? 1 : 0 }).format(amount)} ${unit}`;
}

export const titleOf = (image) => image.caption || image.name || "An image without a name";

export const alternative = (image) => `${titleOf(image)}, by ${image.owner}`;

export const reasonOf = (refused) => REASONS[refused.code] ?? refused.message;
