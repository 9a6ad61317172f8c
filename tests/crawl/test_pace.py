"""When the next request may be sent."""

from __future__ import annotations

from math import inf

import pytest
from scrapy.http import Response

from kolspider.crawl.download_handler import _retry_after
from kolspider.crawl.pace import Pace
from kolspider.errors import StopRun


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
        pace.answered()
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


def test_the_api_says_how_long_the_pause_is() -> None:
    assert Pace(2.0, 5.0).refused(100.0, 101.0, 42.0) == 42.0


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
        pace.answered()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("1.5", 1.5), ("9" * 400, inf), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
    + [(nothing, None) for nothing in ("", "soon", "-1", "nan", "1e3", "٣", "0x10")],
)
def test_retry_after_is_read_whatever_it_holds(header: str, seconds: float | None) -> None:
    assert _retry_after(Response("http://x", headers={"Retry-After": header})) == seconds
