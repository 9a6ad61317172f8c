"""Rows that a target's database refused: what the store keeps of them, and which pages are tried again."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.store.database import FILE_NAME
from kolspider.store.ledger import Ledger
from kolspider.store.refusals import Refusal, What
from kolspider.store.salvage import salvage_if_damaged
from kolspider.store.schema import ADDED, VERSION
from kolspider.store.selection import Why
from tests.loading import waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


BTC, ETH = Kol("btc", "BTC"), Kol("eth", "ETH")


def put(ledger: Ledger, kol: Kol, *pages: int) -> list[int]:
    """Store a list of these pages, read to its end. Returns their places in the order of fetching."""
    ledger.kols.begin(kol)
    generation = ledger.kols.generation(kol.handle)
    seqs = [ledger.pages.put(kol, generation, str(page), page, 200, b"{}", fetched_at=float(page)) for page in pages]
    ledger.kols.end(kol.handle, State.FETCHED, "", len(pages), 200 * len(pages), bought=True)
    return seqs


def refusal(kol: Kol, seq: int, id_: str = "7", what: What = What.ACCOUNT) -> Refusal:
    return Refusal(kol.handle, seq, what, id_, f"too long: {id_}")


def to_load(ledger: Ledger) -> list[tuple[int, bool]]:
    """The pages that a run loads, each with whether only its refused rows are tried."""
    ledger.selection.read(["btc", "eth"])
    ledger.selection.choose_all(None)
    return [(page.seq, page.only_refused) for page in waiting(ledger.pages)]


@pytest.mark.usefixtures("alone")
def test_only_the_page_with_a_refused_row_is_tried_again(ledger: Ledger) -> None:
    first, second, third = put(ledger, BTC, 1, 2, 3)
    ledger.note_loaded([first, second, third], None, [refusal(BTC, second)], {})
    assert ledger.kols.settle("btc", evict=True) is State.FETCHED
    assert ledger.refusals.of_page("btc", second) == {What.ACCOUNT: {"7"}}
    kol = ledger.kols.find("btc")
    assert kol
    assert (kol.state, kol.refused, kol.refusal, len(ledger.pages)) == (State.FETCHED, 1, "too long: 7", 3)
    assert to_load(ledger) == [(second, True)]

    ledger.note_loaded([second], None)
    assert ledger.kols.settle("btc", evict=True) is State.COMPLETE
    assert len(ledger.pages) == 0


def test_pages_that_wait_are_loaded_whole_and_in_order_with_those_of_refused_rows(ledger: Ledger) -> None:
    first, second, third, fourth = put(ledger, BTC, 1, 2, 3, 4)
    ledger.note_loaded([first, second, fourth], None, [refusal(BTC, first), refusal(BTC, fourth)], {})
    assert to_load(ledger) == [(first, True), (third, False), (fourth, False)]


def test_a_newer_row_of_the_account_ends_its_refusals_and_an_older_one_does_not(ledger: Ledger) -> None:
    first, second, third = put(ledger, BTC, 1, 2, 3)
    rows = [
        refusal(BTC, first),
        refusal(BTC, second),
        refusal(BTC, second, "8"),
        refusal(BTC, second, "7", What.FOLLOW),
    ]
    ledger.note_loaded([first, second], None, rows, {})
    ledger.note_loaded([third], None, [], {"7": first, "9": third})
    assert ledger.refusals.of_page("btc", first) == {}
    assert ledger.refusals.of_page("btc", second)[What.ACCOUNT] == {"7", "8"}
    ledger.note_loaded([third], None, [], {"7": third})
    assert ledger.refusals.of_page("btc", second) == {What.ACCOUNT: {"8"}, What.FOLLOW: {"7"}}
    assert ledger.refusals.count() == (2, 1)


def test_what_one_target_refuses_is_nothing_to_another(ledger: Ledger, beside: Callable[..., Ledger]) -> None:
    (page,) = put(ledger, BTC, 1)
    ledger.note_loaded([page], None, [refusal(BTC, page)], {})
    other = beside(target=2)
    other.note_loaded([page], None)
    assert other.kols.settle("btc", evict=False) is State.COMPLETE
    assert other.refusals.count() == (0, 0)
    assert ledger.refusals.count() == (1, 1)


def due(ledger: Ledger) -> list[tuple[str, Why]]:
    ledger.selection.read(["btc", "eth", "new"])
    ledger.selection.choose_due(now=1e12, refresh_before=None, retry=[], limit=None, keep_done=False)
    return [(one.kol.handle, one.why) for one in ledger.selection.due()]


def test_a_list_with_refused_rows_is_due_last_and_buys_nothing(ledger: Ledger) -> None:
    (page,), (other,) = put(ledger, BTC, 1), put(ledger, ETH, 1)
    ledger.note_loaded([page, other], None, [refusal(BTC, page)], {})
    assert ledger.kols.settle("btc", evict=False) is State.FETCHED
    assert ledger.kols.settle("eth", evict=False) is State.COMPLETE
    assert due(ledger) == [("new", Why.NEW), ("btc", Why.REFUSED)]
    assert ledger.forecast.of("btc").calls == 0


def test_a_complete_list_whose_row_is_refused_when_it_is_loaded_again_is_complete_no_more(ledger: Ledger) -> None:
    (page,) = put(ledger, BTC, 1)
    ledger.note_loaded([page], None)
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE
    ledger.note_loaded([page], None, [refusal(BTC, page)], {})
    assert ledger.kols.states() == {State.FETCHED: 1}
    assert ("btc", Why.REFUSED) in due(ledger)


def test_replay_pending_takes_the_kols_with_refused_rows(ledger: Ledger) -> None:
    (page,), (other,) = put(ledger, BTC, 1), put(ledger, ETH, 1)
    ledger.note_loaded([page, other], None, [refusal(BTC, page)], {})
    ledger.selection.read_cached(waiting_only=True)
    ledger.selection.choose_all(None)
    assert list(ledger.selection.handles()) == ["BTC"]
    assert ledger.refusals.count_selected() == 1
    assert [kol.handle for kol in ledger.kols.refused_selected(9)] == ["btc"]


@pytest.mark.usefixtures("alone")
def test_the_pages_of_an_older_list_go_although_rows_of_the_newer_one_are_refused(ledger: Ledger) -> None:
    for _ in range(3):
        (page,) = put(ledger, BTC, 1)
        ledger.note_loaded([page], None, [refusal(BTC, page)], {})
        assert ledger.kols.settle("btc", evict=True) is State.FETCHED
        assert (len(ledger.pages), ledger.refusals.count()) == (1, (1, 1))
        ledger.kols.begin_generation("btc")


def test_refusals_go_with_their_pages(ledger: Ledger) -> None:
    (page,) = put(ledger, BTC, 1)
    ledger.note_loaded([page], None, [refusal(BTC, page)], {})
    ledger.kols.begin_generation("btc")
    (newer,) = put(ledger, BTC, 1)
    ledger.note_loaded([newer], None)
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE, "the newer list has all rows in the target"
    assert ledger.refusals.count() == (0, 0)

    ledger.note_loaded([newer], None, [refusal(BTC, newer)], {})
    ledger.clear(keep_progress=True)
    assert ledger.refusals.count() == (0, 0)


# --- stores of the first release --------------------------------------------------------------------------------


@pytest.fixture
def of_release_1(tmp_path: Path) -> Path:
    """The folder of a store as 1.0.0 left it, with one list that is complete."""
    with closing(Ledger.open(tmp_path, provider("twitterapi_io"), "here")) as ledger:
        ledger.note_loaded(put(ledger, BTC, 1, 2), None)
        assert ledger.kols.settle("btc", evict=False) is State.COMPLETE
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as store:
        for table in re.findall(r"CREATE TABLE (\w+)", "".join(ADDED.values())):
            store.execute(f"DROP TABLE {table}")
        store.execute("PRAGMA user_version = 4")
    return tmp_path


def test_a_store_of_the_first_release_is_read_as_it_is_and_upgraded_by_a_run(of_release_1: Path) -> None:
    for _ in range(2):
        with Ledger.read(of_release_1, provider("twitterapi_io"), "here") as ledger:
            assert ledger.kols.states() == {State.COMPLETE: 1}
            assert ledger.refusals.count() == (0, 0)
    for _ in range(2):
        with closing(Ledger.open(of_release_1, provider("twitterapi_io"), "here")) as ledger:
            assert ledger.kols.find("btc")
            ledger.note_loaded([1], None, [refusal(BTC, 1)], {})
            assert ledger.refusals.count() == (1, 1)
    with closing(sqlite3.connect(of_release_1 / FILE_NAME)) as store:
        assert store.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_damaged_store_of_the_first_release_is_salvaged(of_release_1: Path) -> None:
    (of_release_1 / f"{FILE_NAME}.is-damaged").touch()
    salvaged = salvage_if_damaged(of_release_1)
    assert salvaged
    assert (salvaged.pages, salvaged.kols, salvaged.lost_pages) == (2, 1, 0)
    with closing(Ledger.open(of_release_1, provider("twitterapi_io"), "here")) as ledger:
        assert ledger.kols.states() == {State.COMPLETE: 1}


def test_what_a_salvage_can_not_read_of_the_refused_rows_is_found_by_loading_the_pages_again(tmp_path: Path) -> None:
    with closing(Ledger.open(tmp_path, provider("twitterapi_io"), "here")) as ledger:
        page, other = put(ledger, BTC, 1, 2)
        ledger.note_loaded([page, other], None, [refusal(BTC, page)], {})
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as store, store:
        store.execute("UPDATE refused SET reason = x'00'")
    (tmp_path / f"{FILE_NAME}.is-damaged").touch()
    assert salvage_if_damaged(tmp_path)
    with closing(Ledger.open(tmp_path, provider("twitterapi_io"), "here")) as ledger:
        assert ledger.kols.settle("btc", evict=False) is None, "it must not count as complete"
        assert to_load(ledger) == [(page, False), (other, False)]


def test_refused_rows_are_those_of_their_kol_reading_and_page(ledger: Ledger) -> None:
    first, second = put(ledger, BTC, 1, 2)
    (other,) = put(ledger, ETH, 1)
    ledger.note_loaded([first, other], None, [refusal(BTC, first), refusal(ETH, other, "8", What.FOLLOW)], {})
    assert ledger.refusals.of_page("btc", first) == {What.ACCOUNT: {"7"}}
    assert ledger.refusals.of_page("btc", second) == {}
    assert ledger.refusals.of_page("eth", other) == {What.FOLLOW: {"8"}}
    assert ledger.refusals.are_in("btc", 0)
    assert not ledger.refusals.are_in("btc", 1), "only an older reading has them"
    assert not ledger.refusals.are_in("sol", 0)
    assert ledger.refusals.count() == (2, 2)
    ledger.selection.read(["btc"])
    ledger.selection.choose_all(None)
    assert ledger.refusals.count_selected() == 1
    assert [kol.handle for kol in ledger.kols.refused_selected(9)] == ["btc"]
    assert ledger.kols.refused_selected(0) == []
