// Latency against the deadline, and a handle to try another one: by mouse, touch and keyboard.

import { byId, element, setAttribute, setText } from "./dom.js";
import { count, duration, known, percent, points } from "./format.js";
import { showLegend } from "./parts.js";
import { axis, colour, mark, plotIn, shareAxis } from "./plot.js";
import { at, clamped, lastPlace, nextBound, placeOf, secondsAt, stepped } from "./whatif.js";

const SNAP_PX = 5;

let plot = null;
let shown = null;
let place = 0;
let moved = false; // by a person; until then the handle stands at the deadline

const handle = element("div", {
  class: "handle",
  role: "slider",
  tabindex: "0",
  "aria-label": "Deadline to try",
  "aria-valuemin": "0",
});

/** Show a series; `mode` is the proxy's. */
export function showThreshold(series, mode) {
  const another = shown?.series.key !== series.key || shown.series.deadline_s !== series.deadline_s;
  shown = { series, mode };
  const { latency, deadline_s: deadline } = series;
  if (another && !moved) place = placeOf(latency, deadline ?? latency.bounds_s.at(-1));
  place = clamped(latency, place);
  plot ??= build(byId("whatif-plot"));
  const places = latency.bounds_s.map((_bound, index) => at(latency, index));
  plot.setData([latency.bounds_s, places.map((one) => one.ended), places.map((one) => one.tca)]);
  showLegend(byId("whatif-legend"), [
    { kind: "dash right", word: "time-critical accuracy, if that were the deadline" },
    { kind: "dash share", word: "ended by then, of all requests" },
    ...(known(deadline) ? [{ kind: "dash floor", word: `the deadline, ${duration(deadline)}` }] : []),
    ...(known(unseenPast()) ? [{ kind: "swatch unseen", word: "not seen: cut off at the deadline" }] : []),
  ]);
  setText(byId("whatif-note"), note());
  if (another) tellHandle();
  showReadout();
}

function build(host) {
  const made = plotIn(
    host,
    {
      cursor: { show: false },
      scales: {
        x: { time: false, distr: 3, range: () => [bounds()[0], bounds().at(-1)] },
        y: { range: () => [0, 1] },
      },
      axes: [
        axis({
          splits: () => decades(bounds()),
          filter: (_plot, splits) => splits,
          values: (_plot, splits) => splits.map(duration),
          size: 34,
        }),
        shareAxis(),
      ],
      series: [
        {},
        { stroke: () => colour("quiet"), width: 1.5, points: { show: false } },
        { stroke: () => colour("right"), width: 2.5, points: { show: true, size: 5, fill: () => colour("right") } },
      ],
      hooks: { drawAxes: [drawUnseen], draw: [draw] },
    },
    [[], [], []],
  );
  made.over.append(handle);
  made.over.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    made.over.setPointerCapture(event.pointerId);
    moveTo(placeUnder(event));
    handle.focus({ preventScroll: true });
    event.preventDefault();
  });
  made.over.addEventListener("pointermove", (event) => {
    if (made.over.hasPointerCapture(event.pointerId)) moveTo(placeUnder(event));
  });
  handle.addEventListener("keydown", press);
  handle.addEventListener("focus", tellHandle);
  return made;
}

/** Right answers that a proxy cut off were not seen, so past the deadline there may be more than the curve shows. */
const unseenPast = () => (shown?.mode !== "observe" ? (shown?.series.deadline_s ?? null) : null);

function drawUnseen(drawn) {
  const deadline = unseenPast();
  if (!known(deadline)) return;
  const from = Math.max(drawn.valToPos(deadline, "x", true), drawn.bbox.left);
  drawn.ctx.fillStyle = colour("unseen");
  drawn.ctx.fillRect(from, drawn.bbox.top, drawn.bbox.left + drawn.bbox.width - from, drawn.bbox.height);
}

const bounds = () => shown.series.latency.bounds_s;

