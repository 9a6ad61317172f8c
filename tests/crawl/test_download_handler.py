"""The edge of the network, without a network: who gets the key, what a cap lets through, what a refusal holds up."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from scrapy import Request
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.exceptions import DownloadConnectionRefusedError, DownloadTimeoutError
from scrapy.http import TextResponse
from scrapy.settings import Settings
from scrapy.utils.test import get_crawler

from kolspider.crawl import download_handler
from kolspider.crawl.download_handler import ApiDownloadHandler
from kolspider.crawl.page_request import PageRequest
from kolspider.errors import NotAsked
from kolspider.items import Kol
from kolspider.live.bill import Bill
from kolspider.live.disk import Disk
from kolspider.live.pace import Pace
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.live.work import Work
from kolspider.options.arguments import Arguments
from kolspider.options.config import Config
from kolspider.providers.base import ApiError, ApiErrorKind
from kolspider.providers.described import DescribedProvider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

KEY = "key-0123456789"
API = "https://api.example/v1"
NOW, LATER = {"Retry-After": "0"}, {"Retry-After": "3600"}

Answer = TextResponse | Exception


class Edge:
    """A handler whose network is a list of answers. It is made in the event loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, max_calls: int | None) -> None:
        settings = Settings()
        settings.setmodule("kolspider.settings")
        own = {"KOL_API_KEY": KEY, "KOL_API_URL": API, "DOWNLOAD_DELAY": 0, "KOL_RETRY_SECS": 0.01, "RETRY_TIMES": 2}
        for name, value in own.items():
            settings.set(name, value, priority="cmdline")
        self.config = Config.from_settings(settings)
        self.stop, self.tally = Stop(), Tally()
        self.bill = Bill(Arguments(max_calls=max_calls), self.config, self.stop, self.tally)
        self.noted: Counter[str] = Counter()
        """Calls in the ledger, by KOL."""
        self.sent: list[Request] = []
        self.found: list[float | None] = []
        """Rates that were noted in the ledger."""
        self.answers: list[Answer] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.pool = SimpleNamespace(retryAutomatically=True, cachedConnectionTimeout=240)
        ledger = SimpleNamespace(kols=SimpleNamespace(add_calls=self._add_calls), note_found_rate=self.found.append)
        run = SimpleNamespace(
            config=self.config,
            stop=self.stop,
            tally=self.tally,
            bill=self.bill,
            work=Work(),
            pace=Pace.of(self.config, None),
            store=Disk(folder, self.stop),
            ledger=ledger,
        )

        def init(handler: Any, _: object) -> None:
            handler._pool = self.pool

        async def download(_: object, request: Request) -> TextResponse:
            self.sent.append(request)
            await self.hold.wait()
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(HTTP11DownloadHandler, "__init__", init)
        monkeypatch.setattr(HTTP11DownloadHandler, "download_request", download)
        monkeypatch.setattr(download_handler, "run_of", lambda _: run)
        self.handler = ApiDownloadHandler(get_crawler())

    def _add_calls(self, handle: str, calls: int) -> None:
        self.noted[handle] += calls

    async def ask(self, handle: str = "btc") -> int:
        """Ask for a page of a KOL's list. Returns the status of the answer."""
        asked = PageRequest(Kol(handle, handle), 0, "", 1, 200)
        return (await self.handler.download_request(Request(f"{API}/x", meta=asked.meta(API)))).status


def answer(status: int, headers: dict[str, str] | None = None) -> TextResponse:
    return TextResponse(f"{API}/x", status=status, headers=headers)


@pytest.fixture
def on_the_edge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Edge]:
    """Run a story with an edge, for a minute at most. Returns the edge."""

    def run(story: Callable[[Edge], Coroutine[Any, Any, None]], max_calls: int | None = None) -> Edge:
        async def told() -> Edge:
            edge = Edge(monkeypatch, tmp_path, max_calls)
            async with asyncio.timeout(60):
                await story(edge)
            return edge

        return asyncio.run(told())

    return run


