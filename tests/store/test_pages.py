"""The pages of the cache: a changed byte never passes for what was paid for, and low memory is no damage."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.live.disk import Disk
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.load.cached import CachedPages
from kolspider.providers import provider
from kolspider.store import pages
from kolspider.store.pages import PageCount, unpack
from kolspider.store.readings import Kind
from kolspider.store.refusals import Refusal, What
from tests.live.unguarded import alone

if TYPE_CHECKING:
    from pathlib import Path

    from kolspider.items import FollowingsPage
    from kolspider.store.connection import Connection
    from kolspider.store.ledger import Ledger

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BTC = Kol("btc", "BTC")
BODY = b'{"followings": [], "has_next_page": false, "next_cursor": ""}' * 20
PACKED = zstd.compress(BODY, options={zstd.CompressionParameter.checksum_flag: 1})


@pytest.mark.usefixtures("alone")
def test_no_bit_of_a_stored_body_can_be_changed_unnoticed(ledger: Ledger, store: Connection) -> None:
    ledger.pages.put(BTC, 0, "", 1, 0, BODY, fetched_at=1.0)
    (packed,) = store.execute("SELECT body FROM page").fetchone()
    assert unpack(packed) == BODY

    for bit in range(8 * len(packed)):
        changed = bytearray(packed)
        changed[bit // 8] ^= 1 << bit % 8
        assert unpack(bytes(changed)) in (None, BODY), f"bit {bit}"  # the frame's header has a bit without a meaning
    for size in range(len(packed)):
        assert unpack(packed[:size]) is None
    assert unpack("a text") is None


@pytest.mark.parametrize("generation", [0, 1])
def test_a_damaged_page_is_bought_again_only_if_its_list_is_read(
    ledger: Ledger, store: Connection, tmp_path: Path, generation: int
) -> None:
    """A page of an earlier reading can't be bought again: the list has changed since."""
    ledger.kols.begin(BTC)
    ledger.pages.put(BTC, 0, "", 1, 200, b"page", fetched_at=1.0)
    ledger.kols.end("btc", State.FETCHED, "", 1, 200, bought=True)
    if generation:
        ledger.kols.begin_generation("btc")
    store.execute("UPDATE page SET body = ?", (b"\0",))
    ledger.selection.read(["BTC"])
    ledger.selection.choose_all(None)
    tally = Tally()
    cached = CachedPages(ledger, provider("twitterapi_io"), Disk(tmp_path, Stop()), alone(), tally)

    assert asyncio.run(all_of(cached)) == []

    assert tally.cache_damaged == 1
    assert cached.damaged == (set() if generation else {"btc"})
    kept = {page.number for page in ledger.pages.of_kol("btc")}
    assert kept == (set() if generation else {1}), "what nobody buys again is not reported for ever"


