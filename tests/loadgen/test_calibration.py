"""The calibration: measured against a real target, kept for what it holds for, and what runs make of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tailgate.errors import ConfigError, UsageError
from tailgate.protocol.answers import predicted_class
from tailgate.protocol.envelope import RequestFrame
from tailgate_loadgen.calibrate import null_target
from tailgate_loadgen.calibration import Key, age, keep_calibration, read_calibration, this_machine
from tailgate_loadgen.capacity import NONE_MADE, NOT_ASKED, SHARE, Calibration
from tailgate_loadgen.grpc_client import infer_stub
from tailgate_loadgen.null_target import canned_answer
from tailgate_loadgen.target import open_channel

if TYPE_CHECKING:
    from tests.loadgen.conftest import Ran, Server

    Load = Callable[..., Ran]

KEY = Key("a processor", 2, "3.11.7", "1.80", "uvloop")


def test_what_was_kept_is_read_back_for_its_key_and_for_no_other(tmp_path: Path) -> None:
    path, other = tmp_path / "deep" / "calibration.json", replace(KEY, cores=64)
    first, second, third = (Calibration({1000: rate, 5000: rate / 2}, 7.0) for rate in (1.0, 2.0, 3.0))
    keep_calibration(path, KEY, first)
    keep_calibration(path, other, second)
    assert (read_calibration(path, KEY), read_calibration(path, other)) == (first, second)
    keep_calibration(path, KEY, third)
    assert (read_calibration(path, KEY), read_calibration(path, other)) == (third, second)


def test_what_was_made_under_something_else_is_not_used_and_said(tmp_path: Path) -> None:
    keep_calibration(tmp_path / "c.json", KEY, Calibration({1000: 1.0}, 7.0))
    said = read_calibration(tmp_path / "c.json", replace(KEY, python="3.13.0", loop="asyncio"))
    assert said == (
        "the last one made is for python '3.11.7', not '3.13.0'; loop 'uvloop', not 'asyncio': 'tailgate load "
        "calibrate' measures anew"
    )
    assert read_calibration(tmp_path / "none.json", KEY) == NONE_MADE
    assert read_calibration(None, KEY) == NOT_ASKED


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"calibrations": 7}',
        '{"calibrations": [{"for": {}, "requests_per_s": {}, "measured_unix_s": 1}]}',
        '{"calibrations": [{"for": {}, "requests_per_s": {"10": -1}, "measured_unix_s": 1}]}',
        '{"calibrations": [{"for": 3, "requests_per_s": {"10": 1}, "measured_unix_s": 1}]}',
        "\udcff",
    ],
)
def test_a_damaged_file_gets_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"--calibration .*c.json is damaged .*; remove it, and calibrate again"):
        read_calibration(path, KEY)


def test_a_place_where_nothing_can_be_kept_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be"):
        keep_calibration(tmp_path / "file" / "c.json", KEY, Calibration({1000: 1.0}, 7.0))


def test_a_calibration_is_called_old_after_a_month() -> None:
    made = Calibration({1000: 1.0}, measured_unix_s=1e9)
    assert age(made, 1e9 + 29 * 86_400) is None
    assert age(made, 1e9 + 45 * 86_400) == "45 days old"


def calibration_file(path: Path, rate: float) -> Path:
    """As if one had been measured here."""
    keep_calibration(path, this_machine(), Calibration({100_000: rate}, 4e9))
    return path


@pytest.mark.alone  # what it measures is this machine's
def test_calibrating_measures_this_machine_and_runs_are_held_against_it(
    load: Load, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "calibration.json"
    for milliseconds in (200, 1000, 5000):  # a machine that is busy needs long for anything to end
        ran = load(action="calibrate", size=3072, time=f"{milliseconds}ms", calibration=path)
        if ran.status == 0:
            break
    assert ran.status == 0, ran.error
    assert "requests a second at most, of which a run may use" in ran.output
    assert f"kept in {path}" in ran.output
    known = read_calibration(path, this_machine())
    assert isinstance(known, Calibration)
    (size,) = known.requests_per_s
    assert 3072 < size < 3072 + 200
    run = load(target=server.address, samples=20, rate=1.0 if known.capacity(size) < 100 else 20, calibration=path)
    assert run.status == 0, run.error
    generator = run.trace.header["generator"]
    assert generator["capacity"] == pytest.approx(known.capacity(generator["request_bytes"]))
    assert generator["share"] == generator["peak_rate"] / generator["capacity"] <= SHARE
    assert run.summary["run"]["generator"] == generator
    assert f"{generator['share']:.1%} of what it can send" in run.output


def test_a_rate_above_two_fifths_of_the_limit_is_refused_before_anything_is_sent(
    load: Load, server: Server, tmp_path: Path
) -> None:
    path = calibration_file(tmp_path / "c.json", 1000.0)
    seen = len(server.log.read_text().splitlines())
    ran = load(target=server.address, rate=2000, calibration=path)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert re.search(r"the schedule asks one process for up to (19|2)\d+ requests of 3\d\d\d bytes a second", ran.error)
    assert "lower --rate" in ran.error
    assert not ran.folder.exists()
    assert len(server.log.read_text().splitlines()) == seen
    assert load(target=server.address, samples=50, rate=2000, calibration="none").status == 0


def test_without_a_calibration_the_run_goes_on_and_says_that_it_is_not_calibrated(load: Load, server: Server) -> None:
    ran = load(target=server.address, samples=20)
    assert ran.status == 0
    assert ran.summary["run"]["generator"]["share"] is None
    assert "none was made" in ran.summary["run"]["generator"]["uncalibrated_because"]
    assert "not calibrated" in ran.output
    refused = load(target=server.address, samples=20, procs="auto", folder="auto")
    assert (refused.status, refused.error.count("\n")) == (2, 1)
    assert "--procs is auto, which rests on a calibration, and none was made" in refused.error


def test_auto_is_one_process_where_one_is_enough(load: Load, server: Server, tmp_path: Path) -> None:
    path = calibration_file(tmp_path / "c.json", 1e6)
    ran = load(target=server.address, samples=20, procs="auto", calibration=path)
    assert ran.status == 0
    assert not (ran.folder / "shards").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 0}, "--size is 0; expected bytes of a tensor"),
        ({"time": "1"}, "--time is '1'; expected a number above zero with its unit"),
        ({"calibration": "none"}, "what is measured has to be kept; name a file"),
    ],
)
def test_a_calibration_of_nothing_gets_one_sentence(load: Load, options: dict[str, object], sentence: str) -> None:
    ran = load(action="calibrate", **options)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert sentence in ran.error


def test_a_search_asks_no_more_of_this_machine_than_it_was_calibrated_to_send(
    load: Load, server: Server, tmp_path: Path
) -> None:
    ran = load(
        action="search", target=server.address, rate=40, samples=30, target_quality=0.5, precision=1,
        probe_time="1ms", calibration=calibration_file(tmp_path / "c.json", 200.0), arrivals="constant",
    )  # fmt: skip
    assert ran.status == 0, ran.error
    found = json.loads((ran.folder / "search.json").read_text())
    assert found["limit"] == "calibration", found
    assert found["rate"] == found["highest_rate"] <= 80
    assert "by its calibration; the target may bear more" in ran.output
    for probe in found["probes"]:
        summary = json.loads((ran.folder / "probes" / probe["folder"] / "summary.json").read_text())
        assert summary["run"]["generator"]["share"] <= SHARE


async def test_the_null_target_gives_every_caller_the_whole_answer_whatever_the_windows() -> None:
    with null_target() as address:
        async with open_channel(address) as channel:
            stub = infer_stub(channel)
            for size in (1, 100_000, 3_000_000):
                frame = RequestFrame("m", "image", "UINT8", (1, size))
                calls = [stub(frame.build(str(one), memoryview(bytes(size))), timeout=120) for one in range(40)]
                answers = [await call for call in calls]
                assert set(answers) == {canned_answer()}
    assert predicted_class(canned_answer()) == 0


async def test_a_call_that_is_given_up_takes_nothing_from_the_next() -> None:
    with null_target() as address:
        async with open_channel(address) as channel:
            stub = infer_stub(channel)
            body = RequestFrame("m", "image", "UINT8", (1, 200_000)).build("r", memoryview(bytes(200_000)))
            generator = np.random.default_rng(2)
            for _ in range(10):
                calls = [stub(body, timeout=120) for _ in range(20)]
                for one in generator.choice(20, 10, replace=False).tolist():
                    calls[one].cancel()
                for call in calls:
                    if not call.cancelled():
                        assert await call == canned_answer()
            assert await stub(body, timeout=120) == canned_answer()


def test_a_calibration_made_with_one_client_says_nothing_of_the_other(
    load: Load, server: Server, tmp_path: Path
) -> None:
    keep_calibration(tmp_path / "c.json", this_machine("http2"), Calibration({100_000: 1e6}, 4e9))
    ours, grpc = (
        load(target=server.address, samples=20, calibration=tmp_path / "c.json", client=name, folder=name).trace.header[
            "generator"
        ]
        for name in ("http2", "grpc")
    )
    assert (ours["client"], ours["capacity"]) == ("http2", pytest.approx(1e6))
    assert (grpc["client"], grpc["capacity"]) == ("grpc", None)
    assert "client 'http2', not 'grpc'" in grpc["uncalibrated_because"]
