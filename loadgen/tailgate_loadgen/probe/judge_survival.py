"""The verdict on whether a server was still answering at the end."""

from __future__ import annotations

from tailgate_loadgen.probe.seen import Seen
from tailgate_loadgen.probe.verdict import Verdict

_QUESTION = "Does it answer to the end of the probe?"
_LIMITS = "A server that comes back by itself within a few seconds counts as one that answers."


def judge_survival(seen: Seen) -> Verdict:
    """From whether plain calls were answered after each part."""
    if seen.stopped_after:
        sentence = (
            f"After {seen.stopped_after!r} plain calls were not answered any more, so nothing else could be seen."
        )
        return Verdict("survival", _QUESTION, "no", "bad", sentence, _LIMITS, {"stopped_after": seen.stopped_after})
    return Verdict("survival", _QUESTION, "yes", "good", "Plain calls were answered after each part.", _LIMITS)
