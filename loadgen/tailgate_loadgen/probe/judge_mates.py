"""The verdict on batch mates: does it harm others when one member of a batch leaves?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from tailgate_loadgen.probe.seen import Group, Groups, by_status
from tailgate_loadgen.probe.verdict import Verdict

CONFIDENCE = 0.95
INTERIM = 0.01
"""Harm is proved early where chance would show so much with less than this probability. That is asked after every
group, and at the end with 5 %: with fifty groups together it is claimed by mistake with less than 5 %."""
_QUESTION = "Are batch mates harmed when one member leaves?"
_SHARED = 0.8
"""Calls share batches, or instances, if together they take less than this share of what they take one after another."""


def harmed(group: Group) -> bool:
    """Whether a mate was not answered."""
    return not all(mate.ok for mate in group.mates)


def most_often(of: int) -> float:
    """The largest share of groups that could be harmed with none seen among so many, with 95 % confidence: the share
    at which seeing none has a probability of 5 %.

    >>> round(most_often(50), 3)
    0.058
    """
    return float(1 - (1 - CONFIDENCE) ** (1 / of)) if of else 1.0


def by_chance(left: int, of_left: int, stayed: int, of_stayed: int) -> float:
    """How probable so many harmed groups among those with a leaver, or more, would be if leaving did not matter:
    Fisher's exact test, one-sided.

    >>> round(by_chance(6, 50, 0, 50), 4)
    0.0133
    """
    both, total = left + stayed, of_left + of_stayed
    ways = math.comb(total, both)
    most = min(both, of_left)
    return sum(math.comb(of_left, k) * math.comb(of_stayed, both - k) for k in range(left, most + 1)) / ways


def proved(groups: Sequence[Group], stayed: Sequence[Group]) -> bool:
    """Whether harm is so far beyond chance that no more need be harmed."""
    left_harmed, stayed_harmed = sum(map(harmed, groups)), sum(map(harmed, stayed))
    return bool(groups) and by_chance(left_harmed, len(groups), stayed_harmed, len(stayed)) < INTERIM


def judge_mates(groups: Groups) -> Verdict:
    """From groups of which one member left, and groups of which none did."""
    n, m = len(groups.left), len(groups.stayed)
    if not n or not m:
        return Verdict("mates", _QUESTION, "unknown", "unknown", "No group could be made.", "")
    left, stayed = sum(map(harmed, groups.left)), sum(map(harmed, groups.stayed))
    chance = by_chance(left, n, stayed, m)
    size = len(groups.left[0].mates) + 1
    together = shares_batches(groups)
    figures = {
        "groups": n,
        "groups_harmed": left,
        "groups_without_leaver": m,
        "of_these_harmed": stayed,
        "by_chance": chance,
        "group_size": size,
        "mates": by_status([mate for group in groups.left for mate in group.mates]),
        "share_batches": together,
        "answers_afterwards": groups.answers_afterwards,
    }
    limits = (
        f"Members left at many moments between being sent and {2 * groups.service_s * 1e3:.0f} ms later; harm that "
        "needs others, larger batches or more load would be missed. "
    )
    if not together:
        limits += "Calls made together took as long as one after another, so perhaps they never share a batch here. "
    afterwards = "" if groups.answers_afterwards else " Afterwards the server did not answer a plain call any more."
    if left and chance < 1 - CONFIDENCE:
        lost = sum(not mate.ok for group in groups.left for mate in group.mates)
        sentence = (
            f"In {left} of {n} groups of {size} calls from which one left, others were not answered within "
            f"{groups.patience_s:.3g} s ({lost} calls); the same happened in {stayed} of {m} groups that all stayed in."
        )
        return Verdict("mates", _QUESTION, "harmed", "bad", sentence + afterwards, limits, figures)
    if left or not groups.answers_afterwards:
        sentence = (
            f"In {left} of {n} groups from which one call left, and in {stayed} of {m} groups that all stayed in, "
            "others were not answered: too few, or too much alike, to tell from chance."
        )
        return Verdict("mates", _QUESTION, "unknown", "unknown", sentence + afterwards, limits, figures)
    sentence = (
        f"Not seen in {n} groups of {size} calls from which one left: all others were answered. With 95 % confidence "
        f"it happens in fewer than {100 * most_often(n):.2g} % of such groups."
    )
    return Verdict("mates", _QUESTION, "not seen", "good" if together else "partly", sentence, limits, figures)


def shares_batches(groups: Groups) -> bool:
    """Whether calls made together are done together, at least in part: in batches, or by several instances."""
    spans = [
        max(mate.ended_s for mate in group.mates) - min(mate.sent_s for mate in group.mates)
        for group in groups.stayed
        if group.mates
    ]
    size = len(groups.stayed[0].mates) if groups.stayed else 0
    return bool(spans) and statistics.median(spans) < _SHARED * size * groups.service_s
