"""Pages that were paid for are not deleted, and nobody is lost, on the word of an empty or much shorter answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import Fault
from tests.e2e.expected import expected_rows
from tests.e2e.project import settings

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {"alpha": 450, "beta": 250, "gamma": 650, "delta": 220, "small": 30}
EMPTY, SHORT = Fault("empty_list", times=None), Fault("cut_short", page=1, times=None)
ALONE = settings(CONCURRENT_REQUESTS=1)
REFRESH = ("-a", "refresh=0s", *ALONE)


def lost(project: Project) -> list[object]:
    found: list[object] = json.loads(project.look("follows", "lost", "--json").expect(0).out)
    return found


def replayed(project: Project) -> set[str]:
    """The ids that a replay of everything gives an empty table."""
    project.empty()
    project.crawl("-a", "replay=all")
    return set(project.rows())


@pytest.mark.parametrize("incremental", [(), ("-a", "incremental=1")], ids=["full", "incremental"])
def test_an_api_that_answers_everybody_with_nothing_deletes_and_loses_nothing(
    make_project: MakeProject, incremental: tuple[str, ...]
) -> None:
    project = make_project(KOLS, follows=True)
    project.crawl().expect(0)
    project.api.set_faults({"*": EMPTY})
    # when all lists come empty, in two refreshes
    for _ in range(2):
        result = project.crawl(*REFRESH, *incremental, "-s", "KOL_STOP_AFTER=3").expect(1)
        # then the run stops after three, and says why
        assert "3 KOLs in a row failed in the same way (only 0 of " in result.text
        assert "failed" in project.ended().values()
        assert lost(project) == []
    assert replayed(project) == set(expected_rows(KOLS))
    # and once the API is well again, every list is.
    project.api.set_faults({})
    project.crawl(*REFRESH, *incremental).expect(0)
    assert set(project.ended().values()) == {"complete"}
    assert lost(project) == []
    assert replayed(project) == set(expected_rows(KOLS))


def test_one_empty_and_one_much_shorter_list_are_believed_at_the_second_reading(make_project: MakeProject) -> None:
    project = make_project(KOLS, follows=True)
    project.crawl().expect(0)
    project.api.set_faults({"alpha": EMPTY, "gamma": SHORT})
    # when two lists come empty and cut short, then each has its line, and the others are complete
    result = project.crawl(*REFRESH).expect(3)
    told = "users came; the list before is kept until a second reading says the same"
    for line in (f"KOL alpha: failed, only 0 of 450 {told}", f"KOL gamma: failed, only 200 of 650 {told}"):
        assert result.text.count(line) == 1
    assert [kol for kol, state in project.ended().items() if state != "complete"] == ["alpha", "gamma"]
    assert {kol.handle: kol.users for kol in project.records().values()} == KOLS
    assert lost(project) == []
    assert replayed(project) == set(expected_rows(KOLS))
    # A run in which no other list comes confirms nothing.
    project.api.clear_calls()
    project.crawl(*ALONE).expect(3)
    assert [(call.handle, call.page) for call in project.api.calls] == [("alpha", 1), ("gamma", 1)]
    # A later run in which others come as they should does,
    project.crawl(*REFRESH).expect(0)
    assert {kol.users for kol in project.records().values()} == {0, 200, 250, 220, 30}
    # but an empty list still deletes no page and loses nobody.
    assert {one["kol"] for one in lost(project) if isinstance(one, dict)} == {"gamma"}
    shown = project.look("cache", "show", "alpha").expect(0).out
    assert shown.count(" 200 ") >= 2
    assert replayed(project) == set(expected_rows(KOLS | {"gamma": 200}))


def test_a_doubtful_list_is_no_better_when_its_page_is_loaded_from_the_cache(make_project: MakeProject) -> None:
    project = make_project({"alpha": 450}, follows=True)
    project.crawl().expect(0)
    project.api.set_faults({"alpha": SHORT})
    project.crawl(*REFRESH).expect(3)
    # Given a process that died when the page was stored, before anything else
    with project.store() as store:
        store.execute("UPDATE kol SET state = 'fetching', reason = ''")
        store.execute("UPDATE crawl SET state = 'fetching' WHERE generation = 1")
        store.execute("DELETE FROM page_load WHERE seq = (SELECT max(seq) FROM page)")
    calls = len(project.api.calls)
    # when the next run loads it
    project.crawl().expect(3)
    # then it is as doubtful as before
    assert len(project.api.calls) == calls
    assert "only 200 of 450 users came" in project.records()["alpha"].reason
    assert lost(project) == []
    assert replayed(project) == set(expected_rows({"alpha": 450}))
