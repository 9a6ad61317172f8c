"""What the commit protocol records of each KOL when its list ends, or had ended in an earlier run."""

from __future__ import annotations

from asyncio import run
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from kolspider.alerts.raising import Raising
from kolspider.items import FollowingsPage, Kol, State
from kolspider.live.disk import Disk
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.live.work import Work
from kolspider.load.commits import Commits
from kolspider.options.arguments import Arguments
from kolspider.providers import provider
from kolspider.store.ledger import Ledger
from kolspider.store.refusals import Refusal, What
from tests.live.unguarded import alone
from tests.store.conftest import store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kolspider.store.connection import Connection
    from kolspider.store.database import SqliteConnection

__all__ = ["store"]

BTC = Kol("btc", "BTC")
API = provider("twitterapi_io")


@pytest.fixture
def kind() -> str:
    """Where the ledger is."""
    return "sqlite"


@pytest.fixture
def ledger(store: Connection, tmp_path: Path) -> Ledger:
    """A ledger in which BTC's list was begun."""
    ledger = Ledger(store, tmp_path, API, 1)
    ledger.kols.begin(BTC)
    return ledger


@pytest.fixture
def commits(ledger: Ledger, tmp_path: Path) -> Commits:
    return of(ledger, tmp_path)


def of(ledger: Ledger, folder: Path, *, dry_run: bool = False) -> Commits:
    return Commits(
        ledger,
        Disk(folder, Stop()),
        alone(),
        Tally(),
        Work(),
        Raising([], "", "", ledger, asks=False),
        Arguments(dry_run=dry_run),
        evict=False,
    )


def page(ledger: Ledger, number: int, *, users: int = 200) -> FollowingsPage:
    """A page of BTC's list, as it is stored."""
    generation = ledger.kols.generation("btc")
    seq = ledger.pages.put(BTC, generation, str(number), number, users, b"{}", fetched_at=1.0)
    return FollowingsPage(BTC, number, str(number), [], last=False, seq=seq)


def end(commits: Commits, *, pages: int = 1, users: int = 200, new: int | None = None, bought: int = 1) -> None:
    run(commits.list_ended(BTC, State.FETCHED, "", pages=pages, users=users, bought=bought, new=new))


def state(ledger: Ledger) -> State:
    kol = ledger.kols.find("btc")
    assert kol
    return kol.state


def test_a_list_that_ended_is_complete_with_the_last_of_its_pages(ledger: Ledger, commits: Commits) -> None:
    first, second = page(ledger, 1), page(ledger, 2)
    commits.handed_over(first)
    commits.handed_over(second)
    end(commits, pages=2, users=400)
    run(commits.committed([first], []))
    assert state(ledger) is State.FETCHED
    assert commits._work.done == {}
    run(commits.committed([second], []))
    assert state(ledger) is State.COMPLETE
    assert commits._work.done == {State.COMPLETE: 1}


def test_a_list_without_an_end_is_not_complete_though_its_pages_are(ledger: Ledger, commits: Commits) -> None:
    first = page(ledger, 1)
    commits.handed_over(first)
    run(commits.committed([first], []))
    assert state(ledger) is State.FETCHING
    end(commits)
    assert state(ledger) is State.COMPLETE


def test_lists_that_are_loaded_again_together_wait_for_the_disk_once_and_are_told_of_once(
    ledger: Ledger, commits: Commits, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "kolspider")
    first, eth = page(ledger, 1), Kol("eth", "ETH")
    ledger.kols.begin(eth)
    second = replace(first, kol=eth, seq=ledger.pages.put(eth, 0, "1", 1, 200, b"{}", fetched_at=1.0))
    for kol in (BTC, eth):
        ledger.kols.end(kol.handle, State.FETCHED, "", 1, 200, bought=True)
    settled: list[Sequence[str]] = []
    settle_all = ledger.kols.settle_all

    def noted(handles: Sequence[str], *, evict: bool) -> list[State | None]:
        settled.append(handles)
        return settle_all(handles, evict=evict)

    monkeypatch.setattr(ledger.kols, "settle_all", noted)
    for one in (first, second):
        commits.handed_over(one)
    statements: list[str] = []
    cast("SqliteConnection", ledger.connection).set_trace_callback(statements.append)
    run(commits.committed([first, second], []))
    for kol in (BTC, eth):
        run(commits.list_had_ended(kol))
    assert statements.count("COMMIT") == 2, "one for the marks of the pages, one for both lists"
    assert settled == [("btc", "eth")]
    assert [record.getMessage() for record in caplog.records] == [
        f"KOL {name}: complete, 200 users in 1 page (0 bought)" for name in ("BTC", "ETH")
    ]
    assert commits._work.done == {State.COMPLETE: 2}
    commits.handed_over(first)  # it is on its way to the table once more
    run(commits.committed([first], []))
    assert settled == [("btc", "eth"), ("btc",)]


