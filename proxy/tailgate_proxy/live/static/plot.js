// uPlot as this page uses it: as wide as its place, in the page's colours, silent where there is nothing to draw.

const plots = new Set();

/** The value of a colour of style.css, now. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const plot of plots) plot.redraw(false, true);
});

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) target.plot.setSize(sizeOf(target));
});

const sizeOf = (place) => ({ width: Math.max(place.clientWidth, 200), height: place.clientHeight });

/** Draw in a place of the page; `options` are uPlot's own. */
export function plotIn(place, options, data) {
  const plot = new uPlot({ ...sizeOf(place), legend: { show: false }, ...options }, data, place);
  place.plot = plot;
  plots.add(plot);
  resized.observe(place);
  return plot;
}

/** An axis in quiet colours; `values` turns what it splits at into text. */
export const axis = (more = {}) => ({
  stroke: () => colour("quiet"),
  grid: { stroke: () => colour("line"), width: 1 },
  ticks: { stroke: () => colour("line"), width: 1, size: 5 },
  font: "12px system-ui, sans-serif",
  ...more,
});

export const shareAxis = (more = {}) =>
  axis({ values: (_plot, splits) => splits.map((split) => `${Math.round(1000 * split) / 10}\u202f%`), size: 58, ...more });

/** A horizontal line across the plot, in the manner of a hook. */
export function rule(plot, share, name, dash) {
  const y = Math.round(plot.valToPos(share, "y", true));
  const { left, width } = plot.bbox;
  stroke(plot, colour(name), dash, [left, y], [left + width, y]);
}

/** A vertical line across the plot. */
export function mark(plot, value, name, dash) {
  const x = Math.round(plot.valToPos(value, "x", true));
  const { top, height } = plot.bbox;
  stroke(plot, colour(name), dash, [x, top], [x, top + height]);
}

function stroke({ ctx }, style, dash, from, to) {
  ctx.save();
  ctx.strokeStyle = style;
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(...from);
  ctx.lineTo(...to);
  ctx.stroke();
  ctx.restore();
}

/** A fill in the colour of a part, with the pattern it has in style.css. */
export function patterned(plot, part) {
  const size = 6;
  const tile = new OffscreenCanvas(size, size);
  const ctx = tile.getContext("2d");
  ctx.fillStyle = colour(part);
  ctx.fillRect(0, 0, size, size);
  PATTERNS[part]?.(ctx, size);
  return plot.ctx.createPattern(tile, "repeat");
}

const diagonal = (style, rising) => (ctx, size) => {
  ctx.strokeStyle = style;
  ctx.lineWidth = 1.4;
  ctx.beginPath();
  for (const shift of [-size, 0, size]) {
    ctx.moveTo(shift - 1, rising ? size + 1 : -1);
    ctx.lineTo(shift + size + 1, rising ? -1 : size + 1);
  }
  ctx.stroke();
};
const PATTERNS = {
  expected: (ctx, size) => {
    ctx.globalAlpha = 0.45;
    diagonal(colour("right"), true)(ctx, size);
  },
  late: diagonal("#0006", false),
  open: diagonal("#fff8", true),
  wrong: (ctx, size) => {
    ctx.fillStyle = "#0008";
    ctx.beginPath();
    ctx.arc(size / 2, size / 2, 1.3, 0, 7);
    ctx.fill();
  },
};
