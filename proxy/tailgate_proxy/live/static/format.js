// Numbers and times as people read them. Shares go in as 0 to 1, times in seconds.

const COUNT = new Intl.NumberFormat("en", { useGrouping: true });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const CLOCK_S = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const known = (value) => value !== null && value !== undefined;

export const count = (number) => COUNT.format(number).replaceAll(",", "\u202f");

export const clock = (unixS) => CLOCK.format(new Date(1000 * unixS));

export const clockWithSeconds = (unixS) => CLOCK_S.format(new Date(1000 * unixS));

/** "93.1 %"; two digits from 99 % on, and 100 % only for all. */
export function percent(share) {
  if (!known(share)) return "unknown";
  const scale = share >= 0.99 && share < 1 ? 1e4 : 1e3;
  const rounded = share < 1 ? Math.min(Math.round(share * scale), scale - 1) : scale;
  return `${((100 * rounded) / scale).toFixed(scale === 1e4 ? 2 : 1)}\u202f%`;
}

/** A difference of shares in percentage points: "+1.3 points". */
export function points(difference) {
  const rounded = (100 * Math.abs(difference)).toFixed(1);
  return `${difference < 0 && rounded !== "0.0" ? "−" : "+"}${rounded} points`;
}

/** "2.5 ms", "1.2 s": three digits that count. */
export function duration(seconds) {
  if (!known(seconds)) return "unknown";
  const [value, unit] = seconds < 1 ? [1000 * seconds, "ms"] : [seconds, "s"];
  return `${Number(value.toPrecision(3))}\u202f${unit}`;
}

export const ago = (seconds) =>
  seconds < 90 ? `${Math.round(seconds)} s ago` : `${Math.round(seconds / 60)} min ago`;
