"""The audit: sound books balance, and every bug that is planted into them is found, under the invariant it breaks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import generate_latest

from tailgate.audit.everything import audit
from tailgate.audit.evidence import Evidence
from tailgate.audit.finding import Finding
from tailgate.audit.reading import read_evidence
from tailgate.cli import main
from tailgate.errors import Status, TraceError
from tailgate.gauges import Gauges, MemberCounts
from tailgate.ledger import Ledger
from tailgate.observation import Observation
from tailgate.outcome import Outcome, decide_at_client
from tailgate.snapshot import Snapshot
from tailgate.trace.files import TraceWriter
from tailgate.trace.format import RECORD, Contents

Make = Callable[..., Observation]
GRACE_S = 0.1
COMPUTED = (Outcome.OK, Outcome.OK_LATE, Outcome.OK_LATE_DISCARDED, Outcome.DEADLINE_IN_FLIGHT)
FAILED = {
    "discarded": (Outcome.OK_LATE_DISCARDED, Status.DEADLINE_EXCEEDED),
    "cut": (Outcome.DEADLINE_IN_FLIGHT, Status.DEADLINE_EXCEEDED),
    "shed": (Outcome.SHED_QUEUE_FULL, Status.RESOURCE_EXHAUSTED),
    "refused": (Outcome.EXPIRED_ON_ARRIVAL, Status.DEADLINE_EXCEEDED),
    "broken": (Outcome.UPSTREAM_ERROR, Status.INTERNAL),
}
KINDS = ("right", "wrong", "unlabelled", "late at the client", *FAILED)


@dataclass
class Books:
    """What everybody wrote down of the same requests, to be spoiled before it is audited."""

    client: list[Observation] = field(default_factory=list)
    proxy: list[Observation] = field(default_factory=list)
    booked: list[Observation] = field(default_factory=list)
    """What the counters were given."""
    executed: list[str] = field(default_factory=list)
    arrived: int = 0
    """Beyond those that were booked: they have a place among those in flight."""
    vanished: int = 0
    """Beyond these: nobody has them."""
    held: int = 0
    hedges: int = 0
    spoil_trace: Callable[[bytes], bytes] = bytes
    """What became of the proxy's trace on its disk."""

    def written(self, folder: Path) -> Evidence:
        """As files, which are read again."""
        for role, observations in (("client", self.client), ("proxy", self.proxy)):
            writer = TraceWriter(folder / f"{role}.trace", {"role": role, "run_id": "a"})
            writer.append(observations)
            writer.close()
        trace = folder / "proxy.trace"
        trace.write_bytes(self.spoil_trace(trace.read_bytes()))
        ledger = Ledger((0.01, 0.05))
        for observation in self.booked:
            ledger.arrive()
            ledger.book(observation)
        for _ in range(self.arrived + self.vanished):
            ledger.arrive()
        members = {("default", "up:1"): MemberCounts(True, False, 0, {}, 0, 0, hedges=self.hedges)}
        gauges = Gauges(members=members, trace_written=len(self.proxy), held_bytes=self.held, in_flight=self.arrived)
        (folder / "metrics.txt").write_bytes(generate_latest(Snapshot(ledger, gauges)))
        (folder / "upstream.jsonl").write_text("".join(json.dumps({"request_id": n}) + "\n" for n in self.executed))
        return read_evidence(folder, [folder], [folder / "metrics.txt"], folder / "upstream.jsonl")


def one(observation: Make, number: int, kind: str) -> tuple[Observation, Observation]:
    """The same request, as its client and the proxy saw it; the proxy's clock is 3 s ahead."""
    seen = observation(number, latency_s=0.012)
    booked = observation(number, arrival_unix_s=seen.arrival_unix_s + 3.001, latency_s=0.01, pass_index=-1, sample=-1)
    if kind == "wrong":
        seen, booked = seen._replace(predicted=5), booked._replace(predicted=5)
    elif kind == "unlabelled":
        seen, booked = seen._replace(label=-1), booked._replace(label=-1)
    elif kind == "late at the client":
        seen = seen._replace(outcome=Outcome.OK_LATE, latency_s=seen.budget_s + 0.02)
    elif kind in FAILED:
        outcome, status = FAILED[kind]
        late_s = 0.02 if status is Status.DEADLINE_EXCEEDED else 0.0
        ended: dict[str, Any] = {"status": status, "latency_s": 0.031 + late_s}
        named = 3 if outcome is Outcome.OK_LATE_DISCARDED else -1
        seen = seen._replace(outcome=Outcome.DEADLINE_IN_FLIGHT if late_s else outcome, predicted=-1, **ended)
        booked = booked._replace(outcome=outcome, predicted=named, **ended)
    return seen, booked


