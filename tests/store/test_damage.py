"""A store that was cut off is recognised, wherever the cut is, and a good one is not mistaken for it."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import StopRun
from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.store.damage import looks_damaged, mark_damaged
from kolspider.store.database import FILE_NAME, connect
from kolspider.store.ledger import Ledger
from kolspider.store.salvage import salvage_if_damaged

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

PAGES = 50


def add_pages(store: sqlite3.Connection) -> None:
    for number in range(PAGES):
        store.execute(
            "INSERT INTO page (provider, handle, generation, cursor, number, users, fetched_at, body) "
            "VALUES ('p', 'kol', 0, ?, ?, 200, 1.0, ?)",
            (str(number), number, bytes(1000)),
        )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The file of a store with pages, closed."""
    with closing(connect(tmp_path)) as connection:
        add_pages(connection)
    return tmp_path / FILE_NAME


@pytest.mark.parametrize("missing", [1, 2000, 4095, 4096, 4097, 60_000])
def test_a_file_that_was_cut_off_is_damaged_and_salvaged(store: Path, missing: int) -> None:
    assert not looks_damaged(store)
    with store.open("r+b") as file:
        file.truncate(store.stat().st_size - missing)

    with pytest.raises(StopRun, match="is damaged"):
        connect(store.parent)
    salvaged = salvage_if_damaged(store.parent)

    assert salvaged is not None
    assert salvaged.pages == 0  # their bodies are not pages
    assert not looks_damaged(store)


def test_a_file_that_its_journal_makes_whole_is_good(tmp_path: Path) -> None:
    """A run leaves such a file if it dies while it moves pages from the journal to the file."""
    (run, left) = (tmp_path / "run", tmp_path / "left")
    run.mkdir()
    left.mkdir()
    with closing(connect(run)) as connection:
        add_pages(connection)
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            shutil.copy(run / name, left)
    with (left / FILE_NAME).open("ab") as file:
        file.write(bytes(100))

    assert not looks_damaged(left / FILE_NAME)
    with closing(connect(left)) as connection:
        assert connection.execute("SELECT count(*) FROM page").fetchone() == (PAGES,)


def test_a_lost_page_of_an_incremental_reading_does_not_cost_the_full_list_below_it(tmp_path: Path) -> None:
    btc = Kol("btc", "BTC")
    with closing(connect(tmp_path)) as connection:
        ledger = Ledger(connection, tmp_path, provider("twitterapi_io"), 1)
        kols, pages = ledger.kols, ledger.pages
        kols.begin(btc)
        for number in (1, 2):
            pages.put(btc, 0, str(number), number, 200, b"page", fetched_at=number)
        kols.end("btc", State.FETCHED, "", 2, 400, bought=True)
        kols.begin_generation("btc", incremental=True)
        lost = pages.put(btc, 1, "", 1, 200, b"page", fetched_at=3)
        kols.end("btc", State.FETCHED, "", 1, 200, bought=True, new=20)
        connection.execute("UPDATE page SET body = x'' WHERE seq = ?", (lost,))

    mark_damaged(tmp_path / FILE_NAME)
    salvaged = salvage_if_damaged(tmp_path)

    assert salvaged is not None
    assert (salvaged.pages, salvaged.lost_pages) == (2, 1)
    with closing(connect(tmp_path)) as connection:
        readings = Ledger(connection, tmp_path, provider("twitterapi_io"), 1).readings
        assert [reading.state for reading in readings.of_kol("btc")] == ["fetched", "fetching"]
        assert not readings.base_is_missing("btc")
