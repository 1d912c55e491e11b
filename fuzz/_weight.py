"""What an object keeps alive, in bytes: the measure of growth."""

from __future__ import annotations

import enum
import gc
import sys
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType, enum.Enum)


def weight(root: object) -> int:
    """Bytes of all that can be reached from an object, without code, types and constants."""
    seen: set[int] = set()
    total, waiting = 0, [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return total
