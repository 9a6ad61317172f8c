"""KOL_RATE, and how many lists are open at once, by the API's own log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.processes import finish
from tests.e2e.project import settings

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject

MANY = {f"kol{number}": 250 for number in range(30)}


def test_auto_goes_as_fast_as_the_api_allows_and_begins_there_next_time(make_project: MakeProject) -> None:
    project = make_project(MANY, rate=15)
    auto = settings(KOL_RATE="auto", KOL_RETRY_SECS=0.05)
    project.scrapy("crawl", "followings", *auto).expect(0)
    assert project.ledger("SELECT state, count(*) FROM kol GROUP BY state") == [("fetched", 30)]
    refused = [call for call in project.api.calls if call.status == 429]
    assert len(refused) <= 10, "each is a step down, and all that were under way are one"
    assert sum(call.status == 200 for call in project.api.calls) == 60, "a refused page is asked for again, once it can"
    ((found,),) = project.ledger("SELECT value FROM note WHERE key = 'calls in 1,000 s, twitterapi_io'")
    assert 1000 < found <= 1.4 * 15_000, "no faster than one step above what was taken"
    told = project.look("crawl", "followings", "-a", "estimate=1", "-a", "refresh=0s", *auto).out
    assert f"as fast as the API allows (KOL_RATE=auto), {found / 1000:.3g} a second last time" in told


def test_a_rate_is_so_many_calls_a_second(make_project: MakeProject) -> None:
    project = make_project(MANY)
    project.scrapy("crawl", "followings", *settings(KOL_RATE=20)).expect(0)
    calls = project.api.calls
    assert len(calls) == 60
    assert calls[-1].at - calls[0].at > 59 / 20 - 1, "the first may arrive late, but no other early"
    told = project.look("crawl", "followings", "-a", "estimate=1", "-a", "refresh=0s", *settings(KOL_RATE=20)).out
    assert "at 20 calls a second (KOL_RATE)" in told


def test_until_a_page_has_come_few_lists_are_open_then_as_many_as_go_unused_turns(make_project: MakeProject) -> None:
    project = make_project(MANY)
    project.api.hold(after=0)
    crawl = project.start("crawl", "followings", *settings(DOWNLOAD_DELAY=0))
    project.wait_for_calls(8)
    assert len(project.api.calls) == 8
    project.api.hold(after=1)
    project.wait_for_calls(31)
    assert {call.handle for call in project.api.calls} == set(MANY)
    project.api.release()
    finish(crawl, 60).expect(0)
    assert project.ledger("SELECT state, count(*) FROM kol GROUP BY state") == [("fetched", 30)]


def test_with_wrong_rates_nothing_begins(make_project: MakeProject) -> None:
    project = make_project({"BTC": 20})
    for wrong in ("0", "-1", "fast", "nan", "inf"):
        result = project.look("crawl", "followings", *settings(KOL_RATE=wrong))
        told = f"kolspider: KOL_RATE='{wrong}' is neither a number above 0, in calls a second, nor auto"
        assert (result.code, result.err.splitlines()[-1]) == (2, told)
    assert project.api.calls == []
