// What is listed below the charts: outcomes, the table of all series, alarms, the process.

import { byId, element, keyed, setAttribute, setText, setVerdict } from "./dom.js";
import { accuracyOf } from "./expected.js";
import { ago, clockWithSeconds, count, duration, known, percent } from "./format.js";
import { showStack } from "./parts.js";
import { nameOf, verdictOf } from "./series.js";

const OUTCOMES = {
  ok: ["right", "in time"],
  ok_late: ["late", "late, passed on"],
  ok_late_discarded: ["late", "late, discarded"],
  default_answered: ["late", "late, default answer"],
  deadline_in_flight: ["late", "cut off at the deadline"],
  expired_on_arrival: ["late", "expired on arrival"],
  expired_in_queue: ["late", "expired in the queue"],
  shed_queue_full: ["refused", "shed, too many in flight"],
  shed_predicted_late: ["refused", "shed, could not be in time"],
  draining: ["refused", "refused, stopping"],
  rejected_invalid: ["refused", "rejected, malformed"],
  rejected_limit: ["refused", "rejected, too large"],
  rejected_auth: ["refused", "rejected, no token for it"],
  client_cancelled: ["open", "client left"],
  upstream_unavailable: ["failed", "upstream unavailable"],
  upstream_error: ["failed", "upstream error"],
  upstream_invalid: ["failed", "upstream's bytes invalid"],
  internal: ["failed", "fault of the proxy"],
};

/** How requests of a series ended, the last hour. */
export function showOutcomes({ outcomes }) {
  const total = Object.values(outcomes).reduce((sum, number) => sum + number, 0);
  const parts = Object.keys(OUTCOMES)
    .filter((name) => outcomes[name])
    .map((name) => ({ name, key: OUTCOMES[name][0], word: OUTCOMES[name][1], share: outcomes[name] / total }));
  showStack(byId("outcomes-bar"), parts);
  keyed(
    byId("outcomes-list"),
    parts.length ? parts : [{ name: "", key: "", word: "No request has ended yet." }],
    (part) => part.name,
    (part) =>
      element(
        "li",
        { title: part.name },
        ...(part.key ? [element("span", { class: `swatch ${part.key}`, "aria-hidden": "true" })] : []),
        element("span", {}, part.word),
        element("span", { class: "number" }),
      ),
    (item, part) => setText(item.lastChild, part.name ? `${count(outcomes[part.name])} · ${percent(part.share)}` : ""),
  );
}

const COLUMNS = [
  ["series"],
  ["now"],
  ["in time"],
  ["last hour"],
  ["worst window"],
  ["by chance", "narrow-hidden"],
  ["requests", "narrow-hidden"],
  ["labelled", "narrow-hidden"],
];

/** Every series in a row; its name chooses it. */
export function showTable(all, chosen, choose) {
  const place = byId("all-table");
  if (!place.firstChild) {
    const head = COLUMNS.map(([name, hidden = ""]) => element("th", { scope: "col", class: hidden }, name));
    place.append(element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody")));
  }
  keyed(
    place.querySelector("tbody"),
    all,
    (one) => `series ${one.key}`,
    (one) => {
      const button = element("button", { type: "button" });
      button.addEventListener("click", () => choose(one.key));
      const cells = COLUMNS.slice(1).map(([, hidden = ""]) => element("td", { class: hidden }));
      cells[0].append(element("span", { class: "verdict" }), element("span", { class: "spoken" }));
      return element("tr", {}, element("th", { scope: "row" }, button), ...cells);
    },
    (row, one) => {
      if (one.key === chosen) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      const [name, now, ...cells] = row.children;
      setText(name.firstChild, one.name);
      setVerdict(now.firstChild, { kind: verdictOf(one).kind, word: one.now.requests ? accuracyOf(one.now) : "–" });
      setAttribute(now, "title", verdictOf(one).word);
      setText(now.lastChild, verdictOf(one).word);
      const texts = [
        one.now.requests ? percent(one.now.in_time_share) : "–",
        one.hour.requests ? accuracyOf(one.hour) : "–",
        known(one.worst.tca) ? percent(one.worst.tca) : "–",
        known(one.null.worst_median) ? percent(one.null.worst_median) : "–",
        count(one.now.requests),
        count(one.now.labelled),
      ];
      texts.forEach((text, index) => setText(cells[index], text));
    },
  );
}

/** The detector of a series, and the latest alarms of all, the newest first. */
export function showAlarms({ objective, detector }, alarms, nowS) {
  setText(
    byId("alarms-now"),
    known(objective)
      ? `Evidence of a drop under the objective: ${Number(detector.statistic.toPrecision(3))}; it alarms at ${count(detector.threshold)}.`
      : "Nothing is held to an objective here, so no drop can be told.",
  );
  keyed(
    byId("alarms-list"),
    alarms.length ? alarms.toReversed().slice(0, 10) : [null],
    (alarm) => (alarm ? `${alarm.at_unix_s} ${nameOf(alarm)}` : "none"),
    () => element("li"),
    (item, alarm) =>
      setText(
        item,
        alarm
          ? `${clockWithSeconds(alarm.at_unix_s)}, ${ago(nowS - alarm.at_unix_s)}: ${nameOf(alarm)} is at ${percent(alarm.mean)}, held to ${percent(alarm.baseline)}`
          : "No alarm.",
      ),
  );
}

/** The process and its upstreams. */
export function showProcess(proxy) {
  const upstreams = proxy.upstreams ?? [proxy.upstream];
  const ready = upstreams.filter((one) => one.ready).length;
  setText(
    byId("proxy-line"),
    `${proxy.draining ? "stopping" : ready === upstreams.length ? "upstream ready" : "upstream not ready"} · ${proxy.mode}`,
  );
  const rows = [
    ...upstreams.map((one) => ({
      name: `upstream ${[one.name === "default" ? "" : one.name, one.address].filter(Boolean).join(" ")}`,
      verdict: one.ejected
        ? { kind: "floor", word: "left out: its calls fail" }
        : one.ready
          ? { kind: "good", word: `ready${one.hedges ? `, ${count(one.hedges_won)} of ${count(one.hedges)} hedges won` : ""}` }
          : { kind: "floor", word: "not ready" },
    })),
    { name: "mode", text: proxy.mode },
    { name: "deadline", text: duration(proxy.deadline_s) },
    { name: "in flight", text: count(proxy.in_flight) },
    { name: "received since its start", text: count(proxy.received) },
    { name: "version", text: `${proxy.version}${proxy.compiled ? ", compiled" : ""}` },
  ];
  keyed(
    byId("process-list"),
    rows,
    (row) => row.name,
    (row) => element("div", {}, element("dt", {}, row.name), element("dd", row.verdict ? { class: "verdict" } : {})),
    (node, row) => (row.verdict ? setVerdict(node.lastChild, row.verdict) : setText(node.lastChild, row.text)),
  );
}
