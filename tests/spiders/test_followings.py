"""What the spider records of a list, page by page."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import MagicMock

import pytest
from scrapy.http import TextResponse

from kolspider.crawl.page_request import PageRequest
from kolspider.items import FollowingsPage, Kol, State
from kolspider.live.crew import Round
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.providers import provider
from kolspider.providers.base import Account, Page
from kolspider.providers.paging import Paging
from kolspider.spiders.followings import FollowingsSpider, _List
from tests.live.unguarded import Unguarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

BTC = Kol("btc", "BTC")


class Recorder:
    """Records how lists end; everything else of a run does nothing here."""

    def __init__(self) -> None:
        self.ended: list[State] = []

    async def list_ended(self, _: Kol, state: State, *__: object, **___: object) -> None:
        self.ended.append(state)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.mark.parametrize(("seq", "ended"), [(1, [State.FETCHED]), (None, [])])
def test_a_list_whose_last_page_could_not_be_stored_has_not_ended(seq: int | None, ended: list[State]) -> None:
    recorder = Recorder()
    config = SimpleNamespace(provider=provider("twitterapi_io"), concurrency=8, stop_after=20, api_url="http://api")
    ledger = MagicMock(**{"readings.is_doubtful.return_value": False, "readings.note_length.return_value": False})
    run = SimpleNamespace(
        config=config,
        ledger=ledger,
        stop=recorder,
        store=Unguarded(),
        tally=Tally(),
        work=recorder,
        commits=recorder,
        pace=recorder,
        crew=SimpleNamespace(loads_from_store=False),
    )
    spider = FollowingsSpider()
    spider.use(cast("Any", run))
    spider._cached = cast("Any", recorder)
    asked = PageRequest(BTC, 0, "", 1, 200, answer=Page([{"id": "1"}], more=False, next_cursor=None), seq=seq)
    followings = _List(BTC, Account("BTC"), 0, Paging(), 200)
    yielded = list(asyncio.run(spider.parse_page(TextResponse("http://api"), followings, asked)))
    assert [type(item) for item in yielded] == [FollowingsPage], "its users go into the table all the same"
    assert recorder.ended == ended


def test_a_page_of_the_cache_that_is_dropped_when_the_run_stops_is_not_counted() -> None:
    page, stop, spider = FollowingsPage(BTC, 1, "", [], last=True), Stop(), FollowingsSpider()

    async def pages(**_: bool) -> AsyncIterator[FollowingsPage]:
        yield page
        stop.set()
        yield page

    async def loaded() -> list[FollowingsPage]:
        return [one async for one in spider._work(Round(loads=True))]

    spider.run, spider._stop = cast("Any", SimpleNamespace(tally=Tally())), stop
    spider._cached, spider._provider = cast("Any", SimpleNamespace(read=pages)), provider("twitterapi_io")
    assert asyncio.run(loaded()) == [page]
    assert spider.run.tally.cache_hits == 1


def test_of_the_known_part_of_a_list_one_page_at_a_time_is_in_memory() -> None:
    """A list of 100,000 accounts is 75 MB of JSON, and several are begun at once."""
    steps: list[str] = []

    def kept() -> Iterator[tuple[str, bytes]]:
        for cursor in ("", "2"):
            steps.append("unpacked")
            yield cursor, b""

    def parse(*_: object) -> Page:
        steps.append("read")
        return Page([{"id": str(len(steps))}], more=False, next_cursor=None)

    spider = FollowingsSpider()
    spider._ledger = MagicMock(**{"readings.known_pages.return_value": kept()})
    spider._provider = cast("Any", SimpleNamespace(parse=parse, account_id=lambda user: user["id"]))
    spider._config, spider._store = cast("Any", SimpleNamespace(follows_table="")), cast("Any", Unguarded())
    known = asyncio.run(spider._known(BTC))
    assert known.places == {2: 0, 4: 1}
    assert steps == ["unpacked", "read"] * 2
