"""Looking up ids: only those that are not known, several in a call, and whoever a batch leaves out by himself."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from scrapy.exceptions import DownloadTimeoutError

from kolspider.crawl.api_call import ApiCall
from kolspider.crawl.profile_request import ProfileRequest
from kolspider.errors import NotAsked
from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.providers.base import ApiError, ApiErrorKind, Profile
from kolspider.spiders.lookup import Lookup
from kolspider.store.database import empty_in_memory
from kolspider.store.ledger import Ledger
from kolspider.store.selection import Due, Why
from tests.live.unguarded import Unguarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from scrapy import Request

TOML = 'like = "socialdata"\nname = "small"\n[profile]\nmost = 2\n'
IDS = {"btc": "11", "eth": "12", "sol": "13"}
TIMED_OUT = DownloadTimeoutError("no answer")


class Api:
    """An engine whose answers are in a table of ids, or are what `says` is set to."""

    def __init__(self, ledger: Ledger) -> None:
        self.asked: list[list[str]] = []
        self.requests: list[Request] = []
        self.says: object = None
        config = SimpleNamespace(provider=ledger.accounts._api, api_url="http://127.0.0.1", timeout=30, api_key="")
        run = SimpleNamespace(config=config, ledger=ledger, store=Unguarded())
        crawler = SimpleNamespace(engine=SimpleNamespace(download_async=self._download))
        self.lookup = Lookup(cast("Any", crawler), cast("Any", run))

    async def _download(self, request: Request) -> None:
        call = ApiCall.of(request)
        assert isinstance(call, ProfileRequest)
        names = [*call.accounts]
        self.requests.append(request)
        self.asked.append(names)
        if isinstance(self.says, Exception):
            raise self.says
        found = [{"id_str": IDS[name.lower()], "screen_name": name} for name in names if name.lower() in IDS]
        call.answer = self.says or call.call.parse(200, json.dumps({"users": found}).encode())

    def ids(self, *names: str, **keys: str) -> dict[str, object]:
        """Look these KOLs up, some by keys of their own. Returns the id of each, or the kind of the error."""

        async def look_up() -> dict[str, object]:
            kols = [Kol(keys.get(name, name.lower()), name) for name in names]

            async def due() -> AsyncIterator[Due]:
                for kol in kols:
                    yield Due(kol, Why.NEW, State.NEW, incremental=False)

            found = [(one.kol.handle, account) async for one, account in self.lookup.accounts(due())]
            return {handle: of.kind if isinstance(of, ApiError) else of.id for handle, of in found}

        return asyncio.run(look_up())


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    file = tmp_path / "small.toml"
    file.write_text(TOML)
    with closing(empty_in_memory()) as store:
        yield Api(Ledger(store, Path(), provider(str(file)), 1))


def test_ids_are_looked_up_in_batches_and_never_twice(api: Api) -> None:
    assert api.ids("BTC", "eth", "SOL") == IDS
    assert api.asked == [["BTC", "eth"], ["SOL"]]
    assert api.ids("sol", "btc") == {"sol": "13", "btc": "11"}
    assert len(api.asked) == 2


def test_a_handle_that_was_another_accounts_is_found_in_its_batch(api: Api) -> None:
    assert api.ids("BTC", "eth", BTC="btc@2") == {"btc@2": "11", "eth": "12"}
    assert api.asked == [["BTC", "eth"]]


def test_the_call_is_a_post_of_names_in_json(api: Api) -> None:
    api.ids("BTC", "eth")
    (request,) = api.requests
    assert (request.method, json.loads(request.body)) == ("POST", {"usernames": ["BTC", "eth"]})
    assert request.headers["Content-Type"] == b"application/json"
    assert request.meta["proxy"] is None


def test_whom_a_batch_leaves_out_is_asked_for_alone(api: Api) -> None:
    assert api.ids("BTC", "gone", "eth") == {"btc": "11", "gone": ApiErrorKind.NOT_FOUND, "eth": "12"}
    assert api.asked == [["BTC", "gone"], ["gone"], ["eth"]]


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        (ApiError(ApiErrorKind.NO_CREDIT, "x"), ApiErrorKind.NO_CREDIT),
        (TIMED_OUT, ApiErrorKind.TRANSIENT),
        ([Profile("", "BTC", 1, None, "Suspended", {})], ApiErrorKind.NOT_FOUND),
        ([Profile("", "BTC", 1, None, "", {})], ApiErrorKind.CONTRACT_DRIFT),
        ([Profile("9", None, 1, None, "", {})], "9"),
        ([Profile("9", "renamed", 1, None, "", {})], "9"),
    ],
)
def test_what_an_answer_says_of_one(api: Api, says: object, kind: object) -> None:
    api.says = says
    assert api.ids("BTC") == {"btc": kind}


def test_an_error_is_everybodys_in_the_batch_and_the_next_run_asks_again(api: Api) -> None:
    api.says = ApiError(ApiErrorKind.TRANSIENT, "busy")
    assert set(api.ids("BTC", "eth", "sol").values()) == {ApiErrorKind.TRANSIENT}
    api.says = None
    assert api.ids("BTC", "eth", "sol") == IDS


def test_nothing_is_asked_once_the_run_stops(api: Api) -> None:
    api.says = NotAsked("the run is stopping")
    with pytest.raises(NotAsked):
        api.ids("BTC")


def test_a_provider_that_needs_no_id_asks_for_none() -> None:
    with closing(empty_in_memory()) as store:
        api = Api(Ledger(store, Path(), provider("twitterapi_io"), 1))
        assert api.ids("BTC", "eth") == {"btc": "", "eth": ""}
        assert api.asked == []


def test_an_id_that_an_answer_leaves_out_stays_as_it_was(api: Api) -> None:
    api.ids("BTC")
    accounts = api.lookup._run.ledger.accounts
    accounts.note([(Kol("btc", "BTC"), Profile("", "BTC", None, None, "Suspended", {}))])
    assert accounts.id_of("btc") == "11"


def test_a_look_up_costs_what_it_finds_and_at_most_all_of_it() -> None:
    of = provider("socialdata")
    assert of.profile_by_name is not None
    asked = ProfileRequest(of.profile_by_name, ["a", "b", "c"])
    asked.answer = [Profile("1", "a", None, None, "", {})]
    assert (asked.price(of), asked.dearest(of)) == (1, 3)
    assert asked.label == "profiles of 3 accounts"
    assert ProfileRequest(of.profile_by_name, ["a"]).label == "profile of a"
