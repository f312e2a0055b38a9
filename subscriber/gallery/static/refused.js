/** The images that were refused, and why. */

import { byId, create } from "./elements.js";
import * as server from "./interface.js";
import { reasonOf, timeOf } from "./words.js";

export class Refused {
  #next = null;
  #rows = new Map();

  constructor() {
    byId("more-refused").firstElementChild.addEventListener("click", () => this.#load(this.#next));
  }

  /** Show the newest; those that are shown already stay. */
  refresh() {
    return this.#load(undefined);
  }

  async #load(before) {
    const page = await server.refused(before);
    let fresh = page.refused.filter((one) => !this.#rows.has(server.keyOf(one)));
    if (!before && fresh.length === page.refused.length && page.next !== null) {
      // More have come than are on a page: what lies between them and the old ones is asked for as one goes on.
      this.#rows.clear();
      this.#next = null;
      byId("refused").replaceChildren();
      fresh = page.refused;
    }
    for (const one of fresh) this.#rows.set(server.keyOf(one), row(one));
    const rows = fresh.map((one) => this.#rows.get(server.keyOf(one)));
    if (before) byId("refused").append(...rows);
    else byId("refused").prepend(...rows);
    // Where only the newest were asked for, what follows the oldest is still the same.
    if (before || this.#next === null) this.#next = page.next;
    byId("more-refused").hidden = this.#rows.size >= page.total || this.#next === null;
    byId("none-refused").hidden = page.total > 0;
    const count = byId("refused-count");
    count.hidden = page.total === 0;
    count.textContent = page.total;
  }
}

function row(refused) {
  const origin = `From ${refused.owner} on ${refused.channel}`;
  return create(
    "li",
    {},
    create("span", { class: "icon icon-refused", "aria-hidden": "true" }),
    create(
      "div",
      {},
      create("h3", {}, origin),
      create("p", {}, reasonOf(refused)),
      create("p", { class: "small" }, create("time", { datetime: refused.at }, timeOf(refused.at)), " · ", create("code", {}, refused.code), " · ", create("code", {}, refused.image_id)),
    ),
  );
}