def test_a_later_round_looks_only_for_what_has_come_since(ledger: Ledger, store: Connection, tmp_path: Path) -> None:
    """Of a million pages a look at all takes seconds; and a damaged page would bring those behind it each time."""
    ledger.kols.begin(BTC)
    ledger.selection.read(["BTC"])
    ledger.selection.choose_all(None)
    cached = CachedPages(ledger, provider("twitterapi_io"), Disk(tmp_path, Stop()), alone(), Tally())

    async def loaded(*, refused: bool) -> list[int]:
        numbers = [page.number async for page in cached.read(everything=False, refused=refused)]
        ledger.note_loaded([seqs[number] for number in numbers], None)
        return numbers

    def put(number: int) -> int:
        return ledger.pages.put(BTC, 0, str(number), number, 0, BODY[: len(BODY) // 20], fetched_at=1.0)

    seqs = {number: put(number) for number in (1, 2)}
    store.execute("UPDATE page SET body = ? WHERE seq = ?", (b"\0", seqs[1]))
    assert asyncio.run(loaded(refused=True)) == [2]
    assert asyncio.run(loaded(refused=False)) == []
    seqs[3] = put(3)
    assert asyncio.run(loaded(refused=False)) == [3]
    assert asyncio.run(loaded(refused=True)) == [2, 3], "a new run looks for all"


async def all_of(cached: CachedPages) -> list[FollowingsPage]:
    return [page async for page in cached.read(everything=True)]


def test_a_page_fetched_in_the_future_counts_as_fetched_now_and_ends_no_full_reading(
    ledger: Ledger, store: Connection, tmp_path: Path
) -> None:
    """A clock was wrong: the follows of such a page are no newer than today, and say nothing of who is lost.

    Neither does a list with a damaged page.
    """
    now, ahead = time.time(), time.time() + 365 * 86_400
    users = b'{"followings": [{"id": "1"}], "has_next_page": %s, "next_cursor": "%s"}'
    for handle, last in (("btc", now), ("eth", ahead), ("torn", now)):
        kol = Kol(handle, handle.upper())
        ledger.kols.begin(kol)
        ledger.pages.put(kol, 0, "", 1, 1, users % (b"true", b"c"), fetched_at=now)
        ledger.pages.put(kol, 0, "c", 2, 1, users % (b"false", b""), fetched_at=last)
    store.execute("UPDATE page SET body = ? WHERE handle = 'torn' AND number = 1", (b"\0",))
    ledger.selection.read(["btc", "eth", "torn"])
    ledger.selection.choose_all(None)

    cached = CachedPages(ledger, provider("twitterapi_io"), Disk(tmp_path, Stop()), alone(), Tally())
    pages = asyncio.run(all_of(cached))

    assert [page.kol.user_name for page in pages] == ["BTC", "BTC", "ETH", "ETH", "TORN"]
    assert all(now <= page.fetched_at <= time.time() for page in pages)
    assert [page.full_reading_began for page in pages] == [None, now, None, None, None]


def test_only_a_list_without_a_hole_and_with_users_shows_who_is_lost(ledger: Ledger, store: Connection) -> None:
    """Otherwise all that was on the missing page would look unfollowed."""
    for generation, users in ((0, 200), (1, 0)):
        for number in (1, 2, 3):
            ledger.pages.put(BTC, generation, str(number), number, users, BODY, fetched_at=7.0 + number)
    assert [ledger.pages.full_reading_began("btc", generation) for generation in (0, 1, 2)] == [8.0, None, None]
    store.execute("DELETE FROM page WHERE number = 2")
    assert ledger.pages.full_reading_began("btc", 0) is None


@pytest.mark.parametrize("body", [None, "text", b"", b"no page"])
def test_what_is_no_body_is_damage(body: object) -> None:
    assert unpack(body) is None


def test_a_size_that_no_page_has_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_LARGEST", len(BODY) - 1)
    assert unpack(PACKED) is None


@pytest.mark.parametrize(
    "error", [MemoryError(), zstd.ZstdError("Unable to ...: Allocation error : not enough memory")]
)
def test_low_memory_is_no_damage(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def no_room(_: bytes) -> bytes:
        raise error

    monkeypatch.setattr(zstd, "decompress", no_room)
    with pytest.raises(MemoryError):
        unpack(PACKED)


def test_a_page_that_is_bought_again_takes_the_place_of_the_damaged_one(ledger: Ledger, store: Connection) -> None:
    first = ledger.pages.put(BTC, 0, "", 1, 2, BODY, fetched_at=1.0)
    other = ledger.pages.put(Kol("eth", "ETH"), 0, "", 1, 2, BODY, fetched_at=2.0)
    ledger.note_loaded([first, other], None)
    assert ledger.pages.put(BTC, 0, "", 1, 2, b"again", fetched_at=3.0) == first, "it is not damaged"
    store.execute("UPDATE page SET body = ? WHERE seq = ?", (b"\0", first))
    again = ledger.pages.put(BTC, 0, "", 1, 2, b"again", fetched_at=3.0)
    assert again > other, "it was fetched last"
    assert ledger.pages.get("btc", 0, "") == (again, b"again")
    assert ledger.pages.get("eth", 0, "") == (other, BODY)
    assert [page.loaded for page in ledger.pages.of_kol("btc")] == [False]
    assert [page.loaded for page in ledger.pages.of_kol("eth")] == [True]


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.INCREMENTAL])
def test_a_partial_list_goes_on_with_all_its_pages_but_the_one_that_broke_it(ledger: Ledger, kind: Kind) -> None:
    eth = Kol("eth", "ETH")
    ledger.kols.begin(BTC)
    if kind is Kind.INCREMENTAL:
        ledger.kols.begin_generation("btc", incremental=True)
    before = ledger.kols.generation("btc")
    ledger.pages.put(BTC, 7, "other reading", 1, 200, BODY, fetched_at=1.0)
    for number in (1, 2, 3):
        for kol in (BTC, eth):
            ledger.pages.put(kol, before, str(number), number, 200, BODY, fetched_at=1.0)
    ledger.kols.end("btc", State.PARTIAL, "why", 3, 600, bought=True)

    assert ledger.kols.begin_generation("btc", keep_good_pages=True) == before + 1

    kept = {(page.generation, page.number) for page in ledger.pages.of_kol("btc")}
    assert kept == {(7, 1), (before + 1, 1), (before + 1, 2), (before, 3)}
    assert {page.generation for page in ledger.pages.of_kol("eth")} == {before}
    assert ledger.readings.kind("btc") is kind


@pytest.mark.usefixtures("alone")
def test_the_pages_of_a_kol_and_of_the_cache_are_counted(ledger: Ledger) -> None:
    eth = Kol("eth", "ETH")
    for kol in (BTC, eth):
        ledger.kols.begin(kol)
    first, second = (ledger.pages.put(BTC, 0, str(n), n, n * 100, BODY, fetched_at=86_400.0 * n) for n in (1, 2))
    third = ledger.pages.put(eth, 0, "", 1, 100, BODY, fetched_at=86_400.0 * 3)
    rows = [Refusal("btc", first, What.ACCOUNT, id_, "no") for id_ in "78"]
    ledger.note_loaded([first, third], None, [*rows, Refusal("eth", third, What.ACCOUNT, "7", "no")], {})

    assert [(page.number, page.users, page.loaded, page.refused) for page in ledger.pages.of_kol("btc")] == [
        (1, 100, True, 2),
        (2, 200, False, 0),
    ]
    size = sum(page.size for handle in ("btc", "eth") for page in ledger.pages.of_kol(handle))
    assert ledger.pages.count() == PageCount(pages=3, kols=2, users=400, size=size, waiting=1, waiting_kols=1)
    assert sorted(ledger.pages.sizes()) == [(100, 2), (200, 1)]
    assert ledger.pages.began_at() == 86_400.0
    assert ledger.pages.bought_before(86_400.0 * 3) == [(86_400, 100, 1), (172_800, 200, 1)]
    assert ledger.refusals.count() == (3, 2)
    ledger.pages.drop(second)
    assert [page.number for page in ledger.pages.of_kol("btc")] == [1]
    assert ledger.refusals.count() == (3, 2)


@pytest.mark.usefixtures("alone")
def test_nothing_is_left_of_a_deleted_page(ledger: Ledger, store: Connection) -> None:
    first, second = (ledger.pages.put(BTC, 0, str(n), n, 1, BODY, fetched_at=1.0) for n in (1, 2))
    rows = [Refusal("btc", seq, What.ACCOUNT, "7", "no") for seq in (first, second)]
    ledger.note_loaded([first, second], None, rows, {})
    ledger.pages.drop(first)
    for table in ("page", "page_load", "refused"):
        assert store.execute(f"SELECT seq FROM {table}").fetchall() == [(second,)]


def test_the_older_reading_goes_and_no_other(ledger: Ledger) -> None:
    for kol in (BTC, Kol("eth", "ETH")):
        for generation in (0, 1, 2):
            ledger.pages.put(kol, generation, "", 1, 200, BODY, fetched_at=1.0)
    ledger.pages.delete_older("btc", 1)
    assert [page.generation for page in ledger.pages.of_kol("btc")] == [1, 2]
    assert [page.generation for page in ledger.pages.of_kol("eth")] == [0, 1, 2]


def test_users_of_a_page_are_set_aside_once_whatever_the_target(ledger: Ledger, store: Connection) -> None:
    first, second = (ledger.pages.put(BTC, 0, str(n), n, 1, BODY, fetched_at=1.0) for n in (1, 2))
    ledger.note_loaded([first], 7)
    assert ledger.pages.rejects_written(first)
    assert not ledger.pages.rejects_written(second)
    store.execute("DELETE FROM page_load")
    assert ledger.pages.rejects_written(first)
