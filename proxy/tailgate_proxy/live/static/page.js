// The live page: what comes in is kept, and drawn; what a person chooses stays chosen, in the address, too.

import { connect } from "./connection.js";
import { byId, element, keyed, setText } from "./dom.js";
import { accuracyOf } from "./expected.js";
import { clockWithSeconds, percent } from "./format.js";
import { showAlarms, showOutcomes, showProcess, showTable } from "./lists.js";
import { showNow } from "./now.js";
import { isBad, nameOf, seriesOf, verdictOf } from "./series.js";
import { showThreshold } from "./threshold.js";
import { showWindows } from "./windows.js";

let latest = null;
let state = { kind: "opening" };
let stopped = false;
let chosen = inAddress();
let countdown = 0;
const said = { verdict: null, alarm: null, notice: "" };

function inAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return ""; // somebody typed it
  }
}

function show() {
  if (!latest) return;
  const { quality, proxy, at_unix_s: nowS } = latest;
  const all = seriesOf(quality, proxy.deadline_s);
  const { alarms } = quality.total.detector;
  const series = all.find((one) => one.key === chosen) ?? all[0];
  showChoice(all, series);
  showNow(series, all, quality.window_s, choose);
  showWindows(series, quality.window_s);
  showThreshold(series, proxy.mode);
  showOutcomes(series);
  showTable(all, series.key, choose);
  showAlarms(series, alarms, nowS);
  showProcess(proxy);
  announce(series, alarms);
  document.title = `${series.now.requests ? accuracyOf(series.now) : "–"} · ${series.name} · Tailgate`;
}

function showChoice(all, series) {
  const select = byId("series");
  select.disabled = false;
  keyed(
    select,
    all,
    (one) => `series ${one.key}`,
    (one) => element("option", { value: one.key }),
    (option, one) => setText(option, one.name),
  );
  if (select.value !== series.key) select.value = series.key;
}

function choose(key) {
  chosen = key;
  said.verdict = null;
  history.replaceState(null, "", `#${encodeURIComponent(key)}`);
  show();
}

/** To those who hear the page: that something is surely wrong, or no longer; and alarms. Not every figure. */
function announce(series, alarms) {
  const verdict = verdictOf(series);
  const bad = isBad(verdict);
  const alarm = alarms.at(-1);
  const news = [];
  if (said.verdict !== null && said.verdict !== bad) news.push(`${series.name}: ${verdict.word}`);
  if (said.alarm !== null && alarm && alarm.at_unix_s > said.alarm) {
    news.push(`Alarm: ${nameOf(alarm)} is at ${percent(alarm.mean)}`);
  }
  if (news.length) setText(byId("announce"), news.join(". "));
  said.verdict = bad;
  said.alarm = alarm?.at_unix_s ?? 0;
}

/** What stands above everything while not all is well with the connection or the proxy. */
function showNotice() {
  clearTimeout(countdown);
  const { text, detail, retry } = noticeOf();
  // The place from which it is heard is another: one that appears together with its text is often not read out.
  if (text !== said.notice) setText(byId("announce"), text || "Connected again");
  said.notice = text;
  byId("notice").hidden = !text;
  byId("retry").hidden = !retry;
  setText(byId("notice-text"), text);
  setText(byId("notice-detail"), detail);
  byId("live").classList.toggle("stale", Boolean(retry));
  if (retry) countdown = setTimeout(showNotice, 1000);
}

function noticeOf() {
  if (state.kind === "lost") {
    const seconds = Math.max(0, Math.round((state.retryAt - Date.now()) / 1000));
    const again = seconds ? `Trying again in ${seconds} s.` : "Trying again.";
    if (!latest) {
      return { text: "No connection to the proxy", detail: `It is down, or as many watch as may. ${again}`, retry: true };
    }
    const text = stopped ? "The proxy has stopped" : "The connection to the proxy is lost";
    return { text, detail: `What you see is of ${clockWithSeconds(latest.at_unix_s)}. ${again}`, retry: true };
  }
  if (state.kind === "stopping" || (state.kind === "live" && latest?.proxy.draining)) {
    return { text: "The proxy is stopping", detail: "It finishes what is in flight and refuses what is new.", retry: false };
  }
  return { text: "", detail: "", retry: false };
}

const connection = connect("live/events", {
  snapshot(document) {
    // Another proxy has taken the place: its page may be another, too.
    if (latest && latest.proxy.version !== document.proxy.version) location.reload();
    latest = document;
    show();
    showNotice();
  },
  state(to) {
    if (to.kind !== "lost") stopped = to.kind === "stopping";
    state = to;
    showNotice();
  },
});

byId("retry").addEventListener("click", () => connection.retry());
byId("series").addEventListener("change", (event) => choose(event.target.value));
addEventListener("hashchange", () => {
  chosen = inAddress();
  show();
});