def asking(*answers: Answer, expected: int | type[Exception]) -> Callable[[Edge], Awaitable[None]]:
    """The story of one request: the answers that it gets, and what comes of it."""

    async def story(edge: Edge) -> None:
        edge.answers += answers
        if isinstance(expected, int):
            assert await edge.ask() == expected
        else:
            with pytest.raises(expected):
                await edge.ask()

    return story


def test_a_request_is_counted_before_it_is_sent_and_never_by_twisted_again(on_the_edge: Callable[..., Edge]) -> None:
    async def story(edge: Edge) -> None:
        edge.hold.clear()
        asked = asyncio.ensure_future(edge.ask())
        while not edge.sent:  # noqa: ASYNC110 - there is no event for that
            await asyncio.sleep(0)
        assert (edge.tally.calls, edge.noted) == (1, {"btc": 1})
        edge.answers.append(answer(200))
        edge.hold.set()
        assert await asked == 200

    edge = on_the_edge(story)
    assert (edge.tally.calls, edge.noted) == (1, {"btc": 1})
    assert (edge.pool.retryAutomatically, edge.pool.cachedConnectionTimeout) == (False, 4)
    assert edge.sent[0].headers["X-API-Key"] == KEY.encode()
    assert edge.sent[0].meta["download_timeout"] > edge.config.timeout


def test_a_call_that_never_left_the_machine_is_none_and_one_without_an_answer_is(
    on_the_edge: Callable[..., Edge],
) -> None:
    refused = on_the_edge(asking(DownloadConnectionRefusedError("no"), expected=DownloadConnectionRefusedError))
    assert (refused.tally.calls, +refused.noted) == (0, {})
    lost = on_the_edge(asking(DownloadTimeoutError("no"), expected=DownloadTimeoutError))
    assert (lost.tally.calls, lost.noted) == (1, {"btc": 1})


def test_at_the_cap_no_call_is_sent(on_the_edge: Callable[..., Edge]) -> None:
    async def story(edge: Edge) -> None:
        edge.answers.append(answer(200))
        assert await edge.ask() == 200
        assert not edge.stop.is_set()
        edge.bill.charge(0, edge.bill.dearest_page)
        with pytest.raises(NotAsked):
            await edge.ask()

    edge = on_the_edge(story, max_calls=1)
    assert (len(edge.sent), edge.tally.calls) == (1, 1)
    assert "the cap of 1 API call is reached" in str(edge.stop.error)


def test_at_the_cap_a_call_waits_for_one_that_may_turn_out_to_be_none(on_the_edge: Callable[..., Edge]) -> None:
    async def story(edge: Edge) -> None:
        edge.hold.clear()
        first = asyncio.ensure_future(edge.ask("btc"))
        second = asyncio.ensure_future(edge.ask("eth"))
        while not edge.sent:  # noqa: ASYNC110 - there is no event for that
            await asyncio.sleep(0)
        edge.answers += [DownloadConnectionRefusedError("no"), answer(200)]
        edge.hold.set()
        with pytest.raises(DownloadConnectionRefusedError):
            await first
        assert await second == 200

    edge = on_the_edge(story, max_calls=1)
    assert (edge.tally.calls, +edge.noted) == (1, {"eth": 1})


def test_after_a_429_the_request_is_sent_again_while_it_has_a_retry_left(on_the_edge: Callable[..., Edge]) -> None:
    edge = on_the_edge(asking(answer(429, NOW), answer(200), expected=200))
    assert (edge.tally.calls, edge.noted, edge.tally.errors["rate_limit"]) == (2, {"btc": 2}, 1)
    edge = on_the_edge(asking(*[answer(429, NOW)] * 9, expected=429))
    assert edge.tally.calls == 1 + edge.config.retry_times
    assert not edge.stop.is_set()


