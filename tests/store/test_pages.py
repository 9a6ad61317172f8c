"""The pages of the cache: a changed byte never passes for what was paid for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.live.disk import Disk
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.load.cached import CachedPages
from kolspider.providers import provider
from kolspider.store.pages import unpack

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from kolspider.store.ledger import Ledger

BTC = Kol("btc", "BTC")
BODY = b'{"followings": [], "has_next_page": false, "next_cursor": ""}' * 20


def test_no_bit_of_a_stored_body_can_be_changed_unnoticed(ledger: Ledger, store: sqlite3.Connection) -> None:
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
    ledger: Ledger, store: sqlite3.Connection, tmp_path: Path, generation: int
) -> None:
    """A page of an earlier reading can't be bought again: the list has changed since."""
    ledger.kols.begin(BTC)
    ledger.pages.put(BTC, 0, "", 1, 200, b"page", fetched_at=1.0)
    ledger.kols.end("btc", State.FETCHED, "", 1, 200, bought=True)
    if generation:
        ledger.kols.begin_generation("btc")
    store.execute("UPDATE page SET body = x'00'")
    ledger.selection.read(["BTC"])
    ledger.selection.choose_all(None)
    tally = Tally()
    cached = CachedPages(ledger, provider("twitterapi_io"), Disk(tmp_path, Stop()), tally)

    assert list(cached.read(everything=True)) == []

    assert tally.cache_damaged == 1
    assert cached.damaged == (set() if generation else {"btc"})
    kept = {page.number for page in ledger.pages.of_kol("btc")}
    assert kept == (set() if generation else {1}), "what nobody buys again is not reported for ever"


def test_a_page_fetched_in_the_future_counts_as_fetched_now_and_ends_no_full_reading(
    ledger: Ledger, tmp_path: Path
) -> None:
    """A clock was wrong: the follows of such a page are no newer than today, and say nothing of who is lost."""
    now, ahead = time.time(), time.time() + 365 * 86_400
    users = b'{"followings": [{"id": "1"}], "has_next_page": %s, "next_cursor": "%s"}'
    for handle, last in (("right", now), ("wrong", ahead)):
        kol = Kol(handle, handle)
        ledger.kols.begin(kol)
        ledger.pages.put(kol, 0, "", 1, 1, users % (b"true", b"c"), fetched_at=now)
        ledger.pages.put(kol, 0, "c", 2, 1, users % (b"false", b""), fetched_at=last)
    ledger.selection.read(["right", "wrong"])
    ledger.selection.choose_all(None)

    cached = CachedPages(ledger, provider("twitterapi_io"), Disk(tmp_path, Stop()), Tally())
    pages = list(cached.read(everything=True))

    assert [page.kol.handle for page in pages] == ["right", "right", "wrong", "wrong"]
    assert all(now <= page.fetched_at <= time.time() for page in pages)
    assert [page.full_reading_began for page in pages] == [None, now, None, None]
