/** Asks for a thumbnail once it is seen, not before, and not for what is only scrolled past. */

const PASSING = 50; // milliseconds

const seen = new Set();
let timer;

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) seen.add(target);
    else seen.delete(target);
  }
  timer ??= setTimeout(load, PASSING);
});

function load() {
  timer = undefined;
  for (const picture of seen) {
    observer.unobserve(picture);
    picture.src = picture.dataset.address;
  }
  seen.clear();
}

/** Have a picture loaded from `address` when it is seen, and `then` called. */
export function loadWhenSeen(picture, address, then) {
  picture.dataset.address = address;
  picture.addEventListener(
    "load",
    () => {
      picture.classList.add("loaded");
      then();
    },
    { once: true },
  );
  picture.addEventListener("error", () => picture.parentElement?.classList.add("broken"), { once: true });
  observer.observe(picture);
}

/** No longer load a picture that is taken off the page; a request under way is ended. */
export function forget(picture) {
  observer.unobserve(picture);
  seen.delete(picture);
  if (!picture.complete) picture.removeAttribute("src");
}
