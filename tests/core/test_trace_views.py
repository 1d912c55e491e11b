"""Records as passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.trace.format import decode
from tailgate.trace.views import passes_of

Make = Callable[..., Observation]
TraceOf = Callable[[Sequence[Observation]], bytes]


@given(st.data())
def test_complete_passes_are_matrices_by_sample_whatever_the_order_of_arrival(
    observation: Make, trace_of: TraceOf, data: st.DataObject
) -> None:
    passes, samples = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    cells = data.draw(st.permutations([(index, sample) for index in range(passes) for sample in range(samples)]))
    given_batch = [
        observation(
            number,
            pass_index=index * 3,
            sample=sample + 7,
            latency_s=index + sample / 10,
            outcome=Outcome.OK if (index + sample) % 3 else Outcome.DEADLINE_IN_FLIGHT,
            predicted=sample % 2,
            label=1,
        )
        for number, (index, sample) in enumerate(cells)
    ]
    warm_up = observation(99, pass_index=-1, sample=0)
    found = passes_of(decode(trace_of([warm_up, *given_batch]), "trace").records)
    assert found.indexes.tolist() == [index * 3 for index in range(passes)]
    assert found.incomplete == 0
    for index in range(passes):
        for sample in range(samples):
            answered = (index + sample) % 3
            assert found.response_s[index, sample] == (index + sample / 10 if answered else np.inf)
            assert found.score[index, sample] == sample % 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_a_pass_is_complete_if_it_holds_every_sample_of_the_run_exactly_once(
    observation: Make, trace_of: TraceOf, cells: list[tuple[int, int]]
) -> None:
    given_batch = [observation(number, pass_index=index, sample=sample) for number, (index, sample) in enumerate(cells)]
    found = passes_of(decode(trace_of(given_batch), "trace").records)
    samples = sorted({sample for _, sample in cells})
    indexes = sorted({index for index, _ in cells})
    complete = [i for i in indexes if sorted(sample for index, sample in cells if index == i) == samples]
    assert found.indexes.tolist() == complete
    assert found.incomplete == len(indexes) - len(complete)
    assert found.response_s.shape == found.score.shape == (len(complete), len(samples))


def test_a_run_without_passes_has_none(observation: Make, trace_of: TraceOf) -> None:
    found = passes_of(decode(trace_of([observation(0, pass_index=-1)]), "trace").records)
    assert found.response_s.shape == (0, 0)
    assert found.incomplete == 0


def test_a_run_cut_short_in_its_first_pass_has_no_complete_pass(observation: Make, trace_of: TraceOf) -> None:
    records = decode(trace_of([observation(number) for number in range(3)]), "trace").records
    assert (len(passes_of(records, 4).indexes), passes_of(records, 4).incomplete) == (0, 1)
    assert passes_of(records, 3).indexes.tolist() == [0]
