"""Alerts: each arrives, twice only under one id, whatever dies or is away; and a backtest says the same."""

from __future__ import annotations

import json
import os
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from tests.chaos.alerts import AlertStory
from tests.chaos.dying.sitecustomize import POINTS
from tests.e2e.mailbox import TOKEN, Mailbox, follow_pairs, mailbox, pass_a_second, write_rules
from tests.e2e.project import ROOT, SMALL_BATCHES
from tests.e2e.rounds import make_older
from tests.e2e.test_secrets import LOUD, leaks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Doris, MakeProject
    from tests.e2e.processes import Result
    from tests.e2e.project import Project

KOLS = {"alpha": 150, "Beta": 150, "gamma": 150, "delta": 450, "small": 3}
"""Those above 100 follow and unfollow every week."""
NEW = '[[rule]]\nname = "new"\nevent = "new_follow"\n'
LOST = '[[rule]]\nname = "lost"\nevent = "lost_follow"\n'
SHARED = '[[rule]]\nname = "smart money"\nevent = "shared_follow"\nmin = 2\nwithin = "48h"\n'
REFRESH = ("-a", "refresh=0s")


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


def a_week_later(project: Project, weeks: int = 1) -> None:
    """Let the KOLs follow and unfollow, and the next reading begin in another second than the last one."""
    project.api.let_weeks_pass(weeks)
    pass_a_second(project)


def backtest(project: Project, rule: str) -> dict[str, dict[str, Any]]:
    """What the rule would have told, by id."""
    told = json.loads(project.look("alerts", "backtest", rule, "--since", "1d", "--json").expect(0).out)
    assert len({alert["id"] for alert in told}) == len(told)
    return {alert["id"]: alert for alert in told}


def pairs(alerts: list[dict[str, Any]], rule: str) -> list[tuple[str, str]]:
    """KOL and account of each alert of a rule."""
    return sorted((alert["kols"][0], alert["account"]["id"]) for alert in alerts if alert["rule"] == rule)


def test_three_weeks_tell_what_changed_and_what_a_backtest_tells(
    make_project: MakeProject, db_url: str, box: Mailbox
) -> None:
    # Given rules, and lists that were read once
    project = make_project(KOLS, db_url=db_url, follows=True)
    write_rules(project, NEW + LOST + SHARED, box.webhook)
    project.crawl(*SMALL_BATCHES).expect(0)
    assert box.alerts == []

    # when they change for three weeks
    new: set[tuple[str, str]] = set()
    lost: set[tuple[str, str]] = set()
    for _ in range(3):
        before = follow_pairs(project, list(KOLS))
        a_week_later(project)
        now = follow_pairs(project, list(KOLS))
        new |= now - before
        lost |= before - now
        run = project.crawl(*SMALL_BATCHES, *REFRESH).expect(0)
        assert "\nalerts    " in run.out
        assert "pending" not in run.out

    # then each change is told once
    assert pairs(box.alerts, "new") == sorted(new)
    assert pairs(box.alerts, "lost") == sorted(lost)
    assert len(set(box.ids)) == len(box.ids)

    # and a backtest tells the same
    assert box.alerts
    sent = {alert["id"]: alert for alert in box.alerts}
    told = {id_: alert for rule in ("new", "lost", "smart money") for id_, alert in backtest(project, rule).items()}
    assert sent.keys() == told.keys()
    for id_, alert in told.items():
        assert set(sent[id_]["kols"]) <= set(alert["kols"])  # of one second, a later batch may have brought some
        same = ("rule", "event", "seen", "detail")
        assert [sent[id_][key] for key in same] == [alert[key] for key in same]
        assert sent[id_]["account"]["id"] == alert["account"]["id"]
        page = sent[id_]["page"]
        assert page["kol"] in alert["kols"]
        assert alert["event"] == "lost_follow" or page["read_at"] == alert["seen"]
    shared = [alert for alert in told.values() if alert["rule"] == "smart money"]
    assert all(len(set(alert["kols"])) >= 2 for alert in shared)
    both = {id_ for _, id_ in new if sum(other == id_ for _, other in new) >= 2}
    assert {alert["account"]["id"] for alert in shared} == both
    assert both


def test_alerts_work_on_doris(make_project: MakeProject, doris: Doris, box: Mailbox) -> None:
    project = make_project({"alpha": 150, "beta": 150}, db_url=doris.url, follows=True)
    write_rules(project, NEW + LOST + SHARED, box.webhook)
    project.crawl().expect(0)
    before = follow_pairs(project, ["alpha", "beta"])
    a_week_later(project)
    project.crawl(*REFRESH).expect(0)

    assert pairs(box.alerts, "new") == sorted(follow_pairs(project, ["alpha", "beta"]) - before)
    told = list(chain.from_iterable(backtest(project, rule) for rule in ("new", "lost", "smart money")))
    assert sorted(box.ids) == sorted(told)


