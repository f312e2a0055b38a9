/** The gallery's HTTP interface (subscriber/gallery/app.py). */

export class Unavailable extends Error {
  /** `status` is that of HTTP, or 0 where nobody answers. */
  constructor(status) {
    super(`the gallery answers ${status}`);
    this.status = status;
  }
}

export const images = (filters, before) => get("/api/images", { ...filters, before });
export const image = (key) => get(`/api/images/${path(key)}`);
export const filters = () => get("/api/filters");
export const refused = (before) => get("/api/refused", { before });
export const status = () => get("/api/status");

/** Return what names an image among all: an image id is its owner's choice. */
export const keyOf = ({ owner, image_id }) => `${owner}/${image_id}`;

export const thumbnailOf = (one) => `/thumbnails/${path(keyOf(one))}`;
export const fileOf = (one) => `/images/${path(keyOf(one))}`;
export const downloadOf = (one) => `${fileOf(one)}/download`;
export const proofOf = (one) => `/proofs/${path(keyOf(one))}`;

const path = (key) => key.split("/").map(encodeURIComponent).join("/");

async function get(address, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value);
  const query = new URLSearchParams(given).toString();
  let response;
  try {
    response = await fetch(query ? `${address}?${query}` : address);
  } catch {
    throw new Unavailable(0);
  }
  if (!response.ok) throw new Unavailable(response.status);
  return response.json();
}
