// What the time-critical accuracy would have been at another deadline, from cumulative counts by latency.
// A place is where one is among the buckets: 3 at the fourth bound, where the counts are exact; 3.5 halfway to the next
// on the logarithmic axis, where they are interpolated, as the curve is drawn. Decides; draws nothing.

/** Steps of the keyboard between two bounds. */
export const STEPS = 8;

export const lastPlace = (latency) => latency.bounds_s.length - 1;

export const clamped = (latency, place) => Math.min(Math.max(place, 0), lastPlace(latency));

/** The latency at a place, in seconds. */
export function secondsAt({ bounds_s: bounds }, place) {
  const [below, share] = split(place);
  return share ? bounds[below] * (bounds[below + 1] / bounds[below]) ** share : bounds[below];
}

/** The place of a latency; a bound's own place exactly. */
export function placeOf(latency, seconds) {
  const bounds = latency.bounds_s;
  const above = bounds.findIndex((bound) => bound >= seconds);
  if (above < 0) return lastPlace(latency);
  if (above === 0 || bounds[above] === seconds) return above;
  return above - 1 + Math.log(seconds / bounds[above - 1]) / Math.log(bounds[above] / bounds[above - 1]);
}

/** One step of the keyboard on, which never jumps over a bound. */
export const stepped = (latency, place, steps) => clamped(latency, (Math.round(place * STEPS) + steps) / STEPS);

/** The next bound in a direction. */
export const nextBound = (latency, place, direction) =>
  clamped(latency, direction > 0 ? Math.floor(place) + 1 : Math.ceil(place) - 1);

/**
 * At a place: the time-critical accuracy (null without labels), the share of all requests that had ended, and whether
 * both are exact.
 */
export function at(latency, place) {
  const total = latency.all.at(-1);
  return {
    seconds: secondsAt(latency, place),
    tca: latency.labelled ? between(latency.right, place) / latency.labelled : null,
    ended: total ? between(latency.all, place) / total : null,
    exact: Number.isInteger(place),
  };
}

function between(counts, place) {
  const [below, share] = split(place);
  return share ? counts[below] + share * (counts[below + 1] - counts[below]) : counts[below];
}

function split(place) {
  const below = Math.floor(place);
  return [below, place - below];
}
