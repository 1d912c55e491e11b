// The last hour by windows: their time-critical accuracy beside what chance alone makes of the worst, and their requests.

import { byId, setText } from "./dom.js";
import { expectedOf, onlyExpected, rangeOf } from "./expected.js";
import { clock, count, known, percent } from "./format.js";
import { showLegend } from "./parts.js";
import { axis, colour, mark, patterned, plotIn, rule, shareAxis } from "./plot.js";
import { PART_KEYS, partsOf } from "./series.js";
import { showWindowTable } from "./windowtable.js";

const AT_LEAST_S = 900;

let accuracy = null;
let losses = null;
let shown = null;
let pointedAt = null;

/** A window as the snapshot lists it, by names, with the estimates of `Counts` where all labels weigh the same. */
function windowOf([from, requests, inTime, labelled, right, late, wrong, expectedTca, lower, upper]) {
  const share = requests ? inTime / requests : null;
  const judged = right + (wrong ?? 0);
  const tca = judged ? (share * right) / judged : requests && !inTime ? 0 : null;
  const expected = known(expectedTca) ? { tca: expectedTca, lower, upper } : null;
  return { from, requests, labelled, in_time_share: share, tca, lost_to_lateness: late, expected };
}

/** Show a series. */
export function showWindows(series, windowS) {
  shown = { series, windowS, windows: series.recent.map(windowOf) };
  accuracy ??= accuracyPlot(byId("windows-plot"));
  losses ??= lossesPlot(byId("losses-plot"));
  const each = (value) => shown.windows.map(value);
  const from = each((one) => one.from);
  const expected = each((one) => (onlyExpected(one) ? one.expected.tca : null));
  accuracy.setData([from, each((one) => one.in_time_share), expected, each((one) => one.tca)]);
  losses.setData([from, each((one) => one.requests)]);
  showLegends(series);
  showReadout();
  if (byId("table-of-windows").open) showTable();
}

const timeRange = () => {
  const last = shown.windows.at(-1)?.from ?? Date.now() / 1000;
  const first = shown.windows[0]?.from ?? last;
  return [Math.min(first, last - AT_LEAST_S), last + shown.windowS];
};

const timeAxis = () => axis({ values: (_plot, splits) => splits.map(clock), space: 60, size: 34 });

const cursor = { drag: { x: false, y: false }, y: false, points: { size: 8 }, sync: { key: "windows" } };

function accuracyPlot(place) {
  return plotIn(
    place,
    {
      cursor,
      scales: { x: { range: timeRange }, y: { range: shareRange } },
      axes: [timeAxis(), shareAxis()],
      series: [
        {},
        { stroke: () => colour("quiet"), width: 1.5, points: { show: false } },
        {
          stroke: () => colour("right"),
          width: 1.5,
          dash: [3, 4],
          points: { show: true, size: 7, width: 1.5, fill: () => colour("card") },
        },
        { stroke: () => colour("right"), width: 2.5, points: { size: 4, fill: () => colour("right") } },
      ],
      hooks: { drawAxes: [drawChance, drawExpected], draw: [drawBounds], setCursor: [point] },
    },
    [[], [], [], []],
  );
}

function shareRange() {
  const { series, windows } = shown;
  const values = windows.flatMap((one) => [onlyExpected(one) ? one.expected.lower : one.tca, one.in_time_share]);
  const low = Math.min(1, ...[...values, series.floor, series.objective, series.null.worst_p05].filter(known));
  return [Math.max(0, Math.floor(20 * (low - 0.02)) / 20), 1];
}

function alarmsShown() {
  const [first, last] = timeRange();
  return shown.series.detector.alarms.filter(({ at_unix_s: at }) => at >= first && at <= last);
}

/** Where the worst of as many windows lies by chance alone. */
function drawChance(plot) {
  const chance = shown?.series.null;
  if (!known(chance?.worst_p05)) return;
  const top = plot.valToPos(chance.worst_median, "y", true);
  const bottom = plot.valToPos(chance.worst_p05, "y", true);
  plot.ctx.fillStyle = colour("chance");
  plot.ctx.fillRect(plot.bbox.left, top, plot.bbox.width, Math.max(bottom - top, 2 * devicePixelRatio));
}

/** Between which values the accuracy of each window is expected that has no labels. */
function drawExpected(plot) {
  if (!shown) return;
  plot.ctx.fillStyle = patterned(plot, "expected");
  const at = (value, scale) => Math.round(plot.valToPos(value, scale, true));
  for (const { from, expected } of shown.windows.filter(onlyExpected)) {
    const left = at(from - shown.windowS / 2, "x");
    const top = at(expected.upper, "y");
    const height = Math.max(at(expected.lower, "y") - top, 1);
    plot.ctx.fillRect(left, top, at(from + shown.windowS / 2, "x") - left, height);
  }
}

