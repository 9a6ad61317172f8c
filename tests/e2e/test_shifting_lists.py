"""Lists that change while they are read: a crawl dies in the middle, days pass in which the KOLs follow and
unfollow, and the same command goes on with nothing but the ledger to remember by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import pytest

from kolspider.sandbox import Fault
from tests.e2e.expected import expected_rows
from tests.e2e.processes import kill

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

SIZE, READ = 1400, 600
"""Followings of each KOL, and how many of them are read before the crawl dies: three pages of seven."""
FOLLOWS = {"still": 0, "grows": 30, "swaps": 40, "runs_riot": 800, "expired": 40}
"""How many new accounts each KOL follows meanwhile. 800 new ones push all that was read behind the next page, so
that it comes again whole: three pages without a new account that are no loop."""
UNFOLLOWED = {"swaps": [slice(100, 110), slice(900, 910)], "expired": [slice(0, 5), slice(590, 610)]}
"""Places of those whom a KOL unfollows meanwhile, read and unread ones."""
DAYS = 3 * 86_400


def unread(cursors: str, before: list[str], after: list[str]) -> list[str]:
    """Whom a cursor given after READ users of a list leads to when it has changed."""
    return after[READ:] if cursors == "position" else [id_ for id_ in before[READ:] if id_ in set(after)]


@pytest.mark.parametrize("cursors", ["position", "time"])
def test_a_list_that_changes_between_two_pages_loses_nobody_who_was_in_it_throughout(
    make_project: MakeProject, cursors: Literal["position", "time"]
) -> None:
    # Given a crawl that is killed when each KOL waits for its fourth page
    kols = dict.fromkeys(FOLLOWS, SIZE)
    project = make_project(kols, faults={kol: Fault("timeout", page=4) for kol in kols})
    project.api.cursors = cursors
    process = project.start_crawl()
    project.wait_for_calls(4 * len(kols))
    kill(process)
    before = {kol: project.api.expected_ids(kol) for kol in kols}

    # when the lists change, days pass, one cursor expires, and the same command is run again
    change(project)
    let_days_pass(project)
    project.api.set_faults({"expired": Fault("bad_cursor", page=4, times=2)})
    result = project.crawl().expect(0)

    # then all who were there throughout are in the table, and nobody who was never in a page
    after = {kol: project.api.expected_ids(kol) for kol in kols}
    seen = {kol: {*before[kol][:READ], *unread(cursors, before[kol], after[kol])} for kol in kols}
    seen["expired"] = set(after["expired"])
    for kol in kols:
        assert set(before[kol]) & set(after[kol]) <= seen[kol]
    possible = expected_rows({kol: SIZE + follows for kol, follows in FOLLOWS.items()})
    in_pages = set().union(*seen.values(), before["expired"][:READ])
    assert project.rows() == {id_: possible[id_] for id_ in in_pages}
    # nobody twice,
    assert project.sql(f"SELECT count(*) FROM `{project.target}`") == [(len(in_pages),)]
    records = project.records()
    assert {kol: records[kol].users for kol in kols} == {kol: len(ids) for kol, ids in seen.items()}
    # and each list is whole and was paid for once, but for the page that was in flight;
    assert {str(record.state) for record in records.values()} == {"complete"}
    assert {kol: records[kol].calls for kol in kols} == {kol: len(project.calls_for(kol)) for kol in kols}
    twice = {page for page, times in project.bought().items() if times > 1}
    assert {(handle, cursor != "") for handle, cursor in twice} == {(kol, True) for kol in kols} | {("expired", False)}
    assert len([page for page in twice if page[0] != "expired"]) == len(kols) - 1
    # the one whose cursor expired was read again from page 1, once, in place of what there was, and the log says so.
    pages = -(-len(after["expired"]) // 200)
    assert [call.page for call in project.calls_for("expired")] == [1, 2, 3, 4, 4, 4, *range(1, pages + 1)]
    assert sum(handle == "expired" for handle, _ in project.cached(generation=0)) == 0
    assert sum(handle == "expired" for handle, _ in project.cached(generation=1)) == pages
    (line,) = re.findall(r"KOL expired: the API no longer accepts its cursor .*", result.err)
    assert line.endswith("buying the list again from page 1, once")
    assert f"KOL expired: complete, {len(after['expired']):,} users in {pages} pages ({pages} bought)" in result.err


def change(project: Project) -> None:
    for kol, follows in FOLLOWS.items():
        gone = [id_ for places in UNFOLLOWED.get(kol, []) for id_ in project.api.expected_ids(kol)[places]]
        project.api.unfollow(kol, gone)
        project.api.follow(kol, follows)


def let_days_pass(project: Project) -> None:
    """Start the API again, and put the ledger's times back by days."""
    project.api.stop()
    project.api.start()
    with project.store() as store:
        store.execute("UPDATE page SET fetched_at = fetched_at - ?", (DAYS,))
        store.execute("UPDATE kol SET started_at = started_at - ?", (DAYS,))
