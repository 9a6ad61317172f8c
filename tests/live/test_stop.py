"""A run stops once, for one reason, and wakes whatever waits."""

from __future__ import annotations

import asyncio

import pytest

from kolspider.errors import NotAsked, StopRun
from kolspider.live.stop import Stop


def test_the_first_error_counts(caplog: pytest.LogCaptureFixture) -> None:
    stop = Stop()
    stop.fail(StopRun("the key is refused"))
    stop.fail(StopRun("the disk is full"))
    assert str(stop.error) == "the key is refused"
    assert caplog.messages == ["the key is refused"]


def test_a_ctrl_c_is_no_error() -> None:
    stop = Stop()
    stop.set()
    assert stop.is_set()
    assert stop.error is None


def test_an_error_after_a_ctrl_c_is_kept() -> None:
    stop = Stop()
    stop.set()
    stop.fail(StopRun("the disk is full"))
    assert str(stop.error) == "the disk is full"


def test_callbacks_are_called_once_also_when_they_come_late() -> None:
    stop, calls = Stop(), list[str]()
    stop.on_stop(lambda: calls.append("early"))
    stop.set()
    stop.fail(StopRun("again"))
    stop.on_stop(lambda: calls.append("late"))
    assert calls == ["early", "late"]


async def _sleep_while(stop: Stop, seconds: float, *, then: bool) -> None:
    sleeper = asyncio.ensure_future(stop.sleep(seconds))
    await asyncio.sleep(0)
    if then:
        stop.set()
    await asyncio.wait_for(sleeper, 60)


def test_a_sleep_ends_when_the_run_stops() -> None:
    with pytest.raises(NotAsked):
        asyncio.run(_sleep_while(Stop(), 3600, then=True))


def test_a_sleep_of_a_run_that_goes_on_ends_by_itself() -> None:
    asyncio.run(_sleep_while(Stop(), 0.01, then=False))


def test_a_run_that_has_stopped_sleeps_no_more() -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(NotAsked):
        asyncio.run(stop.sleep(3600))
