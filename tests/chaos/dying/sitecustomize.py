"""Lets a command die, as by `kill -9`, at a named point: KOL_TEST_DIE_AT=point:n, the n-th time it passes there.

Python imports this file by itself when its folder is in PYTHONPATH, which only tests see to. The product knows
nothing of it.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import signal
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

POINTS = {
    "a job's file": ("kolspider.run.job", "Job", "begin"),
    "a KOL's beginning": ("kolspider.store.kols", "Kols", "begin"),
    "a new generation": ("kolspider.store.kols", "Kols", "begin_generation"),
    "the note of a call": ("kolspider.store.kols", "Kols", "add_calls"),
    "a page's storing": ("kolspider.store.pages", "Pages", "put"),
    "a batch": ("kolspider.db.resilient", "Upserter", "upsert"),
    "a commit": ("pymysql.connections", "Connection", "commit"),
    "the rejects": ("kolspider.store.rejects", "RejectsFile", "append"),
    "the ledger's note of a batch": ("kolspider.store.ledger", "Ledger", "note_loaded"),
    "a list's end": ("kolspider.store.kols", "Kols", "end"),
    "a list's settling": ("kolspider.store.kols", "Kols", "settle_all"),
    "the writer's close": ("kolspider.load.writer", "Writer", "close"),
    "a delivery": ("kolspider.alerts.receivers", "Receiver", "deliver"),
    "the note of a delivery": ("kolspider.store.outbox", "Outbox", "note_sent"),
    "the note of what lost accounts tell": ("kolspider.store.lost", "LostAccounts", "note"),
    "the release of alerts": ("kolspider.store.outbox", "Outbox", "release"),
    "the ledger's close": ("kolspider.store.ledger", "Ledger", "close"),
}
"""Each is two points: `before <name>` and `after <name>`."""


def die() -> None:
    """What the kernel does to a process that uses too much memory: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


def _dying(method: Callable[..., Any], when: str, nth: int) -> Callable[..., Any]:
    """The method, that dies before or after its nth call."""
    calls = count(1)

    @functools.wraps(method)
    def plain(*args: Any, **kwargs: Any) -> Any:
        last = next(calls) == nth
        if last and when == "before":
            die()
        result = method(*args, **kwargs)
        if last:
            die()
        return result

    @functools.wraps(method)
    async def waiting(*args: Any, **kwargs: Any) -> Any:
        last = next(calls) == nth
        if last and when == "before":
            die()
        result = await method(*args, **kwargs)
        if last:
            die()
        return result

    return waiting if asyncio.iscoroutinefunction(method) else plain


def _arm(point: str, nth: int) -> None:
    if point == "inside a batch":
        _arm_the_inside_of_a_batch(nth)
        return
    when, name = point.split(" ", 1)
    module, class_name, method_name = POINTS[name]
    owner = getattr(importlib.import_module(module), class_name)
    method = getattr(owner, method_name)
    dying = _dying(method, when, nth)
    setattr(owner, method_name, staticmethod(dying) if method_name == "begin" and class_name == "Job" else dying)


def _arm_the_inside_of_a_batch(nth: int) -> None:
    """Rows of a batch are with the database, in a transaction that is open."""
    batches = count(1)
    owner = importlib.import_module("pymysql.connections").Connection
    owner.commit = _dying(owner.commit, "before", nth)

    def half_of(rows: Iterable[Any]) -> Iterator[Any]:
        rows = list(rows)
        yield from rows[: len(rows) // 2]
        die()

    owner = importlib.import_module("kolspider.db.sqlite").SqliteDatabase
    usual = owner._write

    def write(self: Any, sql: str, values: Any, *check: Any) -> None:
        usual(self, sql, half_of(values) if next(batches) == nth else values, *check)

    owner._write = write


if "KOL_TEST_DIE_AT" in os.environ:
    _point, _, _nth = os.environ["KOL_TEST_DIE_AT"].rpartition(":")
    _arm(_point, int(_nth))
