"""The store behind Scrapy's cache interface."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from scrapy import Request
from scrapy.http import TextResponse
from scrapy.settings import Settings
from scrapy.statscollectors import StatsCollector
from scrapy.utils.test import get_crawler

from kolspider.crawl.httpcache import PageCache, PageStorage, WholePagePolicy
from kolspider.crawl.page_request import PageRequest
from kolspider.items import Kol
from kolspider.live.disk import Disk
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.providers import provider
from kolspider.providers.base import ApiError, ApiErrorKind, Page
from kolspider.store.ledger import Ledger
from tests.live.unguarded import Unguarded, alone
from tests.loading import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scrapy import Spider
    from scrapy.http import Response
    from scrapy.settings import BaseSettings

SETTINGS = cast("BaseSettings", None)
SPIDER = cast("Spider", None)
BODY = json.dumps({"followings": []}).encode()
URL = "https://api.example/page"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path, provider("twitterapi_io"), "here")
    yield ledger
    ledger.close()


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture
def storage(ledger: Ledger, tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch) -> PageStorage:
    parts = SimpleNamespace(
        ledger=ledger, store=Disk(tmp_path, stop), crew=alone(), tally=Tally(), arguments=SimpleNamespace(dry_run=True)
    )
    monkeypatch.setattr("kolspider.crawl.httpcache.run_of", lambda _: parts)
    storage = PageStorage(SETTINGS)
    storage.open_spider(cast("Spider", SimpleNamespace(crawler=None)))
    return storage


def put(storage: PageStorage, sent: Request) -> None:
    """Store the page that came, as PageCache does."""
    storage.store_response(SPIDER, sent, TextResponse(URL, body=BODY))
    asyncio.run(storage.store())


def get(storage: PageStorage, sent: Request) -> Response | None:
    storage.found = asyncio.run(storage.find(sent))
    return storage.retrieve_response(SPIDER, sent)


def request(generation: int = 0, cursor: str = "") -> tuple[Request, PageRequest]:
    asked = PageRequest(Kol("btc", "BTC"), generation, cursor, 1, 200, answer=Page([], None, more=False))
    return Request(URL, meta=asked.meta(URL)), asked


def test_a_stored_page_is_found_again_with_its_place(storage: PageStorage) -> None:
    sent, asked = request()
    put(storage, sent)
    assert asked.seq is not None
    assert asked.fetched_at > 0

    later, found = request()
    response = get(storage, later)
    assert response is not None
    assert (response.body, found.seq) == (BODY, asked.seq)
    assert storage._tally.cache_hits == 1


def test_a_page_that_is_loaded_from_the_cache_anyway_counts_there(storage: PageStorage, ledger: Ledger) -> None:
    first, second = request(), request(cursor="2")
    for sent, _ in (first, second):
        put(storage, sent)
    storage._dry_run = False
    assert first[1].seq
    ledger.note_loaded([first[1].seq], None)
    ledger.selection.read(["btc"])
    ledger.selection.choose_all(None)
    list(waiting(ledger.pages))
    hits = []
    for sent, _ in (first, second):
        assert get(storage, sent)
        hits.append(storage._tally.cache_hits)
    assert hits == [1, 1], "the second one waits"


@pytest.mark.parametrize("other", [request(generation=1), request(cursor="2")])
def test_a_page_of_another_reading_or_cursor_is_not_found(
    storage: PageStorage, other: tuple[Request, PageRequest]
) -> None:
    put(storage, request()[0])
    assert get(storage, other[0]) is None


def test_a_page_belongs_to_its_own_request_when_another_look_up_overtakes_it(ledger: Ledger) -> None:
    """A store over the network answers while other requests go on."""
    ledger.pages.put(Kol("btc", "BTC"), 0, "", 1, 0, BODY, fetched_at=1.0)
    (kept, _), (other, _) = request(), request(cursor="2")

    class Remote(Unguarded):
        async def ask(self, work: Callable[[], Any]) -> Any:
            answer = work()
            for _ in range(1 if answer else 3):
                await asyncio.sleep(0)
            return answer

    async def story() -> Any:
        settings = Settings(
            {"HTTPCACHE_ENABLED": True, "HTTPCACHE_STORAGE": PageStorage, "HTTPCACHE_POLICY": WholePagePolicy}
        )
        cache = PageCache(settings, StatsCollector(get_crawler()))
        cache.crawler = get_crawler()
        cache.storage._pages, cache.storage._store, cache.storage._crew = ledger.pages, Remote(), alone()
        cache.storage._tally, cache.storage._dry_run = Tally(), True
        return await asyncio.gather(cache.process_request(other), cache.process_request(kept))

    missing, found = asyncio.run(story())
    assert missing is None
    assert found.body == BODY


def test_a_page_that_cannot_be_stored_stops_the_run(storage: PageStorage, ledger: Ledger, stop: Stop) -> None:
    sent, asked = request()
    ledger.close()
    put(storage, sent)
    assert asked.seq is None
    assert stop.is_set()


def test_only_pages_are_stored() -> None:
    policy = WholePagePolicy(SETTINGS)
    sent, asked = request()
    response = TextResponse(URL, body=BODY)
    assert policy.should_cache_response(response, sent)
    asked.answer = ApiError(ApiErrorKind.ERROR_IN_200, "failed")
    assert not policy.should_cache_response(response, sent)
    assert not policy.should_cache_request(Request("data:,"))
