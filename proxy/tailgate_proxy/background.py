"""What is done beside the requests for as long as the proxy runs. Should it fail, that is said at once.

A task that is kept until the end tells nobody of an exception before, and whoever gathers all of them then wants none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger(__name__)


def in_background(work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
    """Begin it.

    Args:
        work: What does not end by itself.
        what: What to call it in the log.
    """
    task = asyncio.get_running_loop().create_task(work, name=what)
    task.add_done_callback(_tell)
    return task


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (fault := task.exception()) is not None:
        _log.error("%s has failed, and will not be done again before a restart", task.get_name(), exc_info=fault)