def test_nothing_is_told_by_first_crawls_replays_other_tables_nor_refills(
    make_project: MakeProject, box: Mailbox
) -> None:
    project = make_project(KOLS, follows=True)
    write_rules(project, NEW + LOST + SHARED, box.webhook)
    project.crawl("-a", "limit=2").expect(0)
    a_week_later(project)
    project.crawl(*SMALL_BATCHES).expect(0)  # the others, for the first time
    assert box.alerts == []

    a_week_later(project)
    project.crawl(*REFRESH).expect(0)
    told = box.ids
    assert told
    project.crawl("-a", "replay=all").expect(0)
    for table in (project.follows, f"{project.follows}_crawls"):
        project.empty(table)
    project.crawl("-a", "replay=all").expect(0)
    project.take_another_database()
    project.init(KOLS)
    project.crawl("-a", "replay=pending").expect(0)
    assert box.ids == told


def test_a_rule_may_name_a_kol_by_its_new_handle(make_project: MakeProject, box: Mailbox) -> None:
    project = make_project(KOLS, follows=True)
    project.crawl("-a", "watch=1d").expect(0)
    project.api.rename("small", "renamed")
    make_older(project, 86_400)
    project.crawl("-a", "watch=1d").expect(0)
    rule = '[[rule]]\nname = "new"\nevent = "new_follow"\nkols = ["renamed"]\n'
    write_rules(project, rule, box.webhook)
    new = project.api.follow("renamed", 2)
    make_older(project, 86_400)
    project.crawl("-a", "watch=1d").expect(0)
    assert pairs(box.alerts, "new") == sorted(("small", id_) for id_ in new)
    assert set(backtest(project, "new")) == set(box.ids)


def test_an_increment_tells_what_is_new(make_project: MakeProject, box: Mailbox) -> None:
    project = make_project(KOLS, follows=True)
    write_rules(project, NEW, box.webhook)
    project.crawl().expect(0)
    before = follow_pairs(project, list(KOLS))
    a_week_later(project)
    project.crawl(*REFRESH, "-a", "incremental=1").expect(0)
    assert pairs(box.alerts, "new") == sorted(follow_pairs(project, list(KOLS)) - before)


@pytest.mark.sqlite_only("its triggers refuse single follows")
def test_a_follow_that_the_database_refuses_is_told_once_it_is_in_the_table(
    make_project: MakeProject, box: Mailbox
) -> None:
    project = make_project({"alpha": 150}, follows=True)
    write_rules(project, NEW, box.webhook)
    project.crawl().expect(0)
    before = follow_pairs(project, ["alpha"])
    a_week_later(project)
    new = follow_pairs(project, ["alpha"]) - before
    refused = min(id_ for _, id_ in new)
    when = f"BEFORE INSERT ON `{project.follows}` WHEN NEW.user_id = '{refused}'"
    project.sql(f"CREATE TRIGGER strict {when} BEGIN SELECT RAISE(ABORT, 'not this one'); END")
    project.crawl(*REFRESH).expect(3)
    assert pairs(box.alerts, "new") == sorted(new - {("alpha", refused)})

    project.sql("DROP TRIGGER strict")
    project.crawl("-a", "replay=pending").expect(0)
    assert pairs(box.alerts, "new") == sorted(new)
    assert sorted(box.ids) == sorted(backtest(project, "new"))


DEATHS = (
    "before the ledger's note of a batch",
    "after the ledger's note of a batch",
    "before a delivery",
    "after a delivery",
)
"""At the commit; before and after a receiver has got something. tests/chaos has more."""


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=pytest.mark.long if point.startswith("after") else ()) for point in DEATHS]
)
def test_a_kill_loses_no_alert_and_doubles_none_but_under_one_id(
    make_project: MakeProject, box: Mailbox, point: str
) -> None:
    # Given a run with something to tell
    project = make_project(KOLS, follows=True)
    write_rules(project, NEW + LOST + SHARED, box.webhook, box.chat)
    project.crawl().expect(0)
    before = follow_pairs(project, list(KOLS))
    a_week_later(project)

    # when it dies there, and the next run goes on
    assert die_at(project, point, *SMALL_BATCHES, *REFRESH).code == -9
    project.crawl(*SMALL_BATCHES).expect(0)

    # then everything is told, and what went twice has the same id
    new, lost = follow_pairs(project, list(KOLS)) - before, before - follow_pairs(project, list(KOLS))
    assert sorted(set(pairs(box.alerts, "new"))) == sorted(new)
    assert sorted(set(pairs(box.alerts, "lost"))) == sorted(lost)
    told = set(chain.from_iterable(backtest(project, rule) for rule in ("new", "lost", "smart money")))
    assert set(box.ids) == told
    assert len(set(box.messages)) == len({text.rpartition("(message ")[2] for _, text in box.messages})
    assert project.look("alerts", "pending").expect(0).out == "no alert is pending\n"


