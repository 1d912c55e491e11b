"""`tailgate probe` as a person runs it: against a scripted server, and against our own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tailgate.cli import main
from tailgate_loadgen.probe import course
from tailgate_loadgen.probe.caller import Caller
from tailgate_loadgen.probe.groups import make_groups
from tailgate_loadgen.probe.inputs import message, tensors_of
from tailgate_loadgen.probe.judge_mates import judge_mates
from tailgate_loadgen.probe.judge_work import CANCEL, judge_queued
from tailgate_loadgen.probe.profile import fitting
from tailgate_loadgen.probe.trials import Treatment, Trials, queued_plan
from tailgate_loadgen.target import describe, open_channel

pytestmark = pytest.mark.alone  # verdicts rest on times

QUICK = ("--rounds", "6", "--groups", "2", "--burst", "8", "--quiet")
READY = re.compile(r"server listening on (\S+)")


class Page(HTMLParser):
    """A page's tags, targets and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := given.get(name))]
        self.ids += [value for value in [given.get("id")] if value]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_is_one_page_and_one_document_that_agree(start_server: Callable[..., str], tmp_path: Path) -> None:
    address = start_server(name="<b>odd & strange</b>", service_s=0.03)
    assert main(["probe", address, "--model", "sleeps", *QUICK, "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "probe.json").read_text())
    page = Page()
    page.feed((tmp_path / "probe.html").read_text())
    assert "script" not in page.tags
    assert "b" not in page.tags  # what a server says is text
    assert "<b>odd & strange</b>" in page.text
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    for verdict in document["verdicts"]:
        assert verdict["sentence"] in page.text
        assert verdict["answer"] in page.text
    assert document["profile"] == "generic"
    assert document["server"]["server"] == "<b>odd & strange</b>"
    assert len(document["malformed"]) == 24
    assert set(document["observations"]["queued"]["trials"]) == {
        "alone", "live", "deadline", "told", "cancel", "parameter",
    }  # fmt: skip
    assert len(document["observations"]["alone_s"]) == 15
    assert min(document["observations"]["alone_s"]) >= 0.03


def test_the_answers_are_shown_to_whom_does_not_want_quiet(
    start_server: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [option for option in QUICK if option != "--quiet"]
    assert (
        main(
            [
                "probe",
                start_server(service_s=0.03),
                "--model",
                "sleeps",
                *options,
                "--no-malformed",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    shown = capsys.readouterr().out
    assert "Which profile of the proxy fits?" in shown
    assert "They were not tried." in shown
    assert str(tmp_path / "probe.html") in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "the server's address is 'nowhere'; expected HOST:PORT"),
        (["127.0.0.1:99999"], "expected HOST:PORT"),
        (["127.0.0.1:1", "--rounds", "5"], "--rounds is 5; expected at least 6"),
        (["127.0.0.1:1", "--groups", "0"], "--groups is 0"),
        (["127.0.0.1:1", "--burst", "1"], "--burst is 1; expected at least 2"),
        (["127.0.0.1:1", "--batch", "0"], "--batch is 0"),
        (["127.0.0.1:1", "--shape", "x"], "--shape is 'x'"),
        (["127.0.0.1:1"], "127.0.0.1:1 cannot be reached"),
    ],
)
def test_a_users_mistake_is_a_sentence_and_status_2(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", *arguments, "--model", "m", "--out", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def our_server(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts our own server with an untrained network on the CPU."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: str) -> str:
        command = (sys.executable, "-m", "tailgate", "server", "--weights", "random:1", "--device", "cpu",
                   "--threads", "1", "--listen", "127.0.0.1:0", *options)  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        processes.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if found := READY.search(line):
                return found[1]
        raise AssertionError("the server did not start")

    yield start
    for process in processes:
        process.kill()
        process.communicate()


async def test_our_server_drops_what_is_cancelled_and_harms_nobody(our_server: Callable[..., str]) -> None:
    address = our_server("--model", "mobilenet_v3_small", "--max-batch", "8")
    async with open_channel(address) as channel:
        caller = Caller(channel, "mobilenet_v3_small")
        described = await describe(channel, address, "mobilenet_v3_small")
        tensors = tensors_of(described.metadata, {}, 4)
        body = message("mobilenet_v3_small", "", tensors).SerializeToString()
        times_s = [(await caller.ask(body, 60.0)).took_s for _ in range(6)][1:]
        trials = Trials(caller, body, times_s, rows=4)
        cancel = Treatment(lambda wait_s, after_s: caller.start(body, wait_s, cancel_after_s=after_s))
        seen = await trials.run(queued_plan(8, trials.service_s), {CANCEL: cancel}, 6, lambda: None)
        groups = await make_groups(trials, 4, lambda: None)
        said = await caller.said(described.metadata.platform)
    # A model that computes shares its processors with everybody: times may be unclear, but must not say the contrary.
    assert judge_queued(seen, CANCEL, unheard=False).answer in {"dropped", "unknown"}
    assert judge_mates(groups).answer == "not seen"
    assert fitting(said, {}).answer == "tailgate"
    assert said.statistics


def test_a_model_that_is_too_fast_is_said_to_be(
    our_server: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course, "LEAST_SERVICE_S", 0.5)  # too fast for that it is on any machine
    address = our_server("--model", "digits")
    assert main(["probe", address, "--model", "digits", *QUICK, "--out", str(tmp_path)]) == 2
    assert "too fast to tell what waits from what runs; make a request take 500 ms at least" in capsys.readouterr().err
