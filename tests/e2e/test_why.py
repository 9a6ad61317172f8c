"""Why a follow is gone: who is asked for, what it costs, and that its alert comes whatever happens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.mailbox import Mailbox, mailbox, pass_a_second, write_rules
from tests.e2e.project import SMALL_BATCHES
from tests.e2e.test_alerts import REFRESH, backtest, die_at
from tests.e2e.test_providers import use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {"alpha": 150, "beta": 130}
LOST = '[[rule]]\nname = "lost"\nevent = "lost_follow"\nwhy = ["unfollowed", "protected", "suspended", "gone"]\n'
UNFOLLOWED = '[[rule]]\nname = "unfollowed"\nevent = "lost_follow"\nwhy = ["unfollowed"]\n'
LOOK = 18
"""Credits of one profile, as long as they are few."""


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


def read_once(make_project: MakeProject, rules: str, box: Mailbox) -> Project:
    """Rules, and lists that were read once; the API's log begins behind them."""
    project = make_project(KOLS, follows=True, people="plausible")
    write_rules(project, rules, box.webhook, box.chat)
    project.crawl().expect(0)
    next_day(project)
    return project


def next_day(project: Project) -> None:
    pass_a_second(project)
    project.api.clear_calls()


def some(project: Project, kol: str, number: int) -> dict[str, str]:
    """Accounts that a KOL follows: their handles by id."""
    known = dict(project.sql(f"SELECT id, user_name FROM `{project.target}` WHERE user_name > '' AND followers > 0"))
    ids = [id_ for id_ in project.api.expected_ids(kol) if id_ in known]
    return {id_: known[id_] for id_ in ids[:number]}


def asked(project: Project) -> list[tuple[int, int]]:
    """Accounts and credits of each call for profiles."""
    return [(call.accounts, call.credits) for call in project.api.calls if call.kind == "profiles"]


def told(box: Mailbox, rule: str = "lost") -> dict[str, tuple[str, str]]:
    """What the alerts of a rule say, by the account."""
    return {one["account"]["id"]: (one["why"], one["detail"]) for one in box.alerts if one["rule"] == rule}


def why(project: Project, *words: str) -> dict[tuple[str, str], tuple[str, str]]:
    """What `follows lost` knows, by KOL and account."""
    rows = json.loads(project.look("follows", "lost", "--why", "--json", *words).expect(0).out)
    return {(row["kol"], row["user_id"]): (row["why"], row["new_name"]) for row in rows}


def test_three_days_tell_why_each_follow_is_gone_and_ask_once(make_project: MakeProject, box: Mailbox) -> None:
    # Given two rules, and lists that were read once
    project = read_once(make_project, LOST + UNFOLLOWED, box)
    left, renamed, suspended, deleted, protected, later = names = list(some(project, "alpha", 6))

    # when on the first day three follows are gone, and of one account nobody knows whether it was unfollowed
    project.api.unfollow("alpha", [left, renamed, suspended])
    project.api.rename(renamed, "new_name")
    project.api.suspend(suspended)
    day = project.crawl(*REFRESH).expect(0)

    # then one call asks for them, and each rule tells what it wants
    assert asked(project) == [(3, 3 * LOOK)]
    assert told(box) == {
        left: ("unfollowed", ""),
        renamed: ("unfollowed", "is now x.com/new_name"),
        suspended: ("suspended", ""),
    }
    assert told(box, "unfollowed").keys() == {left, renamed}
    assert "\nlost      3 accounts asked for: 1 suspended, 2 unfollowed\n" in day.out
    assert "\nalerts    5 raised, 10 sent\n" in day.out
    assert f"about {sum(call.credits for call in project.api.calls):,} credits" in day.out
    (text,) = (text for title, text in box.messages if title == "kolspider: lost, 3 alerts")
    assert "no longer followed by alpha (unfollowed, is now x.com/new_name), last seen" in text
    assert "no longer followed by alpha (suspended), last seen" in text

    # when on the second day two more are gone
    next_day(project)
    project.api.unfollow("alpha", [deleted, protected])
    project.api.delete(deleted)
    project.api.protect(protected)
    project.crawl(*REFRESH).expect(0)
    assert asked(project) == [(2, 2 * LOOK)]
    assert told(box)[deleted] == ("gone", "")
    assert told(box)[protected] == ("protected", "")

    # then on the third day nobody is asked for again but whose follow is gone since then, and all is known for nothing
    next_day(project)
    project.api.unfollow("alpha", [later])
    project.crawl(*REFRESH).expect(0)
    assert asked(project) == [(1, LOOK)]
    assert told(box).keys() == set(names)
    known = why(project)
    assert {(id_, known["alpha", id_][0]) for id_ in names} == {(id_, reason) for id_, (reason, _) in told(box).items()}
    assert len(set(box.ids)) == len(box.ids)
    for rule in ("lost", "unfollowed"):
        again = backtest(project, rule)
        assert {one["account"]["id"] for one in again.values()} == told(box, rule).keys()
        assert again.keys() <= set(box.ids)
        assert all(one["why"] == told(box, rule)[one["account"]["id"]][0] for one in again.values())


