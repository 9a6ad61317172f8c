"""A time limit counts only while the process runs."""

from __future__ import annotations

import asyncio
import time

import pytest

from kolspider.crawl import awake
from kolspider.crawl.awake import within


async def after_turns(turns: int) -> str:
    """Take this many turns of the event loop, as reading a long answer does."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return "answer"


def test_what_arrived_while_the_process_was_stopped_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awake, "_STALL", 0.1)

    async def stopped_for_longer_than_the_limit() -> str:
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 - as the loop sees a stop of the process
        return await after_turns(50)

    assert asyncio.run(within(0.2, stopped_for_longer_than_the_limit())) == "answer"


def test_what_takes_too_long_is_cancelled() -> None:
    cancelled = []

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(TimeoutError):
        asyncio.run(within(0.01, for_ever()))
    assert cancelled == [True]


def test_what_fails_in_time_fails() -> None:
    async def fail() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        asyncio.run(within(1, fail()))
