// Parts of a whole, and what colours, patterns and dashes mean.

import { element, keyed, setText } from "./dom.js";

/** Samples with their words: [{kind, word}], the kind being a class of style.css. */
export function showLegend(list, lines) {
  keyed(
    list,
    lines,
    (line) => line.kind,
    (line) => element("li", {}, element("span", { class: line.kind, "aria-hidden": "true" }), element("span")),
    (item, line) => setText(item.lastChild, line.word),
  );
}

/** Parts of a whole side by side: [{key, share}]. */
export function showStack(place, parts) {
  keyed(
    place,
    parts.filter(({ share }) => share > 0),
    (part) => part.name ?? part.key,
    (part) => element("span", { class: part.key }),
    (node, part) => {
      const width = `${(100 * part.share).toFixed(2)}%`;
      if (node.style.width !== width) node.style.width = width;
    },
  );
}
