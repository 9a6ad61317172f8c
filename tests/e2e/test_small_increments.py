"""A daily look at what changed: it costs 60 credits a KOL, and misses nobody, however it is disturbed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import pytest

from kolspider.sandbox import Fault
from tests.e2e.processes import finish
from tests.e2e.rounds import MOMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kolspider.sandbox import Call
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {"one": 1900, "two": 700, "still": 450, "tiny": 15}
DAILY = ("-a", "refresh=1h", "-a", "incremental=1")


def pass_a_day(project: Project) -> None:
    """Make all that the store remembers a day older."""
    project.api.clear_calls()
    with project.store() as store:
        for column in MOMENTS:
            table, _, name = column.partition(".")
            store.execute(f"UPDATE {table} SET {name} = {name} - 86400")


def follow(project: Project, day: int) -> None:
    """One new follow, two with an unfollow, and none but an old one who comes back to the front."""
    api = project.api
    api.follow("one", 1)
    api.follow("two", 2)
    api.unfollow("two", api.expected_ids("two")[100 * day : 100 * day + 1])
    back = api.expected_ids("still")[40 * day : 40 * day + 1]
    api.unfollow("still", back)
    api.follow("still", back)


def meter(calls: Iterable[Call]) -> int:
    """What the sandbox charges for these calls, by twitterapi.io's tiers."""
    return sum(call.credits for call in calls)


def told(out: str, label: str) -> str:
    (line,) = re.findall(rf"^{label} +(.*)$", out, re.MULTILINE)
    return str(line)


def assert_as_a_full_reading(project: Project) -> None:
    """Check that each row is as a full reading of all lists, in another cache directory and database, has it."""
    rows = project.rows()
    project.take_another_database()
    project.init(KOLS)
    project.env["KOL_CACHE_DIR"] = str(project.folder / "cache of the full reading")
    project.crawl().expect(0)
    whole = project.rows()
    assert whole.items() <= rows.items()
    assert set(whole) == {id_ for kol in KOLS for id_ in project.api.expected_ids(kol)}


def test_a_day_costs_60_credits_a_kol_and_brings_all_that_a_full_reading_does(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    for day in range(1, 6):
        pass_a_day(project)
        follow(project, day)
        estimate = project.crawl(*DAILY, "-a", "estimate=1").expect(0).out
        closing = project.crawl(*DAILY).expect(0).out
        assert [(call.page, call.page_size, call.credits) for call in project.api.calls] == [(1, 20, 60)] * 4
        assert told(estimate, "calls") == "about 4, retries not counted"
        assert told(estimate, "cost") == f"about {meter(project.api.calls)} credits, $0.00"
        assert told(closing, "API") == f"4 calls, about {meter(project.api.calls)} credits ($0.00)"
        new = {kol.user_name: kol.users for kol in project.records().values()}
        assert new == KOLS | {"one": 1900 + day, "two": 700 + 2 * day}
    assert_as_a_full_reading(project)


@pytest.mark.parametrize("answers", [0, 2, *(pytest.param(number, marks=pytest.mark.long) for number in (1, 3, 4))])
def test_a_kill_changes_neither_the_rows_nor_the_bill_beyond_what_was_in_flight(
    make_project: MakeProject, answers: int
) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    pass_a_day(project)
    follow(project, 1)
    project.api.follow("one", 14)  # with the one of this day 5 more than a page of 20 has room for
    project.kill_crawl(answers, *DAILY)
    in_flight = project.in_flight(generation=1)
    project.crawl(*DAILY).expect(0)

    calls = project.api.calls
    assert len(calls) - len(in_flight) == 5
    assert meter(calls) - 60 * len(in_flight) == 5 * 60
    assert_as_a_full_reading(project)


def test_a_reading_that_is_killed_when_it_has_begun_again_keeps_to_full_pages(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    pass_a_day(project)
    project.api.follow("one", 230)
    project.kill_crawl(4, *DAILY, "-a", "kols=one")
    result = project.crawl(*DAILY, "-a", "kols=one").expect(0)
    assert [call.page_size for call in project.api.calls] == [20, 20, 20, 20, 200, 200, 200]
    assert meter(project.api.calls) == 4 * 60 + 3 * 200
    assert "KOL one: complete, 230 new of 400 users, 2 pages" in result.text
    assert_as_a_full_reading(project)


@pytest.mark.parametrize("cursors", ["position", "time"])
def test_follows_while_a_list_is_read_hide_nobody(
    make_project: MakeProject, cursors: Literal["position", "time"]
) -> None:
    project = make_project(KOLS)
    project.api.cursors = cursors
    project.crawl().expect(0)
    pass_a_day(project)
    project.api.follow("one", 45)
    wanted = set(project.api.expected_ids("one"))
    process = project.start_crawl_and_hold(1, *DAILY, "-a", "kols=one")
    project.api.follow("one", 15)
    project.api.release()
    finish(process).expect(0)
    assert wanted <= set(project.rows())

    project.crawl("-a", "refresh=0s", "-a", "incremental=1", "-a", "kols=one").expect(0)
    assert set(project.api.expected_ids("one")) <= set(project.rows())


def test_a_refused_cursor_of_a_small_page_begins_the_increment_again_in_full_ones(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    pass_a_day(project)
    project.api.follow("one", 15)
    project.api.set_faults({"one": Fault("bad_cursor", page=2, times=2)})
    result = project.crawl(*DAILY, "-a", "kols=one").expect(0)
    assert [(call.page, call.page_size) for call in project.api.calls] == [(1, 20), (2, 20), (2, 20), (1, 200)]
    assert "KOL one: its cursor was refused: again from page 1, 200 a page" in result.text
    assert "KOL one: complete, 15 new of 200 users, 1 page" in result.text


def test_a_kol_that_follows_many_a_day_is_asked_for_full_pages(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    sizes = []
    for _ in range(3):
        pass_a_day(project)
        project.api.follow("one", 70)
        project.crawl(*DAILY, "-a", "kols=one").expect(0)
        sizes.append([call.page_size for call in project.api.calls])
    assert sizes == [[20, 20, 20, 20], [200], [200]]


def test_a_cap_in_dollars_has_room_for_as_many_small_pages_as_it_pays_for(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    pass_a_day(project)
    follow(project, 1)
    result = project.crawl(*DAILY, "-a", "max_usd=0.0018").expect(1)
    assert meter(project.api.calls) == 180
    assert "max_usd" in told(result.out, "stopped")
    project.crawl(*DAILY).expect(0)
    assert meter(project.api.calls) == 240
    assert_as_a_full_reading(project)
