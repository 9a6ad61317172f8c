"""The closing table and its JSON, by the numbers of a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from kolspider.items import State
from kolspider.watch.summary import Summary

if TYPE_CHECKING:
    from kolspider.run.run import Run


def summary(**stats: Any) -> Summary:
    """Of a run with these stats."""
    run = SimpleNamespace(
        kols=SimpleNamespace(states_of_selected=lambda: {State.COMPLETE: 2}, selected_in=lambda *_: []),
        selection=SimpleNamespace(count_waiting=lambda: 0, left=0),
        arguments=SimpleNamespace(replay="", dry_run=False),
        config=SimpleNamespace(credit_usd=0.00001, target_table="all", follows_table=""),
        database=SimpleNamespace(label="sqlite:///kol.db"),
        error=None,
    )
    return Summary.of(cast("Run", run), ["scrapy", "crawl", "followings"], {"finish_reason": "finished"} | stats)


def saving(calls: int, credits_: int) -> Summary:
    return summary(**{
        "kol/incremental/lists": 100, "kol/incremental/calls_saved": calls, "kol/incremental/credits_saved": credits_,
    })  # fmt: skip


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
    told = summary(start_time=datetime.now(tz=UTC) - timedelta(hours=1), finish_reason=None)
    assert "time      1 h 0 min" in list(told.lines())
    assert 3600 <= json.loads(told.as_json())["seconds"] < 3660


def test_what_scrapy_says_that_a_run_took_counts() -> None:
    told = summary(start_time=datetime.now(tz=UTC) - timedelta(days=1), elapsed_time_seconds=1.25)
    assert json.loads(told.as_json())["seconds"] == 1.25


def test_a_run_that_never_began_took_none() -> None:
    assert "time      0.0 s" in list(summary().lines())
