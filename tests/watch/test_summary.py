"""The closing table and its JSON, by the numbers of a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from kolspider.items import State
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.options.arguments import Arguments
from kolspider.watch.summary import Summary

if TYPE_CHECKING:
    from kolspider.store.ledger import Ledger


def summary(tally: Tally | None = None, **stats: Any) -> Summary:
    """The summary of a run with these counters, and these stats of Scrapy."""
    ledger = SimpleNamespace(
        kols=SimpleNamespace(states_of_selected=lambda: {State.COMPLETE: 2}, selected_in=lambda *_: []),
        selection=SimpleNamespace(count_waiting=lambda: 0, left=0),
    )
    command = ["scrapy", "crawl", "followings"]
    stats = {"finish_reason": "finished"} | stats
    target = "sqlite:///kol.db twitter_kol_all"
    return Summary.of(command, Arguments(), target, 0.00001, cast("Ledger", ledger), tally or Tally(), Stop(), stats)


def saving(calls: int, credits_: int) -> Summary:
    return summary(Tally(incremental_lists=100, calls_saved=calls, credits_saved=credits_))


def test_what_was_saved_is_told_in_calls_credits_and_dollars() -> None:
    told = saving(800, 152_000)
    expected = "saved     about 800 calls, 152,000 credits ($1.52) by 100 lists read only as far as they changed"
    assert expected in list(told.lines())
    assert json.loads(told.as_json())["saved"] == {
        "lists": 100, "calls": 800, "credits_estimated": 152_000, "dollars_estimated": 1.52,
    }  # fmt: skip


@pytest.mark.parametrize("told", [summary(), saving(0, 0)])
def test_nothing_saved_is_nothing_to_tell(told: Summary) -> None:
    assert not [text for text in told.lines() if text.startswith("saved")]
    assert json.loads(told.as_json())["saved"]["calls"] == 0


def test_a_run_that_was_stopped_for_good_took_time_too() -> None:
    told = summary(start_time=datetime.now(tz=UTC) - timedelta(seconds=63), finish_reason=None)
    assert "time      1 min 3 s" in list(told.lines())
    assert 63 <= json.loads(told.as_json())["seconds"] < 68


def test_what_scrapy_says_that_a_run_took_counts() -> None:
    told = summary(start_time=datetime.now(tz=UTC) - timedelta(days=1), elapsed_time_seconds=1.25)
    assert json.loads(told.as_json())["seconds"] == 1.25


def test_a_run_that_never_began_took_none() -> None:
    assert "time      0.0 s" in list(summary().lines())
