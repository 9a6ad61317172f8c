"""When the next request may be sent, by a clock that the test holds."""

from __future__ import annotations

from math import inf

import pytest
from scrapy.http import Response

from kolspider.crawl.edge import Pace, _retry_after
from kolspider.errors import StopRun


def test_requests_are_an_interval_apart() -> None:
    pace = Pace(interval=2, first_wait=5)
    for now in (0.0, 2.0, 7.5):
        assert pace.next_at <= now
        pace.sent(now)
        pace.answered()
        assert pace.next_at == now + 2


def test_after_a_429_there_is_a_pause_then_half_the_pace_and_each_good_answer_makes_it_faster() -> None:
    pace = Pace(interval=2, first_wait=5)
    pace.sent(0)
    assert pace.refused(sent_at=0, now=1, retry_after=60) == 60
    assert pace.next_at == 61
    intervals = []
    for now in range(61, 161, 5):
        pace.sent(now)
        intervals.append(pace.next_at - now)
        pace.answered()
    assert intervals == pytest.approx([2 + 2 * 0.9**n for n in range(20)])


def test_waits_without_a_header_grow_and_calls_that_were_on_their_way_count_once() -> None:
    pace = Pace(interval=2, first_wait=5)
    pace.sent(0)
    assert pace.refused(sent_at=0, now=1, retry_after=None) == 5
    assert pace.refused(sent_at=0.5, now=1.5, retry_after=None) == 5
    pace.sent(10)
    assert pace.refused(sent_at=10, now=11, retry_after=None) == 10


def test_429_for_ever_is_bounded() -> None:
    pace, now, refusals = Pace(interval=2, first_wait=5), 0.0, 0
    try:
        while refusals < 100:
            refusals += 1
            pace.sent(now)
            now += pace.refused(now, now, None)
    except StopRun:
        pass
    assert 5 <= refusals <= 20
    assert now < 3600


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("1.5", 1.5), ("9" * 400, inf), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
    + [(nothing, None) for nothing in ("", "soon", "-1", "nan", "1e3", "٣", "0x10")],
)
def test_retry_after_is_read_whatever_it_holds(header: str, seconds: float | None) -> None:
    assert _retry_after(Response("http://x", headers={"Retry-After": header})) == seconds
