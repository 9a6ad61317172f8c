"""The writer and the commit protocol, with a real ledger and a real SQLite table."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from scrapy.settings import Settings

from kolspider.alerts.raising import Raising
from kolspider.db.check import check_target
from kolspider.db.thread import DatabaseThread
from kolspider.db.url import open_database
from kolspider.items import Follow, FollowingsPage, Kol, MappedPage, Reject, Row, State, WholeReading
from kolspider.live.disk import Disk
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.live.work import Work
from kolspider.load import writer
from kolspider.load.commits import Commits
from kolspider.load.repeats import Repeats
from kolspider.load.writer import Writer
from kolspider.options.arguments import Arguments
from kolspider.options.config import Config
from kolspider.store.ledger import Ledger
from kolspider.store.refusals import What
from tests.live.unguarded import alone
from tests.loading import waiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path
    from typing import Any

    from kolspider.store.pages import CachedPage

BTC, ETH = Kol("btc", "BTC"), Kol("eth", "ETH")


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
        self.repeats = Repeats()
        raising = Raising([], "", "", self.ledger, asks=False)
        self.commits = Commits(self.ledger, disk, alone(), self.tally, self.work, raising, Arguments(), evict=True)
        self.writer = Writer(self.config, self.thread, self.commits, self.repeats, self.stop, self.tally, self.work)

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        """Write while the story goes on, and close."""

        async def all_of_it() -> None:
            self.writer.start()
            async with asyncio.timeout(60):
                await story()
                await self.writer.close()

        asyncio.run(all_of_it())

    def page(self, number: int, *ids: int, rejects: int = 0, kol: Kol = BTC) -> MappedPage:
        """A page of a KOL's list, stored as the cache stores one."""
        seq = self.ledger.pages.put(kol, 0, str(number), number, len(ids), b"{}", fetched_at=float(number))
        rows = [Row(str(id_), "name", None, None, None, None, None, None, None, None) for id_ in ids]
        page = FollowingsPage(kol, number, str(number), [], last=False, seq=seq)
        return MappedPage(page, rows, [Reject("no_id", {})] * rejects)

    def load(self, *pages: MappedPage) -> None:
        """Write these pages, and end BTC's list behind them."""

        async def story() -> None:
            for page in pages:
                self.writer.add(page)
            await self.commits.list_ended(BTC, State.FETCHED, "", pages=len(pages), users=9, bought=1)

        self.run(story)

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in the target database; returns the rows of the last one."""
        with closing(sqlite3.connect(self.folder / "kol.db")) as database, database:
            return [database.execute(statement).fetchall() for statement in statements][-1]

    def refuse(self, condition: str, table: str = "all_accounts") -> None:
        """Let the table refuse the rows that meet this condition."""
        self.sql(f"CREATE TRIGGER no BEFORE INSERT ON {table} WHEN {condition} BEGIN SELECT RAISE(ABORT, 'no'); END")

    def rejects(self) -> list[tuple[str, str, str]]:
        """Reason, KOL and account of each line of rejects.jsonl."""
        path = self.folder / "rejects.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(line["reason"], line["kol"], line["user"].get("id") or line["user"].get("user_id")) for line in lines]

    def ids(self) -> list[int]:
        with closing(sqlite3.connect(self.folder / "kol.db")) as database:
            return sorted(int(id_) for (id_,) in database.execute("SELECT id FROM all_accounts"))

    def loaded(self) -> set[int]:
        """The numbers of BTC's pages that are in the table."""
        return {page.number for page in self.ledger.pages.of_kol("btc") if page.loaded}

    def state(self) -> State:
        kol = self.ledger.kols.find("btc")
        assert kol
        return kol.state


@pytest.fixture
def follows_table() -> str:
    """No follows table, unless a test names one."""
    return ""


@pytest.fixture
def parts(tmp_path: Path, follows_table: str) -> Iterator[Parts]:
    settings = Settings()
    settings.setmodule("kolspider.settings")
    settings.set("KOL_FLUSH_SECS", "3600", priority="cmdline")
    config = replace(Config.from_settings(settings), db_url="sqlite:///kol.db", flush_rows=3)
    config = replace(config, target_table="all_accounts", follows_table=follows_table)
    with closing(open_database(config.db_url, base=tmp_path)) as database:
        database.create_tables("kols", "all_accounts", follows_table)
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
        assert parts.loaded() == set()

    parts.run(story)
    assert parts.ids() == [1, 2, 3, 4]
    assert parts.loaded() == {1, 2}
    assert (parts.writer.rows_waiting, parts.tally.rows_upserted, parts.tally.batches) == (0, 4, 2)