@pytest.fixture
def books(observation: Make) -> Books:
    """Eight requests of each kind, in any order."""
    kinds = list(KINDS) * 8
    random.Random(4).shuffle(kinds)
    pairs = [one(observation, number, kind) for number, kind in enumerate(kinds)]
    proxy = [booked for _, booked in pairs]
    executed = [o.request_id for o in proxy if o.outcome in COMPUTED]
    return Books([seen for seen, _ in pairs], proxy, list(proxy), executed)


def broken(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings if finding.broken}


def of(observations: list[Observation], outcome: Outcome) -> int:
    """The place of one that ended so."""
    return next(place for place, o in enumerate(observations) if o.outcome is outcome)


def test_sound_books_balance_and_every_invariant_is_looked_at(books: Books, tmp_path: Path) -> None:
    findings = audit(books.written(tmp_path), GRACE_S)
    assert broken(findings) == set()
    assert [finding.unchecked for finding in findings if finding.unchecked] == []
    assert {finding.code for finding in findings} == {
        "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11",
    }  # fmt: skip
    assert all(finding.checked for finding in findings)


def test_requests_that_were_hedged_may_be_computed_twice(books: Books, tmp_path: Path) -> None:
    books.hedges = 3  # one of them was cancelled before it was computed
    books.executed += books.executed[:2]
    assert broken(audit(books.written(tmp_path), GRACE_S)) == set()


# Each plants one bug into sound books. The key says which, and which invariants it breaks.
Bug = Callable[[Books], Any]
BUGS: dict[tuple[str, str], Bug] = {}


def bug(name: str, *breaks: str) -> Callable[[Bug], Bug]:
    def note(plant: Bug) -> Bug:
        BUGS[name, " ".join(sorted(breaks))] = plant
        return plant

    return note


@bug("the proxy writes no row of an answered request, and counts it", "I3", "I9", "I8", "I5")
def _(books: Books) -> None:
    del books.proxy[of(books.proxy, Outcome.OK)]


@bug("the proxy neither counts nor writes an answered request", "I3", "I5")
def _(books: Books) -> None:
    place = of(books.proxy, Outcome.OK)
    del books.proxy[place], books.booked[place]


@bug("a request is counted twice", "I8", "I9")
def _(books: Books) -> None:
    books.booked.append(books.booked[of(books.booked, Outcome.OK)])


@bug("a request is counted and written twice", "I2")
def _(books: Books) -> None:
    again = books.proxy[of(books.proxy, Outcome.OK)]
    books.proxy.append(again)
    books.booked.append(again)


@bug("the client writes a request twice", "I2")
def _(books: Books) -> None:
    books.client.append(books.client[0])


@bug("the answers of two requests are swapped", "I6")
def _(books: Books) -> None:
    places = [place for place, o in enumerate(books.client) if o.outcome is Outcome.OK]
    right = next(place for place in places if books.client[place].predicted == 3)
    wrong = next(place for place in places if books.client[place].predicted == 5)
    books.client[right], books.client[wrong] = (
        books.client[right]._replace(predicted=5),
        books.client[wrong]._replace(predicted=3),
    )


@bug("an answer that is late is called in time", "I4")
def _(books: Books) -> None:
    place = of(books.proxy, Outcome.OK)
    books.proxy[place] = books.proxy[place]._replace(latency_s=0.051)
    books.client[place] = books.client[place]._replace(latency_s=0.052, outcome=Outcome.OK_LATE)


@bug("an answer in time is held back for half a second", "I4")
def _(books: Books) -> None:
    place = of(books.client, Outcome.OK)
    books.client[place] = books.client[place]._replace(latency_s=0.55, outcome=Outcome.OK_LATE)


@bug("the client calls a late answer in time", "I4")
def _(books: Books) -> None:
    place = of(books.client, Outcome.OK)
    books.client[place] = books.client[place]._replace(latency_s=0.055)


@bug("a late answer is delivered, and booked as withheld", "I3")
def _(books: Books) -> None:
    place = of(books.proxy, Outcome.OK_LATE_DISCARDED)
    books.client[place] = books.client[place]._replace(outcome=Outcome.OK_LATE, status=Status.OK, predicted=3)


@bug("an answer is lost between proxy and client", "I3")
def _(books: Books) -> None:
    place = of(books.client, Outcome.OK)
    books.client[place] = books.client[place]._replace(
        outcome=Outcome.UPSTREAM_ERROR, status=Status.INTERNAL, predicted=-1
    )