def test_an_account_that_several_kols_lost_is_asked_for_once_and_calls_are_filled_up(
    make_project: MakeProject, box: Mailbox
) -> None:
    project = read_once(make_project, LOST + UNFOLLOWED, box)
    both = list(some(project, "alpha", 9))
    project.api.follow("beta", both)
    project.crawl(*REFRESH).expect(0)
    next_day(project)
    for kol in KOLS:
        project.api.unfollow(kol, both)
    project.crawl(*REFRESH).expect(0)
    assert asked(project) == [(100, 100)]
    assert len(box.alerts) == 2 * 2 * len(both)
    assert {one["why"] for one in box.alerts} == {"unfollowed"}


NOTED = "after the note of what lost accounts tell"
POINTS = (NOTED, "before the note of what lost accounts tell", "after the release of alerts")


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=pytest.mark.long if point != NOTED else ()) for point in POINTS]
)
def test_a_kill_loses_no_alert_and_asks_for_nobody_again(make_project: MakeProject, box: Mailbox, point: str) -> None:
    project = read_once(make_project, LOST, box)
    gone = list(some(project, "alpha", 3))
    project.api.unfollow("alpha", gone)
    project.api.suspend(gone[0])
    assert die_at(project, point, *SMALL_BATCHES, *REFRESH).code == -9
    before = len(asked(project))
    priced = project.crawl("-a", "estimate=1").expect(0)
    assert ("1 to ask why 3 accounts were lost" in priced.out) == point.startswith("before")
    project.crawl(*SMALL_BATCHES).expect(0)
    assert before == 1
    assert asked(project)[before:] == ([(3, 3 * LOOK)] if point.startswith("before") else [])
    assert told(box) == {gone[0]: ("suspended", ""), gone[1]: ("unfollowed", ""), gone[2]: ("unfollowed", "")}
    assert len(box.ids) == 3
    assert project.look("alerts", "pending").expect(0).out == "no alert is pending\n"


def test_a_cap_is_exact_and_the_alert_comes_without_a_reason(make_project: MakeProject, box: Mailbox) -> None:
    project = read_once(make_project, LOST + UNFOLLOWED, box)
    (gone,) = some(project, "alpha", 1)
    project.api.unfollow("alpha", [gone])
    priced = project.crawl(*REFRESH, "-a", "estimate=1").expect(0)
    assert "to which why in alerts.toml adds at most 100 credits for 100" in priced.out
    run = project.crawl(*REFRESH, "-a", "max_calls=2").expect(0)
    assert [call.kind for call in project.api.calls] == ["followings"] * 2
    assert told(box) == told(box, "unfollowed") == {gone: ("not known", "")}
    assert run.err.count("not asked for, so alerts go without a reason: ") == 1
    assert "(reason not known), last seen" in box.messages[0][1]
    project.crawl().expect(0)
    assert asked(project) == [], "an alert that was sent waits for nothing"


def test_an_api_without_profiles_by_id_gives_no_reason_and_is_named_once(
    make_project: MakeProject, box: Mailbox
) -> None:
    project = use(make_project(KOLS, follows=True, people="plausible", api="tikhub"), "tikhub")
    write_rules(project, LOST + UNFOLLOWED, box.webhook)
    project.crawl().expect(0)
    next_day(project)
    (gone,) = some(project, "alpha", 1)
    project.api.unfollow("alpha", [gone])
    run = project.crawl(*REFRESH).expect(0)
    assert told(box) == told(box, "unfollowed") == {gone: ("not known", "")}
    assert run.err.count("tikhub tells no profiles by id, so 2 rules with why can't say why follows are gone") == 1
    assert "tikhub tells no profiles by id" in project.look("follows", "lost", "--why").expect(0).err
    assert "tikhub has none" in project.crawl("-a", "why=7d").expect(2).err
    assert {call.kind for call in project.api.calls} == {"followings"}


def test_lost_says_the_price_and_a_run_buys_no_more_than_that(make_project: MakeProject, box: Mailbox) -> None:
    # Given follows that are gone, of which no rule asks why
    project = read_once(make_project, "", box)
    first, second, third = some(project, "alpha", 3)
    project.api.unfollow("alpha", [first, second])
    project.api.suspend(second)
    project.crawl(*REFRESH).expect(0)
    next_day(project)

    # when they are listed, then that costs nothing and names the price
    shown = project.look("follows", "lost", "--why").expect(0)
    assert "why 2 accounts were lost is not known: `scrapy crawl followings -a why=" in shown.err
    assert "asks, 1 call, about 36 credits, $0.00036" in shown.err
    words = shown.err.partition("`scrapy crawl followings ")[2].partition("`")[0].split()
    project.api.unfollow("alpha", [third])  # no list is read, whatever it has
    priced = project.crawl(*words, "-a", "estimate=1").expect(0)
    assert "about 36 credits" in priced.out
    assert project.api.calls == []

    # and the run that it names buys just that, within its caps
    for cap, why_not in (("max_calls=0", "no API call is allowed"), ("max_usd=0.00035", "left of the cap")):
        assert why_not in project.crawl(*words, "-a", cap).expect(1).out
    assert project.api.calls == []
    run = project.crawl(*words).expect(0)
    assert asked(project) == [(2, 36)]
    assert len(project.api.calls) == 1
    assert "\nlost      2 accounts asked for: 1 suspended, 1 unfollowed\n" in run.out
    assert why(project) == {("alpha", first): ("unfollowed", ""), ("alpha", second): ("suspended", "")}
    assert project.look("follows", "lost", "--why").expect(0).err == ""
    project.crawl(*words).expect(0)
    assert len(project.api.calls) == 1, "what is known is not asked for again"
