"""What is left of a deadline when a request is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.deadline import Deadline
from tailgate_loadgen.timeouts import WAIT_S, timeout_at

starts = st.floats(0, 1e6)
budgets = st.floats(1e-6, 3600)
lags = st.floats(0, 4000)


@given(start_s=starts, budget_s=budgets, lag_s=lags)
def test_a_late_send_never_lengthens_the_deadline(start_s: float, budget_s: float, lag_s: float) -> None:
    deadline, now_s = Deadline(start_s, budget_s), start_s + lag_s
    timeout = timeout_at(deadline, now_s, "cancel")
    if timeout is None:
        assert now_s - start_s >= budget_s
    else:
        assert timeout.grpc_s <= budget_s
        # When gRPC gives up, the deadline is at most a rounding error of the clock away.
        assert (now_s + timeout.grpc_s) - (start_s + budget_s) <= 1e-9
        assert timeout.deadline_ms is None


@given(start_s=starts, budget_s=budgets, lag_s=lags)
def test_waiting_says_what_is_left_in_the_metadata_and_gives_grpc_longer(
    start_s: float, budget_s: float, lag_s: float
) -> None:
    deadline, now_s = Deadline(start_s, budget_s), start_s + lag_s
    timeout, cancelling = timeout_at(deadline, now_s, "wait"), timeout_at(deadline, now_s, "cancel")
    assert (timeout is None) == (cancelling is None)
    if timeout is not None and cancelling is not None:
        assert timeout.deadline_ms is not None
        assert float(timeout.deadline_ms) == pytest.approx(cancelling.grpc_s * 1e3, abs=1e-6)
        assert timeout.grpc_s == pytest.approx(cancelling.grpc_s + WAIT_S)


@pytest.mark.parametrize("now_s", [0.5, 0.6, 1e9])
def test_nothing_is_sent_when_nothing_is_left(now_s: float) -> None:
    assert timeout_at(Deadline(0.0, 0.5), now_s, "cancel") is None
    assert timeout_at(Deadline(0.0, 0.5), now_s, "wait") is None