function drawBounds(plot) {
  if (!shown) return;
  const { floor, objective, worst } = shown.series;
  if (known(floor)) rule(plot, floor, "floor", [8, 5]);
  if (known(objective)) rule(plot, objective, "good", [2, 4]);
  for (const alarm of alarmsShown()) mark(plot, alarm.at_unix_s, "under", [3, 3]);
  if (!known(worst.tca)) return;
  plot.ctx.strokeStyle = colour("under");
  plot.ctx.lineWidth = 3 * devicePixelRatio;
  plot.ctx.beginPath();
  plot.ctx.arc(
    plot.valToPos(worst.from_unix_s, "x", true),
    plot.valToPos(worst.tca, "y", true),
    6 * devicePixelRatio,
    0,
    7,
  );
  plot.ctx.stroke();
}

function lossesPlot(place) {
  return plotIn(
    place,
    {
      cursor: { ...cursor, points: { show: false } },
      scales: { x: { range: timeRange }, y: { range: (_plot, _low, high) => [0, high ? 1.05 * high : 1] } },
      axes: [timeAxis(), axis({ values: (_plot, splits) => splits.map(count), size: 58 })],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: { draw: [drawLosses], setCursor: [point] },
    },
    [[], []],
  );
}

/** Parts of each window on top of each other, in whole pixels, so that no colour shines through at another's edge. */
function drawLosses(plot) {
  if (!shown) return;
  const { series, windows, windowS } = shown;
  const fills = new Map(PART_KEYS.map((key) => [key, patterned(plot, key)]));
  const at = (value, scale) => Math.round(plot.valToPos(value, scale, true));
  for (const one of windows) {
    const left = at(one.from, "x");
    const width = Math.max(at(one.from + windowS, "x") - left - devicePixelRatio, 1);
    let below = 0;
    for (const { key, share } of partsOf(one) ?? []) {
      const above = below + one.requests * share;
      plot.ctx.fillStyle = fills.get(key);
      plot.ctx.fillRect(left, at(above, "y"), width, at(below, "y") - at(above, "y"));
      below = above;
    }
  }
  if (known(series.worst.tca)) mark(plot, series.worst.from_unix_s + windowS / 2, "floor", [8, 5]);
}

function point(plot) {
  pointedAt = plot.cursor.idx ?? null;
  showReadout();
}

/** The window under the pointer in words, or else the last one. */
function showReadout() {
  const one = shown?.windows[pointedAt ?? -1] ?? shown?.windows.at(-1);
  const text = one
    ? `${clock(one.from)}: ${rightOf(one)}, ${percent(one.in_time_share)} in time, of ${count(one.requests)} requests`
    : "No window is complete yet.";
  setText(byId("windows-readout"), text);
}

function rightOf(one) {
  if (onlyExpected(one)) return `${expectedOf(one)} in time and right (${rangeOf(one.expected)}; no labels yet)`;
  const labelled = `${count(one.labelled)} labelled`;
  return `${percent(one.tca)} in time and right (${[labelled, expectedOf(one)].filter(Boolean).join("; ")})`;
}

function showLegends(series) {
  const lines = [
    known(series.hour.tca) && { kind: "dash right", word: "time-critical accuracy" },
    ...(shown.windows.some(onlyExpected)
      ? [
          { kind: "dash hollow", word: "expected, no labels yet" },
          { kind: "swatch expected", word: "between which it is expected (95 % sure)" },
        ]
      : []),
    { kind: "dash share", word: "in time" },
    known(series.objective) && { kind: "dash objective", word: `objective ${percent(series.objective)}` },
    known(series.floor) && { kind: "dash floor", word: `floor of a window ${percent(series.floor)}` },
    known(series.worst.tca) && { kind: "ring", word: "the worst" },
    alarmsShown().length && { kind: "dash alarm", word: "alarm of the detector" },
    known(series.null.worst_p05) && { kind: "swatch chance", word: "where the worst lies by chance alone" },
  ].filter(Boolean);
  showLegend(byId("windows-legend"), lines);
  const parts = partsOf(series.hour) ?? [];
  const unjudged = known(series.hour.tca) && shown.windows.some((one) => one.requests && !known(one.tca));
  const also = ({ key, word }) => (unjudged && key === "open" ? `${word}; or in time, not judged` : word);
  showLegend(byId("losses-legend"), [
    ...parts.map((part) => ({ kind: `swatch ${part.key}`, word: also(part) })),
    ...lines.filter((line) => line.kind === "ring").map(() => ({ kind: "dash floor", word: "the worst window" })),
  ]);
}

const showTable = () => shown && showWindowTable(byId("table-of-windows").querySelector(".scroll"), shown.windows);

byId("table-of-windows").addEventListener("toggle", showTable);
