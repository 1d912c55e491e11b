"""From observations to verdicts: pure."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import Status
from tailgate_loadgen.probe.judge import judge
from tailgate_loadgen.probe.judge_mates import CONFIDENCE, INTERIM, by_chance, judge_mates, most_often, proved
from tailgate_loadgen.probe.judge_overload import bound, judge_overload
from tailgate_loadgen.probe.judge_parameter import judge_parameter
from tailgate_loadgen.probe.judge_refusals import judge_refusals, reading
from tailgate_loadgen.probe.judge_work import (
    CANCEL,
    DEADLINE,
    PARAMETER,
    TOLD,
    counts_unheard,
    judge_answer_at_deadline,
    judge_queued,
    judge_running,
    kind_of,
)
from tailgate_loadgen.probe.profile import fitting
from tailgate_loadgen.probe.seen import (
    Burst,
    Ended,
    Experiment,
    Group,
    Groups,
    Refusal,
    Seen,
    ServerSaid,
    Trial,
    no_experiment,
    no_groups,
)
from tailgate_loadgen.probe.shares import Executed, executed, median_interval
from tailgate_loadgen.probe.verdict import Verdict

SAID = ServerSaid("server", "1", (), "", statistics=False)


def ended(took_s: float, status: Status = Status.OK, details: str = "") -> Ended:
    return Ended(5.0, 5.0 + took_s, status, details)


def trial(took_s: float, doomed: tuple[Ended, ...] = (), counted: int | None = None, before: int = 4) -> Trial:
    return Trial(ended(took_s), doomed, counted, before + len(doomed) + 1)


def experiment(
    share: float,
    *,
    treatment: str = CANCEL,
    trials: int = 9,
    noise: tuple[float, ...] = (),
    doomed: Ended | None = None,
    live: tuple[float, float] = (0.5, 0.9),
) -> Experiment:
    """One in which so much of the work of four calls was done."""
    gone = (doomed or ended(0.05, Status.CANCELLED),) * 4
    jitter = [noise[number % len(noise)] if noise else 0.0 for number in range(trials)]
    alone_s, live_s = live
    took = [alone_s + share * (live_s - alone_s) + more for more in jitter]
    return Experiment(
        alone=tuple(trial(alone_s + more) for more in jitter),
        live=tuple(trial(live_s + more, (ended(0.6),) * 4) for more in jitter),
        ended_early={treatment: tuple(trial(took_s, gone) for took_s in took)},
        doomed=4,
        after_s=0.05,
        service_s=0.1,
        unusable={},
    )


# -- how much was done -------------------------------------------------------------------------------------------------


@given(share=st.floats(0, 1), noise=st.lists(st.floats(-0.02, 0.02), min_size=1, max_size=9))
def test_the_share_is_found_whatever_it_is_within_what_times_vary_by(share: float, noise: list[float]) -> None:
    found = executed(experiment(share, noise=tuple(noise)), CANCEL)
    assert found.share == pytest.approx(share, abs=0.11)
    assert found.low <= found.share <= found.high  # type: ignore[operator]  # it is told


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_an_interval_of_the_median_lies_within_its_values_and_around_it(values: list[float]) -> None:
    low, high = median_interval(values)
    assert low <= sorted(values)[len(values) // 2] <= high
    assert (low in values and high in values) if len(values) >= 6 else (low, high) == (-math.inf, math.inf)


def test_an_interval_holds_the_median_as_often_as_it_says() -> None:
    import random

    draw = random.Random(1)
    held = 0
    for _ in range(2000):
        low, high = median_interval([draw.expovariate(1.0) for _ in range(9)])
        held += low <= math.log(2) <= high
    assert held / 2000 > 0.95


@pytest.mark.parametrize(
    ("share", "kind"), [(0.0, "dropped"), (0.2, "dropped"), (0.5, "partly"), (0.8, "executed"), (1.0, "executed")]
)
def test_a_share_is_read_as_dropped_executed_or_about_half(share: float, kind: str) -> None:
    verdict = judge_queued(experiment(share, noise=(0.0, 0.01, -0.01)), CANCEL, unheard=False)
    assert verdict.answer == kind
    assert {"dropped": "good", "executed": "bad", "partly": "partly"}[kind] == verdict.grade


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (experiment(0.0, trials=5), "6 are needed"),
        (experiment(0.0, live=(0.5, 0.51)), "hold up the call behind them too little"),
        (experiment(0.0, noise=(0.0, 0.9, -0.4, 0.9)), "vary more than"),
        (experiment(0.0, doomed=ended(0.01)), "answered before they could be given up"),
        (no_experiment("of the weather"), "of the weather"),
        (replace(experiment(0.0, trials=2), unusable={CANCEL: (trial(9.0),) * 3}), "in 3 of 5 trials"),
    ],
)
def test_what_cannot_be_told_is_said_with_its_reason_and_is_no_praise(seen: Experiment, why: str) -> None:
    verdict = judge_queued(seen, CANCEL, unheard=False)
    assert (verdict.answer, verdict.grade) == ("unknown", "unknown")
    assert why in verdict.sentence


def test_an_answer_that_comes_late_to_whom_waits_counts_as_done_not_as_answered_in_time() -> None:
    found = executed(experiment(1.0, treatment=TOLD, doomed=ended(0.7)), TOLD)
    assert found.share == pytest.approx(1.0)


def test_a_count_that_moved_proves_work_and_one_that_did_not_proves_nothing_of_its_own() -> None:
    untold = Executed(None, 0.0, 1.0, 9, counted=1.0, why_not="of noise")
    assert kind_of(untold) == "executed"
    assert kind_of(replace(untold, counted=0.0)) == "unknown"
    assert kind_of(replace(untold, counted=0.0), counts_unheard=True) == "dropped"
    wide = Executed(0.4, 0.06, 0.54, 9, counted=0.0)
    assert kind_of(wide) == "unknown"
    assert kind_of(wide, counts_unheard=True) == "dropped"
    assert kind_of(Executed(0.0, 0.0, 0.1, 9, counted=1.0)) == "dropped"  # times outweigh it where they tell


def counting(share: float, counted: int) -> Experiment:
    """An experiment at a server that counts, which counted so many of four doomed calls."""
    plain = experiment(share)
    gone = (ended(0.05, Status.CANCELLED),) * 4
    return replace(
        plain,
        alone=tuple(replace(one, counted=one.sent) for one in plain.alone),
        live=tuple(replace(one, counted=one.sent) for one in plain.live),
        ended_early={name: tuple(trial(0.5, gone, 5 + counted) for _ in range(9)) for name in (CANCEL, TOLD)},
    )


def test_a_server_that_counts_calls_given_up_while_they_ran_counts_what_nobody_heard() -> None:
    assert counts_unheard(counting(1.0, 4))
    assert not counts_unheard(counting(1.0, 0))
    assert not counts_unheard(experiment(1.0))


def test_a_count_that_is_wrong_of_plain_calls_is_no_evidence() -> None:
    right = counting(0.0, 0)
    assert executed(right, CANCEL).counted == 0
    wrong = replace(right, live=tuple(replace(one, counted=one.sent + 1) for one in right.live))
    assert executed(wrong, CANCEL).counted is None


def at_once(share: float, treatment: str = CANCEL, took_s: float = 0.11) -> Experiment:
    """An experiment whose doomed calls take so long where somebody waits for them."""
    plain = experiment(share, treatment=treatment, live=(0.1, 0.15))
    doomed = (ended(took_s),) * 4
    return replace(plain, live=tuple(replace(one, doomed=doomed) for one in plain.live))


def test_calls_that_wait_for_each_other_say_nothing_of_work_that_runs() -> None:
    verdict = judge_running(at_once(0.1, took_s=0.4), CANCEL)
    assert verdict.answer == "unknown"
    assert "not run at once" in verdict.sentence


def test_that_no_server_stops_a_running_model_is_no_fault_and_that_one_does_is_praised() -> None:
    runs_on, stops = judge_running(at_once(1.0), CANCEL), judge_running(at_once(0.0), CANCEL)
    assert (runs_on.answer, runs_on.grade) == ("not seen", "partly")
    assert (stops.answer, stops.grade) == ("stopped", "good")
    assert "only the model's own code can say" in judge_running(at_once(1.0, TOLD), TOLD).limits


def test_calls_that_hold_up_others_longer_than_any_work_takes_are_said_to() -> None:
    assert "waited longer than if nobody had given up" in judge_running(at_once(6.0), CANCEL).sentence


# -- the answer at the deadline ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doomed", "answer", "grade"),
    [
        (ended(0.055, Status.DEADLINE_EXCEEDED), "at the deadline", "good"),
        (ended(0.7, Status.DEADLINE_EXCEEDED), "refused late", "partly"),
        (ended(0.7), "answered late", "bad"),
    ],
)
def test_the_servers_own_word_at_a_deadline_is_read_by_when_it_comes(doomed: Ended, answer: str, grade: str) -> None:
    verdict = judge_answer_at_deadline(experiment(0.0, treatment=TOLD, doomed=doomed))
    assert (verdict.answer, verdict.grade) == (answer, grade)


def test_a_server_of_two_minds_is_said_to_be() -> None:
    one, other = (experiment(0, treatment=TOLD, doomed=d) for d in (ended(0.7), ended(0.05, Status.DEADLINE_EXCEEDED)))
    both = replace(one, ended_early={TOLD: one.ended_early[TOLD] + other.ended_early[TOLD]})
    assert judge_answer_at_deadline(both).answer == "now one, now the other"


# -- the parameter timeout ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doomed", "answer"),
    [
        (ended(0.6), "no-op"),
        (ended(0.06, Status.UNAVAILABLE, "expired"), "honoured"),
        (ended(0.65, Status.UNAVAILABLE, "expired"), "honoured late"),
        (ended(0.02), "unknown"),
    ],
)
def test_the_parameter_is_a_no_op_where_calls_are_answered_after_it(doomed: Ended, answer: str) -> None:
    verdict = judge_parameter(experiment(0.0, treatment=PARAMETER, doomed=doomed))
    assert verdict.answer == answer


# -- batch mates -------------------------------------------------------------------------------------------------------


def groups(of: int, harmed: int, stayed_harmed: int = 0, *, together: bool = True, answers: bool = True) -> Groups:
    fine, lost = ended(0.2 if together else 0.5), ended(3.0, Status.DEADLINE_EXCEEDED)
    leaver = ended(0.01, Status.CANCELLED)
    left = [Group(leaver, "cancel", 0.01, (fine, lost if n < harmed else fine, fine, fine)) for n in range(of)]
    stayed = [Group(None, "", 0.0, (fine, lost if n < stayed_harmed else fine, fine, fine, fine)) for n in range(of)]
    return Groups(tuple(left), tuple(stayed), 0.1, 3.0, answers_afterwards=answers)


def test_harm_beyond_chance_is_harm() -> None:
    verdict = judge_mates(groups(50, 8))
    assert (verdict.answer, verdict.grade) == ("harmed", "bad")
    assert "In 8 of 50 groups of 5 calls" in verdict.sentence
    assert proved(groups(50, 8).left, groups(50, 8).stayed)


@pytest.mark.parametrize("lost", [0.1, 0.35, 0.5, 0.8])
def test_however_often_it_is_looked_harm_is_claimed_by_chance_in_fewer_than_one_probe_of_twenty(lost: float) -> None:
    """Exactly, over all courses of fifty groups of either kind, all of which lose an answer with the same chance."""
    going, claimed = {(0, 0): 1.0}, 0.0
    moves = [
        (left, stayed, (lost if left else 1 - lost) * (lost if stayed else 1 - lost))
        for left in (0, 1)
        for stayed in (0, 1)
    ]
    for made in range(1, 51):
        then: dict[tuple[int, int], float] = {}
        for (left, stayed), chance in going.items():
            for more_left, more_stayed, share in moves:
                reached = left + more_left, stayed + more_stayed
                then[reached] = then.get(reached, 0.0) + chance * share
        level = INTERIM if made < 50 else 1 - CONFIDENCE
        going = {ends: chance for ends, chance in then.items() if by_chance(ends[0], made, ends[1], made) >= level}
        claimed += sum(then.values()) - sum(going.values())
    assert claimed < 0.05


@pytest.mark.parametrize("made", [groups(50, 1), groups(50, 9, 8), groups(50, 0, answers=False)])
def test_harm_that_could_be_chance_is_neither_denied_nor_claimed(made: Groups) -> None:
    assert judge_mates(made).answer == "unknown"


def test_no_harm_is_not_seen_with_how_often_it_could_still_happen() -> None:
    verdict = judge_mates(groups(50, 0))
    assert (verdict.answer, verdict.grade) == ("not seen", "good")
    assert "fewer than 5.8 %" in verdict.sentence
    assert judge_mates(groups(50, 0, together=False)).grade == "partly"
    assert judge_mates(no_groups(0.1)).answer == "unknown"


@given(st.integers(0, 30), st.integers(0, 30))
def test_chance_is_a_probability_that_falls_with_every_further_harmed_group(left: int, stayed: int) -> None:
    chance = by_chance(left, 30, stayed, 30)
    assert 0 <= chance <= 1 + 1e-12
    if left < 30:
        assert by_chance(left + 1, 30, stayed, 30) <= chance + 1e-12


def test_the_bounds_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    assert by_chance(6, 50, 1, 40) == pytest.approx(stats.fisher_exact([[6, 44], [1, 39]], "greater").pvalue)
    assert most_often(50) == pytest.approx(stats.binomtest(0, 50, alternative="less").proportion_ci(0.95).high)


# -- overload ----------------------------------------------------------------------------------------------------------

FULL = ended(0.002, Status.RESOURCE_EXHAUSTED, "full")


@pytest.mark.parametrize(
    ("calls", "answer", "grade"),
    [
        ((ended(1.0),) * 8, "no bound seen", "bad"),
        ((ended(1.0),) * 5 + (FULL,) * 3, "refused", "good"),
        ((ended(1.0),) * 5 + (ended(0.9, Status.UNAVAILABLE),) * 3, "refused", "partly"),
        ((ended(1.0),) * 5 + (ended(9.0, Status.DEADLINE_EXCEEDED),) * 3, "unanswered", "bad"),
    ],
)
def test_overload_is_read_by_who_is_told_what_and_when(calls: tuple[Ended, ...], answer: str, grade: str) -> None:
    verdict = judge_overload([Burst(calls, 9.0)])
    assert (verdict.answer, verdict.grade) == (answer, grade)


def test_the_bound_is_the_most_calls_of_which_none_was_refused() -> None:
    fine, some = Burst((ended(1.0),) * 8, 9.0), Burst((ended(1.0),) * 12 + (FULL,) * 4, 9.0)
    assert bound([fine]) is None
    assert bound([fine, some]) == 12
    assert bound([Burst((ended(1.0),) * 3 + (FULL,) * 5, 9.0)]) == 3
    assert judge_overload([]).answer == "unknown"


# -- malformed requests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "alive", "expected"),
    [
        (Status.INVALID_ARGUMENT, True, "refused"),
        (Status.OK, True, "accepted"),
        (Status.INTERNAL, True, "server error"),
        (Status.UNKNOWN, True, "server error"),
        (Status.DEADLINE_EXCEEDED, True, "no answer"),
        (Status.UNAVAILABLE, True, "lost"),
        (Status.INVALID_ARGUMENT, False, "crashed"),
    ],
)
def test_an_answer_to_a_malformed_request_is_read_by_whose_fault_it_says_it_is(
    status: Status, alive: bool, expected: str
) -> None:
    assert reading(Refusal("a", ended(0.1, status), alive)) == expected


def test_the_table_is_summed_up() -> None:
    refused, accepted = (Refusal("a", ended(0.1, status), alive=True) for status in (Status.NOT_FOUND, Status.OK))
    own = Refusal("b", ended(0.1, Status.INTERNAL), alive=True)
    assert judge_refusals([refused]).answer == "all refused"
    assert judge_refusals([refused, own]).answer == "some as its own fault"
    assert judge_refusals([refused, own, accepted]).answer == "some accepted"
    assert judge_refusals([accepted, replace(own, alive=False)]).answer == "stopped answering"
    assert judge_refusals([Refusal("c", None, alive=True)]).answer == "unknown"


# -- the profile -------------------------------------------------------------------------------------------------------


def verdict(key: str, answer: str) -> dict[str, Verdict]:
    return {key: Verdict(key, "", answer, "unknown", "", "")}


@pytest.mark.parametrize(
    ("name", "found", "profile"),
    [
        ("triton", {}, "triton"),
        ("mlserver", {}, "mlserver"),
        ("kserve", {}, "kserve"),
        ("tailgate", {}, "tailgate"),
        ("Tailgate Server", {}, "tailgate"),
        ("something", {}, "generic"),
        ("", {}, "generic"),
        ("triton", verdict("mates", "harmed"), "mlserver"),
        ("", verdict("mates", "harmed"), "mlserver"),
        ("mlserver", verdict("mates", "not seen"), "mlserver"),
    ],
)
def test_the_profile_follows_the_name_unless_harm_was_seen(name: str, found: dict[str, Verdict], profile: str) -> None:
    assert fitting(replace(SAID, server=name), found).answer == profile


def test_a_no_op_is_told_with_tritons_profile() -> None:
    assert "no-op" in fitting(replace(SAID, server="triton"), verdict("timeout_parameter", "no-op")).sentence


def test_a_server_that_stopped_answering_has_a_verdict_on_everything_and_praise_for_nothing_unseen() -> None:
    gone = no_experiment("the server had stopped answering")
    burst = Burst((ended(0.1),) * 8, 9.0)
    seen = Seen(SAID, (0.1,) * 9, gone, gone, no_groups(0.1), (burst,), (), stopped_after="work that waits")
    verdicts = judge(seen)
    assert verdicts["survival"].answer == "no"
    assert "work that waits" in verdicts["survival"].sentence
    for key in (f"queued_{DEADLINE}", f"queued_{TOLD}", f"running_{CANCEL}", "mates", "answer_at_deadline"):
        assert (verdicts[key].answer, verdicts[key].grade) == ("unknown", "unknown")
