"""Who counts as known when an incremental reading begins: nobody that a reading which broke off left a gap behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.store.selection import Why

if TYPE_CHECKING:
    from kolspider.store.connection import Connection
    from kolspider.store.ledger import Ledger

BTC = Kol("btc", "BTC")


def read(ledger: Ledger, body: bytes, *, users: int = 200, new: int | None = None, ends: bool = True) -> int:
    """Store the only page of BTC's current reading, and its end. Returns the page's place."""
    generation = ledger.kols.generation("btc")
    seq = ledger.pages.put(BTC, generation, "", 1, users, body, fetched_at=float(generation + 1))
    ledger.kols.end("btc", State.FETCHED if ends else State.PARTIAL, "", 1, users, bought=True, new=new)
    return seq


@pytest.fixture
def read_often(ledger: Ledger, store: Connection) -> Ledger:
    """BTC's list was read in full, then incrementally, then in part; and now it is read again."""
    ledger.kols.begin(BTC)
    read(ledger, b"base")
    ledger.kols.begin_generation("btc", incremental=True)
    read(ledger, b"increment", new=3)
    ledger.kols.begin_generation("btc", incremental=True)
    read(ledger, b"broken off", ends=False)
    ledger.kols.begin_generation("btc", incremental=True)
    ledger.pages.put(BTC, 3, "", 1, 200, b"now", fetched_at=4.0)
    store.execute("UPDATE crawl SET started_at = 100 + generation")
    return ledger


def known(ledger: Ledger) -> list[bytes] | None:
    pages = ledger.readings.known_pages("btc")
    return None if pages is None else [body for _, body in pages]


def test_the_pages_of_readings_that_broke_off_or_go_on_tell_of_nobody_known(read_often: Ledger) -> None:
    assert known(read_often) == [b"increment", b"base"]


def test_the_known_accounts_stand_in_the_order_of_the_newest_reading_and_its_pages(
    read_often: Ledger, store: Connection
) -> None:
    """Whenever a page was fetched: a damaged one is bought again."""
    for generation, number in ((1, 3), (0, 2), (1, 2)):
        read_often.pages.put(BTC, generation, str(number), number, 200, b"%d.%d" % (generation, number), fetched_at=9.0)
    store.execute("UPDATE crawl SET pages = 2 WHERE generation = 0")
    assert known(read_often) == [b"increment", b"1.2", b"1.3", b"base", b"0.2"]


def test_a_damaged_page_hides_no_other(read_often: Ledger, store: Connection) -> None:
    store.execute("UPDATE page SET body = ? WHERE generation = 1", (b"\0",))
    assert known(read_often) == [b"base"]


def test_without_the_pages_of_the_base_the_cache_does_not_know(read_often: Ledger, store: Connection) -> None:
    store.execute("DELETE FROM page WHERE generation = 0")
    assert known(read_often) is None


def test_who_was_first_seen_in_a_reading_that_broke_off_or_later_is_not_known(read_often: Ledger) -> None:
    assert read_often.readings.known_until("btc") == 102
    read_often.kols.end("btc", State.FETCHED, "", 1, 200, bought=True, new=1)
    assert read_often.readings.known_until("btc") == 102, "until another reading begins"
    read_often.kols.begin_generation("btc", incremental=True)
    assert read_often.readings.known_until("btc") > 103, "a reading has met the known part"


def test_nobody_is_known_before_a_list_was_read(ledger: Ledger) -> None:
    assert ledger.readings.known_until("btc") == 0
    ledger.kols.begin(BTC)
    assert ledger.readings.known_until("btc") == 0
    assert known(ledger) is None


def incremental(ledger: Ledger, *, follows: bool, full_every: int | None = None) -> bool:
    """Whether a refresh would read BTC's list incrementally."""
    now = 1000.0
    ledger.selection.read(["btc"])
    ledger.selection.choose_due(
        now=now,
        refresh_before=1e12,
        retry=[],
        limit=None,
        keep_done=False,
        incremental=True,
        full_every=full_every,
        follows=follows,
    )
    (due,) = ledger.selection.due()
    assert due.why is Why.REFRESH
    return due.incremental


@pytest.mark.parametrize(
    ("loaded", "cached", "follows", "may_be"),
    [
        (True, False, True, True),  # the follows table knows the users
        (True, False, False, False),
        (False, False, True, False),  # the follows table of this target has never seen them
        (False, True, False, True),  # the cache knows them
    ],
)
def test_a_list_is_read_incrementally_where_its_users_are_known(
    ledger: Ledger, store: Connection, *, loaded: bool, cached: bool, follows: bool, may_be: bool
) -> None:
    ledger.kols.begin(BTC)
    seq = read(ledger, b"base")
    if loaded:
        ledger.note_loaded([seq], None)
        ledger.kols.settle("btc", evict=False)
    if not cached:
        store.execute("DELETE FROM page")
    assert incremental(ledger, follows=follows) is may_be


def test_a_follows_table_that_has_an_increment_has_its_base_too(ledger: Ledger, store: Connection) -> None:
    ledger.kols.begin(BTC)
    for new in (None, 3):
        ledger.note_loaded([read(ledger, b"page", new=new)], None)
        ledger.kols.settle("btc", evict=False)
        ledger.kols.begin_generation("btc", incremental=True)
    ledger.note_loaded([read(ledger, b"page", new=0)], None)
    store.execute("DELETE FROM page")
    assert incremental(ledger, follows=True)


@pytest.mark.parametrize(("ended_at", "may_be"), [(899.0, False), (900.0, True), (950.0, True), (9e12, False)])
def test_a_list_is_read_in_full_as_often_as_asked(
    ledger: Ledger, store: Connection, ended_at: float, *, may_be: bool
) -> None:
    """A full reading in the future is none: a clock was wrong."""
    ledger.kols.begin(BTC)
    read(ledger, b"base")
    store.execute("UPDATE crawl SET ended_at = ?", (ended_at,))
    assert incremental(ledger, follows=False, full_every=100) is may_be
