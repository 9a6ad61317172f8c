"""How long an answer asks to wait, whatever its header holds."""

from __future__ import annotations

import time
from email.utils import formatdate
from math import inf
from typing import TYPE_CHECKING

import pytest
from scrapy.http import Response

from kolspider.crawl.retry_after import retry_after

if TYPE_CHECKING:
    from collections.abc import Iterator

DATE = "Thu, 26 Nov 2026 10:00:00 GMT"


def asked(**headers: str) -> float | None:
    return retry_after(Response("http://x", headers={name.replace("_", "-"): text for name, text in headers.items()}))


@pytest.fixture(params=["UTC", "Asia/Shanghai"])
def _any_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in London, and one in Shanghai."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("1.5", 1.5), ("9" * 400, inf), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
    + [(nothing, None) for nothing in ("", "soon", "-1", "nan", "1e3", "٣", "0x10")],
)
def test_it_is_read_whatever_it_holds(header: str, seconds: float | None) -> None:
    assert asked(Retry_After=header) == seconds


@pytest.mark.usefixtures("_any_zone")
@pytest.mark.parametrize(
    "date",
    [
        "Thu, 26 Nov 2026 10:00:42 GMT",
        "Thu, 26 Nov 2026 10:00:42",
        "Thu, 26 Nov 2026 10:00:42 -0000",
        "Thu, 26 Nov 2026 18:00:42 +0800",
        "Thursday, 26-Nov-26 10:00:42 GMT",
        "Thu Nov 26 10:00:42 2026",
    ],
)
def test_a_date_is_measured_by_the_date_of_the_answer(date: str) -> None:
    assert asked(Retry_After=date, Date=DATE) == 42


@pytest.mark.usefixtures("_any_zone")
@pytest.mark.parametrize("of_answer", [{}, {"Date": "yesterday"}])
def test_a_date_is_measured_by_our_clock_if_the_answer_has_none(of_answer: dict[str, str]) -> None:
    for date in (formatdate(time.time() + 60, usegmt=True), formatdate(time.time() + 60, usegmt=True)[:-4]):
        wait = asked(Retry_After=date, **of_answer)
        assert wait is not None
        assert 0 < wait <= 60
