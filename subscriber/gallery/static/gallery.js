/** The gallery's page: what the address asks for is shown, and what arrives joins it. */

import { go, read, replace } from "./address.js";
import { Collection } from "./collection.js";
import { byId, create } from "./elements.js";
import * as server from "./interface.js";
import { listen } from "./live.js";
import { Refused } from "./refused.js";
import { Viewer } from "./viewer.js";
import { Wall } from "./wall.js";
import { count } from "./words.js";

const FILTERS = ["channel", "owner", "search"];
const TYPING = 200; // milliseconds

const collection = new Collection();
const wall = new Wall(byId("images"), collection);
const viewer = new Viewer(collection, (shown) => wall.focus(shown));
const refused = new Refused();
let filters;
let waiting = []; // arrived, and not shown yet
let isCatchingUp = false;
let isBehind = false;

/** Show what the address asks for. */
async function follow({ isFirst = false } = {}) {
  const state = read();
  show(state.view);
  for (const name of FILTERS) choose(byId(name), state[name]);
  const asked = Object.fromEntries(FILTERS.map((name) => [name, state[name]]));
  if (JSON.stringify(asked) !== JSON.stringify(filters)) {
    filters = asked;
    offer([]);
    try {
      await collection.restart(asked);
      byId("failed").hidden = true;
    } catch (error) {
      filters = undefined;
      // Where nobody answers at all, the line about the lost connection says so.
      byId("failed").hidden = !error.status;
    }
  }
  await viewer.show(state.image, { isFirst });
}

function show(view) {
  for (const name of ["images", "refused"]) {
    byId(`${name}-view`).hidden = name !== view;
    byId(`to-${name}`).toggleAttribute("aria-current", name === view);
    if (name === view) byId(`to-${name}`).setAttribute("aria-current", "page");
  }
  byId("filters").hidden = view !== "images";
  document.title = `${view === "images" ? "Images" : "Refused"} · Sealcast`;
}

function choose(field, value) {
  if (field.value === value || field === document.activeElement && field.type === "search") return;
  // Before the server has said what there is to choose from, or when that is gone.
  if (field.options && ![...field.options].some((option) => option.value === value)) addOption(field, value);
  field.value = value;
}

function addOption(field, value) {
  field.append(create("option", { value }, value));
}

async function offerFilters() {
  const { channels, owners } = await server.filters();
  for (const [field, values] of [[byId("channel"), channels], [byId("owner"), owners]]) {
    const known = new Set([...field.options].map((option) => option.value));
    for (const value of values) if (!known.has(value)) addOption(field, value);
  }
}

/** Fetch what has come since, or come again; while that goes on, more may come. */
async function catchUp(image) {
  if (image) collection.update(image);
  if (!filters) await follow(); // the server was gone when it was asked first
  isBehind = true;
  if (isCatchingUp || !filters) return;
  isCatchingUp = true;
  try {
    while (isBehind) {
      isBehind = false;
      await Promise.all([collection.arrivals().then(receive), offerFilters()]);
    }
  } catch {
    // The line about the lost connection says so; the next connection catches up.
  } finally {
    isCatchingUp = false;
  }
}

/** Put what has arrived in front, or offer it where that would move what one looks at. */
function receive(arrived) {
  if (arrived.length === 0) return;
  const isNews = arrived.length > waiting.length;
  if (isNews) announce(count(arrived.length, "new image", "new images"));
  if (wall.isAtTop && !read().image && read().view === "images") take(arrived);
  else offer(arrived);
}

function take(arrived) {
  offer([]);
  collection.take(arrived);
}

function offer(arrived) {
  waiting = arrived;
  const pill = byId("arrivals");
  pill.hidden = arrived.length === 0;
  pill.textContent = count(arrived.length, "new image", "new images");
}

function describe() {
  const isEmpty = collection.images.length === 0;
  const isFiltered = Object.values(filters).some(Boolean);
  byId("nothing-yet").hidden = !isEmpty || isFiltered;
  byId("no-match").hidden = !isEmpty || !isFiltered;
}

function tellHowMany() {
  if (Object.values(filters).some(Boolean)) {
    announce(count(collection.total, "image matches", "images match"));
  }
}

/** Have a screen reader say this, also where it is what was said last. */
function announce(text) {
  byId("announcement").replaceChildren(create("span", {}, text));
}

function tellOfDevice({ message }) {
  const said = [...byId("notices").children].map(({ textContent }) => textContent);
  if (!said.includes(message)) byId("notices").append(create("p", { class: "notice" }, message));
}

let typing;
byId("search").addEventListener("input", ({ target }) => {
  clearTimeout(typing);
  typing = setTimeout(() => replace({ search: target.value.trim() }), TYPING);
});
byId("channel").addEventListener("change", ({ target }) => go({ channel: target.value }));
byId("owner").addEventListener("change", ({ target }) => go({ owner: target.value }));
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("arrivals").addEventListener("click", () => {
  scrollTo({ top: 0 });
  take(waiting);
  byId("images").focus({ preventScroll: true });
});
collection.addEventListener("restarted", describe);
collection.addEventListener("restarted", tellHowMany);
collection.addEventListener("changed", describe);
addEventListener("hashchange", () => follow());
new ResizeObserver(([{ target }]) => {
  document.documentElement.style.setProperty("--bar", `${target.offsetHeight}px`);
}).observe(byId("bar"));

await follow({ isFirst: true });
listen({ onImages: catchUp, onRefused: () => refused.refresh().catch(() => {}), onDevice: tellOfDevice });
server.status().then(({ user }) => (byId("user").textContent = user)).catch(() => {});
