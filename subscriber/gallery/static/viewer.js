/** One image, large, with what is known about it. */

import { go, read, replace } from "./address.js";
import { byId, create, foreign } from "./elements.js";
import { downloadOf, fileOf, keyOf, proofOf, thumbnailOf } from "./interface.js";
import { alternative, count, size, timeOf, titleOf } from "./words.js";

const SWIPE = 50; // pixels

export class Viewer {
  #collection;
  #onClose;
  #dialog = byId("viewer");
  #picture = byId("viewer-image");
  #key = "";
  #wasOpenedHere = false;
  #touchedAt = null;

  /** `onClose` is told which image was shown last. */
  constructor(collection, onClose) {
    this.#collection = collection;
    this.#onClose = onClose;
    this.#dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.#leave();
    });
    this.#dialog.addEventListener("keydown", (event) => this.#press(event));
    byId("close").addEventListener("click", () => this.#leave());
    byId("previous").addEventListener("click", () => this.#step(-1));
    byId("next").addEventListener("click", () => this.#step(1));
    const stage = byId("stage");
    stage.addEventListener("touchstart", ({ touches }) => (this.#touchedAt = touches.length === 1 ? touches[0] : null), { passive: true });
    stage.addEventListener("touchend", ({ changedTouches }) => this.#swipe(changedTouches[0]));
    this.#picture.addEventListener("error", () => this.#showTrouble());
    collection.addEventListener("restarted", () => this.#offerNeighbours());
    collection.addEventListener("changed", () => this.#offerNeighbours());
  }

  /** Show the image with this key, or none where it is empty. `isFirst` tells that the page was opened like this. */
  async show(key, { isFirst = false } = {}) {
    if (key === this.#key) return;
    const shown = this.#key;
    this.#key = key;
    if (!key) return this.#close(shown);
    if (!shown) this.#wasOpenedHere = !isFirst;
    let image;
    try {
      image = await this.#collection.find(key);
    } catch {
      replace({ image: "" });
      return undefined;
    }
    if (key !== this.#key) return undefined; // another was asked for meanwhile
    this.#fill(image);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#offerNeighbours();
    return undefined;
  }

  #close(shown) {
    this.#dialog.close();
    this.#picture.removeAttribute("src");
    this.#onClose(shown);
  }

  /** Go back to where the image was opened from. */
  #leave() {
    if (this.#wasOpenedHere) history.back();
    else replace({ image: "" });
  }

  async #step(by) {
    const from = read().image; // not what is shown yet: who presses a key twice goes two steps
    const image = await this.#collection.neighbour(from, by).catch(() => undefined);
    if (image && read().image === from) replace({ image: keyOf(image) });
  }

  #press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    this.#step(by);
  }

  #swipe({ clientX, clientY }) {
    if (!this.#touchedAt || visualViewport.scale > 1) return;
    const [x, y] = [clientX - this.#touchedAt.clientX, clientY - this.#touchedAt.clientY];
    if (Math.abs(x) > SWIPE && Math.abs(x) > 2 * Math.abs(y)) this.#step(x > 0 ? -1 : 1);
  }

  #offerNeighbours() {
    const place = this.#collection.placeOf(this.#key);
    byId("previous").disabled = place <= 1;
    byId("next").disabled = !place || place >= this.#collection.total;
  }

  #fill(image) {
    const place = this.#collection.placeOf(this.#key);
    byId("viewer-trouble").hidden = true;
    this.#picture.hidden = false;
    this.#picture.alt = alternative(image);
    this.#picture.dataset.thumbnail = thumbnailOf(image);
    this.#picture.src = fileOf(image);
    byId("viewer-title").textContent = titleOf(image);
    byId("viewer-sent").textContent = `${image.owner} · ${timeOf(image.sent_at ?? image.saved_at)}`;
    byId("viewer-announcement").textContent =
      `${place ? `Image ${place} of ${this.#collection.total}: ` : ""}${alternative(image)}`;
    this.#explain(image);
    byId("download").href = downloadOf(image);
    byId("download").hidden = !image.is_here;
    byId("proof").href = proofOf(image);
    byId("proof").hidden = !image.is_here || !image.fingerprint;
    byId("facts").replaceChildren(...facts(image));
    byId("about").scrollTop = 0;
    this.#dialog.scrollTop = 0;
  }

  /** Say what the badge means, and what it does not mean. */
  #explain({ owner, verified_owner: isCompared, changed_device: isAnother }) {
    byId("badge-signed").textContent =
      `Every byte is as ${owner} signed it, and the registrar that this device trusts certifies that the key is ${owner}'s.`;
    byId("badge").classList.toggle("doubtful", isAnother);
    byId("badge-compared").replaceChildren(
      ...(isCompared
        ? [`You have compared ${owner}'s fingerprint yourself.`]
        : [
            isAnother
              ? `You have compared another device of ${owner}'s, and not this one. Ask ${owner} whether it is theirs: `
              : `You have not compared ${owner}'s fingerprint yourself yet: `,
            create("code", {}, `subscriber verify ${owner}`),
          ]),
    );
  }

  /** What the browser cannot show, such as a TIFF, is shown as its thumbnail; what is gone, not at all. */
  #showTrouble() {
    const trouble = byId("viewer-trouble");
    const isThumbnail = this.#picture.src.endsWith(this.#picture.dataset.thumbnail);
    if (!this.#picture.getAttribute("src")) return;
    trouble.hidden = false;
    trouble.textContent = isThumbnail ? "The file is no longer where it was saved." : "A small version: this browser cannot show the file itself.";
    this.#picture.hidden = isThumbnail;
    if (!isThumbnail) this.#picture.src = this.#picture.dataset.thumbnail;
  }
}

function facts(image) {
  const audience = { members: "every member", named: "named people, you among them" }[image.audience];
  const known = [
    ["Name", image.name && foreign(image.name)],
    ["Channel", image.channel],
    ["For", audience],
    ["Sent", image.sent_at && timeOf(image.sent_at)],
    ["Saved here", timeOf(image.saved_at)],
    ["Dimensions", image.width && image.height && `${image.width} × ${image.height}`],
    ["Size", image.size && size(image.size)],
    ["Type", image.media_type],
    ["SHA-256", image.sha256 && create("code", {}, image.sha256)],
    ["Signed by", image.fingerprint && create("code", {}, image.fingerprint)],
    ["Image id", create("code", {}, image.image_id)],
  ];
  return known.filter(([, value]) => value).map(([name, value]) => create("div", {}, create("dt", {}, name), create("dd", {}, value)));
}
