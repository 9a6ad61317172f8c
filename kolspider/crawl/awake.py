"""Time limits that count only while the process runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["within"]

_Result = TypeVar("_Result")

_STEP = 1.0
_STALL = 1.0
"""Seconds that a step takes longer than it should if the process, or its machine, was stopped meanwhile."""


async def within(seconds: float, work: Coroutine[object, object, _Result]) -> _Result:
    """Return what `work` does. Raises TimeoutError, and cancels it, after this many seconds awake.

    After a stop, what has arrived in the meantime is read before the time is up: the rest of the time begins then.
    """
    task = asyncio.ensure_future(work)
    try:
        while seconds > 0:
            began, step = time.monotonic(), min(seconds, _STEP)
            if (await asyncio.wait({task}, timeout=step))[0]:
                return task.result()
            if time.monotonic() - began < step + _STALL:
                seconds -= step
        raise TimeoutError
    finally:
        task.cancel()