def wait_in_vain(books: Books, status: Status, waited_s: float) -> None:
    """Have a client give up after so long, of a second that it gave, though the proxy answered after 10 ms."""
    place = of(books.client, Outcome.OK)
    books.client[place] = books.client[place]._replace(
        outcome=decide_at_client(status, late=False), status=status, predicted=-1, latency_s=waited_s, budget_s=1.0
    )
    for rows in (books.proxy, books.booked):
        rows[place] = rows[place]._replace(budget_s=1.0)


@bug("an answer is lost, and its client waits for it until its deadline", "I4")
def _(books: Books) -> None:
    wait_in_vain(books, Status.DEADLINE_EXCEEDED, 1.0)


@bug("an answer is lost, and its client gives up after a while", "I4")
def _(books: Books) -> None:
    wait_in_vain(books, Status.CANCELLED, 0.2)


@bug("a request is refused that nobody booked", "I3")
def _(books: Books) -> None:
    place = of(books.client, Outcome.UPSTREAM_ERROR)
    books.client[place] = books.client[place]._replace(
        outcome=Outcome.REJECTED_INVALID, status=Status.INVALID_ARGUMENT, request_id="another"
    )


@bug("a client that was shed is told something else", "I3")
def _(books: Books) -> None:
    place = of(books.client, Outcome.SHED_QUEUE_FULL)
    books.client[place] = books.client[place]._replace(status=Status.INTERNAL)


@bug("a slot leaks: a request never ends", "I10")
def _(books: Books) -> None:
    books.arrived += 1


@bug("an arrival is counted, and nobody has it", "I1")
def _(books: Books) -> None:
    books.vanished += 1


@bug("bytes stay held", "I10")
def _(books: Books) -> None:
    books.held = 602_112


@bug("a label is applied twice", "I8")
def _(books: Books) -> None:
    place = of(books.proxy, Outcome.OK_LATE_DISCARDED)
    books.booked[place] = books.booked[place]._replace(label=-1)
    twice = next(place for place, o in enumerate(books.booked) if o.label == -1 and o.outcome is Outcome.OK)
    books.booked[twice] = books.booked[twice]._replace(label=3)


@bug("a label goes to another request", "I8")
def _(books: Books) -> None:
    place = next(place for place, o in enumerate(books.proxy) if o.label == -1)
    books.proxy[place] = books.booked[place] = books.proxy[place]._replace(label=3)


@bug("a wrong answer counts as right", "I8")
def _(books: Books) -> None:
    place = next(place for place, o in enumerate(books.booked) if o.predicted == 5)
    books.booked[place] = books.booked[place]._replace(predicted=3)


@bug("one outcome is counted as another", "I9", "I8")
def _(books: Books) -> None:
    place = of(books.booked, Outcome.DEADLINE_IN_FLIGHT)
    books.booked[place] = books.booked[place]._replace(outcome=Outcome.CLIENT_CANCELLED)


@bug("two clocks are mixed in an arrival", "I11")
def _(books: Books) -> None:
    place = of(books.proxy, Outcome.OK)
    books.proxy[place] = books.proxy[place]._replace(arrival_unix_s=81_234.5)


@bug("a duration is written in milliseconds", "I11")
def _(books: Books) -> None:
    place = of(books.proxy, Outcome.OK)
    books.proxy[place] = books.proxy[place]._replace(latency_s=10.0, budget_s=50.0)


@bug("a duration is negative", "I11")
def _(books: Books) -> None:
    place = of(books.proxy, Outcome.OK)
    books.proxy[place] = books.proxy[place]._replace(latency_s=-0.01)


@bug("a request is computed twice", "I5")
def _(books: Books) -> None:
    books.executed.append(books.executed[0])


@bug("more requests are computed twice than were hedged", "I5")
def _(books: Books) -> None:
    books.hedges = 2
    books.executed += books.executed[:3]


@bug("a request that was hedged is computed a third time", "I5")
def _(books: Books) -> None:
    books.hedges = 2
    books.executed += [books.executed[0]] * 2


@bug("something is computed that nobody asked for", "I5")
def _(books: Books) -> None:
    books.executed.append("nobody's")


@bug("a request that was refused is computed all the same", "I5")
def _(books: Books) -> None:
    books.executed.append(books.proxy[of(books.proxy, Outcome.SHED_QUEUE_FULL)].request_id)


@bug("a request that came to a proxy which stops is refused, and computed all the same", "I5")
def _(books: Books) -> None:
    drained(books, after_s=0.0001)


@bug("an answer is given that was not computed", "I5")
def _(books: Books) -> None:
    books.executed.remove(books.proxy[of(books.proxy, Outcome.OK)].request_id)


