// The windows of the last hour in figures, for those who do not see the charts, and for those who copy.

import { element, keyed, setText } from "./dom.js";
import { rangeOf } from "./expected.js";
import { clock, count, known, percent } from "./format.js";

const HEADINGS = ["from", "requests", "in time", "labelled", "time-critical accuracy", "expected"];

/** Show windows in a place, the newest first. */
export function showWindowTable(place, windows) {
  if (!place.firstChild) {
    const head = element("tr", {}, ...HEADINGS.map((heading) => element("th", { scope: "col" }, heading)));
    place.append(element("table", {}, element("thead", {}, head), element("tbody")));
  }
  keyed(
    place.querySelector("tbody"),
    windows.toReversed(),
    (one) => String(one.from),
    () => element("tr", {}, element("th", { scope: "row" }), ...HEADINGS.slice(1).map(() => element("td"))),
    (row, one) => textsOf(one).forEach((text, cell) => setText(row.children[cell], text)),
  );
}

const textsOf = (one) => [
  clock(one.from),
  count(one.requests),
  percent(one.in_time_share),
  count(one.labelled),
  percent(one.tca),
  known(one.expected) ? `${percent(one.expected.tca)} (${rangeOf(one.expected)})` : "–",
];
