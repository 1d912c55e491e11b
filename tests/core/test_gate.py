"""The gate: 0 where a run holds, 1 where it does not, 2 where nobody can say; and CI can read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.cli import main
from tailgate.errors import ConfigError
from tailgate.gate.judge import Check, Verdict, judge, statistic_of
from tailgate.gate.junit import junit
from tailgate.gate.markdown import markdown
from tailgate.gate.requirements import Requirement, parse_requirement
from tailgate.observation import Observation
from tailgate.runs import Run
from tailgate.trace.views import Passes

Replay = Callable[..., list[Observation]]
Write = Callable[..., Path]
Gate = Callable[..., tuple[int, str, str]]


def made_of(quality: list[list[bool]], **changes: Any) -> Run:
    """A run whose passes have these samples right and in time at 50 ms, the others late."""
    late = ~np.array(quality)
    shape = late.shape
    fields: dict[str, Any] = {
        "name": "run", "model": "digits", "condition": "", "device": "", "dataset": "d", "deadline_s": 0.05,
        "cut_at_s": None, "doubts": (),
        "passes": Passes(np.arange(shape[0]), np.arange(shape[1]), np.where(late, 0.2, 0.01), np.ones(shape), 0),
    }  # fmt: skip
    return Run(**fields | changes)


@pytest.fixture
def run_folder(replay: Replay, write_trace: Write, tmp_path: Path) -> Callable[..., Path]:
    """A folder as `tailgate load` leaves it: accuracies 0.9, 0.9, 0.9, 0.4 and 0.9 at 50 ms."""

    def make(name: str, *, valid: bool | None = True, late: bool = True, **header: Any) -> Path:
        rows = replay() if late else [row for row in replay() if row.pass_index != 3]
        folder = write_trace(tmp_path / name, rows, **header)
        if valid is not None:
            reasons = [] if valid else ["its p99 lag was 9 ms"]
            summary = {"run": {"run_id": "run"}, "valid": valid, "invalid_because": reasons}
            (folder / "summary.json").write_text(json.dumps(summary))
        return folder

    return make


@pytest.fixture
def gate(capsys: pytest.CaptureFixture[str]) -> Gate:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["gate", *map(str, arguments)])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


# ---- The command


def test_a_run_that_holds_exits_with_0_and_one_line_why(run_folder: Callable[..., Path], gate: Gate) -> None:
    status, out, err = gate(run_folder("run"), "--worst", "0.4@50ms", "--mean", "0.8@50ms", "--worst", "0.9@300ms")
    assert (status, err) == (0, "")
    assert out == (
        "run holds: mean over passes at 50 ms is 0.8 of 5 passes, at least 0.8; "
        "worst pass at 50 ms is 0.4 of 5 passes, at least 0.4; "
        "worst pass at 300 ms is 0.9 of 5 passes, at least 0.9\n"
    )


def test_a_run_that_does_not_hold_exits_with_1_and_names_what_failed_only(
    run_folder: Callable[..., Path], gate: Gate
) -> None:
    status, out, _ = gate(run_folder("run"), "--worst", "0.41@50ms", "--mean", "0.8@50ms")
    assert (status, out) == (1, "run does not hold: worst pass at 50 ms is 0.4 of 5 passes, below 0.41\n")


@pytest.mark.parametrize(
    ("made", "arguments", "why"),
    [
        ({"valid": False}, (), "the run was not valid: its p99 lag was 9 ms"),
        ({"valid": None}, (), "has no summary.json of this run, so whether it kept its schedule is unknown"),
        ({}, ("--min-passes", "6"), "has 5 finished passes, and the worst pass at 20 ms needs 6"),
        ({"late": False}, (), "has 4 finished passes, and the worst pass at 20 ms needs 5"),
        ({}, ("--p5", "0.1@20ms"), "has 5 finished passes, and the 5th percentile of passes at 20 ms needs 21"),
        ({}, ("--p1", "0.1@20ms"), "has 5 finished passes, and the 1st percentile of passes at 20 ms needs 101"),
        ({"on_deadline": "cancel"}, ("--mean", "0.1@51ms"), "cut its answers at 50 ms, so nothing is known of 51 ms"),
    ],
)
def test_what_cannot_be_said_exits_with_2_and_says_why(
    run_folder: Callable[..., Path], gate: Gate, made: dict[str, Any], arguments: tuple[str, ...], why: str
) -> None:
    status, out, _ = gate(run_folder("run", **made), "--worst", "0.1@20ms", *arguments)
    assert status == 2
    assert out.startswith("run cannot be judged: ")
    assert why in out
    assert out.count("\n") == 1


def test_a_damaged_trace_is_not_judged_by_the_passes_that_are_left(
    run_folder: Callable[..., Path], gate: Gate, tmp_path: Path
) -> None:
    folder = run_folder("run")
    data = bytearray((folder / "client.trace").read_bytes())
    data[-128 * 60] ^= 1  # in the pass that is the worst
    (folder / "client.trace").write_bytes(data)
    status, out, _ = gate(folder, "--worst", "0.8@50ms", "--min-passes", "1")
    assert (status, "its trace is not whole: 1 observations are missing, 1 records are damaged" in out) == (2, True)
    assert main(["trace", "recover", str(folder), "--out", str(tmp_path / "sound")]) == 0
    status, out, _ = gate(tmp_path / "sound", "--worst", "0.8@50ms", "--min-passes", "1")
    assert (status, "1 records are damaged" in out) == (2, True)


def test_a_drop_below_the_baseline_is_judged_for_each_statistic(run_folder: Callable[..., Path], gate: Gate) -> None:
    bad, good = run_folder("bad"), run_folder("good", late=False)
    against = ("--baseline", good, "--min-passes", "4")
    assert gate(bad, *against, "--max-drop", "0.5")[:2] == (
        0,
        "bad holds: mean over passes at 50 ms is 0.1 below the 0.9 of 4 passes of the baseline; "
        "worst pass at 50 ms is 0.5 below the 0.9 of 4 passes of the baseline\n",
    )
    status, out, _ = gate(bad, *against, "--max-drop", "0.1")
    assert (status, "worst pass at 50 ms is 0.5 below" in out, "mean" in out) == (1, True, False)
    assert gate(bad, *against, "--max-drop", "0.2", "--mean", "0.75@50ms")[0] == 0  # of the mean alone
    assert gate(good, "--baseline", bad, "--min-passes", "4", "--max-drop", "0")[0] == 0  # better is no drop


def test_a_baseline_that_cannot_be_relied_on_or_of_other_samples_decides_nothing(
    run_folder: Callable[..., Path], gate: Gate
) -> None:
    run = run_folder("run")
    status, out, _ = gate(run, "--baseline", run_folder("ill", valid=False), "--max-drop", "0.5")
    assert (status, "run cannot be judged: of the baseline ill: the run was not valid" in out) == (2, True)
    status, out, _ = gate(run, "--baseline", run_folder("other", dataset_digest="x"), "--max-drop", "0.5")
    assert (status, "were made with different samples" in out) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "nothing is required; give --worst, --mean, --p5 or --p1, or --baseline with --max-drop"),
        (("--worst", "0.93"), "--worst is '0.93'; expected a share above 0 and a time, such as 0.93@50ms"),
        (("--mean", "93@50ms"), "--mean is '93@50ms'; expected a share above 0 and a time, such as 0.93@50ms"),
        (("--p1", "0.9@50"), "--p1: the time after '@' is '50'; expected a number above zero with its unit"),
        (("--max-drop", "0.01"), "--baseline and --max-drop belong together; give both or neither"),
        (("--worst", "0.9@1s", "--min-passes", "0"), "--min-passes is 0; expected a whole number of at least 1"),
        (("--baseline", ".", "--max-drop", "nan"), "--max-drop is nan; expected a share from 0 to below 1"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_status_2(
    run_folder: Callable[..., Path], gate: Gate, arguments: tuple[str, ...], sentence: str
) -> None:
    status, out, err = gate(run_folder("run"), *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"tailgate gate: {sentence}")


def test_a_proxys_trace_has_no_passes_to_judge(replay: Replay, write_trace: Write, gate: Gate, tmp_path: Path) -> None:
    folder = write_trace(tmp_path / "live", replay(), role="proxy")
    status, _, err = gate(folder, "--worst", "0.9@50ms")
    assert (status, "a proxy's has no passes; name a load run's folder" in err) == (2, True)


def test_files_for_ci_are_written_whatever_the_verdict(
    run_folder: Callable[..., Path], gate: Gate, tmp_path: Path
) -> None:
    files = ("--junit", tmp_path / "ci" / "gate.xml", "--markdown", tmp_path / "ci" / "gate.md")
    required = ("--worst", "0.41@50ms", "--mean", "0.8@50ms", "--p5", "0.1@50ms")
    assert gate(run_folder("run"), *required, *files)[0] == 1
    root = ET.parse(tmp_path / "ci" / "gate.xml").getroot()
    assert [(case.get("name"), [child.tag for child in case]) for case in root.iter("testcase")] == [
        ("mean over passes at 50 ms is at least 0.8", ["system-out"]),
        ("worst pass at 50 ms is at least 0.41", ["failure"]),
        ("5th percentile of passes at 50 ms is at least 0.1", ["error"]),
    ]
    text = (tmp_path / "ci" / "gate.md").read_text()
    assert text.startswith("**run does not hold** (5 finished passes)\n")
    assert "| worst pass at 50 ms is at least 0.41 | **no** | worst pass at 50 ms is 0.4 of 5 passes, below" in text


# ---- The core


@given(st.data())
def test_every_statistic_is_that_of_a_count_by_hand(data: st.DataObject) -> None:
    passes, samples = data.draw(st.integers(1, 120)), data.draw(st.integers(1, 8))
    rows = data.draw(st.lists(st.integers(0, samples), min_size=passes, max_size=passes))
    run = made_of([[sample < right for sample in range(samples)] for right in rows])
    shares = sorted(right / samples for right in rows)
    assert statistic_of(run, "worst", 0.05) == shares[0]
    assert statistic_of(run, "mean", 0.05) == pytest.approx(sum(shares) / passes, abs=1e-12)
    for statistic, quantile in (("p1", 0.01), ("p5", 0.05)):
        expected = np.percentile(shares, 100 * quantile, method="inverted_cdf")
        assert statistic_of(run, statistic, 0.05) == expected  # type: ignore[arg-type]  # both are among them


@given(st.integers(1, 400), st.data())
def test_a_share_that_is_exactly_what_is_required_holds_and_one_answer_less_does_not(
    samples: int, data: st.DataObject
) -> None:
    right = data.draw(st.integers(1, samples))
    run = made_of([[sample < right for sample in range(samples)]] * 3)
    for statistic in ("mean", "worst"):
        exactly = Requirement(statistic, 0.05, right / samples)
        assert judge(run, [exactly], min_passes=1).status == 0
        if right < samples:
            more = Requirement(statistic, 0.05, (right + 1) / samples)
            assert judge(run, [more], min_passes=1).status == 1


@given(st.integers(2, 400), st.data())
def test_a_drop_of_exactly_what_is_allowed_holds_whatever_rounding_does(samples: int, data: st.DataObject) -> None:
    before = data.draw(st.integers(1, samples))
    after = data.draw(st.integers(0, before))
    ours, theirs = (made_of([[sample < right for sample in range(samples)]] * 2) for right in (after, before))
    required = [Requirement("worst", 0.05, None)]
    drop = (before - after) / samples
    assert judge(ours, required, min_passes=1, baseline=theirs, max_drop=drop).status == 0
    if before > after:
        less = drop - 0.5 / samples
        assert judge(ours, required, min_passes=1, baseline=theirs, max_drop=less).status == 1


def test_what_surely_fails_outweighs_what_cannot_be_said() -> None:
    run = made_of([[True, False]] * 5)
    required = [Requirement("worst", 0.05, 0.9), Requirement("p1", 0.05, 0.1)]
    assert judge(run, required, min_passes=1).status == 1
    assert judge(run, required[1:], min_passes=1).status == 2


def test_a_share_is_read_with_a_duration_as_everywhere() -> None:
    assert parse_requirement("p5", " .5@1.5s ") == Requirement("p5", 1.5, 0.5)
    with pytest.raises(ConfigError, match="expected a share above 0"):
        parse_requirement("p5", "0@50ms")


texts = st.text(st.characters(exclude_categories=["Cs"]))
checks = st.builds(
    Check, texts, st.sampled_from([True, False, None]), texts, st.none() | st.floats(0, 1), st.floats(0, 1)
)


@given(texts, st.lists(checks, min_size=1, max_size=4))
def test_junit_is_well_formed_and_its_counts_are_those_of_its_cases_whatever_the_names(
    name: str, given_checks: list[Check]
) -> None:
    root = ET.fromstring(junit(Verdict(name, 3, tuple(given_checks))))
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    for element in (root, suite):
        assert element.get("tests") == str(len(given_checks)) == str(len(suite))
        assert element.get("failures") == str(len(list(suite.iter("failure"))))
        assert element.get("errors") == str(len(list(suite.iter("error"))))
    assert len(list(suite.iter("failure"))) == sum(check.holds is False for check in given_checks)
    assert len(list(suite.iter("error"))) == sum(check.holds is None for check in given_checks)
    assert all(case.get("classname") and case.get("time") for case in suite)


@given(texts, st.lists(checks, min_size=1, max_size=4))
def test_markdown_has_one_row_of_three_cells_a_check_whatever_the_names(name: str, given_checks: list[Check]) -> None:
    lines = markdown(Verdict(name, 3, tuple(given_checks))).splitlines()
    rows = lines[4:]
    assert len(rows) == len(given_checks)
    assert all(row.replace("\\\\", "").replace("\\|", "").count("|") == 4 for row in rows)


@given(texts, st.lists(checks, min_size=1, max_size=4))
def test_the_verdict_is_one_line(name: str, given_checks: list[Check]) -> None:
    assert len(Verdict(name, 3, tuple(given_checks)).sentence.splitlines()) == 1