function decades(all) {
  const [first, last] = [all[0], all.at(-1)].map(Math.log10);
  const found = [];
  for (let power = Math.ceil(first - 1e-9); power <= last + 1e-9; power += 1) found.push(10 ** power);
  return found;
}

function draw(drawn) {
  if (!shown) return;
  const { deadline_s: deadline, latency } = shown.series;
  if (known(deadline)) mark(drawn, deadline, "floor", [8, 5]);
  handle.style.left = `${drawn.valToPos(secondsAt(latency, place), "x")}px`;
}

/** Where the pointer is; a bound's own place if it is near one, so that a hand can find what is exact. */
function placeUnder(event) {
  const { latency } = shown.series;
  const x = event.clientX - plot.over.getBoundingClientRect().left;
  const near = latency.bounds_s.findIndex((bound) => Math.abs(plot.valToPos(bound, "x") - x) <= SNAP_PX);
  return near < 0 ? placeOf(latency, plot.posToVal(x, "x")) : near;
}

function press(event) {
  const { latency } = shown.series;
  const move = {
    ArrowRight: () => stepped(latency, place, 1),
    ArrowUp: () => stepped(latency, place, 1),
    ArrowLeft: () => stepped(latency, place, -1),
    ArrowDown: () => stepped(latency, place, -1),
    PageUp: () => nextBound(latency, place, 1),
    PageDown: () => nextBound(latency, place, -1),
    Home: () => 0,
    End: () => lastPlace(latency),
  }[event.key];
  if (!move) return;
  event.preventDefault();
  moveTo(move());
}

function moveTo(to, byHand = true) {
  place = clamped(shown.series.latency, to);
  moved = byHand;
  plot.redraw(false);
  tellHandle();
  showReadout();
}

/** To those who hear the page: only when the handle moves, not at each snapshot. */
function tellHandle() {
  setAttribute(handle, "aria-valuemax", String(lastPlace(shown.series.latency)));
  setAttribute(handle, "aria-valuenow", place.toFixed(2));
  setAttribute(handle, "aria-valuetext", sentence(at(shown.series.latency, place)).join(""));
  byId("whatif-back").disabled = !moved || !known(shown.series.deadline_s);
}

/** Before the figure, the figure, after it. */
function sentence(found) {
  const about = found.exact ? "" : "about ";
  const { latency, deadline_s: deadline } = shown.series;
  const within = `${found.exact ? "" : "about "}${duration(found.seconds)}`;
  if (!known(found.tca)) {
    const ended = known(found.ended) ? `${about}${percent(found.ended)}` : "unknown";
    return [`By ${within}: `, ended, " of all requests had ended; what was right is unknown: no labels"];
  }
  const beyond = known(unseenPast()) && found.seconds > unseenPast();
  const change = known(deadline) && found.seconds !== deadline ? found.tca - at(latency, placeOf(latency, deadline)).tca : null;
  const against = known(change) ? `, ${points(change)} against the deadline of ${duration(deadline)}` : "";
  return [
    `At ${within}: `,
    `${beyond ? "at least " : about}${percent(found.tca)}`,
    `${found.exact ? " (exact: a bucket ends here)" : " (interpolated between buckets)"}${against}`,
  ];
}

function showReadout() {
  const [before, figure, after] = sentence(at(shown.series.latency, place));
  const readout = byId("whatif-readout");
  if (readout.textContent === before + figure + after) return;
  readout.replaceChildren(before, element("strong", {}, figure), after);
}

function note() {
  const { latency } = shown.series;
  const base = `Last hour, ${count(latency.labelled)} labelled of ${count(latency.all.at(-1))} requests. Arrow keys move the handle, Page keys from bucket to bucket.`;
  return known(unseenPast())
    ? `${base} Past the deadline the curve is a lower bound: calls that were cut off might have been right.`
    : base;
}

byId("whatif-back").addEventListener("click", () => {
  moveTo(placeOf(shown.series.latency, shown.series.deadline_s), false);
});