def die_at(project: Project, point: str, *words: str, nth: int = 1) -> Result:
    """Crawl until the process dies at a point of tests/chaos."""
    assert point.split(" ", 1)[1] in POINTS
    path = os.pathsep.join([str(ROOT / "tests/chaos/dying"), str(ROOT)])
    return project.crawl(*words, env={"KOL_TEST_DIE_AT": f"{point}:{nth}", "PYTHONPATH": path})


@pytest.mark.parametrize("status", [500, pytest.param(302, marks=pytest.mark.long)])
def test_a_receiver_that_refuses_gets_everything_from_a_later_run(
    make_project: MakeProject, box: Mailbox, status: int
) -> None:
    project = make_project(KOLS, follows=True)
    write_rules(project, NEW, box.webhook, box.chat)
    project.crawl().expect(0)
    a_week_later(project)
    box.status = status
    summary = project.folder / "summary.json"
    run = project.crawl(*REFRESH, "-s", f"KOL_SUMMARY_FILE={summary}", "-s", "STATS_DUMP=True").expect(0)

    number = len(backtest(project, "new"))
    assert f"\nalerts    {number} raised, {number} pending: scrapy alerts pending\n" in run.out
    assert json.loads(summary.read_text())["alerts"] == {"raised": number, "sent": 0, "pending": number}
    assert f"'kol/alerts/pending': {number}" in run.err
    assert f"receiver 1 (json+http) answered {status}; its alerts are kept" in run.err
    assert f"receiver 2 (json) answered {status}; its alerts are kept" in run.err
    pending = json.loads(project.look("alerts", "pending", "--json").expect(0).out)
    assert [(one["rule"], one["alerts"], one["missing"]) for one in pending] == [("new", number, 2)]

    assert box.posts == []
    box.status = 200
    assert f"\nalerts    0 raised, {2 * number} sent\n" in project.crawl().expect(0).out
    assert sorted(box.ids) == sorted(backtest(project, "new"))
    assert [title for title, _ in box.messages] == [f"kolspider: new, {number} alerts"]
    project.crawl().expect(0)
    assert len(box.messages) == 1


def test_a_receiver_that_hangs_holds_up_neither_the_crawl_nor_another_receiver(
    make_project: MakeProject, box: Mailbox
) -> None:
    project = make_project(KOLS, follows=True)
    with mailbox() as other:
        write_rules(project, NEW, box.webhook, other.webhook)
        project.crawl().expect(0)
        a_week_later(project)
        box.open.clear()
        run = project.crawl(*REFRESH).expect(0)  # it ends although nobody opens the box
        assert "5 complete" in run.out
        assert "pending" in run.out
        assert sorted(other.ids) == sorted(backtest(project, "new"))
        box.open.set()
        project.crawl().expect(0)
        assert set(box.ids) == set(other.ids)
        assert len(other.ids) == len(set(other.ids))


@pytest.mark.long
def test_weeks_of_kills_lose_no_alert(tmp_path: Path) -> None:
    toll = AlertStory(tmp_path, 3, weeks=2, kills_each=2).tell()
    assert toll.kills >= 2
    assert toll.alerts
    assert toll.lost == 0


def test_a_message_has_twenty_alerts_and_how_many_more(make_project: MakeProject, box: Mailbox) -> None:
    project = make_project({"alpha": 150, "beta": 150}, follows=True)
    write_rules(project, NEW + SHARED, box.chat)
    project.crawl().expect(0)
    a_week_later(project)
    project.crawl(*SMALL_BATCHES, *REFRESH).expect(0)

    texts = dict(box.messages)
    text = texts.pop("kolspider: new, 40 alerts")
    assert text.count("\n- ") == 19
    assert '\nand 20 more: scrapy alerts backtest "new"\n(message ' in text
    assert re.search(
        r"^- x\.com/\w+.*: newly followed by (\w+), seen [-0-9 :]{19} UTC, page 1 of \1$", text, re.MULTILINE
    )
    assert [title.split(",")[0] for title in texts] == ["kolspider: smart money"]
    assert "now followed by" in next(iter(texts.values()))


