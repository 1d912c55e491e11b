"""The probe tells servers with different manners apart: it is run against real ones that have them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tailgate.errors import UsageError
from tailgate.pb import inference_pb2 as pb
from tailgate_loadgen.probe import course
from tailgate_loadgen.probe.groups import make_groups
from tailgate_loadgen.probe.inputs import Tensor, with_timeout
from tailgate_loadgen.probe.judge_mates import judge_mates
from tailgate_loadgen.probe.judge_parameter import judge_parameter
from tailgate_loadgen.probe.judge_refusals import judge_refusals
from tailgate_loadgen.probe.judge_work import CANCEL, PARAMETER, judge_queued
from tailgate_loadgen.probe.malformed import malformed
from tailgate_loadgen.probe.profile import fitting
from tailgate_loadgen.probe.refusals import make_refusals
from tailgate_loadgen.probe.seen import Seen, ServerSaid
from tailgate_loadgen.probe.trials import Treatment, Trials, queued_plan
from tailgate_loadgen.probe.verdict import Verdict

pytestmark = pytest.mark.alone  # verdicts rest on times

OpenTrials = Callable[[str], AbstractAsyncContextManager[Trials]]
Start = Callable[..., str]
Probe = Callable[..., tuple[Seen, dict[str, Verdict]]]
WORK = ("queued_deadline", "queued_told", "queued_cancel", "running_cancel", "running_told")


def answers(verdicts: dict[str, Verdict], *keys: str) -> dict[str, str]:
    return {key: verdicts[key].answer for key in keys}


def test_a_server_that_does_everything_right_is_seen_to(start_server: Start, probe: Probe) -> None:
    address = start_server(drops=True, stops=True, bound=16, timeout="at once", counts=True)
    seen, verdicts = probe(address, burst=32, sure_of=(*WORK, "timeout_parameter"))
    assert answers(verdicts, *WORK[:3]) == dict.fromkeys(WORK[:3], "dropped")
    assert answers(verdicts, *WORK[3:]) == dict.fromkeys(WORK[3:], "stopped")
    assert verdicts["timeout_parameter"].answer == "honoured"
    assert verdicts["answer_at_deadline"].figures["statuses"] == {"DEADLINE_EXCEEDED": 9 * 8}
    assert verdicts["overload"].answer == "refused"
    assert verdicts["overload"].figures["texts"] == ["the queue is full"]
    assert set(verdicts["overload"].figures["refused"]) == {"RESOURCE_EXHAUSTED"}  # type: ignore[call-overload]  # a dict
    assert verdicts["malformed"].answer == "all refused"
    assert verdicts["mates"].answer == "not seen"
    assert verdicts["survival"].answer == "yes"
    assert verdicts["profile"].answer == "generic"
    assert seen.said.statistics
    assert verdicts["queued_cancel"].figures["counted_share"] == 0


def test_a_server_that_does_nothing_right_is_seen_to(start_server: Start, probe: Probe) -> None:
    address = start_server(max_batch=4, strict=False, counts=True, name="triton")
    _, verdicts = probe(address, sure_of=(*WORK, "timeout_parameter"))
    assert answers(verdicts, *WORK[:3]) == dict.fromkeys(WORK[:3], "executed")
    assert answers(verdicts, *WORK[3:]) == dict.fromkeys(WORK[3:], "not seen")
    assert verdicts["timeout_parameter"].answer == "no-op"
    assert verdicts["overload"].answer == "no bound seen"
    assert verdicts["malformed"].answer == "some accepted"
    assert verdicts["mates"].answer == "not seen"
    assert verdicts["mates"].figures["share_batches"] is True
    assert verdicts["queued_cancel"].figures["counted_share"] == 1
    assert verdicts["profile"].answer == "triton"
    assert "no-op" in verdicts["profile"].sentence


async def test_a_timeout_that_is_looked_at_with_the_next_batch_only_is_refused_no_earlier(
    start_server: Start, open_trials: OpenTrials
) -> None:
    async with open_trials(start_server(timeout="late", service_s=0.1)) as trials:
        plan = queued_plan(6, trials.service_s)
        timed = with_timeout(pb.ModelInferRequest.FromString(trials.body), plan.after_s).SerializeToString()
        parameter = Treatment(lambda wait_s, _: trials.caller.start(timed, wait_s))
        seen = await trials.run(plan, {PARAMETER: parameter}, 2, lambda: None)
    verdict = judge_parameter(seen)
    assert verdict.answer in {"honoured late", "honoured"}  # the batch before may end right then
    assert verdict.figures["statuses"] == {"UNAVAILABLE": 12}
    assert verdict.figures["texts"] == ["the request's timeout expired"]


async def test_batch_mates_that_are_harmed_are_found_and_the_profile_follows(
    start_server: Start, open_trials: OpenTrials
) -> None:
    async with open_trials(start_server(max_batch=4, poisons=True)) as trials:
        verdict = judge_mates(await make_groups(trials, 40, lambda: None))
    assert verdict.answer == "harmed"
    assert verdict.figures["of_these_harmed"] == 0
    profile = fitting(ServerSaid("something new", "", (), "", statistics=False), {"mates": verdict})
    assert profile.answer == "mlserver"
    assert "neither may reach it" in profile.sentence


async def test_a_witness_that_is_never_answered_is_no_time(start_server: Start, open_trials: OpenTrials) -> None:
    async with open_trials(start_server(max_batch=32, poisons=True)) as trials:
        cancel = Treatment(lambda wait_s, after_s: trials.caller.start(trials.body, wait_s, cancel_after_s=after_s))
        seen = await trials.run(queued_plan(4, trials.service_s), {CANCEL: cancel}, 3, lambda: None)
    assert seen.ended_early[CANCEL] == ()
    assert len(seen.unusable[CANCEL]) == 3
    assert "was never answered" in judge_queued(seen, CANCEL, unheard=False).sentence


async def test_a_server_that_a_request_ends_is_said_to_have_ended(start_server: Start, open_trials: OpenTrials) -> None:
    async with open_trials(start_server(dies_of="987654321")) as trials:
        cases = malformed("sleeps", "", (Tensor("image", "UINT8", (1, 16)),))
        table = await make_refusals(trials, cases, lambda: None)
        assert not await trials.alive()
    assert [refusal.name for refusal in table] == ["unknown model", "unknown version"]
    verdict = judge_refusals(table)
    assert verdict.answer == "stopped answering"
    assert "unknown version" in verdict.sentence


@pytest.mark.parametrize(
    ("manners", "changes", "sentence"),
    [
        ({"service_s": 0.001}, {}, "too fast to tell"),
        ({}, {"model": "other"}, "has no model 'other'"),
        ({}, {"batch": 2}, "refuses the probe's plain request to model 'sleeps'"),
        ({}, {"shapes": {"pixels": (1, 16)}}, "--shape names 'pixels'"),
    ],
)
def test_what_cannot_be_probed_is_said_in_a_sentence(
    *,
    start_server: Start,
    probe: Probe,
    monkeypatch: pytest.MonkeyPatch,
    manners: dict[str, float],
    changes: dict[str, object],
    sentence: str,
) -> None:
    if manners:  # of the fastest server, however slow this machine is
        monkeypatch.setattr(course, "LEAST_SERVICE_S", 1.0)
    with pytest.raises(UsageError, match=sentence):
        probe(start_server(**manners), **changes)


def test_a_server_that_is_not_there_is_said_so(probe: Probe) -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:1 cannot be reached"):
        probe("127.0.0.1:1")
