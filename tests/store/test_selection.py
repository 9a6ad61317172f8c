"""Which KOLs are due, why, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kolspider.items import Kol, State
from kolspider.store import selection
from kolspider.store.selection import WaitingPages, Why

if TYPE_CHECKING:
    from kolspider.store.connection import Connection
    from kolspider.store.ledger import Ledger

NOW = 1000.0


def add(ledger: Ledger, store: Connection, handle: str, state: State, at: float = 100.0) -> None:
    """A KOL whose list of one page was begun and ended at this moment; a fetched one is in the target."""
    kol = Kol(handle, handle.upper())
    ledger.kols.begin(kol)
    if state is not State.FETCHING:
        seq = ledger.pages.put(kol, 0, "", 1, 200, b"page", fetched_at=at)
        ledger.kols.end(handle, state, "", 1, 200, bought=True)
        ledger.note_loaded([seq], None)
        ledger.kols.settle(handle, evict=False)
        store.execute("UPDATE kol SET finished_at = ? WHERE handle = ?", (at, handle))
    store.execute("UPDATE kol SET started_at = ? WHERE handle = ?", (at, handle))


def due(ledger: Ledger, **options: Any) -> list[tuple[str, Why]]:
    """The KOLs that are due, in order."""
    usual: dict[str, Any] = {"now": NOW, "refresh_before": None, "retry": [], "limit": None, "keep_done": False}
    ledger.selection.choose_due(**(usual | options))
    return [(one.kol.handle, one.why) for one in ledger.selection.due()]


@pytest.fixture
def kols(ledger: Ledger, store: Connection) -> Ledger:
    """A KOL in each state, and two that were never begun."""
    add(ledger, store, "failed", State.FAILED)
    add(ledger, store, "partial", State.PARTIAL)
    add(ledger, store, "done", State.FETCHED, 200.0)
    add(ledger, store, "old", State.FETCHED, 100.0)
    add(ledger, store, "gone", State.NOT_FOUND)
    add(ledger, store, "later", State.FETCHING, 300.0)
    add(ledger, store, "begun", State.FETCHING, 200.0)
    handles = ["failed", "new2", "new1", "done", "old", "partial", "gone", "later", "begun"]
    ledger.selection.read([handle.upper() for handle in handles])
    return ledger


def test_lists_that_were_begun_go_on_first_and_failed_ones_come_last(kols: Ledger) -> None:
    assert due(kols) == [
        ("begun", Why.BEGUN),
        ("later", Why.BEGUN),
        ("new2", Why.NEW),
        ("new1", Why.NEW),
        ("failed", Why.FAILED),
    ]
    assert kols.selection.count() == 5
    assert kols.selection.count_by_why() == {Why.BEGUN: 2, Why.NEW: 2, Why.FAILED: 1}
    assert kols.selection.left == 0
    assert list(kols.selection.handles()) == ["BEGUN", "LATER", "NEW2", "NEW1", "FAILED"]


def test_a_refresh_takes_the_oldest_first_and_nothing_younger(kols: Ledger, store: Connection) -> None:
    store.execute("UPDATE kol SET finished_at = 120 WHERE handle IN ('partial', 'gone')")
    assert [handle for handle, why in due(kols, refresh_before=200.0) if why is Why.REFRESH] == [
        "old",
        "partial",
        "gone",
    ]


@pytest.mark.parametrize("state", ["partial", "failed", "not_found"])
def test_only_the_states_that_are_named_are_tried_again(kols: Ledger, state: str) -> None:
    handle = {"not_found": "gone"}.get(state, state)
    assert [one for one in due(kols, retry=[State(state)]) if one[1] is Why.RETRY] == [(handle, Why.RETRY)]


def test_what_ended_in_this_job_is_not_tried_again(kols: Ledger) -> None:
    assert not [one for one in due(kols, retry=[State.PARTIAL, State.FAILED], now=100.0) if one[1] is Why.RETRY]


def test_a_limit_leaves_the_others_for_the_next_run(kols: Ledger) -> None:
    assert [handle for handle, _ in due(kols, limit=2)] == ["begun", "later"]
    assert kols.selection.left == 3


def test_a_job_has_its_finished_kols_too_and_they_have_no_work(kols: Ledger) -> None:
    assert len(due(kols, keep_done=True)) == 5
    assert kols.selection.count() == 9


def test_a_list_that_was_not_reached_is_no_outcome(kols: Ledger) -> None:
    due(kols, retry=[State.PARTIAL], refresh_before=150.0)
    selection = kols.selection
    assert selection.count_not_reached() == 4, "failed, partial, old and gone"
    selection.mark_reached("partial")
    assert selection.count_not_reached() == 3
    assert kols.kols.states_of_selected() == {State.FETCHING: 2, State.NEW: 2, State.PARTIAL: 1}
    assert [kol.handle for kol in kols.kols.selected_in([State.PARTIAL, State.FETCHING], 9)] == [
        "begun",
        "later",
        "partial",
    ]
    assert [kol.handle for kol in kols.kols.selected_in([State.PARTIAL, State.FETCHING], 1)] == ["begun"]


def test_the_source_is_counted(kols: Ledger) -> None:
    selection = kols.selection
    assert selection.count_source() == 9
    assert selection.count_unbegun() is None, "the source table was not read"
    selection.is_the_source = True
    assert selection.count_unbegun() == 2
    assert selection.states_of_source() == {
        State.FAILED: 1,
        State.PARTIAL: 1,
        State.COMPLETE: 2,
        State.NOT_FOUND: 1,
        State.FETCHING: 2,
    }
    selection.keep_only(["done", "new1"])
    assert selection.count_source() == 2
    assert selection.states_of_source() == {State.COMPLETE: 1}
    assert selection.count_unbegun() == 1


def test_what_is_no_kol_is_counted_by_kind_and_the_first_one_is_shown(ledger: Ledger) -> None:
    ledger.selection.read(["BTC", None, " ", "@btc", "no handle", "not one either", "eth"])
    assert ledger.selection.skipped == {"blank": 2, "repeated": 1, "invalid": 2}
    assert ledger.selection.invalid_example == "no handle"
    assert [handle for handle, _ in due(ledger)] == ["btc", "eth"]


def test_a_long_text_that_is_no_kol_is_shown_by_its_beginning(ledger: Ledger) -> None:
    ledger.selection.read(["x y" * 50])
    assert ledger.selection.invalid_example == "x y" * 20


def test_lists_that_ended_in_the_future_are_named_and_read_again(kols: Ledger, store: Connection) -> None:
    assert kols.selection.finished_in_the_future() == (0, "", 0.0)
    store.execute("UPDATE kol SET finished_at = 9e12 WHERE handle IN ('done', 'old')")
    assert kols.selection.finished_in_the_future() == (2, "DONE", 9e12)
    assert {handle for handle, why in due(kols, refresh_before=50.0) if why is Why.REFRESH} == {"done", "old"}


@pytest.mark.parametrize(("at", "is_due"), [(99.0, True), (100.0, False), (500.0, False), (501.0, True)])
def test_a_list_is_as_old_as_its_end_up_to_the_latest_moment_that_can_be_believed(
    kols: Ledger, store: Connection, monkeypatch: pytest.MonkeyPatch, at: float, is_due: bool
) -> None:
    monkeypatch.setattr(selection, "latest", lambda: 500.0)
    store.execute("UPDATE kol SET finished_at = ? WHERE handle = 'old'", (at,))
    assert kols.selection.finished_in_the_future()[0] == (at > 500)
    assert (("old", Why.REFRESH) in due(kols, refresh_before=100.0)) is is_due


def test_lists_that_are_neither_here_nor_cached_are_counted(kols: Ledger, store: Connection) -> None:
    assert kols.selection.count_gone() == 0
    store.execute("DELETE FROM page WHERE handle IN ('done', 'partial', 'gone', 'failed')")
    assert kols.selection.count_gone() == 0
    store.execute("UPDATE kol_load SET target = 2 WHERE handle IN ('done', 'old', 'partial')")
    assert kols.selection.count_gone() == 2, "the pages of `old` are cached"


def test_cached_kols_are_taken_in_in_the_order_of_their_pages(kols: Ledger, store: Connection) -> None:
    store.execute("DELETE FROM temp.source")
    kols.selection.read_cached(waiting_only=False)
    kols.selection.choose_all(None)
    assert list(kols.selection.handles()) == ["FAILED", "PARTIAL", "DONE", "OLD", "GONE"]
    assert kols.selection.count_waiting() == 0
    store.execute("DELETE FROM temp.selected")
    store.execute("DELETE FROM temp.source")
    store.execute("DELETE FROM page_load WHERE seq IN (SELECT seq FROM page WHERE handle IN ('old', 'partial'))")
    kols.selection.read_cached(waiting_only=True)
    kols.selection.choose_all(1)
    assert list(kols.selection.handles()) == ["PARTIAL"]
    assert kols.selection.count_waiting() == 1
    assert kols.selection.waiting_pages() == WaitingPages(pages=1, kols=1, others=0), "OLD was never to be loaded"
    store.execute("UPDATE page_load SET again = TRUE WHERE seq IN (SELECT seq FROM page WHERE handle = 'done')")
    assert kols.selection.waiting_pages() == WaitingPages(pages=2, kols=2, others=1)


@pytest.mark.parametrize(("restarts", "incremental"), [(0, True), (1, True), (2, False)])
def test_a_list_whose_cursor_was_refused_twice_is_read_in_full(
    ledger: Ledger, store: Connection, restarts: int, *, incremental: bool
) -> None:
    add(ledger, store, "btc", State.FETCHED)
    ledger.kols.begin_generation("btc", incremental=True)
    ledger.kols.end("btc", State.FAILED, "why", 1, 200, bought=True)
    store.execute("UPDATE kol SET restarts = ?, finished_at = 100", (restarts,))
    ledger.selection.read(["btc"])
    assert due(ledger, retry=[State.FAILED]) == [("btc", Why.RETRY)]
    (one,) = ledger.selection.due()
    assert one.incremental is incremental


def with_long_lists_early(ledger: Ledger, at_once: float) -> list[str]:
    ledger.selection.begin_long_lists_early(at_once)
    return [one.kol.handle for one in ledger.selection.due()]


@pytest.mark.parametrize(
    ("at_once", "expected"),
    [
        (0.35, ["a", "b", "long", "c", "d", "broken"]),  # one call in 2 s
        (1.06, ["a", "b", "long", "c", "d", "broken"]),  # its 30 pages one by one take less than the last 32
        (1.08, ["a", "long", "b", "c", "d", "broken"]),
        (64.0, ["long", "a", "b", "c", "d", "broken"]),
    ],
)
def test_a_list_that_would_be_left_alone_at_the_end_begins_early_enough(
    ledger: Ledger, store: Connection, at_once: float, expected: list[str]
) -> None:
    """Its pages come one after the other, so with `at_once` lists side by side it must begin before the last pages."""
    for number, handle in enumerate(["a", "b", "long", "c", "d", "broken", "done"]):
        add(ledger, store, handle, State.FAILED if handle == "broken" else State.FETCHED, 100.0 + number)
        store.execute("UPDATE kol SET pages = ? WHERE handle = ?", (30 if handle == "long" else 1, handle))
    store.execute("UPDATE kol SET pages = 30 WHERE handle = 'broken'")
    store.execute("UPDATE kol SET finished_at = 900 WHERE handle = 'done'")
    ledger.selection.read(["a", "b", "long", "c", "d", "broken", "done"])
    due(ledger, refresh_before=500.0, keep_done=True)
    assert with_long_lists_early(ledger, at_once) == expected
    assert [handle for handle in ledger.selection.handles() if handle != "done"] == expected


def test_the_last_lists_are_read_longest_first_behind_those_that_are_begun(ledger: Ledger, store: Connection) -> None:
    """Several long lists beside one another would else begin too late: what is behind the first is behind all."""
    pages = {"a": 1, "b": 9, "c": 1, "d": 2, "e": 8, "f": 1, "g": 9, "begun": 1}
    for number, (handle, count) in enumerate(pages.items()):
        add(ledger, store, handle, State.FETCHED, 100.0 + number)
        store.execute("UPDATE kol SET pages = ? WHERE handle = ?", (count, handle))
    ledger.selection.read(pages)
    store.execute("UPDATE kol SET state = 'fetching' WHERE handle = 'begun'")
    due(ledger, refresh_before=500.0)
    assert with_long_lists_early(ledger, 2.0) == ["begun", "a", "b", "c", "d", "g", "e", "f"]
    assert with_long_lists_early(ledger, 4.0) == ["begun", "b", "g", "e", "d", "a", "c", "f"]


def test_a_list_that_is_new_is_as_long_as_the_profile_or_the_row_of_its_kol_says(ledger: Ledger) -> None:
    ledger.selection.read(["a", "b", "c"])
    due(ledger)
    ledger.selection.measure({"b": 9_000, "c": 1_200})
    assert with_long_lists_early(ledger, 64.0) == ["b", "a", "c"], "the others may be as long as usual lists are"


def test_lists_of_unknown_length_keep_the_order_of_the_table(ledger: Ledger) -> None:
    handles = [f"new{number}" for number in range(9)]
    ledger.selection.read(handles)
    due(ledger)
    assert with_long_lists_early(ledger, 64.0) == handles