def test_a_kol_is_complete_when_its_list_has_ended_and_its_pages_are_committed(parts: Parts) -> None:
    page = parts.page(1, 1, 2)

    async def story() -> None:
        parts.writer.add(page)
        await parts.commits.list_ended(BTC, State.FETCHED, "", pages=1, users=2, bought=1)
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
    lines = (parts.folder / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in lines] == ["no_id", "no_id"]


def test_a_page_that_is_loaded_again_sets_nobody_aside_twice(parts: Parts) -> None:
    page = parts.page(1, 1, rejects=1)

    async def story() -> None:
        parts.writer.add(page)
        parts.writer.add(parts.page(2, 2, 3))  # the batch is full, and written
        while parts.writer.rows_waiting:  # noqa: ASYNC110 - the writer has no event for that
            await asyncio.sleep(0.001)
        parts.writer.add(page)

    parts.run(story)
    assert len((parts.folder / "rejects.jsonl").read_text().splitlines()) == 1


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
    assert parts.loaded() == set()
    assert [cached.seq for cached in _waiting(parts.ledger)] == [page.page.seq]


# --- how much is a batch ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "pages", "batches"),
    [
        ({}, [1, 1, 1, 1], [3, 1]),
        ({}, [2, 2, 2, 2], [4, 4]),
        ({}, [3, 0, 3, 1], [3, 3, 1]),
        ({"_FLUSH_BYTES": 249}, [1, 1, 1, 1], [3, 1]),
        ({"_FLUSH_BYTES": 248}, [1, 1, 1, 1], [2, 2]),
        ({"_FLUSH_BYTES": 124}, [1, 1, 1, 1], [1, 1, 1, 1]),
    ],
)
def test_a_batch_is_as_many_pages_as_reach_its_rows_or_bytes(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, most: dict[str, int], pages: list[int], batches: list[int]
) -> None:
    """A page has 124 bytes a row."""
    for name, value in most.items():
        monkeypatch.setattr(writer, name, value)
    written: list[int] = []
    waiting: list[int] = []
    upsert = parts.thread.upsert

    async def watched(rows: list[Row], again: frozenset[Row]) -> list[tuple[Row, str]]:
        written.append(len(rows))
        waiting.append(parts.writer.rows_waiting)
        return await upsert(rows, again)

    monkeypatch.setattr(parts.thread, "upsert", watched)
    ids = iter(range(1, 99))
    given = [parts.page(number, *(next(ids) for _ in range(rows))) for number, rows in enumerate(pages, 1)]

    async def story() -> None:
        for page in given:
            parts.writer.add(page)

    parts.run(story)
    assert written == batches
    assert waiting == [sum(batches[at:]) for at in range(len(batches))], "those of the batch itself, too"
    assert (parts.writer.rows_waiting, parts.writer._weight, parts.writer._bytes) == (0, 0, 0)
    assert (parts.tally.batches, parts.tally.rows_upserted, parts.tally.rows_repeated) == (len(batches), sum(pages), 0)


@pytest.mark.parametrize(
    ("batches", "pages", "is_full"), [(1, 199, False), (1, 200, True), (2, 399, False), (2, 400, True)]
)
def test_many_pages_without_rows_are_a_batch(parts: Parts, batches: int, pages: int, is_full: bool) -> None:
    for _ in range(pages):
        parts.writer.add(MappedPage(FollowingsPage(BTC, 1, "", [], last=False), []))
    assert parts.writer._is_full(batches) is is_full


def test_a_page_that_waited_long_enough_is_written_before_the_end(parts: Parts) -> None:
    parts.config = parts.writer._config = replace(parts.config, flush_secs=0)

    async def story() -> None:
        for number in (1, 2):
            parts.writer.add(parts.page(number, number))
            while parts.loaded() != set(range(1, number + 1)):  # noqa: ASYNC110 - the writer has no event for that
                await asyncio.sleep(0.001)

    parts.run(story)
    assert parts.tally.batches == 2


def test_who_waits_for_room_goes_on_when_a_batch_is_written(parts: Parts) -> None:
    async def story() -> None:
        for number in (1, 2):
            parts.writer.add(parts.page(number, *range(number * 10, number * 10 + 3)))
            await parts.writer.room()
        parts.writer.add(parts.page(3, 1, 2, 3))

    parts.run(story)
    assert parts.tally.batches == 3


