// What a series of the snapshot means: its name, how it stands against its objective, where its requests went.
// Decides; draws nothing.

import { onlyExpected } from "./expected.js";
import { known } from "./format.js";

const TOTAL = "";

/**
 * Everything there is to choose: the total first where there is more than one series. What no objective gives a deadline
 * of its own has the proxy's.
 */
export function seriesOf({ series, total }, deadlineS) {
  const single = series.map((one) => ({ ...one, key: keyOf(one), name: nameOf(one) }));
  const all = single.length === 1 ? single : [{ ...total, key: TOTAL, name: "All together" }, ...single];
  return all.map((one) => ({ ...one, deadline_s: one.deadline_s ?? deadlineS }));
}

const keyOf = ({ model, version, slice }) => JSON.stringify([model, version, slice]);

/** "digits, version 2, slice night". */
export function nameOf({ model, version, slice }) {
  return [model, version && `version ${version}`, slice && `slice ${slice}`].filter(Boolean).join(", ");
}

/** How the last minute stands: a kind (which gives shape and colour) and a word. */
export function verdictOf({ now, hour, objective, floor }) {
  if (!now.requests) return { kind: "unknown", word: hour.requests ? "no traffic in the last minute" : "no traffic yet" };
  if (!known(now.tca)) return { kind: "unknown", word: onlyExpected(now) ? "expected, no labels yet" : "no labels" };
  if (!known(objective)) return { kind: "unknown", word: "no objective" };
  if (known(floor) && known(now.upper) && now.upper < floor) return { kind: "floor", word: "surely under the floor" };
  if (known(now.upper) && now.upper < objective) return { kind: "under", word: "surely under its objective" };
  if (known(now.lower) && now.lower >= objective) return { kind: "good", word: "surely meets its objective" };
  return {
    kind: "close",
    word: `${now.tca >= objective ? "meets" : "under"} its objective, by too few labels to be sure`,
  };
}

/** Whether a verdict says that something is surely wrong. */
export const isBad = ({ kind }) => kind === "under" || kind === "floor";

/** The single series that are surely under what they are held to, the lowest first. */
export function hurtOf(all) {
  const single = all.filter((one) => one.key !== TOTAL && isBad(verdictOf(one)));
  return single.sort((one, other) => one.now.tca - other.now.tca);
}

/** How the worst window of the hour stands: under what chance alone does, or not. */
export function worstVerdictOf({ worst, floor, null: chance }) {
  if (!known(worst.tca)) return { kind: "unknown", word: "no window with labels yet" };
  if (known(floor) && known(worst.upper) && worst.upper < floor) return { kind: "floor", word: "surely under the floor" };
  if (!known(chance.worst_p05)) return { kind: "unknown", word: "too few windows to compare" };
  return worst.tca < chance.worst_p05
    ? { kind: "under", word: "worse than chance alone makes it" }
    : { kind: "good", word: "as chance alone would make it" };
}

export const PART_KEYS = ["right", "late", "wrong", "open"];

/**
 * Where requests went, as [{key, word, share}] that add up to 1; null where there were none. What nobody knows is
 * unknown, never zero; without labels all that is known is what was in time.
 *
 * Takes a stretch of the snapshot: shares as estimated, losses as counts of the labelled.
 */
export function partsOf({ requests, labelled, tca, in_time_share: inTime, lost_to_lateness: late }) {
  if (!requests) return null;
  const notInTime = 1 - inTime;
  if (!known(tca)) {
    return [
      { key: "open", word: "in time, not judged", share: inTime },
      { key: "late", word: "not in time", share: notInTime },
    ];
  }
  const lateness = known(late) ? Math.min(late / labelled, notInTime) : 0;
  return [
    { key: "right", word: "in time and right", share: tca },
    { key: "late", word: "lost to lateness", share: lateness },
    { key: "wrong", word: "lost to the model", share: Math.max(0, inTime - tca) },
    { key: "open", word: known(late) ? "late and wrong" : "not in time, unknown whether right", share: notInTime - lateness },
  ];
}
