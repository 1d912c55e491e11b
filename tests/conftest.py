"""What holds for all tests: Hypothesis never judges by the clock, so a busy machine fails nothing."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("tailgate", deadline=None, print_blob=True)
settings.load_profile("tailgate")
