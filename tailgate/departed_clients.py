"""Keeps quiet about clients that left while their answer was being sent.

grpc.aio logs an error with a stack trace each time an answer can no longer be delivered. Under deadlines that is
ordinary: the client's timer ran out first. Such a request is booked like any other, so the log need not shout about it.
"""

from __future__ import annotations

import logging

_LOGGER = "grpc._cython.cygrpc"
_UNDELIVERED = "ExecuteBatchError raised in core by servicer method"


def keep_quiet() -> None:
    """Filter those records; any other error of the library is logged as before. A second call changes nothing."""
    logging.getLogger(_LOGGER).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_UNDELIVERED)