def test_a_kol_that_is_gone_is_told_once(make_project: MakeProject, box: Mailbox) -> None:
    project = make_project(KOLS, follows=True, names=[*KOLS, "mistyped"])
    write_rules(project, '[[rule]]\nname = "gone"\nevent = "kol_gone"\n', box.webhook)
    project.crawl().expect(0)
    assert box.alerts == []
    project.api.set_faults({"small": "not_found"})
    pass_a_second(project)
    project.crawl(*REFRESH).expect(0)
    (told,) = box.alerts
    assert (told["rule"], told["event"], told["kols"], told["account"]) == ("gone", "kol_gone", ["small"], None)
    assert "the API says" in told["detail"]

    project.api.set_faults({"small": "not_found"})
    project.crawl(*REFRESH).expect(0)
    assert box.ids == [told["id"]]
    assert list(backtest(project, "gone")) == box.ids


def test_what_a_look_finds_of_kols_is_told_once(make_project: MakeProject, box: Mailbox) -> None:
    project = make_project(KOLS | {"lost": 30}, follows=True)
    rules = "".join(
        f'[[rule]]\nname = "{event}"\nevent = "{event}"\n' for event in ("kol_gone", "kol_renamed", "kol_protected")
    )
    write_rules(project, rules, box.webhook)
    project.crawl("-a", "watch=1d").expect(0)
    assert box.alerts == []

    project.api.rename("small", "renamed")
    project.api.protect("alpha")
    project.api.suspend("lost")
    make_older(project, 86_400)
    project.crawl("-a", "watch=1d").expect(0)
    told = {alert["event"]: (alert["kols"], alert["detail"]) for alert in box.alerts}
    assert told == {
        "kol_renamed": (["small"], "is now x.com/renamed"),
        "kol_protected": (["alpha"], "protected: only its followers see its list"),
        "kol_gone": (["lost"], 'the API says "suspended"'),
    }
    project.crawl(*REFRESH).expect(3)  # a protected list comes empty, which is doubted
    assert len(box.ids) == 3, "the list of an account that is gone is asked for, too, and tells nothing new"
    assert [found for event in told for found in backtest(project, event)] == [
        alert["id"] for event in told for alert in box.alerts if alert["event"] == event
    ]


def test_a_new_receiver_gets_what_is_open_and_not_what_is_done(make_project: MakeProject, box: Mailbox) -> None:
    project = make_project({"alpha": 150}, follows=True)
    write_rules(project, NEW)
    project.crawl().expect(0)
    a_week_later(project)
    run = project.crawl(*REFRESH).expect(0)
    assert "KOL_NOTIFY is not set: alerts are kept" in run.err
    assert "20 raised, 20 pending" in run.out
    assert "nobody gets them" in project.look("alerts", "pending").expect(0).out

    project.env["KOL_NOTIFY"] = box.webhook
    project.crawl().expect(0)
    assert len(box.ids) == 20
    with mailbox() as other:
        project.env["KOL_NOTIFY"] = f"{box.webhook},{other.webhook}"
        project.crawl().expect(0)
        assert (len(box.ids), other.posts) == (20, [])


def test_addresses_are_in_no_log_file_or_table(make_project: MakeProject, box: Mailbox) -> None:
    # Given receivers whose addresses hold a secret, one that refuses, one that is not there, and two of services
    project = make_project(KOLS, follows=True)
    gone = f"json+http://user:{TOKEN}@127.0.0.1:1/{TOKEN}"
    services = (f"dingtalk://{TOKEN.replace('-', '')}", f"json://127.0.0.1:1/{TOKEN}", f"nonsense://{TOKEN}")
    write_rules(project, NEW, box.webhook, gone, *services)
    log, summary = project.folder / "log.txt", project.folder / "summary.json"
    words = (*LOUD, "-s", f"LOG_FILE={log}", "-s", f"KOL_SUMMARY_FILE={summary}")
    no_proxy = {"https_proxy": "http://127.0.0.1:1"}
    results = [project.crawl(*words).expect(0)]
    a_week_later(project)
    box.status = 500

    # when everything that prints is asked
    results += [
        project.crawl(*words, *REFRESH, env=no_proxy).expect(0),
        project.crawl(*words, "-s", f"KOL_NOTIFY={box.webhook}").expect(0),
        project.look("alerts", "pending").expect(0),
        project.look("alerts", "check").expect(1),
        project.scrapy("alerts", "check", "--send-test", env=no_proxy).expect(1),
        project.look("settings", "--get", "KOL_NOTIFY").expect(0),
        project.scrapy("report", "-o", str(project.folder / "report.html")).expect(0),
        project.crawl("-s", f"KOL_NOTIFY={TOKEN}").expect(2),
    ]

    # then no address is anywhere
    assert "receiver 3 (dingtalk)" in log.read_text()
    assert leaks((TOKEN, TOKEN.replace("-", "")), results, project) == []