def test_a_dry_run_ends_lists_and_completes_none(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "kolspider")
    commits = of(ledger, tmp_path, dry_run=True)
    ledger.note_loaded([page(ledger, 1).seq or 0], None)
    end(commits)
    assert commits._work.done == {State.FETCHED: 1}
    assert state(ledger) is State.FETCHED
    run(commits.list_had_ended(BTC))
    assert commits._work.done == {State.FETCHED: 2}
    assert state(ledger) is State.FETCHED
    assert [record for record in caplog.records if record.levelname != "INFO"] == [], "nothing to warn of"
    run(commits.list_ended(BTC, State.PARTIAL, "why", pages=1, users=200, bought=1))
    assert caplog.messages == ["KOL BTC: partial, why"]


@pytest.mark.parametrize("ended", [State.FETCHED, State.PARTIAL, State.NOT_FOUND])
def test_a_list_that_had_ended_is_done_without_a_call(ledger: Ledger, commits: Commits, ended: State) -> None:
    """Also where the run that loaded it died before it noted that."""
    ledger.note_loaded([page(ledger, 1).seq or 0], None)
    ledger.kols.end("btc", ended, "why", 1, 200, bought=True)
    run(commits.list_had_ended(BTC))
    done = State.COMPLETE if ended is State.FETCHED else ended
    assert state(ledger) is done
    assert commits._work.done == {done: 1}
    kol = ledger.kols.find("btc")
    assert kol
    assert (kol.loaded_at is not None) is (ended is not State.NOT_FOUND)


def test_a_list_that_goes_on_and_one_that_is_unknown_have_not_ended(ledger: Ledger, commits: Commits) -> None:
    run(commits.list_had_ended(BTC))
    run(commits.list_had_ended(Kol("eth", "ETH")))
    assert commits._work.done == {}


def test_an_incremental_reading_saves_what_a_full_one_would_have_cost_more(ledger: Ledger, commits: Commits) -> None:
    def increment(*users: int, new: int) -> None:
        for number, count in enumerate(users, 1):
            page(ledger, number, users=count)
        end(commits, pages=len(users), users=sum(users), new=new)

    end(commits, pages=5, users=1000)
    ledger.kols.begin_generation("btc", incremental=True)
    increment(20, 20, new=10)
    tally = commits._tally
    assert (tally.incremental_lists, tally.calls_saved) == (1, 6 - 2)
    assert tally.credits_saved == 1000 + 60 - 2 * 60

    ledger.kols.begin_generation("btc", incremental=True)
    page(ledger, 1, users=20)
    ledger.kols.begin_increment_again("btc")  # what it cost before counts, too
    increment(200, 200, new=190)
    assert (tally.incremental_lists, tally.calls_saved) == (2, 4 + 6 - 3)
    assert tally.credits_saved == 940 + 1200 - (60 + 200 + 200)

    ledger.kols.begin_generation("btc", incremental=True)
    increment(*[200] * 9, new=0)
    assert tally.incremental_lists == 3
    assert (tally.calls_saved, tally.credits_saved) == (7, 940 + 740), "nothing is saved, not less"


def test_only_a_reading_that_bought_a_page_changes_when_a_list_was_finished(
    ledger: Ledger, commits: Commits, store: Connection
) -> None:
    end(commits)
    store.execute("UPDATE kol SET finished_at = 7")
    end(commits, bought=0)
    assert store.execute("SELECT finished_at FROM kol WHERE provider = 'twitterapi_io'").fetchone() == (7,)
    end(commits, bought=1)
    assert store.execute("SELECT finished_at FROM kol WHERE provider = 'twitterapi_io'").fetchone() != (7,)


def test_refused_rows_are_told_once_when_their_list_is_through_or_else_at_the_end_of_the_run(
    ledger: Ledger, commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = page(ledger, 1), page(ledger, 2)
    commits.handed_over(first)
    run(commits.committed([first], [], [Refusal("btc", first.seq or 0, What.ACCOUNT, "7", "too long")]))
    assert not caplog.messages, "more rows of the list may be refused"
    commits.handed_over(second)
    end(commits, pages=2, users=400)
    told = ["the database refuses rows: too long", "KOL BTC: 1 row refused, see rejects.jsonl"]
    run(commits.committed([second], [], []))
    assert caplog.messages == told
    run(commits.close())
    assert caplog.messages == told
    third = page(ledger, 3)
    commits.handed_over(third)
    run(commits.committed([third], [], [Refusal("btc", third.seq or 0, What.ACCOUNT, "8", "too wide")]))
    run(commits.close())
    assert caplog.messages == [*told, "KOL BTC: 2 rows refused, see rejects.jsonl"]