@bug("a bit of a row flips on the disk", "I3", "I5", "I7", "I9")
def _(books: Books) -> None:
    name = books.proxy[of(books.proxy, Outcome.OK)].request_id.encode() + b"\0"

    def flip(data: bytes) -> bytes:
        place = data.index(name) - 4
        return data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]

    books.spoil_trace = flip


@bug("the trace is cut within its last row", "I7", "I3", "I9", "I8", "I5")
def _(books: Books) -> None:
    books.proxy.append(books.proxy.pop(of(books.proxy, Outcome.OK)))
    books.spoil_trace = lambda data: data[: -RECORD.itemsize - 50]


@pytest.mark.parametrize(("name", "breaks"), BUGS, ids=[name for name, _ in BUGS])
def test_a_planted_bug_is_found_under_what_it_breaks(books: Books, tmp_path: Path, name: str, breaks: str) -> None:
    BUGS[name, breaks](books)
    found = broken(audit(books.written(tmp_path), GRACE_S))
    assert found == set(breaks.split())


def test_what_is_known_of_the_clocks_is_said(books: Books, tmp_path: Path) -> None:
    (clocks,) = (one for one in audit(books.written(tmp_path), GRACE_S) if "clocks" in one.promise)
    assert clocks.note == "the proxy's is ahead by 2989.0 to 3001.0 ms"
    place = of(books.proxy, Outcome.OK)
    books.proxy[place] = books.proxy[place]._replace(arrival_unix_s=books.proxy[place].arrival_unix_s - 0.05)
    (tmp_path / "drift").mkdir()
    (clocks,) = (one for one in audit(books.written(tmp_path / "drift"), GRACE_S) if "clocks" in one.promise)
    assert (clocks.broken, clocks.note) == (0, "they drift by 38.0 ms")


def test_replicas_may_have_clocks_of_their_own_and_each_only_one(books: Books, tmp_path: Path) -> None:
    whole = books.written(tmp_path)
    (trace,) = whole.proxy
    half, rest = trace.records[::2].copy(), trace.records[1::2].copy()
    rest["arrival_unix_s"] += 7.0
    replicas = (replace(trace, records=half), replace(trace, records=rest))

    def clocks(proxies: tuple[Contents, ...]) -> Finding:
        found = audit(Evidence(whole.client, proxies), GRACE_S)
        return next(one for one in found if "clocks" in one.promise)

    assert clocks(replicas).broken == 0
    assert clocks(replicas).note.endswith("ahead by 2989.0 to 3001.0 ms, so much of the first of 2 pairs of clocks")
    answered = np.flatnonzero(rest["status"] == Status.OK)
    rest["arrival_unix_s"][answered[:3]] += 7.0
    assert clocks(replicas).broken == 3


def test_a_single_request_whose_time_is_impossible_is_named_and_stops_nothing(books: Books, tmp_path: Path) -> None:
    place = of(books.client, Outcome.OK)
    name = books.client[place].request_id
    books.client = [books.client[place]._replace(latency_s=-1.0)]
    books.proxy = books.booked = [one for one in books.proxy if one.request_id == name]
    books.executed = [name]
    findings = audit(books.written(tmp_path), GRACE_S)
    assert broken(findings) == {"I11"}
    assert next(one for one in findings if "clocks" in one.promise).note == ""


def test_what_was_not_given_is_not_checked_and_says_so(books: Books, tmp_path: Path) -> None:
    whole = books.written(tmp_path)
    findings = audit(Evidence(whole.client, whole.proxy), GRACE_S)
    assert {finding.code for finding in findings if finding.unchecked} == {"I1", "I5", "I8", "I9", "I10"}
    assert broken(findings) == set()
    twice = audit(Evidence(whole.client, whole.proxy, whole.scrapes * 2), GRACE_S)
    assert {finding.code for finding in twice if "2 scrapes for 1 traces" in finding.unchecked} == {"I8", "I9"}


