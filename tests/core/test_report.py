"""The report's numbers equal a count by hand; what is not known is never shown as zero; mistakes get one sentence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailgate.errors import Status, TailgateError, UsageError
from tailgate.ledger import BASE_BUCKETS_S, Ledger
from tailgate.observation import Observation, Verdict
from tailgate.outcome import Outcome
from tailgate.report.words import OUTCOME_MEANING

Make = Callable[..., Observation]
Replay = Callable[..., list[Observation]]
Write = Callable[..., Path]
Report = Callable[..., None]
SAMPLES, PASSES, DEADLINE_S, STALLED = 40, 5, 0.05, 3


def system(out: Path) -> dict[str, Any]:
    (only,) = json.loads((out / "summary.json").read_text())["systems"]
    found: dict[str, Any] = only
    return found


def test_the_numbers_are_those_of_a_count_by_hand(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay
) -> None:
    report(write_trace(tmp_path / "run", replay()), "--out", tmp_path / "out")
    found = system(tmp_path / "out")
    # 40 samples, 4 of them wrong (1, 11, 21, 31: all odd); in the fourth pass the 20 even ones, all right, are late.
    assert (found["arrivals"], found["labelled"]) == (200, 200)
    assert found["quality"]["time_critical_accuracy"] == (5 * 36 - 20) / 200
    assert found["quality"]["accuracy"] == 180 / 200
    shares = found["quality"]["decomposition"]
    assert (shares["on_time_right"], shares["on_time_wrong"]) == (160 / 200, 20 / 200)
    assert (shares["late"], shares["late_right"], shares["late_wrong"], shares["unanswered"]) == (0.1, 0.1, 0.0, 0.0)
    assert found["outcomes"] == {"ok": 180, "ok_late": 20}
    assert [row["time_critical_accuracy"] for row in found["quality"]["passes"]] == [0.9, 0.9, 0.9, 0.4, 0.9]
    assert [row["accuracy"] for row in found["quality"]["passes"]] == [0.9] * 5
    assert found["quality"]["worst_pass"] == STALLED
    at = found["quality"]["at"]["deadline"]
    assert (at["threshold_s"], at["best"], at["worst"]) == (DEADLINE_S, 0.9, 0.4)
    assert (at["mean"], at["std"]) == (pytest.approx(0.8), pytest.approx(0.2))
    assert (
        found["latency_s"]["p50"] == 0.01 + 22 / 2000
    )  # 44 even and 55 odd ones up to sample 21, then this one is the hundredth
    assert found["latency_s"]["p99"] == 0.2
    assert len(found["quality"]["by_threshold"]) == 100
    assert found["quality"]["by_threshold"][-1]["worst"] == 0.9


def test_what_cutting_at_the_deadline_hides_is_null_and_never_zero(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay
) -> None:
    report(
        write_trace(tmp_path / "run", replay(cut=True), on_deadline="cancel"),
        "--out",
        tmp_path / "out",
    )
    found = system(tmp_path / "out")
    shares = found["quality"]["decomposition"]
    assert (shares["late_right"], shares["late_wrong"]) == (None, None)
    assert shares["unanswered"] == 0.1
    assert (found["late_answers_observed"], found["cut_at_s"]) == (False, DEADLINE_S)
    assert found["latency_s"]["p99"] is None
    page = (tmp_path / "out" / "report.html").read_text()
    assert "it is unknown, not zero" in page
    assert "cut by enforcement" in (tmp_path / "out" / "quality_by_threshold.svg").read_text()


def test_a_proxy_that_cut_hides_late_answers_whatever_the_client_was_told(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay
) -> None:
    report(write_trace(tmp_path / "run", replay(cut=True)), "--out", tmp_path / "out")
    assert system(tmp_path / "out")["quality"]["decomposition"]["late_right"] is None


def test_another_deadline_can_be_asked_for(write_trace: Write, report: Report, tmp_path: Path, replay: Replay) -> None:
    report(write_trace(tmp_path / "run", replay()), "--out", tmp_path / "out", "--deadline", "300ms")
    found = system(tmp_path / "out")
    assert (found["deadline_s"], found["deadline_from"]) == (0.3, "the option --deadline")
    assert found["quality"]["time_critical_accuracy"] == 0.9


def test_a_proxys_trace_is_one_pass_over_its_labelled_arrivals(
    write_trace: Write, report: Report, tmp_path: Path, observation: Make
) -> None:
    booked = [
        observation(number, pass_index=-1, sample=-1, budget_s=0.03, label=3 if number < 30 else -1)
        for number in range(40)
    ]
    report(write_trace(tmp_path / "live", booked, "proxy", role="proxy", deadline_s=9.0), "--out", tmp_path / "out")
    found = system(tmp_path / "out")
    assert (found["vantage"], found["arrivals"], found["labelled"]) == ("proxy", 40, 30)
    assert (found["deadline_s"], found["deadline_from"]) == (9.0, "the proxy's configuration")
    assert found["quality"]["time_critical_accuracy"] == 1.0
    assert found["quality"]["passes"] == []
    assert not (tmp_path / "out" / "passes.svg").exists()
    assert "A proxy's trace has no passes" in (tmp_path / "out" / "report.html").read_text()


def test_a_proxys_headline_holds_each_request_against_its_own_deadline_as_its_counters_do(
    write_trace: Write, report: Report, tmp_path: Path, observation: Make
) -> None:
    late = {"outcome": Outcome.OK_LATE, "latency_s": 0.04, "budget_s": 0.03}
    booked = [
        *(observation(n, latency_s=0.2, budget_s=0.5) for n in range(6)),
        *(observation(n, predicted=4) for n in range(6, 8)),
        *(observation(n, **late) for n in range(8, 11)),
        *(observation(n, outcome=Outcome.EXPIRED_ON_ARRIVAL, predicted=-1, budget_s=-1.0) for n in range(11, 20)),
    ]
    ledger = Ledger(BASE_BUCKETS_S)
    for ended in booked:
        ledger.arrive()
        ledger.book(ended)
    write_trace(tmp_path / "live", booked, "proxy", role="proxy", deadline_s=0.1)
    for options, threshold_s in (((), 0.1), (("--deadline", "50ms"), 0.05)):
        report(tmp_path / "live", "--out", tmp_path / "out", *options)
        found = system(tmp_path / "out")
        shares = found["quality"]["decomposition"]
        counted = ledger.judgements()[Outcome.OK, Verdict.RIGHT] / ledger.labelled
        assert found["quality"]["time_critical_accuracy"] == counted == 6 / 20
        assert (shares["on_time_wrong"], shares["late_right"], shares["unanswered"]) == (2 / 20, 3 / 20, 9 / 20)
        assert found["quality"]["at"]["deadline"]["threshold_s"] == threshold_s
        assert found["quality"]["at"]["deadline"]["mean"] == 3 / 20  # those late by their own deadline, but within θ


def test_a_header_without_a_deadline_takes_one_from_the_option_alone(
    write_trace: Write, report: Report, tmp_path: Path, observation: Make
) -> None:
    write_trace(tmp_path / "live", [observation(0)], "proxy", role="proxy", deadline_s=None)
    with pytest.raises(TailgateError, match="name a threshold with --deadline"):
        report(tmp_path / "live", "--out", tmp_path / "out")
    report(tmp_path / "live", "--out", tmp_path / "out", "--deadline", "1s")
    assert system(tmp_path / "out")["deadline_s"] == 1.0


def test_a_deadline_beyond_the_instant_at_which_answers_were_cut_is_refused(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay
) -> None:
    write_trace(tmp_path / "run", replay(cut=True), on_deadline="cancel")
    with pytest.raises(UsageError, match=r"--deadline is 300 ms, but the run run cut its answers at 50 ms"):
        report(tmp_path / "run", "--out", tmp_path / "out", "--deadline", "300ms")
    report(tmp_path / "run", "--out", tmp_path / "out", "--deadline", "50ms")


@pytest.mark.parametrize(("run_id", "said"), [("run", True), ("another", False)])
def test_a_run_that_was_not_valid_is_said_wherever_its_numbers_stand(
    write_trace: Write,
    report: Report,
    tmp_path: Path,
    replay: Replay,
    *,
    capsys: pytest.CaptureFixture[str],
    run_id: str,
    said: bool,
) -> None:
    write_trace(tmp_path / "run", replay())
    verdict = {"run": {"run_id": run_id}, "valid": False, "invalid_because": ["it was far too late"]}
    (tmp_path / "run" / "summary.json").write_text(json.dumps(verdict))
    report(tmp_path / "run", "--out", tmp_path / "out")
    found = system(tmp_path / "out")
    assert found["run_valid"] is (False if said else None)
    page, sentence = (tmp_path / "out" / "report.html").read_text(), "This load run was not valid"
    assert (sentence in page.partition('<div class="tiles">')[0]) is said
    assert ("it was far too late" in page) is said
    assert (sentence in capsys.readouterr().out) is said
    assert any(sentence in warning for warning in found["warnings"]) is said


def test_a_valid_run_that_is_whole_has_no_warnings(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay
) -> None:
    write_trace(tmp_path / "run", replay(), samples=SAMPLES, passes=PASSES)
    verdict = {"run": {"run_id": "run"}, "valid": True, "invalid_because": []}
    (tmp_path / "run" / "summary.json").write_text(json.dumps(verdict))
    report(tmp_path / "run", "--out", tmp_path / "out")
    found = system(tmp_path / "out")
    assert (found["warnings"], found["run_valid"]) == ([], True)


def test_a_run_cut_short_in_its_first_pass_is_no_complete_pass(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay
) -> None:
    write_trace(tmp_path / "run", replay()[:30], samples=SAMPLES, passes=PASSES)
    report(tmp_path / "run", "--out", tmp_path / "out")
    found = system(tmp_path / "out")
    assert (found["quality"]["passes"], found["quality"]["incomplete_passes"]) == ([], 1)
    assert found["warnings"] == ["Only 0 of the run's 5 passes are complete."]


def test_samples_without_a_label_make_no_pass_incomplete(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay
) -> None:
    partly = [o._replace(label=-1) if o.sample < 10 else o for o in replay()]
    report(write_trace(tmp_path / "run", partly, samples=SAMPLES, passes=PASSES), "--out", tmp_path / "out")
    assert [row["samples"] for row in system(tmp_path / "out")["quality"]["passes"]] == [30] * PASSES


def test_a_summary_that_cannot_be_read_gets_one_sentence(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay
) -> None:
    write_trace(tmp_path / "run", replay())
    (tmp_path / "run" / "summary.json").write_text("{")
    with pytest.raises(TailgateError, match="cannot be read as JSON"):
        report(tmp_path / "run", "--out", tmp_path / "out")


def test_client_and_proxy_in_one_folder_are_joined_and_only_the_clients_times_are_used(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay, observation: Make
) -> None:
    sent = replay()
    warm_up = observation(0, request_id="run-warmup-0", pass_index=-1)
    write_trace(tmp_path / "run", [warm_up, *sent])
    write_trace(tmp_path / "run", [warm_up, *sent[1:]], "proxy", role="proxy", run_id="other")
    report(tmp_path / "run", "--out", tmp_path / "out")
    found = system(tmp_path / "out")
    assert (found["vantage"], found["arrivals"]) == ("client", 200)
    books = found["books"]
    assert (books["client"], books["proxy"], books["matched"]) == (201, 200, 200)
    assert books["breaches"] == ["1 requests were answered without a row at the proxy"]
    assert books["unseen"] == {"OK": 1}
    assert {"client": "ok", "proxy": "ok", "count": 180} in books["pairs"]
    assert "Not balanced." in (tmp_path / "out" / "report.html").read_text()


def test_without_labels_the_report_says_what_it_can(
    write_trace: Write, report: Report, tmp_path: Path, observation: Make
) -> None:
    report(
        write_trace(tmp_path / "run", [observation(n, label=-1) for n in range(9)]),
        "--out",
        tmp_path / "out",
    )
    found = system(tmp_path / "out")
    assert (found["labelled"], found["quality"], found["outcomes"]) == (0, None, {"ok": 9})
    assert "Nothing in this trace is labelled" in (tmp_path / "out" / "report.html").read_text()


def test_without_a_complete_pass_the_report_says_what_it_can(
    write_trace: Write, report: Report, tmp_path: Path, observation: Make
) -> None:
    booked = [observation(n, pass_index=n // 4, sample=n % 4) for n in range(8) if n not in (3, 4)]
    report(write_trace(tmp_path / "run", booked), "--out", tmp_path / "out")
    quality = system(tmp_path / "out")["quality"]
    assert (quality["passes"], quality["incomplete_passes"], quality["worst_pass"]) == ([], 2, None)
    assert quality["by_threshold_over"] == "all labelled arrivals"
    assert quality["time_critical_accuracy"] == 1.0
    assert "No complete one remains" in (tmp_path / "out" / "report.html").read_text()


def test_where_nothing_was_answered_quality_is_zero_and_accuracy_unknown(
    write_trace: Write, report: Report, tmp_path: Path, observation: Make
) -> None:
    lost = [
        observation(n, outcome=Outcome.UPSTREAM_UNAVAILABLE, status=Status.UNAVAILABLE, predicted=-1) for n in range(4)
    ]
    report(write_trace(tmp_path / "run", lost), "--out", tmp_path / "out")
    quality = system(tmp_path / "out")["quality"]
    assert (quality["time_critical_accuracy"], quality["accuracy"]) == (0.0, None)
    assert quality["passes"][0]["accuracy"] is None
    assert quality["by_threshold"] == []


def test_requests_before_the_first_pass_do_not_count(
    write_trace: Write, report: Report, tmp_path: Path, replay: Replay, observation: Make
) -> None:
    warm_up = [observation(n, pass_index=-1, sample=-1, predicted=0) for n in range(7)]
    report(write_trace(tmp_path / "run", [*warm_up, *replay()]), "--out", tmp_path / "out")
    assert [system(tmp_path / "out")[key] for key in ("arrivals", "warm_up")] == [200, 7]


def test_what_a_trace_lost_is_said(write_trace: Write, report: Report, tmp_path: Path, replay: Replay) -> None:
    path = write_trace(tmp_path / "run", replay()) / "client.trace"
    data = bytearray(path.read_bytes())
    data[-128 * 101] ^= 1
    path.write_bytes(data[: -128 - 5])  # the closing record, and a bit of the last observation
    report(tmp_path / "run", "--out", tmp_path / "out")
    found = system(tmp_path / "out")
    assert found["trace"] == {"damaged": 1, "torn_bytes": 123, "missing": 1, "dropped": 0, "unclosed": 1}
    assert found["quality"]["incomplete_passes"] == 2
    page = (tmp_path / "out" / "report.html").read_text()
    assert "This trace is not whole: 1 observations are missing" in page
    assert "This trace was not closed" in page


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ([], "holds no *.trace file"),
        ([{}], "without a single sound observation"),
        ([{"role": "server"}], "none whose header says role client or proxy"),
        ([{"run_id": "a"}, {"run_id": "b"}], "holds 2 load runs (a, b)"),
    ],
)
def test_a_folder_that_cannot_be_reported_on_gets_one_sentence(
    write_trace: Write, report: Report, tmp_path: Path, headers: list[dict[str, str]], sentence: str
) -> None:
    (tmp_path / "run").mkdir()
    for number, header in enumerate(headers):
        write_trace(tmp_path / "run", [], str(number), **header)
    with pytest.raises(TailgateError, match=re.escape(sentence)):
        report(tmp_path / "run", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_and_a_damaged_header_get_one_sentence(report: Report, tmp_path: Path) -> None:
    with pytest.raises(TailgateError, match="is not a folder"):
        report(tmp_path / "run", "--out", tmp_path / "out")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.trace").write_bytes(b"tailgate-trace 1 00000000\n{}\n")
    with pytest.raises(TailgateError, match="has a damaged header"):
        report(tmp_path / "run", "--out", tmp_path / "out")


def test_a_name_may_be_given_to_a_folder(write_trace: Write, report: Report, tmp_path: Path, observation: Make) -> None:
    write_trace(tmp_path / "a=b", [observation(0)])
    report(tmp_path / "a=b", f"mine={tmp_path / 'a=b'}", "--out", tmp_path / "out")
    names = [found["name"] for found in json.loads((tmp_path / "out" / "summary.json").read_text())["systems"]]
    assert names == ["a=b", "mine"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "{}x",
        "[1]",
        '[{"name": "x"}]',
        '[{"name": "x", "start_unix_s": 2, "end_unix_s": 1}]',
        '[{"name": "x", "start_unix_s": NaN, "end_unix_s": 1}]',
    ],
)
def test_events_that_cannot_be_meant_get_one_sentence(
    write_trace: Write, report: Report, tmp_path: Path, observation: Make, content: str
) -> None:
    write_trace(tmp_path / "run", [observation(0)])
    (tmp_path / "run" / "events.json").write_text(content)
    with pytest.raises(TailgateError, match="is no list of events"):
        report(tmp_path / "run", "--out", tmp_path / "out")


def test_two_systems_of_one_name_are_told_apart_by_the_user(report: Report, tmp_path: Path) -> None:
    with pytest.raises(TailgateError, match="two systems are named 'run'; tell them apart with NAME=DIR"):
        report(tmp_path / "a" / "run", tmp_path / "b" / "run", "--out", tmp_path / "out")


def test_a_folder_of_traces_is_not_written_into(
    write_trace: Write, report: Report, tmp_path: Path, observation: Make
) -> None:
    write_trace(tmp_path / "run", [observation(0)])
    with pytest.raises(TailgateError, match=r"--out: .* is a folder of traces"):
        report(tmp_path / "run", "--out", tmp_path / "run")


def test_every_outcome_has_its_words() -> None:
    assert set(OUTCOME_MEANING) == set(Outcome)


def test_the_command_is_found_without_loading_what_draws() -> None:
    heavy = "{'matplotlib', 'jinja2', 'rich'} & set(sys.modules)"
    code = f"import sys, tailgate.report.command; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
