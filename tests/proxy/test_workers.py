"""What is decided for workers: who runs where, when one starts again, what Prometheus is told, whose the port is."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import socket
import stat
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from tailgate.config import Address, read_config
from tailgate.errors import ConfigError
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.event_loop import loop_factory
from tailgate_proxy.workers.discovery import discovery, targets
from tailgate_proxy.workers.handover import Handover, Report
from tailgate_proxy.workers.plan import worker_plans
from tailgate_proxy.workers.port import held_port
from tailgate_proxy.workers.process import how_ended
from tailgate_proxy.workers.restarts import FIRST_DELAY_S, LONGEST_DELAY_S, STEADY_S, Restarts


def config(**overrides: object) -> ProxyConfig:
    settings: dict[str, object] = {"upstream": "127.0.0.1:8001", "deadline": "50ms", "listen": "127.0.0.1:9001"}
    return read_config(ProxyConfig, None, settings | overrides)


# Who runs where


def test_cores_are_dealt_out_in_turn_and_admin_ports_follow_one_another() -> None:
    plans = worker_plans(config(workers=5, admin="127.0.0.1:9090"), [2, 3, 7])
    assert [plan.number for plan in plans] == [0, 1, 2, 3, 4]
    assert [plan.core for plan in plans] == [2, 3, 7, 2, 3]
    assert [str(plan.config.admin) for plan in plans] == [f"127.0.0.1:{port}" for port in range(9090, 9095)]
    assert {plan.config.listen for plan in plans} == {Address("127.0.0.1", 9001)}


def test_with_admin_port_0_every_worker_takes_any() -> None:
    assert [plan.config.admin.port for plan in worker_plans(config(workers=3, admin="127.0.0.1:0"), [0])] == [0, 0, 0]


@given(workers=st.integers(2, 5000))
def test_an_admin_port_that_leaves_no_room_is_refused_with_one_that_does(workers: int) -> None:
    with pytest.raises(ConfigError, match=f"leaves no room for {workers} workers") as caught:
        worker_plans(config(workers=workers, admin="127.0.0.1:65535"), [0])
    advised = str(caught.value).partition("; give ")[2].partition(" or lower")[0]
    plans = worker_plans(config(workers=workers, admin=f"127.0.0.1:{advised}"), [0])
    assert plans[-1].config.admin.port == 65535


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"workers": 0}, "--workers is 0: input should be greater than or equal to 1"),
        ({"discovery": "targets.yml"}, "--discovery is 'targets.yml': expected a file whose name ends in .json"),
        ({"loop": "trio"}, "--loop is 'trio': input should be 'auto', 'asyncio' or 'uvloop'"),
    ],
)
def test_a_wrong_option_is_one_sentence(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**wrong)
    assert sentence in str(caught.value)


def test_a_worker_is_told_exactly_what_its_supervisor_read(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text('[models.resnet50]\ndeadline = "100ms"\noutput = "logits"\n')
    read = read_config(ProxyConfig, file, {"upstream": "h:1", "deadline": "50ms", "trace": "runs", "mode": "observe"})
    (plan,) = worker_plans(read, [4])
    told = Handover.read(io.BytesIO(Handover(plan, logging.WARNING).encode()))
    assert told == Handover(plan, logging.WARNING)
    assert told.plan.config == read


def test_a_report_is_one_line_whatever_the_sentence_says() -> None:
    for report in (Report(admin="[::1]:9090"), Report(mistake='two\nlines and a "quote"')):
        line = report.encode()
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        assert Report.decode(line) == report
    assert Report(admin="[::1]:9090").address == Address("[::1]", 9090)


def test_how_a_process_ended_is_said_in_words() -> None:
    assert how_ended(2) == "ended with status 2"
    assert how_ended(-9) == "was ended by signal 9"


# When one starts again


def test_a_worker_that_dies_at_once_waits_twice_as_long_every_time_up_to_the_longest() -> None:
    restarts, now_s, delays = Restarts(), 100.0, []
    for _ in range(9):
        restarts.started(now_s)
        delays.append(restarts.ended(now_s))
        now_s += delays[-1]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_a_long_life_makes_the_next_start_quick_again_and_a_shorter_one_does_not() -> None:
    restarts = Restarts()
    for _ in range(4):
        restarts.started(0.0)
        restarts.ended(0.0)
    restarts.started(10.0)
    assert restarts.ended(10.0 + STEADY_S - 0.001) == 1.6
    restarts.started(50.0)
    assert restarts.ended(50.0 + STEADY_S) == FIRST_DELAY_S


@given(lives_s=st.lists(st.floats(0, STEADY_S - 0.1), min_size=30, max_size=60))
def test_lives_too_short_to_be_steady_never_make_a_storm(lives_s: list[float]) -> None:
    restarts, now_s, starts_s = Restarts(), 0.0, []
    for life_s in lives_s:
        starts_s.append(now_s)
        restarts.started(now_s)
        delay_s = restarts.ended(now_s + life_s)
        assert FIRST_DELAY_S <= delay_s <= LONGEST_DELAY_S
        now_s += life_s + delay_s
    # Six starts get quicker than the longest delay; from then on there is one every five seconds at most.
    assert all(later - earlier > LONGEST_DELAY_S - 1e-6 for earlier, later in pairwise(starts_s[6:]))


# What Prometheus is told

TWO = {1: Address("127.0.0.1", 9091), 0: Address("127.0.0.1", 9090)}


def test_every_worker_is_a_target_with_its_number() -> None:
    assert targets(TWO, "box") == [
        {"targets": ["127.0.0.1:9090"], "labels": {"worker": "0"}},
        {"targets": ["127.0.0.1:9091"], "labels": {"worker": "1"}},
    ]


def test_a_target_is_never_every_interface_which_prometheus_would_take_for_itself() -> None:
    for host in ("0.0.0.0", "[::]"):
        assert targets({0: Address(host, 9090)}, "box")[0]["targets"] == ["box:9090"]
    assert targets({0: Address("[::1]", 9090)}, "box")[0]["targets"] == ["[::1]:9090"]


def test_the_file_is_there_and_empty_before_any_worker_is_ready_and_gone_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "proxy.json"
    with discovery(file) as publish:
        assert json.loads(file.read_text()) == []
        publish(TWO)
        assert json.loads(file.read_text()) == targets(TWO, "")
        assert stat.S_IMODE(file.stat().st_mode) & 0o444 == stat.S_IMODE(file.parent.stat().st_mode) & 0o444
    assert list(file.parent.iterdir()) == []


def test_who_reads_while_the_file_is_written_reads_the_old_one_whole(tmp_path: Path) -> None:
    file = tmp_path / "proxy.json"
    with discovery(file) as publish:
        publish({0: TWO[0]})
        with file.open() as before:
            publish(TWO)
            assert json.load(before) == targets({0: TWO[0]}, "")
        assert json.loads(file.read_text()) == targets(TWO, "")
        assert [path.name for path in tmp_path.iterdir()] == ["proxy.json"]


def test_a_file_that_cannot_be_written_is_one_sentence_at_the_start_and_a_log_line_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    no_folder = tmp_path / "file"
    no_folder.write_text("")
    with (
        pytest.raises(ConfigError, match=r"--discovery .*proxy\.json cannot be written: "),
        discovery(no_folder / "proxy.json"),
    ):
        pass
    folder = tmp_path / "folder"
    with discovery(folder / "proxy.json") as publish:
        (folder / "proxy.json").unlink()
        folder.rmdir()
        publish(TWO)
        assert "so Prometheus does not learn of a change" in caplog.text


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with discovery(None) as publish:
        publish(TWO)
        assert list(tmp_path.iterdir()) == []


# Whose port it is


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield one


def test_a_port_that_is_shared_already_is_refused_instead_of_joined(listener: socket.socket) -> None:
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    taken = Address("127.0.0.1", listener.getsockname()[1])
    with (
        pytest.raises(ConfigError, match=f"--listen {taken} cannot be bound: Address already in use"),
        held_port(taken),
    ):
        pass


def test_a_port_that_is_held_lets_workers_in_and_no_second_supervisor(listener: socket.socket) -> None:
    with held_port(Address("127.0.0.1", 0)) as held:
        assert held.port > 0
        with pytest.raises(ConfigError, match="cannot be bound"), held_port(held):
            pass
        listener.bind((held.host, held.port))
        listener.listen()
        listener.settimeout(30)
        # The one that holds the port gets none of the connections.
        for _ in range(50):
            with socket.create_connection((held.host, held.port)):
                listener.accept()[0].close()


def test_a_host_with_addresses_of_both_families_gets_one_port_for_both() -> None:
    families = {info[0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    with held_port(Address("localhost", 0)) as held:
        for family in families:
            host = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}[family]
            with socket.socket(family) as other, pytest.raises(OSError, match="in use"):
                other.bind((host, held.port))


# The event loop


def made(choice: str) -> asyncio.AbstractEventLoop:
    return loop_factory(config(loop=choice).loop)()


def test_uvloop_runs_where_it_is_installed_unless_asyncio_is_asked_for() -> None:
    for choice, is_uvloop in (("auto", True), ("uvloop", True), ("asyncio", False)):
        with contextlib.closing(made(choice)) as loop:
            assert isinstance(loop, uvloop.Loop) == is_uvloop


def test_without_uvloop_asyncio_runs_and_asking_for_uvloop_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # what an import meets where it is not installed
    with contextlib.closing(made("auto")) as loop:
        assert isinstance(loop, asyncio.SelectorEventLoop)
    with pytest.raises(ConfigError, match=r"--loop is 'uvloop', which is not installed; .*tailgate\[fast\]"):
        made("uvloop")


@pytest.mark.parametrize("choice", ["asyncio", "uvloop"])
def test_the_clock_of_either_loop_is_the_monotonic_one_uncut(choice: str) -> None:
    with contextlib.closing(made(choice)) as loop:
        for _ in range(100):
            before_s = time.monotonic()
            now_s = loop.time()
            assert before_s <= now_s <= time.monotonic()


@pytest.mark.parametrize("choice", ["asyncio", "uvloop"])
def test_timers_of_either_loop_go_by_that_clock(choice: str) -> None:
    async def fire_order() -> list[str]:
        loop, fired, done = asyncio.get_running_loop(), list[str](), asyncio.Event()
        now_s = loop.time()
        loop.call_at(now_s + 0.02, done.set)
        loop.call_at(now_s + 0.01, fired.append, "second")
        loop.call_at(now_s - 60.0, fired.append, "first")
        loop.call_at(now_s + 60.0, fired.append, "too late")
        await done.wait()
        return fired

    with contextlib.closing(made(choice)) as loop:
        assert loop.run_until_complete(fire_order()) == ["first", "second"]


def test_the_sample_configuration_s_workers_have_the_ports_its_comment_names() -> None:
    sample = read_config(ProxyConfig, Path(__file__).resolve().parents[2] / "proxy" / "proxy.toml", {})
    assert [plan.config.admin.port for plan in worker_plans(sample, [0, 1])] == [9090, 9091]
    assert sample.discovery == Path("runs/proxy.json")
