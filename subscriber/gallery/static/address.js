/** What is shown stands in the address's fragment, so that Back, Forward and reloading do what they should. */

const NAMES = ["view", "channel", "owner", "search", "image"];

/** Return what the address says: an empty text where it says nothing. */
export function read() {
  const said = new URLSearchParams(location.hash.slice(1));
  const state = Object.fromEntries(NAMES.map((name) => [name, said.get(name) ?? ""]));
  state.view = state.view === "refused" ? "refused" : "images";
  return state;
}

/** Return the fragment for what is shown now, with these changes. */
export function withChanges(changes) {
  const state = { ...read(), ...changes };
  // Never empty, since the browser would scroll to the top.
  return `#${new URLSearchParams(Object.entries(state).filter(([, value]) => value))}`;
}

export function go(changes) {
  location.hash = withChanges(changes);
}

/** Go there without a new step for Back. */
export function replace(changes) {
  location.replace(withChanges(changes));
}