def test_the_first_breaches_are_named(books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = [o.request_id for o in books.proxy if o.outcome is Outcome.OK]
    books.proxy = [o for o in books.proxy if o.outcome is not Outcome.OK]
    books.written(tmp_path)
    assert main(["audit", "--client", str(tmp_path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["balanced"] is False
    (breach,) = next(one["breaches"] for one in told["invariants"] if one["code"] == "I3")
    assert (breach["count"], breach["what"]) == (len(lost), "requests were answered without a row at the proxy")
    assert len(breach["first"]) == 5
    assert set(breach["first"]) <= set(lost)


def test_the_command_prints_every_invariant_and_exits_by_what_it_found(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    books.written(tmp_path)
    arguments = ["audit", "--client", str(tmp_path), "--metrics", str(tmp_path / "metrics.txt")]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "the books balance: 13 invariants hold; 1 could not be checked (I5)"
    assert "no log of the upstream was given" in told
    with (tmp_path / "ids.txt").open("w") as file:
        file.writelines(f"{name}\n" for name in [*books.executed, "nobody's"])
    assert main([*arguments, "--upstream", str(tmp_path / "ids.txt")]) == 1
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "the books do not balance: 1 of 14 invariants are broken (I5)"
    assert "1 were computed that no row of the proxy knows" in told
    assert "nobody's" in told


def drained(books: Books, after_s: float) -> None:
    """Have a request that was computed end so long after it came, because the proxy stops."""
    place = of(books.proxy, Outcome.UPSTREAM_ERROR)
    for rows in (books.client, books.proxy, books.booked):
        rows[place] = rows[place]._replace(outcome=Outcome.DRAINING, status=Status.UNAVAILABLE, latency_s=after_s)
    books.executed.append(books.proxy[place].request_id)


def test_a_call_that_the_end_of_a_drain_found_at_the_upstream_may_have_been_computed(
    books: Books, tmp_path: Path
) -> None:
    drained(books, after_s=0.2)  # a proxy that stops waits at least for so long
    findings = audit(books.written(tmp_path), GRACE_S)
    assert [finding for finding in findings if finding.broken] == []


@pytest.mark.parametrize(("status", "waited_s"), [(Status.DEADLINE_EXCEEDED, 0.1), (Status.CANCELLED, 0.1)])
def test_a_client_that_gives_up_while_its_answer_is_on_its_way_is_no_breach(
    books: Books, tmp_path: Path, status: Status, waited_s: float
) -> None:
    wait_in_vain(books, status, waited_s)
    findings = audit(books.written(tmp_path), GRACE_S)
    assert broken(findings) == set()
    assert "1 answered while the client gave up" in next(one.note for one in findings if one.code == "I3")


def test_executions_without_an_id_are_not_taken_for_one_another(books: Books, tmp_path: Path) -> None:
    books.executed += ["", ""]
    (finding,) = (one for one in audit(books.written(tmp_path), GRACE_S) if one.code == "I5")
    assert [breach.what for breach in finding.breaches] == ["were computed that no row of the proxy knows"]


def test_what_a_killed_upstream_left_half_written_is_no_execution(books: Books, tmp_path: Path) -> None:
    whole = books.written(tmp_path)
    with (tmp_path / "upstream.jsonl").open("a") as file:
        file.write('{"request_id": "half')
    again = read_evidence(tmp_path, [tmp_path], [tmp_path / "metrics.txt"], tmp_path / "upstream.jsonl")
    assert again.executed == whole.executed
    assert again.unlogged == 0


def test_what_the_upstream_says_it_could_not_log_is_held_against_nobody(books: Books, tmp_path: Path) -> None:
    lost = books.executed.pop(books.executed.index(books.proxy[of(books.proxy, Outcome.OK)].request_id))
    books.written(tmp_path)
    with (tmp_path / "upstream.jsonl").open("a") as file:
        file.write('{"missing": 1}\n')
    evidence = read_evidence(tmp_path, [tmp_path], [tmp_path / "metrics.txt"], tmp_path / "upstream.jsonl")
    (finding,) = (finding for finding in audit(evidence, GRACE_S) if finding.code == "I5")
    assert lost not in (evidence.executed or ())
    assert (finding.broken, evidence.unlogged) == (0, 1)
    assert "1 are missing in the upstream's log" in finding.note


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("--metrics", "tailgate_received_total x\n", "is not in Prometheus's text format"),
        ("--metrics", "up 1\n", "has no tailgate_received_total"),
        ("--metrics", None, "cannot be read"),
        ("--upstream", '{"id": 1}\n', "no JSON object with request_id in line 1"),
        ("--upstream", '{"request_id": "a"}\n{\n', "in line 2"),
        ("--client", None, "is not a folder"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(  # noqa: PLR0917  # pytest gives them by name
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | None, said: str
) -> None:
    books.written(tmp_path)
    path = tmp_path / "given.txt"
    if content is not None:
        path.write_text(content)
    assert main(["audit", "--client", str(tmp_path), name, str(path)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_folder_without_the_proxys_trace_is_refused(books: Books, tmp_path: Path) -> None:
    books.written(tmp_path)
    (tmp_path / "proxy.trace").unlink()
    with pytest.raises(TraceError, match="no observation of a proxy"):
        read_evidence(tmp_path, [tmp_path], [], None)
