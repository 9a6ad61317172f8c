"""The closing table and its JSON, by the numbers of a run."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from kolspider.errors import CapReached, StopRun
from kolspider.items import State
from kolspider.live.statement import Statement
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.options.arguments import Arguments
from kolspider.providers.base import Balance
from kolspider.store.kols import KolRecord
from kolspider.store.selection import WaitingPages
from kolspider.watch.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.store.ledger import Ledger

COMMAND = ["scrapy", "crawl", "followings"]
DONE = {State.COMPLETE: 2}
NOTHING = WaitingPages(0, 0, 0)
JOB = ("JOBDIR=jobs/a",)


def summary(
    tally: Tally | None = None,
    *typed: str,
    states: Mapping[State, int] = DONE,
    left: int = 0,
    not_reached: int = 0,
    error: str = "",
    troubled: Sequence[KolRecord] = (),
    refused: Sequence[KolRecord] = (),
    refresh_before: float | None = None,
    settings: tuple[str, ...] = (),
    in_job: bool = False,
    feeds_failed: int = 0,
    waiting: WaitingPages = NOTHING,
    held: tuple[Balance | None, Balance | None] = (None, None),
    **stats: Any,
) -> Summary:
    """The summary of a run with these arguments, counters, states and stats of Scrapy."""
    ledger = SimpleNamespace(
        accounts=SimpleNamespace(changes=lambda _: ()),
        kols=SimpleNamespace(
            states_of_selected=lambda: states, selected_in=lambda *_: troubled, refused_selected=lambda *_: refused
        ),
        refusals=SimpleNamespace(count_selected=lambda: len(refused)),
        selection=SimpleNamespace(
            count_waiting=lambda: 0,
            waiting_pages=lambda: waiting,
            count_not_reached=lambda: not_reached,
            states_of_source=lambda: {State.COMPLETE: 8, State.NOT_FOUND: 1},
            left=left,
            refresh_before=refresh_before,
            is_of_job=in_job,
            watch=None,
        ),
    )
    command = [*COMMAND, *(word for argument in typed for word in ("-a", argument))]
    command += [word for setting in settings for word in ("-s", setting)]
    arguments = Arguments.parse(dict(argument.split("=") for argument in typed))
    stop, stats = Stop(), {"finish_reason": "finished"} | stats
    stats["feedexport/failed_count/FileFeedStorage"] = feeds_failed
    if error:
        stop.fail(CapReached(error) if "cap" in error else StopRun(error))
    target = "sqlite:///kol.db twitter_kol_all"
    statement = Statement(0.00001, *held)
    return Summary(command, arguments, target, statement, cast("Ledger", ledger), tally or Tally(), stop, stats)


def labels(run: Summary) -> list[str]:
    return [text[:9].strip() for text in run.lines()]


def test_the_closing_table_has_the_numbers_of_the_run() -> None:
    tally = Tally(calls=8, pages=8, cache_hits=5, credits=1319, users_read=2269, rows_upserted=1432, rows_repeated=837)
    tally.rows_rejected["no_id"] += 2
    run = summary(tally, elapsed_time_seconds=14.2)
    assert list(run.lines()) == [
        "KOLs      2 complete",
        "pages     8 bought, 5 from the cache",
        "users     2,269 read, 1,432 rows written, 837 unchanged duplicates skipped, 2 set aside (no_id)",
        "API       8 calls, about 1,319 credits ($0.01)",
        "time      14 s",
        "table     sqlite:///kol.db twitter_kol_all",
        "next      nothing to do",
    ]
    assert json.loads(run.as_json())["users"]["repeated"] == 837


@pytest.mark.parametrize(
    ("before", "after", "bill", "says"),
    [
        (Balance(5000), Balance(3681), (1319, 0.0132), ["1,319 credits ($0.01), says the account"]),
        (Balance(5000), Balance(3281), (1719, 0.0172), ["1,719 credits ($0.02), says the account"]),
        (
            Balance(5000),
            Balance(3280),
            (1720, 0.0172),
            [
                "1,720 credits ($0.02), says the account",
                "more than by the price list: others may have used the account, too",
            ],
        ),
        (
            Balance(5000),
            Balance(5000),
            (0, 0),
            [
                "0 credits ($0.00), says the account",
                "less than by the price list: the account may lag behind, see scrapy balance",
            ],
        ),
        (Balance(5000), Balance(5001), (None, None), ["not known: the account holds more than before the run"]),
        (Balance(1500.5, 3.0), Balance(180.25, 0.36), (1320.25, 2.64), ["1,320 credits ($2.64), says the account"]),
        (Balance(5000), None, (None, None), []),
        (None, None, (None, None), []),
    ],
)
def test_the_bill_is_what_the_account_lost_and_a_word_is_said_where_it_differs_much_from_the_price_list(
    before: Balance | None, after: Balance | None, bill: tuple[float | None, float | None], says: list[str]
) -> None:
    run = summary(Tally(calls=8, pages=8, credits=1319), held=(before, after))
    lines = list(run.lines())
    place = next(nth for nth, line in enumerate(lines) if line.startswith("API"))
    assert [line[10:] for line in lines[place + 1 : place + 1 + len(says)]] == says
    assert labels(run)[place + 1 + len(says)] == "time"
    told = json.loads(run.as_json())["bill"]
    assert told == {"credits": bill[0], "usd": bill[1], "estimated_credits": 1319}


def test_one_row_is_no_rows() -> None:
    assert "users     1 read, 1 row written" in list(summary(Tally(users_read=1, rows_upserted=1)).lines())


@pytest.mark.parametrize(
    ("typed", "kols"),
    [
        ((), "none were due (8 complete, 1 not_found)"),
        (("dry_run=1",), "none were due (8 complete, 1 not_found)"),
        (("replay=pending",), "none has a page to load"),
    ],
)
def test_a_run_with_nothing_due_does_not_speak_of_pages(typed: tuple[str, ...], kols: str) -> None:
    run = summary(None, *typed, states={})
    assert labels(run) == ["KOLs", "time", "table", "next"]
    assert next(run.lines()) == f"KOLs      {kols}"
    assert (run.exit_code, run.next.partition(":")[0]) == (0, "nothing to do")


def test_a_ctrl_c_during_an_outage_says_both() -> None:
    run = summary(error="the database was away", finish_reason="shutdown")
    assert "stopped   interrupted; the database was away" in list(run.lines())
    assert run.stopped == "interrupted; the database was away"


@pytest.mark.parametrize(
    ("tally", "reason", "expected"),
    [
        (
            Tally(calls=5, pages=2, errors=Counter(network=1)),
            None,
            "2 calls cut off on the way; what is stored is not lost",
        ),
        (Tally(calls=3, pages=3), None, "nothing is lost"),
        (Tally(calls=9, pages=3, profiles=6), None, "nothing is lost"),
        (Tally(calls=5, pages=4), "shutdown", "nothing is lost"),
    ],
    ids=["a second Ctrl-C", "after the last answer", "after a look", "one Ctrl-C"],
)
def test_the_calls_that_a_second_ctrl_c_cuts_off_are_counted(tally: Tally, reason: str | None, expected: str) -> None:
    assert f"stopped   interrupted; {expected}" in list(summary(tally, finish_reason=reason).lines())


@pytest.mark.parametrize(
    ("states", "command"),
    [
        ({State.FAILED: 30}, "scrapy kols --state failed"),
        ({State.PARTIAL: 30}, "scrapy kols --state partial"),
        ({State.FAILED: 10, State.PARTIAL: 20}, "scrapy kols"),
    ],
)
def test_the_command_that_lists_all_troubled_kols_lists_them_all(states: dict[State, int], command: str) -> None:
    shown = [KolRecord("btc", "BTC", next(iter(states)), "why", 0, 0, 0, 0, 1.0, 2.0, None)] * 20
    assert f"          and 10 more: {command}" in list(summary(states=states, troubled=shown).lines())


def test_kols_that_a_run_did_not_reach_are_no_outcome_of_it() -> None:
    run = summary(Tally(calls=9), "refresh=0s", not_reached=8, finish_reason="shutdown")
    assert next(run.lines()) == "KOLs      2 complete, 8 not reached"
    told = json.loads(run.as_json())
    assert (told["kols"], told["kols_not_reached"]) == ({"complete": 2}, 8)


def test_what_was_saved_is_in_calls_credits_and_dollars() -> None:
    run = summary(Tally(incremental_lists=100, calls_saved=800, credits_saved=152_000))
    expected = "saved     about 800 calls, 152,000 credits ($1.52): only the changes of 100 lists were read"
    assert expected in list(run.lines())
    saved = {"lists": 100, "calls": 800, "credits_estimated": 152_000, "dollars_estimated": 1.52}
    assert json.loads(run.as_json())["saved"] == saved


def test_nothing_saved_takes_no_line() -> None:
    run = summary(Tally(incremental_lists=100))
    assert "saved" not in labels(run)
    assert json.loads(run.as_json())["saved"]["calls"] == 0


@pytest.mark.parametrize(
    ("run", "exit_code", "expected"),
    [
        (summary(states={State.FAILED: 1}), 3, "{command}   (tries the failed KOLs again)"),
        (summary(None, "refresh=7d", states={State.FAILED: 1}), 3, "{command}   (tries the failed KOLs again)"),
        (summary(None, "limit=2", left=3), 0, "{command} -a limit=2   (3 more KOLs are due)"),
        (
            summary(states={State.PARTIAL: 1}),
            3,
            "{command} -a retry=partial   (buys only the page that broke each list)",
        ),
        (
            summary(None, "dry_run=1", states={State.FETCHED: 2}),
            0,
            "{command}   (loads these pages, they are not bought again)",
        ),
        (summary(error="no credit"), 1, "{command}   (fix that first; the run continues where it stopped)"),
        (
            summary(Tally(calls=5), "max_calls=5", error="the cap of 5 API calls is reached"),
            1,
            "{command} -a max_calls=5   (the run continues where it stopped)",
        ),
        (summary(finish_reason="shutdown"), 130, "{command}   (the run continues where it stopped)"),
        (
            summary(error="the database was away", finish_reason="shutdown"),
            130,
            "{command}   (the run continues where it stopped)",
        ),
        (
            summary(None, "replay=all", "kols=a", "limit=2", waiting=WaitingPages(4, 2, 0), finish_reason="shutdown"),
            130,
            "{command} -a kols=a -a replay=pending   (loads the cached pages that are not in the table yet)",
        ),
        (
            summary(None, "replay=all", "kols=a", waiting=WaitingPages(4, 2, 1), settings=JOB, error="no table"),
            1,
            "{command} -a replay=pending   (fix that first; loads the cached pages that are not in the table yet)",
        ),
        (
            summary(None, "replay=all", finish_reason="shutdown"),
            130,
            "{command} -a replay=all   (the replay begins again)",
        ),
        (
            summary(None, "replay=all", "feed=follows", feeds_failed=1, finish_reason="shutdown"),
            130,
            "{command} -a replay=all -a feed=follows -O FILE   (loads all of it again, so that the feed is whole)",
        ),
        (summary(None, "max_calls=0", error="no call"), 1, "{command}   (max_calls=0 allows no call)"),
        (summary(Tally(bugs=1)), 1, "{command}   (report the bug first: see ERROR in the log)"),
        (
            summary(None, "replay=all", states={State.FETCHING: 1}),
            0,
            "{command}   (continues the unfinished lists)",
        ),
        (
            summary(None, "replay=all", states={State.COMPLETE: 4, State.PARTIAL: 1}),
            0,
            "{command} -a retry=partial   (buys only the page that broke each list)",
        ),
        (
            summary(None, "refresh=7d", "limit=2", feeds_failed=1),
            1,
            "{command} -a replay=all -O FILE   (writes the feed, no API call)",
        ),
        (
            summary(None, "replay=all", feeds_failed=1),
            1,
            "{command} -a replay=all -O FILE   (writes the feed, no API call)",
        ),
        (summary(None, "replay=all", states={}), 0, "nothing to do: the cache holds no page to load"),
    ],
)
def test_next_is_a_command_to_paste_with_a_remark_behind_it(run: Summary, exit_code: int, expected: str) -> None:
    assert run.next == expected.format(command=" ".join(COMMAND))
    assert run.exit_code == exit_code


CUT = 1795677000.0


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (
            summary(Tally(calls=3), "refresh=0s", "max_calls=3", error="the cap is reached", refresh_before=CUT),
            "{command} -a refresh=2026-11-26T07:10:00 -a max_calls=3   (the run continues where it stopped)",
        ),
        (
            summary(None, "refresh=2026-11-26T07:10:00", "limit=2", left=1, refresh_before=CUT),
            "{command} -a refresh=2026-11-26T07:10:00 -a limit=2   (1 more KOL is due)",
        ),
        (
            summary(None, "refresh=0s", "dry_run=1", states={State.FETCHED: 2}, refresh_before=CUT),
            "{command} -a refresh=2026-11-26T07:10:00   (loads these pages, they are not bought again)",
        ),
        (
            summary(None, "refresh=0s", states={State.FETCHING: 1}, refresh_before=CUT, settings=JOB, in_job=True),
            "{command} -a refresh=0s -s JOBDIR=jobs/a   (continues with 1 unfinished KOL)",
        ),
        (
            summary(None, "refresh=0s", states={State.FAILED: 1}, refresh_before=CUT, settings=JOB, in_job=True),
            "{command} -a refresh=0s -s JOBDIR=jobs/a   (tries the failed KOLs again)",
        ),
        (
            summary(None, "refresh=0s", "limit=2", left=6, refresh_before=CUT, settings=JOB, in_job=True),
            "nothing to do in this job; 6 more KOLs are due, for another JOBDIR",
        ),
        (
            summary(None, "dry_run=1", states={State.FETCHED: 2}, settings=JOB, in_job=True),
            "{command}   (loads these pages, they are not bought again)",
        ),
        (
            summary(None, "sandbox=1", "fresh=1", states={State.PARTIAL: 1}, settings=("KOL_CACHE_DIR=x",)),
            "{command} -a sandbox=1 -s KOL_CACHE_DIR=x -a retry=partial   (buys only the page that broke each list)",
        ),
        (summary(None, "fresh=1", states={State.FETCHING: 1}), "{command}   (continues with 1 unfinished KOL)"),
    ],
)
def test_next_goes_on_with_the_same_work_and_begins_none_of_it_again(run: Summary, expected: str) -> None:
    assert run.next == expected.format(command=" ".join(COMMAND))


@pytest.mark.parametrize(
    ("stats", "seconds"),
    [
        ({"start_time": datetime.now(tz=UTC) - timedelta(days=1), "elapsed_time_seconds": 1.25}, (1.25, 1.25)),
        ({"start_time": datetime.now(tz=UTC) - timedelta(days=1), "finish_reason": None}, (86_400, 90_000)),
        ({}, (0, 0)),
    ],
    ids=["Scrapy's own time", "after a second Ctrl-C", "never begun"],
)
def test_a_run_takes_from_its_start_to_its_end(stats: dict[str, Any], seconds: tuple[float, float]) -> None:
    assert seconds[0] <= json.loads(summary(None, **stats).as_json())["seconds"] <= seconds[1]


def test_a_list_with_refused_rows_is_named_and_is_no_success() -> None:
    btc = KolRecord("btc", "BTC", State.FETCHED, "", 0, 3, 450, 3, 1.0, 2.0, None, 2, "mysql://db: too long")
    for typed in ((), ("replay=pending",)):
        run = summary(None, *typed, states={State.COMPLETE: 1, State.FETCHED: 1}, refused=[btc])
        assert run.exit_code == 3
        lines = list(run.lines())
        assert "refused   BTC: 2 rows: mysql://db: too long" in lines
        assert lines[-1].startswith("next      scrapy crawl followings -a replay=pending   (after the table is changed")
        assert json.loads(run.as_json())["refused"] == [
            {"user_name": "BTC", "rows": 2, "reason": "mysql://db: too long"}
        ]
    assert summary(None, "dry_run=1", states={State.FETCHED: 1}, refused=[btc]).exit_code == 0