def test_check_names_each_fault_and_sends_a_test(make_project: MakeProject, box: Mailbox) -> None:
    project = make_project({"alpha": 3}, follows=True)
    write_rules(project, NEW + '[[rule]]\nname = "two"\nevent = "new_folow"\nbio = "("\n', box.webhook, box.chat)
    checked = project.look("alerts", "check").expect(1)
    events = "new_follow, shared_follow, lost_follow, kol_gone, kol_renamed, kol_protected"
    unclosed = "missing ), unterminated subpattern at position 0"
    assert max(map(len, checked.out.splitlines())) <= 80
    assert checked.out.replace("\n      ", " ").splitlines() == [
        f'FAIL  alerts.toml: rule "two": event = "new_folow" is not one of {events}; did you mean new_follow?',
        f'FAIL  alerts.toml: rule "two": bio = "(" is not a regular expression: {unclosed}',
        'ok    alerts.toml: rule "new" (new_follow)',
        "ok    receiver 1 (json+http)",
        "ok    receiver 2 (json)",
    ]
    refused = project.crawl().expect(2)
    assert 'rule "two": event = "new_folow" is not' in refused.err
    assert "(and 1 more: `scrapy alerts check` lists all)" in refused.err
    tried = project.crawl("-a", "test=1").expect(1)
    assert 'FAIL  alerts    alerts.toml: rule "two"' in tried.out
    assert project.api.calls == []
    assert box.posts == []

    write_rules(project, NEW, box.webhook, box.chat)
    assert "ok    alerts    alerts.toml: 1 rule, to 2 receivers\n" in project.crawl("-a", "test=1").expect(0).out
    assert "receiver 2 (json) has got the test" in project.look("alerts", "check", "--send-test").expect(0).out
    assert box.posts[0] == {"alerts": [], "test": True}
    assert box.messages == [("kolspider: test", "Alerts of kolspider arrive here.")]


def test_rules_without_a_follows_table_are_reported(make_project: MakeProject, box: Mailbox) -> None:
    project = make_project({"alpha": 3})
    write_rules(project, NEW, box.webhook)
    checked = project.look("alerts", "check").expect(1).out.replace("\n      ", " ")
    assert "FAIL  without KOL_FOLLOWS_TABLE nothing is told by 1 rule of alerts.toml: " in checked
    assert "without KOL_FOLLOWS_TABLE" in project.crawl().expect(0).err
    assert "without KOL_FOLLOWS_TABLE" in project.look("alerts", "backtest", "new").expect(2).err


def test_wrong_usage_is_one_line(make_project: MakeProject) -> None:
    project = make_project({"alpha": 3}, follows=True)
    write_rules(project, NEW)
    for words in (
        ("alerts",),
        ("alerts", "send"),
        ("alerts", "backtest"),
        ("alerts", "backtest", "new", "--since", "soon"),
        ("alerts", "backtest", "new", "--json", "--csv"),
        ("alerts", "pending", "--since", "3d"),
        ("alerts", "check", "--json"),
    ):
        result = project.look(*words).expect(2)
        assert (result.out, len(result.err.splitlines())) == ("", 1), words
    unknown = project.look("alerts", "backtest", "old").expect(1)
    assert unknown.err == "kolspider: alerts.toml has no rule 'old'; its rules: new\n"
    project.env["KOL_ALERTS_FILE"] = str(project.folder / "none.toml")
    assert "does not exist" in project.crawl().expect(2).err


def test_a_backtest_prints_a_table_and_a_csv(make_project: MakeProject) -> None:
    project = make_project({"alpha": 150}, follows=True)
    write_rules(project, NEW + 'followers = [0, 100000000]\nnever = ["nobody"]\n')
    project.crawl().expect(0)
    assert "would have told nothing" in project.look("alerts", "backtest", "new").expect(0).out
    a_week_later(project)
    project.crawl(*REFRESH).expect(0)
    table = project.look("alerts", "backtest", "new").expect(0).out.splitlines()
    assert table[0].split() == ["seen", "(UTC)", "KOLs", "account", "followers", "name"]
    csv = project.look("alerts", "backtest", "new", "--csv").expect(0).out.splitlines()
    assert csv[0].startswith("id,rule,event,seen,kols,user_id,user_name,name,followers,description,detail")
    assert len(table) == len(backtest(project, "new")) + 1
