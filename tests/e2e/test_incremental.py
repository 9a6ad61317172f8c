"""A refresh that ends where everybody is known: what it costs, what it must not lose, and when it reads all again."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import Fault
from tests.e2e.databases import choice
from tests.e2e.rounds import Rounds

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {"big": 1900, "mid": 450, "small": 150, "still": 700, "empty": 0}
AGAIN = ("-a", "refresh=6d", "-a", "incremental=1")


# The others take half a minute: `make chaos` has them. What differs between them is in test_follows.py.
@pytest.mark.parametrize(
    "db_url", choice("sqlite", *(["mariadb", "doris"] if "KOL_TEST_SEEDS" in os.environ else [])), indirect=True
)
def test_rounds_of_follows_unfollows_and_kills(make_project: MakeProject, db_url: str) -> None:
    # Given whole lists, read in a crawl that is killed
    project = make_project(KOLS, db_url=db_url, follows=True)
    rounds, api = Rounds(project), project.api
    project.kill_crawl(8)
    project.crawl().expect(0)
    rounds.full(KOLS)
    rounds.assert_seen()
    assert rounds.new() == set()

    # when a week later they follow some, and unfollow some, and the incremental crawl is killed, too
    rounds.pass_a_week()
    api.follow("big", 230)
    api.follow("mid", 20)
    api.follow("small", 3)
    gone = api.expected_ids("big")[300:310] + api.expected_ids("big")[1500:1510]
    api.unfollow("big", gone)
    api.unfollow("mid", api.expected_ids("mid")[400:405])
    project.kill_crawl(5, *AGAIN)
    in_flight = project.in_flight(generation=1)
    result = project.crawl(*AGAIN).expect(0)

    # then each list was read as far as it changed, for no call too many
    pages = rounds.incremental(KOLS)
    assert pages == {"big": 4 + 2, "mid": 2, "small": 1, "still": 1, "empty": 1}
    assert calls(project) - len(in_flight) == sum(pages.values()) == 11
    rounds.assert_seen()
    assert "KOL big: 80 users, and still new ones: again from page 1, 200 a page" in result.text
    assert "KOL big: complete, 230 new of 400 users, 2 pages" in result.text
    records = project.records()
    sizes = {"big": (1900 + 230, 10 + 1), "mid": (450 + 20, 3), "still": (700, 4)}
    assert {kol: (records[kol].users, records[kol].pages) for kol in sizes} == sizes
    assert set(project.ended().values()) == {"complete"}

    # and after another week, with some back, a cursor that is refused in small and full pages makes one list be read
    # whole, and a KOL that followed 230 a week is expected to go on like that
    rounds.pass_a_week()
    api.follow("big", gone[:4])
    api.follow("mid", 201)
    api.set_faults({"mid": Fault("bad_cursor", page=2, times=4)})
    project.crawl(*AGAIN).expect(0)
    rounds.full(["mid"])
    rounds.incremental(["big", "small", "still", "empty"], full_pages=["big"])
    rounds.assert_seen()
    assert calls(project) == 1 + 1 + 1 + 1 + 3 + 3 + -(-len(api.expected_ids("mid")) // 200)

    # and once full ones are due, all are read whole, and who is gone is known
    rounds.pass_a_week()
    api.unfollow("still", 7)
    project.crawl(*AGAIN, "-a", "full_every=13d").expect(0)
    rounds.full(["big", "small", "still"])
    rounds.incremental(["mid", "empty"])
    rounds.assert_seen()
    lost_of_big = {id_ for kol, id_ in rounds.lost() if kol == "big"}
    assert lost_of_big == set(gone[4:])
    assert cached_generations(project, "still") == {3}

    # and what the commands tell is that, to the account
    assert_told(rounds)


def test_a_replay_gives_the_whole_list_with_the_increments_on_top(make_project: MakeProject) -> None:
    project = make_project({"big": 900}, follows=True)
    rounds, summary = Rounds(project), project.folder / "summary.json"
    project.crawl().expect(0)
    rounds.full(["big"])
    # Full ones would be 5 pages, of which the last has 130 users, and 6 with 180 on the last. Read are 2 pages of 20;
    # and 4, which cost as much as a full one, and 2 full ones.
    for new, calls_saved, credits_saved in ((30, 5 - 2, 1060 - 120), (250, 6 - 4 - 2, 1360 - 240 - 400)):
        rounds.pass_a_week()
        project.api.follow("big", new)
        project.api.revision += 1
        closing = project.crawl(*AGAIN, "-s", f"KOL_SUMMARY_FILE={summary}").expect(0).out
        saved = f"about {calls_saved} calls, {credits_saved} credits ($0.01)"
        assert f"saved     {saved}: only the changes of 1 list were read" in closing
        cost = {"credits_estimated": credits_saved, "dollars_estimated": credits_saved / 100_000}
        assert json.loads(summary.read_text())["saved"] == {"lists": 1, "calls": calls_saved} | cost
        rounds.incremental(["big"])
    rows, calls_ = project.rows(), len(project.api.calls)
    assert len(rows) == 1180
    story = project.look("kols", "big").expect(0).out
    assert re.findall(
        r"^  (list|full|incremental) .*?(\S*) ?((?:\d+ new of )?[\d,]+ users in .*)$", story, re.MULTILINE
    ) == [
        ("list", "", "1,180 users in 6 pages, 13 API calls in all"),
        ("full", "complete:", "900 users in 5 pages, 5 calls"),
        ("incremental", "complete:", "30 new of 40 users in 2 pages, 2 calls"),
        ("incremental", "failed:", "80 users in 4 pages, 4 calls"),
        ("incremental", "complete:", "250 new of 400 users in 2 pages, 2 calls"),
    ]
    assert cached_generations(project, "big") == {0, 1, 2, 3}

    project.take_another_database()
    project.init(["big"])
    project.crawl("-a", "replay=all").expect(0)

    assert project.rows() == rows
    rounds.assert_seen()
    assert project.ended() == {"big": "complete"}
    assert len(project.api.calls) == calls_


def test_an_increment_that_broke_off_hides_nobody_behind_it(make_project: MakeProject) -> None:
    project = make_project({"big": 1900}, follows=True)
    rounds = Rounds(project)
    project.crawl().expect(0)
    rounds.full(["big"])

    for _ in range(9):
        rounds.pass_a_week()  # one new account a day is expected, so it pays to ask for full pages
    project.api.follow("big", 450)
    project.api.set_faults({"big": Fault("no_cursor", page=2)})
    project.crawl(*AGAIN).expect(3)
    assert calls(project) == 2
    rounds.pass_a_week()
    project.api.set_faults({})
    project.crawl(*AGAIN).expect(0)

    # Pages 1 and 2 are in the table, but not known: behind them there may be others, and there are.
    assert calls(project) == 3
    assert len(project.rows()) == 1900 + 450


def test_without_cached_pages_the_follows_table_says_who_is_known(make_project: MakeProject) -> None:
    lists = {"big": 1900, "mid": 450}
    project = make_project(lists, follows=True)
    evict = ("-s", "KOL_CACHE_EVICT=True")
    rounds = Rounds(project)
    project.crawl(*evict).expect(0)
    rounds.full(lists)
    for _ in range(2):
        rounds.pass_a_week()
        project.api.follow("big", 20)
        project.crawl(*AGAIN, *evict).expect(0)
        assert rounds.incremental(lists, full_pages=lists, in_order=False) == {"big": 2, "mid": 1}
        assert calls(project) == 3
    rounds.assert_seen()
    assert cached_generations(project, "big") == set()


def test_known_stop_looks_further_and_without_a_follows_table_cached_pages_do(make_project: MakeProject) -> None:
    project = make_project({"big": 1900})
    project.crawl().expect(0)
    ids = project.api.expected_ids("big")
    project.api.unfollow("big", ids[250:260])
    hidden = project.api.follow("big", 5)
    project.api.move_down("big", 5, 300)  # to page 2
    project.api.clear_calls()
    project.crawl("-a", "refresh=0s", "-a", "incremental=1").expect(0)
    assert (calls(project), not set(hidden) & set(project.rows())) == (1, True)
    project.api.clear_calls()
    project.crawl("-a", "refresh=0s", "-a", "incremental=1", "-s", "KOL_KNOWN_STOP=2").expect(0)
    assert (calls(project), set(hidden) <= set(project.rows())) == (2, True)
    assert {call.page_size for call in project.api.calls} == {200}


def cached_generations(project: Project, handle: str) -> set[int]:
    """Of a KOL's pages in the cache."""
    return {generation for (generation,) in project.ledger("SELECT generation FROM page WHERE handle = ?", handle)}


