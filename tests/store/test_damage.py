"""Damage is noticed wherever it is, a good store is not mistaken for a damaged one, and no KOL is left without work."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from kolspider.errors import StopRun, WrongUsage
from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.providers.base import Profile
from kolspider.store.damage import is_damage, looks_damaged, mark_damaged
from kolspider.store.database import FILE_NAME, connect, connect_to_read
from kolspider.store.ledger import Ledger
from kolspider.store.outbox import Draft
from kolspider.store.salvage import _readable, salvage_if_damaged
from kolspider.store.schema import SCHEMA, VERSION
from tests.loading import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PAGES = 50
KOLS = [Kol(f"kol{number:02}", f"KOL{number:02}") for number in range(12)]


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


@pytest.mark.parametrize("missing", [1, 4096, 40_960])
def test_a_file_that_lost_its_end_keeps_what_is_before_it(tmp_path: Path, missing: int) -> None:
    dice = Random(1)
    with closing(connect(tmp_path)) as connection:
        ledger = Ledger(connection, tmp_path, provider("twitterapi_io"), 1)
        for kol in KOLS:
            ledger.kols.begin(kol)
            for number in range(1, 9):
                ledger.pages.put(kol, 0, str(number), number, 200, dice.randbytes(9_000), fetched_at=1.0)
    file = tmp_path / FILE_NAME
    os.truncate(file, file.stat().st_size - missing)

    salvaged = salvage_if_damaged(tmp_path)

    assert salvaged
    assert salvaged.pages >= 8 * len(KOLS) - 2 - missing // 9_000
    assert not looks_damaged(file, thoroughly=True)


def test_a_file_of_the_largest_pages_is_whole_or_cut_off(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as store:
        store.executescript(f"PRAGMA page_size = 65536; CREATE TABLE t (a); INSERT INTO t VALUES (1); {SCHEMA}")
        store.execute(f"PRAGMA user_version = {VERSION}")
    assert path.stat().st_size % 65_536 == 0
    assert not looks_damaged(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    assert looks_damaged(path)


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


@pytest.mark.parametrize(
    "change", ["kol SET finished_at = 1e300", "kol SET started_at = -9e999", "crawl SET ended_at = 1e12"]
)
def test_a_moment_that_no_date_can_hold_is_damage(tmp_path: Path, change: str) -> None:
    with opened(tmp_path) as ledger:
        ledger.kols.begin(KOLS[0])
        ledger.kols.end("kol00", State.FETCHED, "", 0, 0, bought=True)
    assert not looks_damaged(tmp_path / FILE_NAME)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as store, store:
        store.execute(f"UPDATE {change}")
    assert looks_damaged(tmp_path / FILE_NAME)
    assert salvage_if_damaged(tmp_path)
    assert not looks_damaged(tmp_path / FILE_NAME)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_list_that_lost_a_page_is_complete_in_no_target(tmp_path: Path, number: int) -> None:
    with opened(tmp_path) as ledger:
        ledger.kols.begin(KOLS[0])
        seqs = [ledger.pages.put(KOLS[0], 0, str(n), n, 200, b"page", fetched_at=1.0) for n in (1, 2, 3)]
        ledger.kols.end("kol00", State.FETCHED, "", 3, 600, bought=True)
        ledger.note_loaded(seqs, None)
        ledger.kols.settle("kol00", evict=False)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as store, store:
        store.execute("UPDATE page SET body = x'00' WHERE number = ?", (number,))
    mark_damaged(tmp_path / FILE_NAME)

    salvaged = salvage_if_damaged(tmp_path)

    assert salvaged
    assert salvaged.lost_pages == 1
    assert states(tmp_path) == {"kol00": State.FETCHING}
    with opened(tmp_path) as ledger:
        assert due(ledger, KOLS[:1]) == KOLS[:1]
        # When the page is bought again, the list is not complete before that page is in the table, too
        ledger.kols.begin(KOLS[0])
        ledger.pages.put(KOLS[0], 0, str(number), number, 200, b"page", fetched_at=2.0)
        ledger.kols.end("kol00", State.FETCHED, "", 3, 600, bought=True)
        assert ledger.kols.settle("kol00", evict=False) is None
        assert ledger.kols.states() == {State.FETCHED: 1}


@pytest.mark.parametrize("torn", [False, True])
def test_a_list_without_pages_is_whole_in_the_table_unless_pages_were_lost(loaded: Path, torn: bool) -> None:
    """Its pages were evicted, or they are among those that can't be read."""
    with closing(sqlite3.connect(loaded)) as store, store:
        store.execute("DELETE FROM kol WHERE handle = 'kol05'")
        store.execute("DELETE FROM page WHERE handle = 'kol05'")
        if torn:
            store.execute("UPDATE page SET users = 'x' WHERE handle = 'kol06'")
    mark_damaged(loaded)
    assert salvage_if_damaged(loaded.parent)
    assert states(loaded.parent).get("kol05") is (None if torn else State.COMPLETE)


