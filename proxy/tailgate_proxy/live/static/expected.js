// What quality is expected while labels are missing, and how far off that was, in words. Decides; draws nothing.

import { count, known, percent, points } from "./format.js";

/** Whether a stretch or window has nothing but an expectation to show. */
export const onlyExpected = ({ tca, expected }) => !known(tca) && known(expected);

/** "93.1 %", "expected 93.1 %" where that is all there is, or "unknown". */
export const accuracyOf = (one) => (onlyExpected(one) ? expectedOf(one) : percent(one.tca));

/** "expected 93.1 %"; nothing where nothing is expected. */
export const expectedOf = ({ expected }) => (known(expected) ? `expected ${percent(expected.tca)}` : "");

/** "92.0 % to 94.2 %", of what is expected or what is measured. */
export const rangeOf = ({ lower, upper }) => `${percent(lower)} to ${percent(upper)}`;

/** What was expected of minutes whose labels have all come, against what these say; nothing before the first. */
export function pastOf(past) {
  if (!past?.minutes) return "";
  const span = past.minutes === 1 ? "1 minute" : `${count(past.minutes)} minutes`;
  return `Expected was off by ${points(past.mean)} on average over ${span}.`;
}
