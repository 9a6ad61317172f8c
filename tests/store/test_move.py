"""The ledger's way from a directory into PostgreSQL and back."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.errors import StopRun, WrongUsage
from kolspider.items import FollowingsPage, Kol, Reject, State
from kolspider.providers import provider
from kolspider.store.database import FILE_NAME, empty_in_memory
from kolspider.store.ledger import Ledger
from kolspider.store.move import _TABLES, move_into_directory, move_to_server
from kolspider.store.outbox import Draft
from kolspider.store.postgres import connect, connect_to_read
from kolspider.store.refusals import Refusal, What
from kolspider.store.runs import Counters

if TYPE_CHECKING:
    from pathlib import Path

    from kolspider.store.connection import Connection
    from tests.postgres import Postgres

API = provider("twitterapi_io")
BTC = Kol("btc", "BTC")


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.url(schema=f"moved_{secrets.token_hex(4)}")


def fill(ledger: Ledger) -> None:
    """Put a row into every table."""
    ledger.kols.begin(BTC)
    seqs = [ledger.pages.put(BTC, 0, str(n), n, 200, bytes([n % 256]) * n, fetched_at=float(n)) for n in range(1, 501)]
    ledger.kols.end("btc", State.FETCHED, "", 500, 100_000, bought=True)
    ledger.note_loaded(
        seqs[:-1],
        7,
        [Refusal("btc", seqs[0], What.ACCOUNT, "1", "no")],
        alerts=[
            Draft("a", "rule", "{}"),
            Draft("b", "rule", "{}"),
            Draft("c", "rule", "{}", account="1", since="2026-11-26 08:00:00"),
        ],
    )
    parcel = ledger.outbox.next_single("here")
    assert parcel
    ledger.outbox.note_sent(parcel, "here", ["here", "there"])
    ledger.readings.note_length("btc", 0, 10, 1_000)
    ledger.note_found_rate(7.5)
    ledger.lost.note([("1", None)])
    run = ledger.runs.begin("buy", "scrapy crawl followings")
    ledger.runs.end(run, Counters(calls=9, errors={"busy": 2}), {State.FETCHED: 1}, 3, 4, 0, "")
    ledger.runs.note_bill(run, 18.0, 0.1)
    db = ledger.connection
    db.execute("INSERT INTO kol_load VALUES (1, 'twitterapi_io', 'btc', 0, 1.5)")
    db.execute("INSERT INTO increment VALUES ('twitterapi_io', 'btc', 0, 7)")
    db.execute("INSERT INTO account VALUES ('btc', '1', 'BTC', 10, ?, '', 1.5, 0.5)", (True,))
    db.execute("INSERT INTO account_change (handle, at, what, detail) VALUES ('btc', 1.5, 'renamed', 'BTC2')")


def content(connection: Connection) -> dict[str, list[Any]]:
    """Every row of every table, but the number of which file the users set aside are in."""
    tables = {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in _TABLES}
    with closing(empty_in_memory()) as model:
        assert set(tables) == {
            name
            for (name,) in model.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite")
        }
    tables["note"] = [row for row in tables["note"] if row[0] != "rejects_size"]
    assert all(tables.values()), "no table is empty, so each is compared"
    return tables


def test_every_row_is_moved_and_moved_back_and_numbers_go_on(tmp_path: Path, url: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    with closing(Ledger.open(here, API, "table")) as ledger:
        fill(ledger)
        before = content(ledger.connection)

    moved = move_to_server(here, url)

    assert (moved.kols, moved.pages) == (1, 500)
    assert not (here / FILE_NAME).exists()
    with closing(sqlite3.connect(moved.aside)) as aside:
        assert aside.execute("SELECT count(*) FROM page").fetchone() == (500,)
    with closing(Ledger.open(here, API, "table", shared_url=url)) as shared:
        assert content(shared.connection) == before
        assert shared.pages.put(BTC, 1, "", 1, 200, b"new", fetched_at=501.0) == 501
        shared.pages.drop(501)
        shared.rejects.append([(FollowingsPage(BTC, 1, "", [], last=True, seq=1), Reject("no_id", {}))])
        with pytest.raises(WrongUsage, match="a run uses the ledger"):
            move_into_directory(url, there)

    there.mkdir(exist_ok=True)
    moved = move_into_directory(url, there)

    assert connect_to_read(url) is None, moved.aside
    assert len((there / "rejects.jsonl").read_text().splitlines()) == 1
    with closing(Ledger.open(there, API, "table")) as ledger:
        ledger.drop_unnoted_rejects()
        assert (there / "rejects.jsonl").stat().st_size > 0
        assert content(ledger.connection) == before
        assert ledger.runs.begin("buy", "again") == 2


def test_nothing_is_moved_into_a_ledger_that_has_something(tmp_path: Path, url: str) -> None:
    for directory in (tmp_path / "a", tmp_path / "b"):
        directory.mkdir()
        with closing(Ledger.open(directory, API, "table")) as ledger:
            ledger.kols.begin(Kol(directory.name, directory.name))
    move_to_server(tmp_path / "a", url)
    with pytest.raises(WrongUsage, match="in that ledger already"):
        move_to_server(tmp_path / "b", url)
    with pytest.raises(WrongUsage, match="in that ledger already"):
        move_into_directory(url, tmp_path / "b")
    with closing(Ledger.open(tmp_path / "b", API, "table")) as ledger:
        assert [kol.handle for kol in ledger.kols] == ["b"]
    with Ledger.read(tmp_path, API, "table", shared_url=url) as shared:
        assert [kol.handle for kol in shared.kols] == ["a"]


def test_a_move_that_fails_half_way_changes_nothing(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Ledger.open(tmp_path, API, "table")) as ledger:
        fill(ledger)
    with closing(connect(url)) as connection:
        # The last table of all
        connection.execute("ALTER TABLE increment ADD CHECK (new < 7)")
    with pytest.raises(Exception, match="increment_new_check"):
        move_to_server(tmp_path, url)
    with Ledger.read(tmp_path, API, "table", shared_url=url) as shared:
        assert (list(shared.kols), len(shared.pages), len(shared.runs)) == ([], 0, 0)
    with closing(Ledger.open(tmp_path, API, "table")) as ledger:
        assert len(ledger.pages) == 500


def test_there_must_be_something_to_move(tmp_path: Path, url: str) -> None:
    with pytest.raises(StopRun, match="nothing to move"):
        move_to_server(tmp_path, url)
    with pytest.raises(StopRun, match="nothing to move"):
        move_into_directory(url, tmp_path)