def test_an_account_that_comes_twice_is_written_once_and_its_first_row_counts_as_a_repeat(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    parts.load(parts.page(1, 1, 2), parts.page(2, 1, 3))
    assert re.match(r"3 rows of 2 pages upserted in \d+ ms$", caplog.messages[0])
    assert (parts.tally.rows_upserted, parts.tally.rows_repeated, parts.state()) == (3, 1, State.COMPLETE)


def test_bare_rows_of_accounts_that_the_table_has_count_as_repeats(parts: Parts) -> None:
    parts.load(parts.page(1, 1, 2))
    page = parts.page(2, 1, 2)
    page.rows[:] = [row._replace(name=None) for row in page.rows]
    parts.load(page)
    assert (parts.tally.rows_upserted, parts.tally.rows_repeated) == (2, 2)
    assert parts.sql("SELECT DISTINCT name FROM all_accounts") == [("name",)]


# --- rows that the database refuses -----------------------------------------------------------------------------


def test_a_list_with_a_refused_row_is_not_complete_and_keeps_its_pages(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    parts.refuse("NEW.id IN ('2', '3')")
    parts.load(parts.page(1, 1, 2, 4, 5), parts.page(2, 3, 6, 7, 8))
    told = [re.sub(r"\d+ ms", "n ms", line) for line in caplog.messages if "upserted" in line]
    assert told == ["3 rows of 1 page upserted, 1 refused in n ms"] * 2
    assert (parts.ids(), parts.state()) == ([1, 4, 5, 6, 7, 8], State.FETCHED)
    assert parts.tally.rows_upserted == 6
    assert len(parts.ledger.pages) == 2, "KOL_CACHE_EVICT deletes only what is all in the table"
    why, line = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert why.startswith("the database refuses rows: no")
    assert line == "KOL BTC: 2 rows refused, see rejects.jsonl"
    assert parts.work.done == {State.FETCHED: 1}


def test_a_refused_row_does_not_count_as_one_that_the_table_has(parts: Parts) -> None:
    parts.repeats.fresh(["1"], [7])
    parts.refuse("NEW.id = '1'")
    parts.load(parts.page(1, 1, 2, 3))
    assert parts.repeats.fresh(["1"], [7]) == [0]


def test_an_account_that_is_refused_is_set_aside_for_each_kol_of_the_batch(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    parts.ledger.kols.begin(ETH)
    parts.refuse("NEW.id = '1'")
    parts.load(parts.page(1, 1, 2), parts.page(1, 1, 3, 4, kol=ETH))
    assert "KOL ETH: 1 row refused, see rejects.jsonl" in caplog.messages, "its list did not end"
    assert sorted(parts.rejects()) == [("refused", "BTC", "1"), ("refused", "ETH", "1")]
    assert [(kol.handle, kol.refused) for kol in parts.ledger.kols] == [("btc", 1), ("eth", 1)]


def test_an_account_that_is_refused_on_two_pages_is_tried_again_for_both(parts: Parts) -> None:
    parts.refuse("NEW.id = '1'")
    parts.load(parts.page(1, 1, 2, 3), parts.page(2, 1, 4, 5))
    (kol,) = parts.ledger.kols
    assert kol.refused == 2
    tally = parts.tally
    assert (tally.rows_upserted, tally.rows_repeated, tally.rows_rejected) == (4, 0, {"refused": 2})
    assert [parts.ledger.refusals.of_page("btc", seq) for seq in (1, 2)] == [{What.ACCOUNT: {"1"}}] * 2


def test_a_newer_row_of_the_account_ends_a_refusal(parts: Parts) -> None:
    parts.sql(
        "CREATE TRIGGER no BEFORE INSERT ON all_accounts WHEN NEW.name = 'bad' BEGIN SELECT RAISE(ABORT, ''); END"
    )
    older, newer = parts.page(1, 1, 2, 3), parts.page(2, 1, 4, 5)
    older.rows[0] = older.rows[0]._replace(name="bad")
    parts.load(older, newer)
    assert (parts.ids(), parts.state()) == ([1, 2, 3, 4, 5], State.COMPLETE)


def test_an_older_row_of_the_account_does_not_end_a_refusal(parts: Parts) -> None:
    parts.sql(
        "CREATE TRIGGER no BEFORE INSERT ON all_accounts WHEN NEW.name = 'bad' BEGIN SELECT RAISE(ABORT, ''); END"
    )
    older, newer = parts.page(1, 1, 2, 3), parts.page(2, 1, 4, 5)
    newer.rows[0] = newer.rows[0]._replace(name="bad")
    parts.load(older, newer)
    assert (parts.ids(), parts.state()) == ([1, 2, 3, 4, 5], State.FETCHED)


def test_a_row_that_is_refused_again_is_set_aside_once_and_is_no_news_about_the_table(parts: Parts) -> None:
    parts.refuse("NEW.id < '4'")
    page = parts.page(1, *range(1, 9))
    parts.load(page)
    parts.load(replace(page, rows=page.rows[:3]))  # most of this batch, and of this run so far
    assert parts.stop.error is None
    assert parts.rejects() == [("refused", "BTC", id_) for id_ in "123"]
    assert parts.tally.rows_rejected == {"refused": 6}, "in the closing table they are in every load"
    assert parts.state() is State.FETCHED

    parts.sql("DROP TRIGGER no")
    parts.load(replace(page, rows=page.rows[:3]))
    assert (parts.ids(), parts.state()) == (list(range(1, 9)), State.COMPLETE)


@pytest.mark.parametrize("follows_table", ["follows"])
def test_refused_follows_are_set_aside_and_keep_their_list_from_being_complete(parts: Parts) -> None:
    parts.refuse("NEW.user_id = '2'", "follows")
    parts.sql("CREATE TRIGGER not_whole BEFORE INSERT ON follows_crawls BEGIN SELECT RAISE(ABORT, 'no'); END")
    page = parts.page(1, 1, 2, 3)
    follows = [Follow("btc", row.id, "2026-11-01 00:00:00", "2026-11-01 00:00:00") for row in page.rows]
    whole = WholeReading("btc", "2026-11-01 00:00:00", "2026-11-01 00:00:00")
    page = replace(page, follows=follows, whole=whole)
    parts.load(page)
    assert parts.rejects() == [("follow_refused", "BTC", "2"), ("follow_refused", "BTC", None)]
    assert parts.sql("SELECT user_id FROM follows ORDER BY user_id") == [("1",), ("3",)]
    assert (parts.tally.follows_upserted, parts.tally.follows_whole, parts.tally.follows_refused) == (2, 0, 2)
    assert parts.tally.rows_rejected == {}, "their users have rows"
    (kol,) = parts.ledger.kols
    assert (kol.state, kol.refused) == (State.FETCHED, 2)

    parts.sql("DROP TRIGGER no", "DROP TRIGGER not_whole")
    parts.load(page)
    assert parts.state() is State.COMPLETE


@pytest.mark.parametrize("follows_table", ["follows"])
def test_a_follows_table_that_refuses_every_row_stops_the_run(parts: Parts) -> None:
    parts.refuse("NEW.user_id <> ''", "follows")
    page = parts.page(1, 1, 2, 3)
    page.follows.extend(Follow("btc", row.id, "2026-11-01 00:00:00", "2026-11-01 00:00:00") for row in page.rows)
    parts.load(page)
    assert "follows refuses most rows" in str(parts.stop.error)
    assert (parts.loaded(), parts.rejects(), parts.state()) == (set(), [], State.FETCHED)


def test_a_page_that_could_not_be_stored_is_written_and_marks_nothing(parts: Parts) -> None:
    parts.refuse("NEW.id = '1'")
    page = MappedPage(FollowingsPage(BTC, 1, "", [], last=True), parts.page(9, 1, 2, 3).rows)

    async def story() -> None:
        parts.writer.add(page)

    parts.run(story)
    assert (parts.ids(), parts.rejects()) == ([2, 3], [("refused", "BTC", "1")])
    assert parts.loaded() == set()
    assert parts.state() is State.FETCHING


def _waiting(ledger: Ledger) -> list[CachedPage]:
    ledger.selection.read_cached(waiting_only=True)
    ledger.selection.choose_all(None)
    return list(waiting(ledger.pages))


@pytest.mark.parametrize("follows_table", ["follows"])
@pytest.mark.parametrize("ids", [(1,), ()], ids=["rows and follows", "follows alone"])
def test_a_database_that_is_back_holds_nobody_up(parts: Parts, ids: tuple[int, ...]) -> None:
    """It was away before, or is while the follows are written."""
    page = parts.page(1, *ids)
    page = replace(page, follows=[Follow("btc", "1", "2026-11-01 00:00:00", "2026-11-01 00:00:00")])

    async def story() -> None:
        parts.work.wait("the database", "is away")
        parts.writer.add(page)

    parts.run(story)
    assert parts.work.waits == {}
    assert parts.loaded() == {1}
    assert (parts.tally.batches, parts.tally.follows_upserted) == (len(ids), 1)
