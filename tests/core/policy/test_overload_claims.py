"""What `bench/overload.py` claims of a run: of what was measured, by the bounds that the documents give."""

from __future__ import annotations

import pytest

from bench._overload_plan import Load
from bench.overload import Measured, claims

MEASURED = Measured(
    good=190.0, of_attainable=0.97, worst=0.9, p99_ms=90.0, late=0, back_s=0.25, refused_ms=3.0, refused_at_once=0.9,
    statuses={"OK": 1900}, cpu=0.5, waited=0.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("in_time", "in_vain", "holds"), [(0, 0, True), (10, 0, True), (13, 0, False), (20, 80, True), (22, 78, False)]
)
def test_of_n_refusals_that_were_tried_a_tenth_and_eleven_may_prove_false(
    in_time: int, in_vain: int, holds: bool
) -> None:
    status: dict[str, object] = {"tried_in_time": in_time, "tried_in_vain": in_vain}
    made = claims({"tailgate": {Load("Poisson", 2.0): [MEASURED]}}, status)
    assert next(one for one in made if one.claim.startswith("false refusals")).ok is holds
