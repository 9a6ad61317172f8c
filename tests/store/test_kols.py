"""The ledger of KOLs: what must be on disk is synced, and only a reading changes when a list was finished."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.store.database import connect, transaction
from kolspider.store.ledger import Ledger

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

BTC = Kol("btc", "BTC")
NORMAL, FULL = 1, 2


@pytest.fixture
def begun(ledger: Ledger) -> Ledger:
    """A ledger with one KOL at work, of whom a page is stored."""
    ledger.kols.begin(BTC)
    ledger.pages.put(BTC, 0, "", 1, 200, b"page", fetched_at=1.0)
    return ledger


@pytest.fixture
def synced(store: sqlite3.Connection) -> Iterator[list[int]]:
    """How each transaction that begins is synced."""
    levels: list[int] = []
    level = FULL

    def note(statement: str) -> None:
        nonlocal level
        if statement.startswith("PRAGMA synchronous = "):
            level = {"NORMAL": NORMAL, "FULL": FULL}[statement.rpartition(" ")[2]]
        elif statement == "COMMIT":
            levels.append(level)

    store.set_trace_callback(note)
    yield levels
    store.set_trace_callback(None)


@pytest.mark.parametrize(
    "work",
    [
        lambda ledger: ledger.pages.put(BTC, 0, "c", 2, 200, b"page", fetched_at=1.0),
        lambda ledger: ledger.note_loaded([1], 7),
        lambda ledger: ledger.kols.end("btc", State.FETCHED, "", 1, 200, bought=True),
        lambda ledger: ledger.kols.begin_generation("btc"),
        lambda ledger: ledger.kols.begin_generation("btc", incremental=True),
        lambda ledger: ledger.kols.restart("btc"),
    ],
    ids=["a page", "loaded", "the end", "a refresh", "an increment", "a refused cursor"],
)
def test_what_a_power_cut_must_not_take_back_is_synced(
    begun: Ledger, synced: list[int], work: Callable[[Ledger], object]
) -> None:
    begun.kols.add_calls("btc", 1)
    assert synced.pop() == NORMAL, "a count of calls may fall back by a moment"
    work(begun)
    assert synced == [FULL]


def test_a_store_on_disk_is_synced_from_the_beginning_and_after_an_error(tmp_path: Path) -> None:
    with closing(connect(tmp_path)) as store:
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store.execute("PRAGMA synchronous").fetchone() == (FULL,)
        with suppress(KeyError), transaction(store, synced=False):
            assert store.execute("PRAGMA synchronous").fetchone() == (NORMAL,)
            raise KeyError
        assert store.execute("PRAGMA synchronous").fetchone() == (FULL,)
        Ledger(store, tmp_path, provider("twitterapi_io"), 1).kols.begin(BTC)
        assert store.execute("PRAGMA synchronous").fetchone() == (FULL,)


def test_loading_a_list_again_does_not_change_when_it_was_finished(begun: Ledger, store: sqlite3.Connection) -> None:
    """Otherwise a replay would keep a refresh from reading the list again."""
    begun.kols.end("btc", State.FETCHED, "", 1, 200, bought=True)
    store.execute("UPDATE kol SET finished_at = 100")
    store.execute("UPDATE crawl SET ended_at = 100")

    begun.kols.end("btc", State.FETCHED, "", 1, 200, bought=False)
    assert finished(begun) == 100
    assert [reading.ended_at for reading in begun.readings.of_kol("btc")] == [100]

    begun.kols.end("btc", State.FETCHED, "", 1, 200, bought=True)
    assert (finished(begun) or 0) > 100


def finished(ledger: Ledger) -> float | None:
    kol = ledger.kols.find("btc")
    assert kol
    return kol.finished_at
