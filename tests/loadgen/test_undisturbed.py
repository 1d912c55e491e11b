"""What is changed for a run is put back after it."""

from __future__ import annotations

import contextlib
import gc
import sys

import pytest

from tailgate_loadgen.undisturbed import SWITCH_INTERVAL_S, undisturbed


def test_what_exists_is_out_of_the_collectors_sight_and_other_threads_give_way_soon_until_it_is_over() -> None:
    before_s, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    with contextlib.suppress(ZeroDivisionError), undisturbed():
        assert gc.get_freeze_count() > frozen
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
        raise ZeroDivisionError
    assert gc.get_freeze_count() == 0
    assert sys.getswitchinterval() == before_s
