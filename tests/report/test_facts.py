"""What the report tells, by numbers that can be counted by hand."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from kolspider.follows.queries import Shared
from kolspider.items import State
from kolspider.report import set_aside
from kolspider.report.follows import FollowFacts
from kolspider.report.spending import Spent, by_period
from tests.report.conftest import report
from tests.report.history import NOW, TARGET, add_kol, add_page, add_run, store_of

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400.0


def test_an_empty_ledger_says_what_to_run(tmp_path: Path) -> None:
    _, html = report(tmp_path / "nothing")
    assert "No KOL has been started yet" in html
    assert "scrapy crawl followings -a sandbox=1" in html
    assert "States of the KOLs" not in html


def test_done_are_complete_and_not_found_of_all_that_are_known(tmp_path: Path) -> None:
    with store_of(tmp_path) as store, store.transaction():
        for n, state in enumerate(("complete", "complete", "not_found", "fetched", "failed", "fetching")):
            add_kol(store, f"kol{n}", state, users=100)
        add_run(store, unbegun=4)
        add_run(store, unbegun=None)
    facts, html = report(tmp_path)
    assert facts.states[State.NEW] == 4
    assert "3 of 10 KOLs are done" in html
    assert TARGET.split()[0] in html


def test_failures_are_grouped_whatever_page_they_were_on(tmp_path: Path) -> None:
    with store_of(tmp_path) as store, store.transaction():
        for n in range(9):
            add_kol(store, f"kol{n}", "failed", reason=f"page {n}: HTTP 502", at=NOW + n)
        add_kol(store, "short", "partial", reason="the cursor was met before")
        add_kol(store, "old", "failed", reason="cursor refused again (expired); -a retry=failed begins anew")
    facts, html = report(tmp_path)
    told = [
        (one.state, one.advice.command, [(group.reason, group.kols) for group in one.groups]) for one in facts.failures
    ]
    assert told == [
        ("failed", "scrapy crawl followings", [("HTTP 502", 9)]),
        (
            "failed",
            "scrapy crawl followings -a retry=failed",
            [("cursor refused again (expired); -a retry=failed begins anew", 1)],
        ),
        ("partial", "scrapy crawl followings -a retry=partial", [("the cursor was met before", 1)]),
    ]
    assert "and 3 more" in html


def test_spend_is_the_runs_and_what_was_bought_before_the_first_of_them(tmp_path: Path) -> None:
    with store_of(tmp_path) as store, store.transaction():
        add_page(store, "a", at=NOW - 3 * DAY, users=200)
        add_page(store, "b", at=NOW, users=200)  # in run 1, and so in its sum
        add_run(store, at=NOW - DAY, dollars=1.5, credits=150_000, pages=800)
    facts, _ = report(tmp_path)
    assert math.isclose(facts.spent, 1.502)
    assert facts.period == "day"
    assert [round(period.dollars, 3) for period in facts.periods] == [0.002, 0.0, 1.5]


def test_what_is_left_costs_what_an_estimate_says(tmp_path: Path) -> None:
    with store_of(tmp_path) as store, store.transaction():
        for n in range(20):
            add_kol(store, f"kol{n}", "complete", users=1000)
        add_kol(store, "bad", "failed", reason="HTTP 502")
        add_kol(store, "gone", "not_found")
        add_run(store, unbegun=4, dollars=77.0, calls=1, pages=1)
    facts, html = report(tmp_path)
    assert facts.remaining is not None
    assert (facts.remaining.kols, round(facts.remaining.dollars, 6)) == (5, 0.05)  # 5 lists of 1,000 users
    assert "Reading the 5 lists still incomplete costs about <strong>$0.05</strong>" in " ".join(html.split())


def test_a_run_over_midnight_is_spread_over_its_days_by_its_samples(tmp_path: Path) -> None:
    midnight = NOW - NOW % DAY
    with store_of(tmp_path) as store, store.transaction():
        run = add_run(store, at=midnight - 600, seconds=1200, dollars=3.0, credits=300, pages=30)
        for n in range(1, 4):
            store.execute(
                "INSERT INTO sample VALUES (?, ?, 0, ?, 0, 0, ?)", (run, midnight - 601 + n * 300, n * 5, n * 50)
            )
    facts, _ = report(tmp_path)
    assert [period.dollars for period in facts.periods] == pytest.approx([1.0, 2.0])
    (pace,) = facts.paces
    assert pace.average == 1.5
    assert max(pace.a_minute) > 2 * min(pace.a_minute)


@pytest.mark.parametrize(
    ("days", "what", "most"), [(0, "run", 31), (50, "day", 51), (300, "week", 62), (3000, "month", 62)]
)
def test_bars_stay_readable(tmp_path: Path, days: int, what: str, most: int) -> None:
    with store_of(tmp_path) as store, store.transaction():
        for n in range(40):
            add_run(store, at=NOW - 3600 - days * DAY * n / 40, dollars=1.0, credits=100, pages=5, calls=5)
    facts, _ = report(tmp_path)
    assert facts.period == what
    assert len(facts.periods) <= most
    assert by_period([Spent(NOW, 1.0, 1)], [])[1][0].dollars == 1.0


def test_how_runs_ended(tmp_path: Path) -> None:
    ends = ((0, ""), (3, ""), (1, "no credit"), (130, "interrupted"), (None, ""), (None, ""))
    with store_of(tmp_path) as store, store.transaction():
        for code, why in ends:
            add_run(store, at=NOW - 20, seconds=15, exit_code=code, stopped=why, target=1)
    _, html = report(tmp_path)
    for told in (
        "done",
        "done, some lists incomplete",
        "stopped early",
        "no credit",
        "interrupted",
        "killed, no end recorded",
    ):
        assert f">{told}<" in html
    assert "Run 6 has been running for" in html
    later = " ".join(report(tmp_path, NOW + 100)[1].split())
    assert "Run 6: killed, no end recorded, <time " in later
    assert "To continue, run the same command:" in later
    assert " ago" not in later, "the page does not change while it is read"


def test_what_is_too_long_for_the_page_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with store_of(tmp_path) as store, store.transaction():
        for n in range(101):
            add_run(store, at=NOW - 1000 + n)
        for n in range(15):
            add_kol(store, f"kol{n}", "failed", reason=f"HTTP {n}")
    line = '{"kol": "BTC", "reason": "no_id"}\n'
    (tmp_path / "rejects.jsonl").write_text(line * 3)
    monkeypatch.setattr(set_aside, "_MOST", 2 * len(line))
    html = " ".join(report(tmp_path)[1].split())
    for told in ("88 earlier runs", "1 older run is not listed", "3 KOLs more, for", "Only its newest 1 line"):
        assert told in html


def test_rejects_are_counted_while_the_last_line_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rejects.jsonl"
    assert set_aside.read(path).by_reason == {}
    line = json.dumps({"kol": "BTC", "reason": "no_id", "detail": "", "user": {}}) + "\n"
    path.write_text(
        line * 5 + "[1]\n" + json.dumps({"kol": "é", "reason": "refused", "detail": "(1366)"}) + "\n" + line[:20]
    )
    found = set_aside.read(path)
    assert (list(found.by_reason), found.users, found.is_whole) == (["no_id", "refused"], 6, True)
    monkeypatch.setattr(set_aside, "_MOST", path.stat().st_size - 10)
    found = set_aside.read(path)
    assert (found.users, found.is_whole) == (5, False)


def test_names_and_messages_can_neither_be_markup_nor_turn_text_around(tmp_path: Path) -> None:
    hostile = "<b>&\x00\u202e\"'"
    with store_of(tmp_path) as store, store.transaction():
        add_kol(store, hostile, "complete", users=1)
        add_kol(store, f"failed{hostile}", "failed", reason=hostile)
        add_run(store, mode=hostile, asked=hostile, stopped=hostile, exit_code=1)
    (tmp_path / "rejects.jsonl").write_text('{"kol": "\\ud800", "reason": "<i>", "detail": "\\u2066"}\n')
    shared = [Shared("1", hostile, None, None, 2, "2026-11-20 08:00:00")]
    follows = FollowFacts(shared, shared, {hostile: 2, "b": 2}, {("b", hostile): 1})
    html = report(tmp_path, follows=follows)[1]
    assert html.count("&lt;b&gt;&amp;\ufffd\ufffd&#34;&#39;") > 10  # in every card that shows what came from outside
    assert "<b>" not in html
    assert "&lt;i&gt;" in html
    assert all(char.isprintable() or char == "\n" for char in html)
