"""The thread that talks to the database, with a SQLite file behind it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kolspider.db import sqlite as sqlite_module
from kolspider.db.follow_tables import SPAN_FOLLOWS
from kolspider.db.thread import DatabaseThread
from kolspider.errors import StopRun
from kolspider.items import COLUMNS
from tests.db.conftest import Subject, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kolspider.db.base import Database
    from kolspider.items import Row


@pytest.fixture
def db(sqlite: Subject, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database with our tables, which a lock makes unusable at once."""
    monkeypatch.setattr(sqlite_module, "BUSY_SECS", 0.0)
    sqlite.sql(f"CREATE TABLE t (id TEXT PRIMARY KEY CHECK (id <> 'bad'), {', '.join(COLUMNS[1:])})")
    sqlite.db.create_tables("k", "t", "f")
    sqlite.db.close()
    return sqlite.db


@pytest.fixture
def locked(db: Database, sqlite: Subject) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(sqlite.url.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def opened(db: Database, on_retry: Callable[[], None] = lambda: None) -> DatabaseThread:
    table = db.describe("t")
    assert table
    return DatabaseThread(db, table, retry_secs=20, on_retry=on_retry)


def test_batches_and_questions_take_turns_in_one_thread(db: Database) -> None:
    async def crawl() -> None:
        thread = opened(db)
        refused, count, seen_in = await asyncio.gather(
            thread.upsert([row("1"), row("bad"), row("2")]),
            thread.ask(lambda database: database.count("t")),
            thread.ask(lambda _: threading.get_ident()),
        )
        assert [refusal[0] for refusal in refused] == [row("bad")]
        assert count == 2
        assert await thread.widen("f", SPAN_FOLLOWS, [("btc", "1", "2026-11-01", "2026-11-02")]) == []
        assert await thread.ask(lambda database: database.count("f")) == 1
        assert seen_in == await thread.ask(lambda _: threading.get_ident()) != threading.get_ident()
        thread.close()

    asyncio.run(crawl())


def test_receipts_are_what_the_database_said_of_the_last_batch(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "upsert", lambda _, rows: f"txnId {rows[0].id}")

    async def crawl() -> None:
        thread = opened(db)
        await thread.upsert([row("1")])
        await thread.upsert([row("2")])
        assert thread.receipts == ["txnId 2"]
        thread.close()

    asyncio.run(crawl())


def test_an_outage_is_waited_out_and_reported_in_the_loops_thread(db: Database, locked: sqlite3.Connection) -> None:
    reported_in = []

    def on_retry() -> None:
        reported_in.append(threading.get_ident())
        locked.rollback()

    async def crawl() -> None:
        thread = opened(db, on_retry)
        assert await thread.upsert([row("1")]) == []
        thread.close()

    asyncio.run(crawl())
    assert reported_in == [threading.get_ident()]
    assert db.count("t") == 1


def test_giving_up_ends_a_wait(db: Database, locked: sqlite3.Connection) -> None:
    retries = []

    async def crawl() -> None:
        def on_retry() -> None:
            retries.append(1)
            thread.give_up()

        thread = opened(db, on_retry)
        with pytest.raises(StopRun, match=r"the database was away: .*database is locked"):
            await thread.upsert([row("1")])
        locked.rollback()
        assert await thread.upsert([row("1")]) == []  # it still works, it only waits no more
        thread.close()

    asyncio.run(crawl())
    assert retries == [1]


def test_an_error_of_the_database_arrives_as_stop_run(db: Database) -> None:
    async def crawl() -> None:
        thread = opened(db)
        with pytest.raises(StopRun, match=r"sqlite:///.*no such table: nowhere"):
            await thread.ask(lambda database: database.count("nowhere"))
        thread.close()

    asyncio.run(crawl())


def test_closing_finishes_the_batch_on_its_way_and_may_be_done_twice(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert, close, closed = db.upsert, db.close, []

    async def crawl() -> None:
        loop, began, release = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def slow(table: str, rows: list[Row]) -> str:
            loop.call_soon_threadsafe(began.set)
            release.wait(20)
            return upsert(table, rows)

        monkeypatch.setattr(db, "upsert", slow)

        def counting_close() -> None:
            closed.append(db.count("t"))
            close()

        monkeypatch.setattr(db, "close", counting_close)
        thread = opened(db)
        batch = asyncio.create_task(thread.upsert([row("1")]))
        await began.wait()
        threading.Timer(0.1, release.set).start()
        thread.close()
        assert closed == [1]
        assert await batch == []
        thread.close()

    asyncio.run(crawl())
