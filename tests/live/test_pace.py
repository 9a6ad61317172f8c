"""When the next request may be sent."""

from __future__ import annotations

import asyncio
import time

import pytest

from kolspider.errors import NotAsked, StopRun
from kolspider.live.pace import Pace
from kolspider.live.stop import Stop


def test_requests_keep_their_interval() -> None:
    pace = Pace(2.0, 5.0)
    pace.sent(100.0)
    assert pace.next_at == 102.0


def test_a_429_pauses_everything_then_slows_down_and_good_answers_speed_up_again() -> None:
    pace = Pace(2.0, 5.0)
    pace.sent(100.0)
    assert pace.refused(100.0, 101.0, None) == 5.0
    pace.sent(106.0)
    assert pace.next_at == 110.0, "the interval has doubled"
    for _ in range(100):
        pace.answered("btc", 110.0, well=True)
    pace.sent(200.0)
    assert pace.next_at == pytest.approx(202.0, abs=0.001)


def test_each_further_429_waits_twice_as_long() -> None:
    pace = Pace(2.0, 5.0)
    waits = [pace.refused(now, now, None) for now in (100.0, 200.0, 300.0)]
    assert waits == [5.0, 10.0, 20.0]


def test_requests_that_were_under_way_when_the_pause_began_are_the_same_refusal() -> None:
    pace = Pace(2.0, 5.0)
    waits = [pace.refused(sent_at, 101.0, None) for sent_at in (100.0, 99.0, 98.0)]
    assert waits == [5.0, 5.0, 5.0]
    assert pace.refused(101.0, 102.0, None) == 10.0, "it was sent when the pause began"


def test_a_pace_without_an_interval_gets_a_tenth_of_a_second_and_none_is_longer_than_the_longest_wait() -> None:
    pace = Pace(0.0, 100.0)
    for interval in (0.1, 0.2, 0.4):
        now = 1000.0 * interval
        pace.refused(now, now, None)
        pace.sent(turn := pace.next_at)
        assert pace.next_at == pytest.approx(turn + interval)
    assert pace.refused(900.0, 900.0, None) == 300.0
    pace = Pace(200.0, 1.0)
    pace.refused(100.0, 100.0, None)
    pace.sent(101.0)
    assert pace.next_at == 401.0


def test_the_api_says_how_long_the_pause_is() -> None:
    for asked in (0.0, 42.0, 3600.0):
        assert Pace(2.0, 5.0).refused(100.0, 101.0, asked) == asked
        assert Pace(2.0, 5.0).unavailable(101.0, asked) == asked


@pytest.mark.parametrize("asked", [3601.0, 86_400.0])
def test_a_pause_of_hours_ends_the_run(asked: float) -> None:
    with pytest.raises(StopRun, match="asks to wait"):
        Pace(2.0, 5.0).refused(100.0, 101.0, asked)


def test_endless_429s_end_the_run() -> None:
    pace = Pace(2.0, 5.0)
    for n in range(10):
        pace.refused(1000.0 * n, 1000.0 * n, None)
    with pytest.raises(StopRun, match="11 times in a row"):
        pace.refused(10_000.0, 10_000.0, None)


def test_a_good_answer_between_two_429s_counts() -> None:
    pace = Pace(2.0, 5.0)
    for n in range(30):
        pace.refused(1000.0 * n, 1000.0 * n, None)
        pace.answered("btc", 1000.0 * n, well=False)


def test_a_refusal_of_one_kol_alone_is_its_own_once_others_were_answered_meanwhile() -> None:
    pace = Pace(2.0, 5.0)
    assert not pace.is_own("odd", 100.0), "nobody can tell yet"
    assert not pace.is_own("odd", 110.0), "nobody else was asked"
    pace.answered("good", 109.0, well=True)
    assert not pace.is_own("odd", 120.0), "the good request was sent before the refusal"
    pace.answered("good", 120.0, well=True)
    assert not pace.is_own("odd", 120.0), "or with it"
    pace.answered("good", 121.0, well=True)
    assert pace.is_own("odd", 130.0)
    assert not pace.is_own("other", 131.0), "each KOL has its own"
    pace.answered("good", 132.0, well=False)
    assert not pace.is_own("other", 133.0), "an error is no answer"


def test_a_kol_that_got_a_page_is_refused_like_any_other_again() -> None:
    pace = Pace(2.0, 5.0)
    pace.is_own("odd", 100.0)
    pace.answered("odd", 101.0, well=True)
    assert not pace.is_own("odd", 110.0)


def test_a_503_that_names_a_wait_pauses_everything_and_does_not_slow_down() -> None:
    pace = Pace(2.0, 5.0)
    assert pace.unavailable(100.0, 42.0) == 42.0
    assert pace.next_at == 142.0
    pace.sent(142.0)
    assert pace.next_at == 144.0
    with pytest.raises(StopRun, match=r"503 and asks to wait 2\.0 h"):
        pace.unavailable(150.0, 7200.0)


async def _begins(pace: Pace, stop: Stop) -> bool:
    """Whether another list begins now."""
    try:
        async with asyncio.timeout(0.05):
            await pace.unused(stop)
    except TimeoutError:
        return False
    return True


def test_a_list_begins_when_a_turn_would_go_unused() -> None:
    async def story() -> None:
        pace, stop = Pace(0.0, 5.0), Stop()
        assert await _begins(pace, stop)
        pace.is_coming("btc")
        assert not await _begins(pace, stop), "its request may be on its way to the turn"
        async with pace.turn("btc", again=False):
            assert not await _begins(pace, stop), "it waits for the turn"
        assert await _begins(pace, stop)
        pace.next_at = time.monotonic() + 3600
        assert not await _begins(pace, stop), "there is no turn yet"
        async with pace.turn("btc", again=True):
            assert await _begins(pace, stop), "one was refused, which may be its own"
            async with pace.turn("eth", again=False):
                assert not await _begins(pace, stop)
        stop.set()
        with pytest.raises(NotAsked):
            await pace.unused(stop)

    asyncio.run(story())