def assert_told(rounds: Rounds) -> None:
    project = rounds.project
    assert told(project, "new") == rounds.new()
    assert told(project, "new", "--since", "8d", "--kol", "@MID") == rounds.new(since=rounds.week - 1) != set()
    assert told(project, "lost") == rounds.lost()
    lost = json.loads(project.look("follows", "lost", "--json").expect(0).out)
    assert {(row["kol"], row["user_id"]): rounds.week_of(row["missed_since"]) for row in lost} == rounds.missed_since()
    assert {rounds.missed_since()[key] for key in rounds.lost()} == {rounds.week - 1, rounds.week}
    lately = {key for key, week in rounds.missed_since().items() if week == rounds.week}
    assert told(project, "lost", "--since", "3d") == lately
    assert told_top(project) == rounds.shared()


def told(project: Project, *words: str) -> set[tuple[str, str]]:
    rows = json.loads(project.look("follows", *words, "--json").expect(0).out)
    found = {(row["kol"], row["user_id"]) for row in rows}
    assert len(found) == len(rows)
    return found


def told_top(project: Project) -> dict[str, int]:
    """By the CSV: each account that two KOLs or more follow."""
    out = project.look("follows", "top", "--limit", "9999", "--csv").expect(0).out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [int(row["kols"]) for row in rows] == sorted((int(row["kols"]) for row in rows), reverse=True)
    return {row["user_id"]: int(row["kols"]) for row in rows}


def calls(project: Project) -> int:
    return len(project.api.calls)
