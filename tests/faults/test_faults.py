"""Each fault that needs no root, once, against a whole proxy under load; `python -m faults` does more of it.

`tailgate audit` is the judge: of the client's log, the proxy's trace and metrics, and what the upstream executed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.cases import CASES, Case
from faults.stage import QUICK, play

SEED = 1


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name.replace(" ", "-")) for case in CASES])
async def test_the_books_balance_and_calls_are_answered_again_after(case: Case, tmp_path: Path) -> None:
    ended = await play(case.strike, tmp_path, SEED, QUICK, case.setting())
    assert case.judge(ended) == []
    assert len(ended.log) >= 50
