// Elements made and changed without touching what is the same already: what has the focus, or is being selected, stays.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** A new element; children are elements or text, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Make the children of a parent those of `items`, in their order, keeping the elements of keys that were there. */
export function keyed(parent, items, key, make, update) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, place) => {
    const name = key(item);
    let child = before.get(name);
    if (child === undefined) {
      child = make(item);
      child.dataset.key = name;
    }
    before.delete(name);
    update(child, item);
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  for (const child of before.values()) child.remove();
}

/** A shape of 16 × 16 that says by its form what its colour says, too. */
export function shape(kind) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `shape ${kind}`);
  svg.setAttribute("aria-hidden", "true");
  for (const [name, attributes] of SHAPES[kind]) {
    const part = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    svg.append(part);
  }
  return svg;
}

/** A verdict in a node: a shape and a word. */
export function setVerdict(node, { kind, word }) {
  if (node.dataset.kind === kind && node.dataset.word === word) return;
  Object.assign(node.dataset, { kind, word });
  node.replaceChildren(...(word ? [shape(kind), element("span", {}, word)] : []));
}

const stroke = (d) => ["path", { d, class: "stroke" }];
const SHAPES = {
  good: [["circle", { cx: 8, cy: 8, r: 7.5 }], stroke("M4.5 8.5 7 11l4.5-5.5")],
  close: [["path", { d: "M8 .5 15.5 8 8 15.5.5 8Z" }], stroke("M4.5 8.5c1.5-2 2.5-1 3.5 0s2 1.5 3.5-.5")],
  under: [["path", { d: "M.5 1.5h15L8 15.5Z" }], stroke("M8 4v4.5M8 10.5v.5")],
  floor: [["path", { d: "M5 .5h6L15.5 5v6L11 15.5H5L.5 11V5Z" }], stroke("m5 5 6 6m0-6-6 6")],
  unknown: [["circle", { cx: 8, cy: 8, r: 6.5, class: "hollow" }]],
};