def test_damage_in_the_table_of_pages_is_found_when_a_run_begins(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'page'").fetchone()
    with store.open("r+b") as file:
        file.seek((root - 1) * 4096 + 8)  # where the last pages are
        file.write(b"\x7f" * 4)

    assert not looks_damaged(store), "commands that only look are not held up by it"
    assert salvage_if_damaged(store.parent)
    assert not looks_damaged(store, thoroughly=True)


def test_a_store_of_a_later_version_is_refused_and_never_salvaged(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE later (id INTEGER)")
        connection.execute(
            "INSERT INTO kol (provider, handle, user_name, state) VALUES ('p', 'k', 'k', 'a later state')"
        )
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.commit()
    mark_damaged(store)
    before = store.read_bytes()

    for work in (connect, connect_to_read, salvage_if_damaged):
        with pytest.raises(WrongUsage, match=rf"by a later version of kolspider \(format {VERSION + 1};"):
            work(store.parent)
    assert store.read_bytes() == before


@pytest.mark.parametrize("table", ["kol", "kol_load", "crawl", "page"])
@pytest.mark.parametrize("name", ["zol05", "k.l05", "kol0Z", "\x00ol05", "kol07"])
def test_a_handle_with_a_wrong_byte_leaves_no_kol_without_work(loaded: Path, table: str, name: str) -> None:
    overwrite(loaded, table, b"iokol05", b"io" + name.encode())
    if table == "page":
        mark_damaged(loaded)  # the run that meets it does

    salvage_if_damaged(loaded.parent)

    assert states(loaded.parent).keys() <= {kol.handle for kol in KOLS}
    assert left_alone(loaded.parent) == set()


@pytest.mark.parametrize(("complete", "number"), [(5, 0), (7, 3), (8, 5), (9, 6)])
def test_a_list_that_is_complete_stays_complete_while_others_are_loaded(
    tmp_path: Path, complete: int, number: int
) -> None:
    """SQLite's binary search passes a row that is out of order on one side or the other, depending on how many
    rows there are."""
    load(tmp_path, KOLS[:complete])
    overwrite(tmp_path / FILE_NAME, "kol_load", b"kol%02d" % number, b"zol%02d" % number)

    salvage_if_damaged(tmp_path)
    load(tmp_path, KOLS)

    assert states(tmp_path) == {kol.handle: State.COMPLETE for kol in KOLS}


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwrite(path, "kol", b"fetched", b"fetcheD"),
        lambda path: overwrite(path, "crawl", b"full", b"fulL"),
        lambda path: overwrite(path, "kol", b"iokol05KOL05", b"iokol05K\xd6L05"),
        pytest.param(
            lambda path: overwrite(path, "", b"label TEXT NOT NULL", b"label TEXT NOT NU\xb1L"), marks=pytest.mark.long
        ),
    ],
)
def test_one_salvage_is_enough(loaded: Path, damage: Callable[[Path], None]) -> None:
    damage(loaded)

    assert looks_damaged(loaded)
    assert salvage_if_damaged(loaded.parent)

    assert not looks_damaged(loaded)
    assert left_alone(loaded.parent) == set()


def test_an_index_that_leads_to_another_lists_page_is_damage(loaded: Path) -> None:
    overwrite(loaded, "sqlite_autoindex_page_1", b"iokol05c\x06", b"iokol05c\x07")

    with opened(loaded.parent) as ledger, pytest.raises(sqlite3.DatabaseError) as met:
        ledger.pages.get("kol05", 0, "c")

    assert is_damage(met.value)


