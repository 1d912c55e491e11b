// The three figures on top: now, where it goes, the worst window; each with its uncertainty and its verdict.

import { byId, element, keyed, setText, setVerdict, shape } from "./dom.js";
import { expectedOf, onlyExpected, pastOf, rangeOf } from "./expected.js";
import { clock, count, known, percent } from "./format.js";
import { showLegend, showStack } from "./parts.js";
import { hurtOf, partsOf, verdictOf, worstVerdictOf } from "./series.js";

/** Show a series, and who else is hurt; `choose` takes the key of a series. */
export function showNow(series, all, windowS, choose) {
  showMinute(series, windowS);
  showHurt(hurtOf(all).filter((one) => one.key !== series.key), choose);
  showSplit(series);
  showWorst(series);
}

function showMinute(series, windowS) {
  const { now, objective } = series;
  showHeadline(now);
  setVerdict(byId("now-verdict"), verdictOf(series));
  const bounds = onlyExpected(now) ? now.expected : now;
  const interval = known(bounds.lower) ? `${rangeOf(bounds)} (95 % sure)` : "";
  const against = known(objective) ? `objective ${percent(objective)}` : "";
  setText(byId("now-interval"), [interval, against].filter(Boolean).join("; "));
  setText(byId("now-volume"), volumeOf(now, windowS));
  setText(byId("now-past"), pastOf(series.past_error));
}

/** What is measured, with what had been expected small beside it; where nothing is measured, what is expected. */
function showHeadline(now) {
  const place = byId("now-value");
  const [word, number] = place.children;
  const unmeasured = onlyExpected(now);
  place.classList.toggle("unmeasured", unmeasured);
  setText(word, unmeasured ? "expected " : "");
  setText(number, now.requests ? percent(unmeasured ? now.expected.tca : now.tca) : "–");
  const beside = known(now.tca) && known(now.expected);
  setText(byId("now-expected"), beside ? `${expectedOf(now)} (${rangeOf(now.expected)})` : "");
}

/** Whom a good total hides: those who are surely under, the worst of them by name. */
function showHurt(hurt, choose) {
  const place = byId("now-hurt");
  const text = hurt.length
    ? `${hurt[0].name}: ${percent(hurt[0].now.tca)}${hurt.length > 1 ? `, and ${hurt.length - 1} more` : ""}`
    : "";
  keyed(
    place,
    hurt.slice(0, 1),
    (one) => one.key,
    (one) => {
      const button = element("button", { type: "button", class: "link" });
      button.addEventListener("click", () => choose(one.key));
      return element("span", { class: "verdict" }, shape("floor"), button);
    },
    (node) => setText(node.lastChild, `Surely under: ${text}`),
  );
}

function volumeOf(now, windowS) {
  if (!now.requests) return "Figures appear as soon as requests have ended.";
  const span = windowS === 60 ? "the last minute" : `the last ${windowS} s`;
  const looked = onlyExpected(now) ? `, confidence of ${count(now.expected.answers)} looked at` : "";
  return `${count(now.requests)} requests in ${span}, ${percent(now.in_time_share)} in time; ${count(now.labelled)} labelled${looked}`;
}

function showSplit({ now, hour }) {
  const rows = [
    { name: "last minute", parts: partsOf(now), requests: now.requests },
    { name: "last hour", parts: partsOf(hour), requests: hour.requests },
  ];
  keyed(
    byId("split-bars"),
    rows,
    (row) => row.name,
    (row) =>
      element(
        "div",
        {},
        element("p", { class: "bar-title" }, element("span", {}, row.name), element("span")),
        element("div", { class: "stack", "aria-hidden": "true" }),
      ),
    (node, { parts, requests }) => {
      setText(node.firstChild.lastChild, `${count(requests)} requests`);
      showStack(node.lastChild, parts ?? []);
    },
  );
  const parts = partsOf(now) ?? partsOf(hour) ?? [];
  showLegend(
    byId("split-legend"),
    parts.map(({ key, word, share }) => ({ kind: `swatch ${key}`, word: `${percent(share)} ${word}` })),
  );
  const hidden = now.labelled && !known(now.lost_to_lateness);
  setText(
    byId("split-note"),
    hidden ? "What is cut off at its deadline might have been right. Mode observe would show it." : "",
  );
}

function showWorst(series) {
  const { worst, p1, windows, null: chance } = series;
  setText(byId("worst-value"), known(worst.tca) ? percent(worst.tca) : "–");
  setVerdict(byId("worst-verdict"), worstVerdictOf(series));
  setText(
    byId("worst-null"),
    known(chance.worst_median)
      ? `By chance alone the worst of ${count(windows)} would be about ${percent(chance.worst_median)}, and under ${percent(chance.worst_p05)} one time in twenty.`
      : "",
  );
  const when = known(worst.tca) ? `From ${clock(worst.from_unix_s)}, ${count(worst.labelled)} labelled` : "";
  setText(byId("worst-p1"), [when, known(p1) ? `lowest hundredth ${percent(p1)}` : ""].filter(Boolean).join("; "));
}
