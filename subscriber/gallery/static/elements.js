/** Return the element of the page with this id. */
export const byId = (id) => document.getElementById(id);

/** Return a new element. Children that are strings become text, never markup: what others wrote stays what it is. */
export function create(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Return what others wrote, so that its reading direction changes nothing around it. */
export const foreign = (text) => create("bdi", {}, text);

/** Have `parent` hold `wanted`, in this order, without moving what is there already: a moved node loses the focus. */
export function reconcile(parent, wanted) {
  const kept = new Set(wanted);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const node of wanted) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}