def test_an_index_that_leads_to_no_page_does_not_keep_a_list_waiting_for_ever(loaded: Path) -> None:
    overwrite(loaded, "sqlite_autoindex_page_1", b"iokol05c\x06", b"iokol05c\x7f")

    with opened(loaded.parent) as ledger:
        ledger.selection.read(["kol05"])
        ledger.selection.choose_all(None)
        with pytest.raises(sqlite3.DatabaseError) as met:
            list(waiting(ledger.pages))

    assert is_damage(met.value)


@pytest.fixture
def loaded(tmp_path: Path) -> Path:
    """The file of a store whose lists are all in the table; each table fits into one of SQLite's pages."""
    load(tmp_path, KOLS)
    assert not looks_damaged(tmp_path / FILE_NAME)
    return tmp_path / FILE_NAME


def opened(directory: Path) -> closing[Ledger]:
    return closing(Ledger.open(directory, provider("twitterapi_io"), "here"))


def load(directory: Path, wanted: list[Kol]) -> None:
    """What a run does for the KOLs that are due, of one page each."""
    with opened(directory) as ledger:
        kols, pages = ledger.kols, ledger.pages
        for kol in due(ledger, wanted):
            generation = kols.begin(kol)
            found = pages.get(kol.handle, generation, "c")
            seq = found[0] if found else pages.put(kol, generation, "c", 1, 200, b"page", fetched_at=1.0)
            kols.end(kol.handle, State.FETCHED, "", 1, 200, bought=not found)
            ledger.note_loaded([seq], None)
            kols.settle(kol.handle, evict=False)


def due(ledger: Ledger, wanted: list[Kol]) -> list[Kol]:
    ledger.selection.read(kol.user_name for kol in wanted)
    ledger.selection.choose_due(now=time.time(), refresh_before=None, retry=(), limit=None, keep_done=False)
    return [due.kol for due in ledger.selection.due()]


