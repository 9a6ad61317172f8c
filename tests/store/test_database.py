"""The store's file is created once, never over what is there, and gives its space back."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import WrongUsage
from kolspider.items import Kol
from kolspider.providers import provider
from kolspider.store.database import FILE_NAME, connect, connect_to_read, locked_by_another
from kolspider.store.ledger import Ledger
from kolspider.store.readings import size_with_new
from kolspider.store.schema import ADDED, FIRST_VERSION, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BTC = Kol("btc", "BTC")


def test_a_file_without_tables_is_filled_when_asked_and_one_with_pages_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    with pytest.raises(WrongUsage, match="has no tables"):
        connect(tmp_path)
    for pages in (0, 1, 2):
        with closing(connect(tmp_path, fresh=True)) as store:
            assert store.execute("SELECT count(*) FROM page").fetchone() == (pages,)
            ledger = Ledger(store, tmp_path, provider("twitterapi_io"), 1)
            ledger.pages.put(BTC, 0, str(pages), 1, 200, b"page", fetched_at=1.0)


def test_a_file_whose_making_was_broken_off_is_made_again(tmp_path: Path) -> None:
    connect(tmp_path).close()
    (tmp_path / FILE_NAME).rename(tmp_path / f"{FILE_NAME}.new")
    with closing(connect(tmp_path)) as store:
        assert store.execute("SELECT count(*) FROM page").fetchone() == (0,)


@pytest.mark.parametrize("work", [connect, connect_to_read])
@pytest.mark.parametrize(
    ("version", "told"),
    [
        (FIRST_VERSION - 1, "another version"),
        (FIRST_VERSION, ""),
        (VERSION, ""),
        (VERSION + 1, "a later version"),
        (999, "a later version"),
        (1000, "another version"),
    ],
)
def test_only_formats_that_are_known_are_opened(
    tmp_path: Path, work: Callable[[Path], sqlite3.Connection | None], version: int, told: str
) -> None:
    with closing(connect(tmp_path)) as store:
        store.execute(f"PRAGMA user_version = {version}")
        if version == FIRST_VERSION:
            for table in re.findall(r"CREATE TABLE (\w+)", "".join(ADDED.values())):
                store.execute(f"DROP TABLE {table}")
    if told:
        with pytest.raises(WrongUsage, match=f"was written by {told} of kolspider"):
            work(tmp_path)
        return
    opened = work(tmp_path)
    assert opened
    with closing(opened) as store:
        assert store.execute("SELECT count(*) FROM refused").fetchone() == (0,)


def test_the_space_of_deleted_pages_is_free_at_once(tmp_path: Path) -> None:
    def size() -> int:
        return sum(path.stat().st_size for path in tmp_path.iterdir())

    with closing(Ledger.open(tmp_path, provider("twitterapi_io"), "here")) as ledger:
        ledger.kols.begin(BTC)
        for number in range(50):
            ledger.pages.put(BTC, 0, str(number), number, 200, os.urandom(20_000), fetched_at=1.0)
        assert size() > 1_000_000
        ledger.clear(keep_progress=True)
        assert size() < 300_000


def test_whoever_keeps_the_file_locked_is_named(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("locked")
    assert locked_by_another(tmp_path, error) == ""
    for code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_LOCKED_SHAREDCACHE):
        error.sqlite_errorcode = code
        assert "another process keeps" in locked_by_another(tmp_path, error)
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_LOCK
    assert locked_by_another(tmp_path, error) == ""


@pytest.mark.parametrize(
    ("pages", "users", "new", "size"),
    [
        (1, 0, 0, (1, 0)),
        (1, 0, 200, (1, 200)),
        (1, 0, 201, (2, 201)),
        (1, 199, 1, (1, 200)),
        (1, 200, 1, (2, 201)),
        (3, 250, 150, (3, 400)),
        (3, 250, 151, (4, 401)),
    ],
)
def test_new_users_take_further_pages_only_where_the_last_one_is_full(
    pages: int, users: int, new: int, size: tuple[int, int]
) -> None:
    assert size_with_new(pages, users, new, 200) == size


def test_a_ledger_that_is_frozen_shows_one_moment(tmp_path: Path) -> None:
    api = provider("twitterapi_io")
    with closing(Ledger.open(tmp_path, api, "here")) as run, Ledger.read(tmp_path, api, "here") as seen:
        run.kols.begin(BTC)
        seen.freeze()
        assert len(list(seen.kols)) == 1
        run.kols.begin(Kol("eth", "ETH"))
        assert len(list(seen.kols)) == 1
