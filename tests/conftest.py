"""What holds for all tests.

Hypothesis never judges by the clock, so a busy machine fails nothing. On a person's machine it looks for new examples
every time; in CI it takes the same ones, so that a change is judged by what it changed.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("tailgate", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
settings.load_profile("tailgate")
