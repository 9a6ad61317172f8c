"""When a page is bought again: a refresh, a retry, a refused cursor; and when it is not: dry runs, eviction."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import Fault
from tests.e2e.expected import expected_rows, rows_of_pages
from tests.e2e.project import CRAWL, FAST

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {"alpha": 450, "beta": 201}
PAGES = {"alpha": [1, 2, 3], "beta": [1, 2]}


def test_a_refresh_buys_each_list_again_once_and_goes_on_after_a_kill(make_project: MakeProject) -> None:
    kols = {"alpha": 1100, "beta": 700, "small": 20}
    project = make_project(kols)
    project.crawl().expect(0)
    project.api.clear_calls()
    project.api.revision = 1
    project.crawl("-a", "refresh=30d").expect(0)
    assert project.api.calls == []

    refresh = ("-a", "refresh=0s", "-s", f"JOBDIR={project.folder / 'job'}", "-s", "KOL_FLUSH_SECS=0.05")
    project.kill_crawl(5, *refresh, calls=7)  # small is done, alpha and beta are at their third page
    in_flight = project.in_flight(generation=1)
    project.crawl(*refresh).expect(0)

    assert 0 < len(in_flight) <= 3
    bought = project.bought()
    assert {page: times for page, times in bought.items() if times > 1} == dict.fromkeys(in_flight, 2)
    assert pages_bought(project) == {"alpha": {1, 2, 3, 4, 5, 6}, "beta": {1, 2, 3, 4}, "small": {1}}
    assert project.rows() == expected_rows(kols, revision=1)
    assert project.ended() == dict.fromkeys(kols, "complete")
    assert project.cached(generation=1) == set(bought)
    assert project.cached(generation=0) == set()


FULL = {"alpha": 1100, "beta": 1500, "gamma": 800}
CHANGED = {f"kol{number}": 300 for number in range(9)}


@pytest.mark.parametrize(
    ("kols", "words"),
    [
        (FULL, ("-a", "refresh=0s", "-a", "max_calls=3")),
        # The first and the last have each cap and each kind of reading once.
        pytest.param(FULL, ("-a", "refresh=0s", "-a", "max_usd=0.0085"), marks=pytest.mark.long),
        pytest.param(CHANGED, ("-a", "refresh=0s", "-a", "incremental=1", "-a", "max_calls=3"), marks=pytest.mark.long),
        (CHANGED, ("-a", "refresh=0s", "-a", "incremental=1", "-a", "full_every=9d", "-a", "max_usd=0.0018")),
    ],
)
def test_following_next_finishes_an_interrupted_refresh_without_a_second_call_for_a_page(
    make_project: MakeProject, kols: dict[str, int], words: tuple[str, ...]
) -> None:
    project = make_project(kols)
    project.crawl().expect(0)
    if kols is CHANGED:
        for kol in kols:
            project.api.follow(kol, 15)  # each takes two small pages
    project.api.clear_calls()
    command, runs = shlex.join([*CRAWL[2:], *FAST, *words]), 0

    while command != "nothing to do":
        result = project.scrapy(*shlex.split(command)[1:])
        runs += 1
        (following,) = re.findall("^next +(.*)$", result.out, re.MULTILINE)
        command = following.partition("   (")[0]
        assert runs <= 10, following

    result.expect(0)
    assert set(project.bought().values()) == {1}
    assert len(project.api.calls) == 18
    assert project.cached(generation=1) == set(project.bought())
    assert project.ended() == dict.fromkeys(kols, "complete")


def test_a_retry_of_a_partial_list_buys_from_the_page_that_broke_it(make_project: MakeProject) -> None:
    kols = {"alpha": 700}
    project = make_project(kols, faults={"alpha": Fault("no_cursor", page=2)})
    project.crawl().expect(3)
    assert project.ended() == {"alpha": "partial"}
    first = project.api.calls
    assert project.rows() == rows_of_pages(kols, first)
    project.api.clear_calls()
    project.api.revision = 1

    project.crawl("-a", "retry=partial").expect(0)
    assert pages_asked_for(project) == {"alpha": [2, 3, 4]}
    assert project.ended() == {"alpha": "complete"}
    right = rows_of_pages(kols, first[:1]) | rows_of_pages(kols, project.api.calls, revision=1)
    assert project.rows() == right

    project.empty()
    project.crawl("-a", "replay=all").expect(0)
    assert project.rows() == right


def test_kols_that_were_not_found_or_failed_are_retried_when_asked(make_project: MakeProject) -> None:
    kols = {"gone": 5, "failing": 450}
    project = make_project({"failing": 450}, names=list(kols), faults={"failing": Fault("server_error", page=2)})
    project.crawl("-s", "RETRY_TIMES=0").expect(3)
    assert project.ended() == {"gone": "not_found", "failing": "failed"}
    project.api.follow("gone", 5)

    project.crawl("-a", "retry=not_found,failed").expect(0)

    assert pages_asked_for(project) == {"gone": [1, 1], "failing": [1, 2, 2, 3]}
    assert project.ended() == dict.fromkeys(kols, "complete")
    assert project.rows() == expected_rows(kols)


def test_a_refused_cursor_begins_the_list_again_once(make_project: MakeProject) -> None:
    kols = {"alpha": 700}
    project = make_project(kols, faults={"alpha": Fault("bad_cursor", page=3, times=2)})
    project.crawl().expect(0)
    assert pages_asked_for(project) == {"alpha": [1, 2, 3, 3, 1, 2, 3, 4]}
    assert project.rows() == expected_rows(kols)
    assert project.ended() == {"alpha": "complete"}
    assert project.cached(generation=0) == set()
    story = project.look("kols", "alpha").expect(0).out
    assert re.findall(r"^  full .* to \d{4}[^,]*, (.*)$", story, re.MULTILINE) == [
        "failed: 400 users in 2 pages, 4 calls",
        "complete: 700 users in 4 pages, 4 calls",
    ]


def test_a_cursor_refused_twice_fails_also_when_the_process_died_between(make_project: MakeProject) -> None:
    kols = {"alpha": 450}
    project = make_project(kols, faults={"alpha": Fault("bad_cursor", page=2, times=4)})
    project.kill_crawl(3)
    assert pages_asked_for(project) == {"alpha": [1, 2, 2, 1]}
    project.api.clear_calls()

    result = project.crawl().expect(3)
    assert pages_asked_for(project) == {"alpha": [1, 2, 2]}
    alpha = project.records()["alpha"]
    assert (alpha.state, "cursor refused again" in alpha.reason) == ("failed", True)
    assert "cursor refused again" in result.text

    project.api.clear_calls()
    project.crawl("-a", "retry=failed").expect(0)
    assert pages_asked_for(project) == {"alpha": [1, 2, 3]}
    assert project.ended() == {"alpha": "complete"}
    assert project.rows() == expected_rows(kols)


def test_a_dry_run_the_real_run_and_one_into_another_database_buy_each_page_once(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl("-a", "dry_run=1", "-a", "limit=1").expect(0)
    assert pages_asked_for(project) == {"alpha": PAGES["alpha"]}
    assert (project.rows(), project.rejects()) == ({}, [])

    project.crawl().expect(0)
    assert pages_asked_for(project) == PAGES
    assert project.rows() == expected_rows(KOLS)
    assert project.ended() == dict.fromkeys(KOLS, "complete")

    project.take_another_database()
    project.init(KOLS)
    project.crawl().expect(0)
    assert pages_asked_for(project) == PAGES
    assert project.rows() == expected_rows(KOLS)
    assert project.ended() == dict.fromkeys(KOLS, "complete")


def test_evicted_are_the_pages_of_complete_kols_which_are_not_bought_again(make_project: MakeProject) -> None:
    kols = KOLS | {"broken": 450}
    project = make_project(kols, faults={"broken": Fault("no_cursor", page=2)})
    evict = ("-s", "KOL_CACHE_EVICT=True")
    project.crawl(*evict).expect(3)
    assert {handle for handle, _ in project.cached()} == {"broken"}  # its good page is still needed
    assert project.rows() == rows_of_pages(kols, project.api.calls)
    project.api.clear_calls()

    project.crawl(*evict, "-a", "retry=partial").expect(0)
    assert pages_asked_for(project) == {"broken": [2, 3]}
    assert project.rows() == expected_rows(kols)
    assert project.ended() == dict.fromkeys(kols, "complete")
    assert project.cached(generation=0) | project.cached(generation=1) == set()


def test_kols_named_in_the_command_are_bought_whether_in_the_source_or_not(make_project: MakeProject) -> None:
    project = make_project(KOLS | {"outsider": 5}, names=["alpha", "beta"])
    project.crawl("-a", "kols=@Outsider, https://x.com/beta,BETA").expect(0)
    assert pages_asked_for(project) == {"outsider": [1], "beta": PAGES["beta"]}
    assert project.rows() == expected_rows({"outsider": 5, "beta": 201})


def pages_bought(project: Project) -> dict[str, set[int]]:
    return {handle: set(pages) for handle, pages in pages_asked_for(project).items()}


def pages_asked_for(project: Project) -> dict[str, list[int]]:
    """The numbers of the pages asked for, in order, by KOL."""
    pages: dict[str, list[int]] = {}
    for call in project.api.calls:
        pages.setdefault(call.handle, []).append(call.page)
    return pages
