"""What an answer of the API means for the run, without a network."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from scrapy import Request
from scrapy.core.downloader.handlers.http11 import TunnelError
from scrapy.exceptions import DownloadConnectionRefusedError, DownloadTimeoutError
from scrapy.http import TextResponse
from scrapy.settings import Settings

from kolspider.crawl.answers import AnswerMiddleware
from kolspider.crawl.page_request import PageRequest
from kolspider.crawl.unpacking import TOO_LARGE
from kolspider.errors import NotAsked
from kolspider.items import Kol
from kolspider.live.bill import Bill
from kolspider.live.disk import Disk
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.live.work import Work
from kolspider.options.arguments import Arguments
from kolspider.options.config import Config
from kolspider.providers.base import ApiError, ApiErrorKind, Page
from kolspider.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scrapy.http import Response

GOOD = {"status": "success", "followings": [{"id": "1", "name": "A"}], "has_next_page": False, "next_cursor": "0"}
KEY = "key-0123456789"


@dataclass
class Parts:
    """What the middleware works with."""

    config: Config
    ledger: Ledger
    disk: Disk
    stop: Stop
    runner: asyncio.Runner
    tally: Tally = field(default_factory=Tally)
    work: Work = field(default_factory=Work)

    @cached_property
    def middleware(self) -> AnswerMiddleware:
        bill = Bill(Arguments(), self.config, self.stop, self.tally)
        return AnswerMiddleware(self.config, self.ledger.pages, self.disk, self.stop, self.tally, bill, self.work)

    def answer(
        self, request: Request, status: int, body: object, *flags: str, headers: dict[str, str] | None = None
    ) -> Response | Request:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = TextResponse(request.url, status=status, body=raw, flags=list(flags), headers=headers)
        return self.runner.run(self.middleware.process_response(request, response))

    def failure(self, request: Request, exception: Exception) -> Request | None:
        return self.runner.run(self.middleware.process_exception(request, exception))


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    settings = Settings()
    settings.setmodule("kolspider.settings")
    for name, value in {"KOL_API_KEY": KEY, "KOL_RETRY_SECS": "0", "RETRY_TIMES": "3"}.items():
        settings.set(name, value, priority="cmdline")
    config, stop = Config.from_settings(settings), Stop()
    with closing(Ledger.open(tmp_path, config.provider, "here")) as ledger, asyncio.Runner() as runner:
        yield Parts(config, ledger, Disk(tmp_path, stop), stop, runner)


def request(*, cursor: str = "", **asked: Any) -> Request:
    page = PageRequest(Kol("btc", "BTC"), 0, cursor, 1, 200, **asked)
    return Request("https://api.example/twitter/user/followings?userName=BTC", meta=page.meta("https://api.example"))


def asked_by(request: Request) -> PageRequest:
    page = PageRequest.of(request)
    assert page is not None
    return page


def test_a_page_goes_on_and_is_counted(parts: Parts) -> None:
    sent = request()
    response = parts.answer(sent, 200, GOOD)
    assert not isinstance(response, Request)
    assert isinstance(asked_by(sent).answer, Page)
    assert (parts.tally.pages, parts.tally.credits > 0, parts.tally.errors) == (1, True, {})


def test_a_temporary_failure_is_retried_until_no_retry_is_left(parts: Parts) -> None:
    sent, repeats = request(), 0
    while isinstance(again := parts.answer(sent, 502, b"bad gateway"), Request):
        sent, repeats = again, repeats + 1
    assert repeats == 3
    assert isinstance(asked_by(sent).answer, ApiError), "the spider gets the last answer"
    assert parts.tally.errors == {"transient": 4}


def test_a_wrong_key_stops_the_run(parts: Parts) -> None:
    with pytest.raises(NotAsked):
        parts.answer(request(), 401, {"error": "Unauthorized", "message": "x"})
    assert parts.stop.error is not None


@pytest.mark.parametrize("status", [301, 304, 402, 403, 404])
def test_what_may_be_the_kols_own_goes_to_the_spider_at_once(parts: Parts, status: int) -> None:
    assert not isinstance(parts.answer(request(), status, {"error": "x"}), Request)
    assert not parts.stop.is_set()


def test_a_refused_cursor_is_asked_once_more_also_after_other_failures(parts: Parts) -> None:
    sent = request(cursor="5")
    assert isinstance(parts.answer(sent, 503, b""), Request)
    assert isinstance(parts.answer(sent, 400, b"<html>nginx</html>"), Request)
    assert not isinstance(parts.answer(sent, 400, b"<html>nginx</html>"), Request)


def test_a_page_is_asked_for_as_often_as_retry_times_allows_whatever_goes_wrong(parts: Parts) -> None:
    sent = request(cursor="5")
    answers = [(429, b""), (400, b""), (200, b'{"status": "error"}'), (503, b"")]
    assert [isinstance(parts.answer(sent, *answer), Request) for answer in answers] == [True, True, True, False]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_retry_waits_as_long_as_the_api_asks(parts: Parts, status: int) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    parts.stop.sleep = note  # type: ignore[method-assign]  # nobody sleeps here
    assert isinstance(parts.answer(request(), status, b"", headers={"Retry-After": "42"}), Request)
    assert isinstance(parts.answer(request(), status, b"", headers={"Retry-After": "3600"}), Request)
    assert waits == [42, 3600]
    assert not isinstance(parts.answer(request(), status, b"", headers={"Retry-After": "3601"}), Request)


def test_a_missing_account_is_the_last_answer(parts: Parts) -> None:
    sent = request()
    response = parts.answer(sent, 200, {"status": "error", "msg": "user not found", "data": None})
    assert not isinstance(response, Request)
    assert not parts.stop.is_set()


def test_a_key_that_the_answer_repeats_never_goes_on(parts: Parts) -> None:
    sent = request()
    response = parts.answer(sent, 200, {**GOOD, "msg": f"your key is {KEY}"})
    assert not isinstance(response, Request)
    assert KEY.encode() not in response.body


def test_a_cached_page_costs_nothing(parts: Parts) -> None:
    parts.answer(request(), 200, GOOD, "cached")
    assert (parts.tally.pages, parts.tally.credits) == (0, 0)


def test_a_cached_page_that_cannot_be_read_is_dropped_and_bought_again(parts: Parts) -> None:
    seq = parts.ledger.pages.put(Kol("btc", "BTC"), 0, "", 1, 1, b"{}", fetched_at=1.0)
    sent = request(seq=seq)
    again = parts.answer(sent, 200, b"{}", "cached")
    assert isinstance(again, Request)
    assert asked_by(again).seq is None
    assert len(parts.ledger.pages) == 0


@pytest.mark.parametrize(
    ("status", "body", "credits_"),
    [
        (200, {**GOOD, "followings": [{"id": "1"}] * 66}, 198),
        (200, {**GOOD, "followings": [{"id": "1"}] * 200}, 200),
        (200, {"status": "error", "msg": "user not found"}, 0),
        (200, {"status": "error", "msg": "busy"}, 0),
        (200, {**GOOD, "followings": None}, 398),  # a page of unknown size: the dearest has 199 users
        (200, b"<html>", 398),
        (400, {"detail": "x"}, 0),
        (502, b"", 0),
    ],
)
def test_an_answer_costs_what_it_brings_and_a_failure_nothing(
    parts: Parts, status: int, body: object, credits_: int
) -> None:
    parts.answer(request(), status, body)
    assert parts.tally.credits == credits_


def test_a_timeout_may_be_charged_and_a_refused_connection_is_not(parts: Parts) -> None:
    assert parts.failure(request(), DownloadConnectionRefusedError("no"))
    assert parts.tally.credits == 0
    assert parts.failure(request(), DownloadTimeoutError("slow"))
    assert parts.tally.credits == 398
    assert parts.tally.errors == {"network": 2}


def test_an_answer_that_is_too_large_is_asked_for_twice_more_and_is_no_page(parts: Parts) -> None:
    users = {**GOOD, "followings": [{"id": "1"}] * 2_001}
    for body, flags in ((b"", [TOO_LARGE]), (users, [])):
        sent, repeats = request(), 0
        while isinstance(again := parts.answer(sent, 200, body, *flags), Request):
            sent, repeats = again, repeats + 1
        assert repeats == 2
        answer = asked_by(sent).answer
        assert isinstance(answer, ApiError)
        assert answer.message == "HTTP 200: the answer is too large for a page"
    assert isinstance(parts.answer(request(seq=1), 200, users, "cached"), TextResponse), "an old cache has such pages"


def test_an_empty_answer_is_retried_like_any_broken_one(parts: Parts) -> None:
    assert isinstance(parts.answer(request(), 200, b""), Request), "unpacking.py makes it of one that can't be unpacked"


def test_low_memory_stops_the_run_and_is_no_answer(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> Page:
        raise MemoryError

    monkeypatch.setattr(type(parts.config.provider), "parse", no_room)
    with pytest.raises(NotAsked):
        parts.answer(request(), 200, GOOD)
    assert str(parts.stop.error).startswith("out of memory")


def test_the_spider_gets_a_network_failure_that_lasts(parts: Parts) -> None:
    parts.answer(request(), 502, b"bad gateway")  # the API can be reached
    assert parts.failure(request(asked_again=3), DownloadTimeoutError("slow")) is None
    assert not parts.stop.is_set()


@pytest.mark.parametrize(
    ("failure", "retries"), [(DownloadTimeoutError("slow"), 3), (DownloadConnectionRefusedError("no"), 1)]
)
def test_an_api_that_never_answered_stops_the_run_when_no_retry_is_left(
    parts: Parts, failure: Exception, retries: int
) -> None:
    assert parts.failure(request(asked_again=retries - 1), failure)
    with pytest.raises(NotAsked):
        parts.failure(request(asked_again=retries), failure)
    assert "check KOL_API_URL" in str(parts.stop.error)


def test_an_api_that_answered_and_is_gone_has_all_retries(parts: Parts) -> None:
    parts.answer(request(), 502, b"bad gateway")
    assert parts.failure(request(asked_again=2), DownloadConnectionRefusedError("no"))
    assert parts.failure(request(asked_again=3), DownloadConnectionRefusedError("no")) is None
    assert not parts.stop.is_set()


def test_a_proxy_that_refuses_stops_the_run_at_once_and_costs_nothing(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy:3128")
    monkeypatch.setenv("no_proxy", "")
    parts.answer(request(), 502, b"bad gateway")
    before = parts.tally.credits
    with pytest.raises(NotAsked):
        parts.failure(request(), TunnelError("[{'status': 407, 'reason': b''}]"))
    assert str(parts.stop.error).startswith("the proxy proxy:3128 (https_proxy) asks for a user and password")
    assert parts.tally.credits == before


def test_a_proxy_that_cannot_be_reached_stops_the_run_when_no_retry_is_left(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "")
    parts.answer(request(), 502, b"bad gateway")  # whatever came before
    assert parts.failure(request(asked_again=2), DownloadConnectionRefusedError("no"))
    with pytest.raises(NotAsked):
        parts.failure(request(asked_again=3), DownloadConnectionRefusedError("no"))
    assert str(parts.stop.error).startswith("the proxy proxy:3128 (https_proxy) refuses the connection")


def test_a_request_that_was_never_sent_is_no_failure(parts: Parts) -> None:
    assert parts.failure(request(), NotAsked("the run is stopping")) is None
    assert parts.tally.errors == {}


def test_a_run_that_stops_waits_for_no_retry(parts: Parts) -> None:
    parts.stop.set()
    with pytest.raises(NotAsked):
        parts.failure(request(), DownloadTimeoutError("slow"))


@pytest.mark.parametrize(
    ("status", "body", "cursor", "kind", "repeats"),
    [
        (301, b"", "", ApiErrorKind.REDIRECTED, 0),
        (402, b"", "", ApiErrorKind.NO_CREDIT, 0),
        (403, {"error": "x"}, "", ApiErrorKind.FORBIDDEN, 0),
        (403, b"<html>Cloudflare", "", ApiErrorKind.BLOCKED, 0),
        (404, {"error": "x"}, "", ApiErrorKind.WRONG_PATH, 0),
        (404, {"message": "user not found"}, "", ApiErrorKind.NOT_FOUND, 0),
        (400, b"", "", ApiErrorKind.BAD_REQUEST, 0),
        (400, b"", "5", ApiErrorKind.BAD_CURSOR, 1),
        (200, {"status": "error", "msg": "busy"}, "", ApiErrorKind.ERROR_IN_200, 2),
        (200, {}, "", ApiErrorKind.CONTRACT_DRIFT, 2),
        (500, b"", "", ApiErrorKind.TRANSIENT, 3),
    ],
)
def test_each_kind_of_error_has_its_retries(
    parts: Parts, status: int, body: object, cursor: str, kind: ApiErrorKind, repeats: int
) -> None:
    sent = request(cursor=cursor)
    while isinstance(again := parts.answer(sent, status, body), Request):
        sent = again
    assert parts.tally.errors == {kind: repeats + 1}