def overwrite(path: Path, table: str, old: bytes, new: bytes) -> None:
    """Within the part of the file that holds a table or index; everywhere when it is empty."""
    content, start, end = path.read_bytes(), 0, path.stat().st_size
    if table:
        with closing(sqlite3.connect(path)) as connection:
            (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        start, end = (root - 1) * 4096, root * 4096
    at = content.index(old, start, end)
    path.write_bytes(content[:at] + new + content[at + len(new) :])


def states(directory: Path) -> dict[str, State]:
    with opened(directory) as ledger:
        return {kol.handle: kol.state for kol in ledger.kols}


def left_alone(directory: Path) -> set[str]:
    """The KOLs that are not complete, and that the next run would not work on."""
    complete = {handle for handle, state in states(directory).items() if state is State.COMPLETE}
    with opened(directory) as ledger:
        return {kol.handle for kol in KOLS} - complete - {kol.handle for kol in due(ledger, KOLS)}


def test_a_table_that_can_not_be_read_through_is_torn() -> None:
    """What can be read from both ends is, and the middle counts as lost."""

    def execute(statement: str) -> Iterator[tuple[str]]:
        yield ("a",) if " ASC" in statement else ("z",)
        raise sqlite3.DatabaseError("database disk image is malformed")

    old = cast("sqlite3.Connection", SimpleNamespace(execute=execute))
    assert list(_readable(old, "kol", ["handle"], ["handle"])) == [("a",), None, ("z",), None]


@pytest.mark.parametrize(
    ("sequence", "first", "last", "asked"),
    [
        (9, 2, 8, (2, 8)),
        (9, None, 8, (1, 8)),
        (9, 2, None, (2, 9)),
        (9, None, None, (1, 9)),
        (9, 0, 10, (1, 9)),
        (9, 1, 9, (1, 9)),
        (9, "x", "y", (1, 9)),
        (0, None, None, None),
        (20_000_000, None, 3, (1, 3)),
        (20_000_001, 20_000, None, (20_000, 30_000)),  # too large to be believed, and the file has 1,000 pages
        ("x", 20_000, None, (20_000, 30_000)),
        (None, 20_000, None, (20_000, 30_000)),
    ],
)
def test_between_the_ends_each_number_is_asked_for_by_itself(
    sequence: object, first: object, last: object, asked: tuple[int, int] | None
) -> None:
    """The number that SQLite assigned last tells how far, or else the size of the file."""
    numbers: list[int] = []

    def execute(statement: str, values: tuple[Any, ...] = ()) -> Any:
        if "sqlite_sequence" in statement:
            return SimpleNamespace(fetchone=lambda: None if sequence is None else (sequence,))
        if "page_count" in statement:
            return SimpleNamespace(fetchone=lambda: (1000,))
        if "WHERE seq = ?" in statement:
            numbers.extend(values)
            return SimpleNamespace(fetchall=lambda: [("by itself", *values)])
        return ends(first if " ASC" in statement else last)

    def ends(number: object) -> Iterator[tuple[str, object]]:
        if number is not None:
            yield "end", number
        raise sqlite3.DatabaseError("database disk image is malformed")

    old = cast("sqlite3.Connection", SimpleNamespace(execute=execute))
    rows = list(_readable(old, "page", ["body", "seq"], ["seq"]))
    assert rows.count(None) == 2
    assert [row for row in rows if row and row[0] == "by itself"] == [("by itself", number) for number in numbers]
    assert (numbers[0], numbers[-1]) == asked if asked else not numbers


def test_kols_are_found_again_by_their_pages_and_by_what_is_in_a_table(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        for generation, number, at in ((0, 1, 6.0), (1, 2, 5.0), (1, 3, 7.0)):
            ledger.pages.put(KOLS[0], generation, str(number), number, 200, b"page", fetched_at=at)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as store, store:
        store.execute("INSERT INTO target (id, label) VALUES (7, 'elsewhere')")
        for target, generation, at in ((1, 3, 8.0), (7, 2, 9.0)):
            store.execute("INSERT INTO kol_load VALUES (?, 'twitterapi_io', 'kol01', ?, ?)", (target, generation, at))
        store.execute("INSERT INTO kol (provider, handle, user_name, state) VALUES ('twitterapi_io', 'a', 'a', 'torn')")
        store.execute(
            "INSERT INTO crawl (provider, handle, generation, kind, started_at) VALUES ('t', 'a', 0, 'torn', 1)"
        )
    assert salvage_if_damaged(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as store:
        rows = store.execute("SELECT handle, user_name, generation, state, started_at, finished_at FROM kol ORDER BY 1")
        assert rows.fetchall() == [
            ("kol00", "kol00", 1, "fetching", 5.0, None),
            ("kol01", "kol01", 3, "fetched", 9.0, 9.0),
        ]


def test_a_kol_that_was_renamed_before_another_provider_sold_its_list_is_no_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        kol = Kol("mid", "mid")
        ledger.kols.begin(kol)
        ledger.accounts.note([(kol, Profile("5", "mid_now", 3, False, "", {}))])
    with closing(Ledger.open(tmp_path, provider("socialdata"), "here")) as ledger:
        (renamed,) = due(ledger, [Kol("mid_now", "mid_now")])
        ledger.kols.begin(renamed)
        assert ledger.accounts.of(renamed) == ("mid_now", "5")
    assert not looks_damaged(tmp_path / FILE_NAME)


def test_a_run_and_an_alert_with_the_numbers_of_lost_ones_begin_anew(loaded: Path) -> None:
    with closing(sqlite3.connect(loaded, isolation_level=None)) as store:
        store.execute("INSERT INTO bill VALUES (1, 5, 0.1)")
        store.execute("INSERT INTO alert_sent VALUES (1, 'receiver')")
    mark_damaged(loaded)
    assert salvage_if_damaged(loaded.parent)
    with opened(loaded.parent) as ledger:
        run = ledger.runs.begin("buy", "scrapy crawl followings")
        ledger.outbox.begin(run)
        ledger.outbox.put([Draft("id", "rule", "{}")])
        ledger.runs.note_bill(run, 7, 0.2)
        assert [one.billed for one in ledger.runs.latest(9)] == [0.2]
        assert ledger.outbox.next_single("receiver")
