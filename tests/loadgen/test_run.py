"""Whole runs against a real server, with either client."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tailgate.digits import load_digits
from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.pb import inference_pb2 as pb
from tailgate.trace.files import read_trace
from tailgate.trace.views import passes_of, response_times_s, scores
from tailgate_loadgen.calls import CLIENTS, ClientName

if TYPE_CHECKING:
    from tests.loadgen.conftest import Ran, Server

    Load = Callable[..., Ran]


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> ClientName:
    name: ClientName = request.param
    return name


@pytest.fixture(scope="module")
def server(client: ClientName, start_server: Callable[[], Server]) -> Server:
    """One for each client: some of what a server does, it does once."""
    return start_server()


def test_every_sample_of_every_pass_ends_as_exactly_one_right_row(load: Load, server: Server) -> None:
    ran = load(target=server.address, samples=60, passes=3, min_quality="0.99@20s")
    assert ran.status == 0
    records = ran.rows
    assert len(set(zip(records["pass_index"].tolist(), records["sample"].tolist(), strict=True))) == len(records) == 180
    assert passes_of(records).score.shape == (3, 60)
    assert ran.summary["right_in_time"] == 180
    assert ran.summary["time_critical_accuracy"] == 1.0
    assert ran.summary["valid"]
    assert "right within 20 s" in ran.output


def test_the_target_gets_pixels_label_id_and_what_is_left_of_the_deadline(load_valid: Load, server: Server) -> None:
    ran = load_valid(model="plain", target=server.address, samples=30, deadline="15s")
    assert ran.status == 0
    digits = load_digits("validation")
    run_id = ran.trace.header["run_id"]
    received = [request for request in server.received("plain") if request["id"].startswith(f"{run_id}-")]
    assert len(received) == 30
    for request in received:
        sample = int(request["id"].rpartition("-")[2])
        assert request["sha256"] == hashlib.sha256(digits.images[sample].tobytes()).hexdigest()
        assert (request["datatype"], request["shape"]) == ("UINT8", [1, 3, 32, 32])
        assert request["metadata"]["tailgate-label"] == str(digits.labels[sample])
        assert request["metadata"]["x-request-id"] == request["id"]
        assert "tailgate-deadline-ms" not in request["metadata"]
        assert 0 < request["remaining_s"] <= 15.2  # gRPC rounds up what it writes on the wire
    assert {request["id"].encode() for request in received} == set(ran.rows["request_id"].tolist())


def test_waiting_tells_the_deadline_as_metadata_and_sees_how_late_an_answer_was(
    load_valid: Load, server: Server
) -> None:
    ran = load_valid(model="late", target=server.address, samples=20, deadline="500ms", on_deadline="wait")
    assert ran.status == 0
    records = ran.rows
    assert (records["outcome"] == Outcome.OK_LATE).all()
    assert (records["latency_s"] > 1 - 1e-3).all()
    assert ran.summary["accuracy_of_answers"] == 1.0
    assert ran.summary["time_critical_accuracy"] == 0.0
    for request in server.received("late"):
        assert 0 < float(request["metadata"]["tailgate-deadline-ms"]) <= 500
        assert request["remaining_s"] > 5


def test_each_way_to_end_gets_its_own_outcome(load: Load, server: Server) -> None:
    for deadline in ("1s", "4s", "15s", "45s"):  # on a machine that is busy, what is answered at once takes its time
        ran = load(
            model="mixed", target=server.address, rate=100, deadline=deadline, samples=120, folder=f"run-{deadline}"
        )
        if (ran.rows["status"][ran.rows["sample"] % 6 != 2] != Status.DEADLINE_EXCEEDED).all():
            break
    assert ran.status == 0
    expected = {
        0: (Outcome.OK, Status.OK),
        1: (Outcome.OK, Status.OK),
        2: (Outcome.DEADLINE_IN_FLIGHT, Status.DEADLINE_EXCEEDED),
        3: (Outcome.UPSTREAM_INVALID, Status.OK),
        4: (Outcome.SHED_QUEUE_FULL, Status.RESOURCE_EXHAUSTED),
        5: (Outcome.UPSTREAM_ERROR, Status.INTERNAL),
    }
    records = ran.rows
    for row in records:
        assert (row["outcome"], row["status"]) == expected[row["sample"] % 6]
    assert set(scores(records[records["sample"] % 6 == 0])) == {1.0}
    assert set(scores(records[records["sample"] % 6 != 0])) == {0.0}
    summary = ran.summary
    assert summary["outcomes"] == Counter(expected[sample % 6][0].label for sample in records["sample"].tolist())
    assert summary["right_in_time"] == (records["sample"] % 6 == 0).sum()


def test_latency_counted_from_the_schedule_shows_a_stall_to_every_request_due_in_it(load: Load, server: Server) -> None:
    # The target answers nothing for 0.6 s. A generator that waits for answers would show one slow request; counted
    # from the schedule, a request due t seconds into the stall takes at least 0.6 - t.
    ran = load(model="stalls", target=server.address, arrivals="constant", rate=100, samples=100)
    records = np.sort(ran.rows, order="arrival_unix_s")
    due_s = records["arrival_unix_s"] - records["arrival_unix_s"][0]
    stalled = due_s < 0.545
    assert stalled.sum() == 55
    assert (response_times_s(records)[stalled] >= 0.6 - due_s[stalled] - 1e-3).all()


def test_a_target_that_dies_in_the_run_leaves_a_row_for_every_request(
    load: Load, start_server: Callable[[], Server]
) -> None:
    ran = load(model="dies", target=start_server().address, samples=80, passes=2)
    assert ran.status == 0
    records = ran.rows
    assert passes_of(records).score.shape == (2, 80)
    assert Counter(records["outcome"].tolist())[Outcome.OK] <= 20
    assert Counter(records["outcome"].tolist())[Outcome.UPSTREAM_UNAVAILABLE] >= 140
    missed = load(model="dies", target=start_server().address, samples=80, min_quality="0.9@20s", folder="missed")
    assert missed.status == 1


@pytest.mark.parametrize("payload", ["fp32", "jpeg"])
def test_other_payloads_carry_the_same_images(load: Load, server: Server, payload: str) -> None:
    model = {"fp32": "fp32-only", "jpeg": "encoded"}[payload]
    assert load(model=model, target=server.address, samples=10, payload=payload).status == 0
    digits = load_digits("validation")
    for request in server.received(model):
        sample = int(request["id"].rpartition("-")[2])
        if payload == "fp32":
            pixels = digits.images[sample].astype(np.float32) / np.float32(255)
            assert request["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
            assert (request["datatype"], request["shape"]) == ("FP32", [1, 3, 32, 32])
        else:
            assert (request["datatype"], request["shape"]) == ("BYTES", [1, 1])


def test_the_header_of_the_trace_is_enough_to_repeat_the_run(load: Load, server: Server, client: ClientName) -> None:
    first, second, other = (
        load(target=server.address, samples=20, seed=seed, folder=f"run-{number}").trace.header
        for number, seed in enumerate((7, 7, 8))
    )
    assert first["generator"]["client"] == client
    volatile = {"run_id", "start_unix_s"}
    assert {k: v for k, v in first.items() if k not in volatile} == {
        k: v for k, v in second.items() if k not in volatile
    }
    assert first["run_id"] != second["run_id"]
    assert first["schedule_sha256"] != other["schedule_sha256"]
    assert first["dataset_digest"] == other["dataset_digest"]
    assert set(first["seeds"]) == {"order", "arrivals", "subset", "sampling"}
    with_its_seeds = {f"seed_{name}": value for name, value in first["seeds"].items()}
    repeated = load(target=server.address, samples=20, seed=1, folder="run-3", **with_its_seeds).trace.header
    assert repeated["schedule_sha256"] == first["schedule_sha256"]
    assert (first["role"], first["model"], first["deadline_s"], first["passes"]) == ("client", "right", 20.0, 1)


def test_warm_up_is_unlabelled_and_stands_outside_passes_and_summary(load: Load, server: Server) -> None:
    before = len(server.log.read_text().splitlines())
    ran = load(target=server.address, samples=10, warmup=5)
    lines = [json.loads(line) for line in server.log.read_text().splitlines()[before:]]
    records = ran.trace.records
    assert [row["request_id"].endswith(b"-warmup-4") for row in records].count(True) == 1
    assert (records["pass_index"] < 0).tolist() == [True] * 5 + [False] * 10
    assert ran.summary["arrivals"] == ran.summary["scheduled"] == 10
    assert ["tailgate-label" in line["metadata"] for line in lines] == [False] * 5 + [True] * 10


def test_a_missed_quality_is_exit_1_and_a_generator_too_late_is_exit_2(
    load: Load, load_valid: Load, server: Server
) -> None:
    missed = load_valid(model="mixed", target=server.address, samples=60, deadline="2s", min_quality="0.9@2s")
    assert missed.status == 1
    assert "below the 0.9" in missed.error
    assert missed.summary["valid"]
    late = load(target=server.address, samples=60, max_lag="0.001us", min_quality="1@20s", folder="late")
    assert late.status == 2
    assert not late.summary["valid"]
    assert "p99 of its lag" in late.summary["invalid_because"][0]
    assert "not valid" in late.error


def test_requests_due_before_they_could_be_sent_are_recorded_and_void_the_run(load: Load, server: Server) -> None:
    # A microsecond is over before any event loop has woken up.
    ran = load(target=server.address, samples=50, deadline="1us")
    assert ran.status == 2
    records = ran.rows
    assert len(records) == 50
    assert (records["outcome"] == Outcome.NOT_SENT).all()
    assert ran.summary["not_sent"] == 50
    assert ran.summary["statuses"] == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_what_is_in_flight_and_says_that_it_was_interrupted(
    start_load: Callable[..., subprocess.Popen[str]], server: Server, tmp_path: Path, number: int
) -> None:
    process = start_load(target=server.address, model="right", rate=50, passes=50, warmup=0, deadline="20s")
    trace = tmp_path / "run" / "client.trace"
    while not trace.exists() or trace.stat().st_size < 8192:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 2, error
    assert "interrupted" in error
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    records = read_trace(trace).records
    assert summary["interrupted"]
    assert not summary["valid"]
    assert 0 < summary["arrivals"] == len(records) < summary["scheduled"]
    assert (records["outcome"] == Outcome.OK).all()


def test_a_second_signal_cancels_what_is_in_flight(
    start_load: Callable[..., subprocess.Popen[str]], server: Server, tmp_path: Path
) -> None:
    process = start_load(target=server.address, model="never", rate=100, deadline="50s", samples=20, warmup=0)
    while len(server.received("never")) < 20:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)  # two of the same kind might be delivered as one
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 2, error
    records = read_trace(tmp_path / "run" / "client.trace").records
    assert len(records) == 20
    assert (records["outcome"] == Outcome.CLIENT_CANCELLED).all()


def test_answers_are_kept_of_requests_drawn_at_random_as_they_came(load: Load, server: Server) -> None:
    ran = load(target=server.address, samples=40, keep_answers=6)
    files = list((ran.folder / "answers").iterdir())
    kept = {file.stem: pb.ModelInferResponse.FromString(file.read_bytes()) for file in files}
    assert len(kept) == 6
    labels = {row["request_id"].decode(): row["label"] for row in ran.rows}
    for request_id, answer in kept.items():
        assert np.frombuffer(answer.raw_output_contents[0], np.float32).argmax() == labels[request_id]
    assert not (load(target=server.address, samples=5, folder="none").folder / "answers").exists()


def test_a_recording_is_replayed_at_its_own_pace_and_a_run_can_be_the_recording(
    load: Load, server: Server, tmp_path: Path
) -> None:
    lines = ["at", *(str(5 + number / 200) for number in range(25))]
    (tmp_path / "instants.csv").write_text("\n".join(lines))
    ran = load(target=server.address, samples=20, rate=None, arrivals=f"csv:{tmp_path / 'instants.csv'}")
    assert ran.status == 0
    due_s = np.sort(ran.rows["arrival_unix_s"])
    assert np.diff(due_s) == pytest.approx(1 / 200, abs=1e-6)
    assert ran.trace.header["rate"] == ran.summary["rate"] == pytest.approx(200)
    again = load(target=server.address, samples=20, rate=400, arrivals=f"trace:{ran.folder}", folder="again")
    assert np.diff(np.sort(again.rows["arrival_unix_s"])) == pytest.approx(1 / 400, abs=1e-6)
    short = load(target=server.address, samples=26, arrivals=f"csv:{tmp_path / 'instants.csv'}", folder="short")
    assert (short.status, "has 25 instants for 26 requests" in short.error) == (2, True)


def test_a_trace_is_never_overwritten(load: Load, server: Server) -> None:
    assert load(target=server.address, samples=5).status == 0
    before = (load_folder := load(target=server.address, samples=5)).rows
    assert load_folder.status == 2
    assert "never overwritten" in load_folder.error
    assert len(before) == 5