def test_a_429_that_says_that_a_plan_is_used_up_pauses_nobody(
    on_the_edge: Callable[..., Edge], monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan_is_used_up(*_: object) -> ApiError:
        return ApiError(ApiErrorKind.NO_CREDIT, "monthly limit reached")

    monkeypatch.setattr(DescribedProvider, "parse", plan_is_used_up)
    edge = on_the_edge(asking(answer(429), expected=429))
    assert (edge.tally.calls, edge.tally.errors, edge.handler._pace.next_at <= time.monotonic()) == (1, {}, True)


def test_a_503_that_names_a_wait_pauses_and_goes_on_to_whoever_retries(on_the_edge: Callable[..., Edge]) -> None:
    edge = on_the_edge(asking(answer(503, {"Retry-After": "30"}), expected=503))
    assert edge.handler._pace.next_at > time.monotonic() + 20
    edge = on_the_edge(asking(answer(503), expected=503))
    assert edge.handler._pace.next_at < time.monotonic() + 20
    assert "the API" not in edge.handler._work.waits, "nobody asked for a pause"


def test_a_pause_of_hours_stops_the_run(on_the_edge: Callable[..., Edge]) -> None:
    for status in (429, 503):
        edge = on_the_edge(asking(answer(status, {"Retry-After": "7200"}), expected=status))
        assert "asks to wait 2.0 h" in str(edge.stop.error)


def test_what_one_kol_is_refused_pauses_nobody(on_the_edge: Callable[..., Edge]) -> None:
    async def story(edge: Edge) -> None:
        edge.answers += [answer(429, NOW), answer(429, NOW), answer(429, NOW)]
        assert await edge.ask("btc") == 429
        edge.answers += [answer(200), answer(429, LATER)]
        assert await edge.ask("eth") == 200
        assert await edge.ask("btc") == 429
        edge.answers.append(answer(200))
        assert await edge.ask("eth") == 200, "without a wait of an hour"

    edge = on_the_edge(story)
    assert edge.tally.calls == 6


def test_a_run_that_stops_sends_nothing(on_the_edge: Callable[..., Edge]) -> None:
    async def story(edge: Edge) -> None:
        edge.stop.set()
        with pytest.raises(NotAsked):
            await edge.ask()

    edge = on_the_edge(story)
    assert (edge.sent, edge.tally.calls, edge.stop.error) == ([], 0, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/v1/twitter",
        "https://api.example/v2/twitter",
        "https://api.example/v1.evil/twitter",
        "https://api.example/v1evil/twitter",
        "https://api.example.evil/v1/twitter",
        "https://api.example:444/v1/twitter",
        "https://api.example@evil/v1/twitter",
        "https://evil/https://api.example/v1/twitter",
    ],
)
def test_the_key_goes_to_the_apis_address_and_nowhere_else(on_the_edge: Callable[..., Edge], url: str) -> None:
    async def story(edge: Edge) -> None:
        request = Request(f"{API}/twitter")
        assert edge.handler._with_key(request).headers["X-API-Key"] == KEY.encode()
        assert request.headers == {}, "the request that is logged and cached never has it"
        with pytest.raises(NotAsked, match="is not at the API's address"):
            await edge.handler.download_request(Request(url))

    assert on_the_edge(story).sent == []


def test_requests_that_are_no_pages_count_and_leave_no_call_open_at_the_cap(on_the_edge: Callable[..., Edge]) -> None:
    """A team's own code may ask the API, too: a run that waited for the price of its calls would wait for ever."""

    async def story(edge: Edge) -> None:
        edge.answers = [answer(200), DownloadConnectionRefusedError("no")]
        await edge.handler.download_request(Request(f"{API}/own"))
        with pytest.raises(DownloadConnectionRefusedError):
            await edge.handler.download_request(Request(f"{API}/own"))
        with pytest.raises(NotAsked):
            await edge.handler.download_request(Request("https://evil.example/own"))
        with pytest.raises(NotAsked):
            await edge.ask()

    edge = on_the_edge(story, max_calls=2)
    assert (len(edge.sent), edge.tally.calls, edge.bill.is_open) == (2, 2, False)
