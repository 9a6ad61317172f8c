"""The ledger of KOLs: what must be on disk is synced, and only a reading changes when a list was finished."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import WrongUsage
from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.store.database import connect
from kolspider.store.kols import Reason
from kolspider.store.ledger import Ledger
from kolspider.store.readings import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kolspider.store.connection import Connection
    from kolspider.store.database import SqliteConnection

BTC = Kol("btc", "BTC")
NORMAL, FULL = 1, 2


@pytest.fixture
def begun(ledger: Ledger) -> Ledger:
    """A ledger with one KOL at work, of whom a page is stored."""
    ledger.kols.begin(BTC)
    ledger.pages.put(BTC, 0, "", 1, 200, b"page", fetched_at=1.0)
    return ledger


@pytest.fixture
def synced(store: SqliteConnection) -> Iterator[list[int]]:
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


@pytest.mark.parametrize("kind", ["sqlite"])
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
        with suppress(KeyError), store.transaction(synced=False):
            assert store.execute("PRAGMA synchronous").fetchone() == (NORMAL,)
            raise KeyError
        assert store.execute("PRAGMA synchronous").fetchone() == (FULL,)
        Ledger(store, tmp_path, provider("twitterapi_io"), 1).kols.begin(BTC)
        assert store.execute("PRAGMA synchronous").fetchone() == (FULL,)


def test_loading_a_list_again_does_not_change_when_it_was_finished(begun: Ledger, store: Connection) -> None:
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


def test_a_kol_that_was_taken_for_missing_is_asked_for_again(ledger: Ledger) -> None:
    """The path of the API was wrong, so every KOL looked missing."""
    for handle, state in (("btc", State.NOT_FOUND), ("eth", State.FETCHED), ("sol", State.NOT_FOUND)):
        ledger.kols.begin(Kol(handle, handle))
        ledger.kols.end(handle, state, "", 1, 200, bought=True)
    ledger.kols.are_not_missing(["btc", "eth"])
    assert {kol.handle: kol.state for kol in ledger.kols} == {
        "btc": State.FAILED,
        "eth": State.FETCHED,
        "sol": State.NOT_FOUND,
    }
    assert [reading.state for reading in ledger.readings.of_kol("btc")] == [State.FAILED]
    assert [reading.state for reading in ledger.readings.of_kol("eth")] == [State.FETCHED]


@pytest.mark.usefixtures("alone")
def test_lists_that_were_bought_elsewhere_are_fetched_and_those_without_pages_are_loaded(ledger: Ledger) -> None:
    with ledger.taking_over():
        ledger.kols.take_over(BTC, [("", 200, b"1"), ("c", 100, b"2")], 7.0)
        ledger.kols.take_over(Kol("eth", "ETH"), [], 8.0)
    btc, eth = ledger.kols
    assert (btc.user_name, btc.state, btc.pages, btc.users, btc.calls) == ("BTC", State.FETCHED, 2, 300, 0)
    assert (btc.started_at, btc.finished_at, btc.reason, btc.loaded_at) == (7.0, 7.0, "", None)
    assert [(page.number, page.cursor, page.users, page.fetched_at) for page in ledger.pages.of_kol("btc")] == [
        (1, "", 200, 7.0),
        (2, "c", 100, 7.0),
    ]
    (reading,) = ledger.readings.of_kol("btc")
    assert (reading.kind, reading.state, reading.started_at, reading.ended_at) == (Kind.FULL, State.FETCHED, 7.0, 7.0)
    assert (reading.pages, reading.users, reading.new) == (2, 300, None)
    assert (eth.state, eth.pages, eth.users, eth.finished_at) == (State.COMPLETE, 0, 0, 8.0)
    assert "not kept" in eth.reason


@pytest.mark.usefixtures("alone")
def test_nothing_is_taken_over_into_a_cache_that_has_lists_and_nothing_by_half(ledger: Ledger) -> None:
    with suppress(KeyError), ledger.taking_over():
        ledger.kols.take_over(BTC, [("", 200, b"1")], 7.0)
        raise KeyError
    assert list(ledger.kols) == []
    assert len(ledger.pages) == 0
    ledger.kols.begin(BTC)
    with ledger.taking_over():
        pass  # a KOL that was begun, and has nothing
    ledger.pages.put(BTC, 0, "", 1, 200, b"page", fetched_at=1.0)
    with pytest.raises(WrongUsage), ledger.taking_over():
        pass
    ledger.kols.add_calls("btc", 1)
    ledger.kols.end("btc", State.FETCHED, "", 1, 200, bought=True)
    ledger.pages.drop(1)
    with pytest.raises(WrongUsage), ledger.taking_over():
        pass  # its pages were pruned


def test_the_longest_list_is_the_longest_that_was_read_in_full(ledger: Ledger) -> None:
    assert ledger.readings.longest() == 0
    assert ledger.kols.size("a") == (0, 0)
    for handle, state, pages, new in (
        ("a", State.FETCHED, 3, None),
        ("b", State.FETCHED, 5, None),
        ("c", State.PARTIAL, 9, None),
        ("d", State.FETCHED, 7, 1),
    ):
        ledger.kols.begin(Kol(handle, handle))
        assert ledger.kols.size(handle) == (0, 0)
        if new is not None:
            ledger.kols.begin_generation(handle, incremental=True)
        ledger.kols.end(handle, state, "", pages, 1, bought=True, new=new)
    assert ledger.readings.longest() == 5


def test_the_largest_kols_and_the_reasons_come_in_order(ledger: Ledger, store: Connection) -> None:
    for handle, state, reason, users in (
        ("a", State.FETCHED, "", 0),
        ("b", State.FETCHED, "", 5),
        ("c", State.FAILED, "network", 7),
        ("d", State.FAILED, "network", 5),
        ("e", State.PARTIAL, "loop", 1),
        ("f", State.NOT_FOUND, "gone", 0),
    ):
        ledger.kols.begin(Kol(handle, handle.upper()))
        ledger.kols.end(handle, state, reason, 1, users, bought=True)
    store.execute("UPDATE kol SET finished_at = CASE handle WHEN 'd' THEN 2 ELSE 1 END")
    assert [kol.handle for kol in ledger.kols.largest(3)] == ["c", "b", "d"]
    first, *others = ledger.kols.reasons()
    assert first == Reason(State.FAILED, "network", 2, 2)
    assert {(reason.state, reason.reason, reason.kols) for reason in others} == {
        (State.PARTIAL, "loop", 1),
        (State.NOT_FOUND, "gone", 1),
    }
    assert ledger.kols.examples(State.FAILED, "network", 9) == ["D", "C"]
    assert ledger.kols.examples(State.FAILED, "network", 1) == ["D"]
    assert ledger.kols.examples(State.PARTIAL, "network", 9) == []
    assert {kol.handle for kol in ledger.kols.unfinished()} == {"a", "b", "c", "d"}
    assert ledger.kols.spellings() == {handle: handle.upper() for handle in "abcdef"}
    assert ledger.kols.is_any_known()


def test_a_list_that_is_begun_again_after_a_refused_cursor_leaves_a_failed_reading_with_its_own_pages(
    begun: Ledger,
) -> None:
    begun.kols.end("btc", State.FETCHED, "", 1, 200, bought=True)
    generation = begun.kols.begin_generation("btc")
    for number in (1, 2, 3):
        begun.pages.put(BTC, generation, str(number), number, 100, b"page", fetched_at=2.0)
    assert begun.kols.restart("btc") == generation + 1
    assert [(one.state, one.pages, one.users) for one in begun.readings.of_kol("btc")] == [
        (State.FETCHED, 1, 200),
        (State.FAILED, 3, 300),
        (State.FETCHING, 0, 0),
    ]
    assert begun.readings.of_kol("btc")[1].ended_at
    assert begun.kols.restart("btc") is None
    assert begun.kols.cursor_refused_twice("btc")
