"""Readiness by probes."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tailgate.policy.health import FRESH_S, Health, Probe


class AnyProbes(RuleBasedStateMachine):
    """Probes in any order, against what was written down of them."""

    def __init__(self) -> None:
        super().__init__()
        self.health = Health()
        self.now_s = 0.0
        self.found: list[tuple[float, Probe]] = []

    @rule(found=st.sampled_from(Probe), pause_s=st.floats(0, FRESH_S))
    def probe(self, found: Probe, pause_s: float) -> None:
        self.now_s += pause_s
        self.health.probed(self.now_s, found)
        self.found.append((self.now_s, found))

    @rule(pause_s=st.floats(0, 2 * FRESH_S))
    def wait(self, pause_s: float) -> None:
        self.now_s += pause_s

    @invariant()
    def ready_needs_a_good_answer_not_long_ago_and_no_other_since(self) -> None:
        spoken = [one for one in self.found if one[1] is not Probe.SILENT]
        expected = bool(spoken) and spoken[-1][1] is Probe.READY and self.now_s <= spoken[-1][0] + FRESH_S
        assert self.health.ready(self.now_s) == expected


TestAnyProbes = AnyProbes.TestCase


def test_one_probe_without_an_answer_costs_nothing_and_silence_costs_all() -> None:
    health = Health()
    health.probed(0.0, Probe.READY)
    health.probed(2.5, Probe.SILENT)
    assert health.ready(2.5)
    health.probed(5.0, Probe.SILENT)
    assert not health.ready(5.0)


def test_a_server_without_a_model_is_not_ready() -> None:
    health = Health()
    health.probed(0.0, Probe.READY)
    health.probed(0.5, Probe.EMPTY)
    assert not health.ready(0.5)
