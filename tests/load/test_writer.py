"""The writer and the commit protocol, with a real ledger and a real SQLite table."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from scrapy.settings import Settings

from kolspider.db.check import check_target
from kolspider.db.thread import DatabaseThread
from kolspider.db.url import open_database
from kolspider.items import FollowingsPage, Kol, MappedPage, Reject, Row, State
from kolspider.live.disk import Disk
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.live.work import Work
from kolspider.load.commits import Commits
from kolspider.load.repeats import Repeats
from kolspider.load.writer import Writer
from kolspider.options.config import Config
from kolspider.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from kolspider.store.pages import CachedPage

BTC = Kol("btc", "BTC")


@dataclass
class Parts:
    """A writer's surroundings."""

    folder: Path
    config: Config
    ledger: Ledger
    stop: Stop = field(default_factory=Stop)
    tally: Tally = field(default_factory=Tally)
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        database = open_database(self.config.db_url, base=self.folder)
        table = check_target(database, "all_accounts")
        self.thread = DatabaseThread(database, table, retry_secs=0, on_retry=lambda: None)
        disk = Disk(self.folder, self.stop)
        self.commits = Commits(self.ledger, disk, self.tally, self.work, dry_run=False, evict=False)
        self.writer = Writer(
            self.config, self.thread, self.commits, Repeats(), self.ledger.pages, self.stop, self.tally, self.work
        )

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        """Write while the story goes on, and close."""

        async def all_of_it() -> None:
            self.writer.start()
            async with asyncio.timeout(60):
                await story()
                await self.writer.close()

        asyncio.run(all_of_it())

    def page(self, number: int, *ids: int, rejects: int = 0) -> MappedPage:
        """A page of BTC's list, stored as the cache stores one."""
        seq = self.ledger.pages.put(BTC, 0, str(number), number, len(ids), b"{}", fetched_at=float(number))
        rows = [Row(str(id_), "name", None, None, None, None, None, None, None, None) for id_ in ids]
        page = FollowingsPage(BTC, number, str(number), [], last=False, seq=seq)
        return MappedPage(page, rows, [Reject("no_id", {})] * rejects)

    def ids(self) -> list[int]:
        with closing(sqlite3.connect(self.folder / "kol.db")) as database:
            return sorted(int(id_) for (id_,) in database.execute("SELECT id FROM all_accounts"))

    def state(self) -> State:
        kol = self.ledger.kols.find("btc")
        assert kol
        return kol.state


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    settings = Settings()
    settings.setmodule("kolspider.settings")
    settings.set("KOL_FLUSH_SECS", "3600", priority="cmdline")
    config = replace(Config.from_settings(settings), db_url="sqlite:///kol.db", flush_rows=3)
    with closing(open_database(config.db_url, base=tmp_path)) as database:
        database.create_tables("kols", "all_accounts")
    with closing(Ledger.open(tmp_path, config.provider, "here")) as ledger:
        ledger.kols.begin(BTC)
        parts = Parts(tmp_path, config, ledger)
        yield parts
        parts.thread.close()


def test_a_page_is_loaded_only_when_its_rows_are_committed(parts: Parts) -> None:
    first, second = parts.page(1, 1, 2, 3), parts.page(2, 4)

    async def story() -> None:
        parts.writer.add(first)
        parts.writer.add(second)
        assert parts.writer.rows_waiting == 4
        assert not parts.ledger.pages.is_loaded(first.page.seq or 0)

    parts.run(story)
    assert parts.ids() == [1, 2, 3, 4]
    assert parts.ledger.pages.is_loaded(second.page.seq or 0)
    assert (parts.writer.rows_waiting, parts.tally.rows_upserted, parts.tally.batches) == (0, 4, 2)


def test_a_kol_is_complete_when_its_list_has_ended_and_its_pages_are_committed(parts: Parts) -> None:
    page = parts.page(1, 1, 2)

    async def story() -> None:
        parts.writer.add(page)
        parts.commits.list_ended(BTC, State.FETCHED, "", pages=1, users=2, bought=1)
        assert parts.state() is State.FETCHED, "its page is not committed yet"

    parts.run(story)
    assert parts.state() is State.COMPLETE
    assert parts.work.done == {State.COMPLETE: 1}


def test_pages_of_a_list_that_goes_on_complete_nothing(parts: Parts) -> None:
    page = parts.page(1, 1)

    async def story() -> None:
        parts.writer.add(page)

    parts.run(story)
    assert parts.state() is State.FETCHING


def test_users_set_aside_are_on_disk_before_their_page_counts_as_loaded(parts: Parts) -> None:
    page = parts.page(1, 1, rejects=2)

    async def story() -> None:
        parts.writer.add(page)

    parts.run(story)
    lines = parts.ledger.rejects.path.read_text().splitlines()
    assert [json.loads(line)["reason"] for line in lines] == ["no_id", "no_id"]
    assert parts.tally.rows_rejected == {"no_id": 2}


def test_a_page_that_is_loaded_again_sets_nobody_aside_twice(parts: Parts) -> None:
    page = parts.page(1, 1, rejects=1)

    async def story() -> None:
        parts.writer.add(page)
        parts.writer.add(parts.page(2, 2, 3))  # the batch is full, and written
        while parts.writer.rows_waiting:  # noqa: ASYNC110 - the writer has no event for that
            await asyncio.sleep(0.001)
        parts.writer.add(page)

    parts.run(story)
    assert len(parts.ledger.rejects.path.read_text().splitlines()) == 1


def test_pages_are_held_back_while_the_buffer_is_full_and_let_go_when_the_run_stops(parts: Parts) -> None:
    async def story() -> None:
        for number in range(1, 4):
            parts.writer.add(parts.page(number, *range(number * 10, number * 10 + 3)))
        waiting = asyncio.ensure_future(parts.writer.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        parts.stop.set()
        await waiting

    parts.run(story)
    assert len(parts.ids()) == 9, "what has arrived is written all the same"


def test_a_database_that_takes_no_row_stops_the_run_and_its_pages_stay_waiting(parts: Parts) -> None:
    page = parts.page(1, 1, 2)
    with closing(sqlite3.connect(parts.folder / "kol.db")) as database:
        database.execute("DROP TABLE all_accounts")

    async def story() -> None:
        parts.writer.add(page)

    parts.run(story)
    assert "all_accounts" in str(parts.stop.error)
    assert not parts.ledger.pages.is_loaded(page.page.seq or 0)
    assert [cached.seq for cached in _waiting(parts.ledger)] == [page.page.seq]


def _waiting(ledger: Ledger) -> list[CachedPage]:
    ledger.selection.read_cached(waiting_only=True)
    ledger.selection.choose_all(None)
    return list(ledger.pages.waiting())
