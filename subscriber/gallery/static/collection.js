/** The images that match what is asked for, newest first, as far as they were looked at; the server pages and filters. */

import { image, images, keyOf } from "./interface.js";

export class Collection extends EventTarget {
  images = [];
  total = 0;
  #known = new Set();
  #filters = {};
  #next = null;
  #loading = null;
  #generation = 0;

  /** Begin anew with other filters; what is still under way for the old ones is dropped. */
  async restart(filters) {
    const generation = ++this.#generation;
    const page = await images(filters);
    if (generation !== this.#generation) return;
    this.#filters = filters;
    this.#loading = null;
    this.#known.clear();
    this.images = [];
    this.#append(page);
    this.#next = page.next;
    this.#tell("restarted");
  }

  /** Load the next page, if there is one. */
  more() {
    if (this.#next === null) return Promise.resolve();
    this.#loading ??= this.#loadMore().finally(() => (this.#loading = null));
    return this.#loading;
  }

  /** Return the images that came since, newest first, and do not show them yet: `take` does. */
  async arrivals() {
    const generation = this.#generation;
    const found = [];
    let before;
    do {
      const page = await images(this.#filters, before);
      if (generation !== this.#generation) return [];
      this.total = page.total;
      page.images.forEach((one) => this.update(one));
      const fresh = page.images.filter((one) => !this.#known.has(keyOf(one)));
      found.push(...fresh);
      before = fresh.length === page.images.length ? page.next : null;
    } while (before);
    return found;
  }

  /** Put what has arrived in front. */
  take(arrived) {
    const fresh = arrived.filter((one) => !this.#known.has(keyOf(one)));
    for (const one of fresh) this.#known.add(keyOf(one));
    this.images = [...fresh, ...this.images];
    this.#tell("changed");
  }

  /** Note of an image that is at hand whether its file is here: it may have been got back. */
  update(changed) {
    const known = this.images.find((one) => keyOf(one) === keyOf(changed));
    if (!known || known.is_here === changed.is_here) return;
    known.is_here = changed.is_here;
    this.#tell("changed");
  }

  /** Return an image: one that is at hand, or that the server has. */
  async find(key) {
    return this.images.find((one) => keyOf(one) === key) ?? image(key);
  }

  /** Return the image so many steps further, or undefined at either end. */
  async neighbour(key, step) {
    const at = this.images.findIndex((one) => keyOf(one) === key);
    if (at < 0) return undefined;
    if (at + step >= this.images.length) await this.more();
    return this.images[at + step];
  }

  /** Return at which place an image stands, from 1 on, or 0 where it is not among those that match. */
  placeOf(key) {
    return this.images.findIndex((one) => keyOf(one) === key) + 1;
  }

  async #loadMore() {
    const generation = this.#generation;
    const page = await images(this.#filters, this.#next);
    if (generation !== this.#generation) return;
    this.#append(page);
    this.#next = page.next;
    this.#tell("changed");
  }

  #append(page) {
    this.total = page.total;
    for (const one of page.images) {
      if (this.#known.has(keyOf(one))) continue;
      this.#known.add(keyOf(one));
      this.images.push(one);
    }
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}
