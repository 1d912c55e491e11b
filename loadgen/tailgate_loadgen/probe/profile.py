"""Which of the proxy's profiles fits a server: by what it says it is, corrected by what it was seen to do.

A profile of the proxy decides whether it may cancel a call upstream, forward a deadline, and send ``timeout``. The name
decides where nothing speaks against it; a cancel that was seen to harm others outweighs any name.
"""

from __future__ import annotations

from collections.abc import Mapping

from tailgate_loadgen.probe.seen import ServerSaid
from tailgate_loadgen.probe.verdict import Grade, Verdict

NAMES = ("tailgate", "mlserver", "kserve", "triton")
"""Parts of names by which servers call themselves, in lower case; each is the name of its profile, too."""
_QUESTION = "Which profile of the proxy fits?"
_LIMITS = (
    "A server's name is what it says of itself; one that was configured to call itself otherwise is not known by it."
)


def fitting(said: ServerSaid, verdicts: Mapping[str, Verdict]) -> Verdict:
    """The profile, with its reason.

    Args:
        said: By the server.
        verdicts: On it, by key.
    """
    name = said.server.lower()
    named = next((known for known in NAMES if known in name), "generic")
    called = f"The server calls itself {said.server!r}" if said.server else "The server does not say what it is"
    mates = verdicts.get("mates")
    if mates is not None and mates.answer == "harmed":
        reason = "others are harmed when a call is cancelled or its deadline passes, so neither may reach it"
        if named == "mlserver":
            return _verdict("mlserver", "good", f"{called}, and {reason}.")
        return _verdict("mlserver", "partly", f"{called}, but {reason}: that is what this profile is for.")
    if named == "generic":
        return _verdict("generic", "good", f"{called}, and none of the probe's findings asks for a special profile.")
    if named == "mlserver":
        seen = "harm to others was not proved here, but is known of it and is a matter of chance"
        return _verdict("mlserver", "good", f"{called}; {seen}.")
    told = ""
    parameter = verdicts.get("timeout_parameter")
    if named == "triton" and parameter is not None:
        told = {
            "no-op": " Its model's queue policy makes the parameter timeout a no-op here.",
            "honoured": " The parameter timeout is honoured.",
            "honoured late": " The parameter timeout is honoured, but late.",
        }.get(parameter.answer, "")
    return _verdict(named, "good", f"{called}, and nothing that was seen speaks against it.{told}")


def _verdict(answer: str, grade: Grade, sentence: str) -> Verdict:
    return Verdict("profile", _QUESTION, answer, grade, sentence, _LIMITS)
