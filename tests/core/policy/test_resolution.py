"""Which servers a name stands for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailgate.policy.resolution import ANSWERS, Resolution

FOUR = [f"10.0.0.{n}" for n in range(6)]
SIX = [f"fd00::{n}" for n in range(6)]
answers = st.lists(st.lists(st.sampled_from(FOUR + SIX), min_size=1, max_size=6), min_size=1, max_size=20)


def test_a_name_with_an_address_of_each_family_is_one_server() -> None:
    resolution = Resolution()
    assert resolution.answered(["127.0.0.1", "::1"]) == ()
    assert resolution.answered(["::1", "127.0.0.1"]) == ()


def test_a_name_with_several_addresses_is_as_many_servers_of_one_family() -> None:
    assert Resolution().answered(["10.0.0.2", "10.0.0.1", "fd00::1"]) == ("10.0.0.1", "10.0.0.2")
    assert Resolution().answered(["10.0.0.1", "fd00::1", "fd00::2"]) == ("fd00::1", "fd00::2")


def test_an_address_is_gone_when_it_is_missing_for_long_enough_and_back_at_once() -> None:
    resolution = Resolution()
    assert resolution.answered(["10.0.0.1", "10.0.0.2"]) == ("10.0.0.1", "10.0.0.2")
    for _ in range(ANSWERS - 1):
        assert resolution.answered(["10.0.0.2"]) == ("10.0.0.1", "10.0.0.2")
    assert resolution.answered(["10.0.0.2"]) == ("10.0.0.2",)
    assert resolution.answered(["10.0.0.1"]) == ("10.0.0.1", "10.0.0.2")


def test_a_name_server_that_deals_out_one_address_at_a_time_makes_no_member_vanish() -> None:
    resolution = Resolution()
    found = [resolution.answered([FOUR[n % ANSWERS]]) for n in range(30)]
    assert set(found[ANSWERS:]) == {tuple(FOUR[:ANSWERS])}


@given(answers)
def test_whatever_is_answered_there_are_servers_and_they_are_of_one_family_and_of_recent_answers(
    given_answers: list[list[str]],
) -> None:
    resolution = Resolution()
    several = False
    for number, answer in enumerate(given_answers):
        servers = resolution.answered(answer)
        recent = {one for each in given_answers[max(0, number - ANSWERS + 1) : number + 1] for one in each}
        assert set(servers) <= recent
        assert list(servers) == sorted(set(servers))
        assert len({":" in one for one in servers}) <= 1
        assert servers or not several  # once it goes by its addresses it goes on doing so
        several = bool(servers)
        most = max(sum(":" in one for one in recent), sum(":" not in one for one in recent))
        assert len(servers) == (most if several else 0)
