/** What the server sends while the page is open, and what the page says when the server is gone. */

import { byId, create } from "./elements.js";
import { status } from "./interface.js";

const PATIENCE = 3000; // milliseconds between two attempts to reach the server again
const LOST =
  "The connection to the gallery is lost. Trying again… If it has ended, type its command once more and open the new address.";
const ENDED = "The gallery was started anew: open the address that it has printed.";

/**
 * Call `onImages`, `onRefused` or `onDevice` for what has come, and the first two after every connection as well, with
 * nothing: what came before it was missed.
 */
export function listen({ onImages, onRefused, onDevice }) {
  const events = new EventSource("/events");
  events.addEventListener("open", () => {
    byId("connection")?.remove();
    onImages();
    onRefused();
  });
  events.addEventListener("image", ({ data }) => onImages(JSON.parse(data)));
  events.addEventListener("refused", onRefused);
  events.addEventListener("device", ({ data }) => onDevice(JSON.parse(data)));
  events.addEventListener("error", () => {
    say(LOST);
    if (events.readyState === EventSource.CLOSED) setTimeout(() => reconnect({ onImages, onRefused, onDevice }), PATIENCE);
  });
}

/** The browser tries by itself while nobody answers; not after an answer that was a refusal. */
async function reconnect(handlers) {
  try {
    await status();
  } catch (error) {
    say(error.status === 403 ? ENDED : LOST);
    if (error.status !== 403) setTimeout(() => reconnect(handlers), PATIENCE);
    return;
  }
  listen(handlers);
}

function say(text) {
  const notice = byId("connection");
  if (notice?.textContent === text) return;
  notice?.remove();
  byId("notices").append(create("p", { id: "connection", class: "notice" }, text));
}
