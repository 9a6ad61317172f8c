"""The cache directory: a new one beside a full table, one that is taken away under a run, a copy, a pruned one."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from kolspider.store.schema import VERSION
from tests.e2e.expected import expected_rows
from tests.e2e.processes import finish

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject

KOLS = {"BTC": 450, "ethereum": 201}


def test_a_new_cache_directory_beside_a_table_with_rows_buys_nothing_unasked(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    calls, job = project.api.calls, project.folder / "job"
    project.env = {"KOL_CACHE_DIR": str(project.folder / "mistyped")}

    # Then the run names the price and both ways out, also when a replay has been there before, and begins no job
    project.crawl("-a", "replay=pending").expect(0)
    refused = project.crawl("-s", f"JOBDIR={job}").expect(2)
    (line,) = [line for line in refused.err.splitlines() if line.startswith("kolspider:")]
    assert re.search(r"would buy 2 lists \(about \d+ calls, [\d,]+ credits, \$0\.\d\d\)", line)
    assert "KOL_CACHE_DIR" in line
    assert "-a fresh=1" in line
    assert project.api.calls == calls
    assert not job.exists()
    assert "-a fresh=1" in project.look("crawl", "followings", "-a", "test=1").expect(0).out

    # Then -a fresh=1 buys once; from then on the directory is not new
    stopped = project.crawl("-a", "fresh=1", "-a", "max_calls=2").expect(1)
    assert "next      scrapy crawl followings -a max_calls=2 -s" in stopped.out
    project.crawl().expect(0)
    assert len(project.api.calls) == 2 * len(calls)


def test_a_store_without_tables_is_not_filled_again_unasked(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.cache.mkdir()
    project.store_file.touch()

    for _ in range(2):
        refused = project.crawl().expect(2)
        assert "kolspider.sqlite3 has no tables" in refused.err
        assert "-a fresh=1" in refused.err
    assert "has no tables" in project.look("kols").expect(2).err
    assert project.api.calls == []

    project.crawl("-a", "fresh=1").expect(0)
    assert project.rows() == expected_rows(KOLS)


@pytest.mark.parametrize("name", ["", "lock", "kolspider.sqlite3"])
def test_a_directory_that_is_replaced_under_a_run_stops_it(make_project: MakeProject, name: str) -> None:
    project = make_project({f"kol{number}": 1000 for number in range(4)})
    run = project.start_crawl_and_hold(6)
    asked = len(project.api.calls)
    gone = project.cache / name if name else project.cache
    gone.rename(project.folder / "aside")
    if name:
        gone.touch()
    project.api.release()

    stopped = finish(run).expect(1)

    assert f"stopped   {gone} was removed or replaced during the run" in stopped.out
    assert "are not stored, and are bought again" in stopped.out
    assert "Traceback" not in stopped.text
    assert len(project.api.calls) <= asked + 4, "each list that is open may ask once more"


def test_a_backup_made_during_a_run_is_whole_and_saves_what_was_bought(make_project: MakeProject) -> None:
    project = make_project({"alpha": 1000, "beta": 800})
    run = project.start_crawl_and_hold(5)
    copy = project.folder / "copy.sqlite3"
    kept = project.cached()

    assert "the whole store" in project.look("cache", "backup", str(copy)).expect(0).out
    assert "is there already; add --yes" in project.look("cache", "backup", str(copy)).expect(2).err
    project.look("cache", "backup", str(copy), "--yes").expect(0)
    assert (
        "is in the cache directory" in project.look("cache", "backup", str(project.store_file), "--yes").expect(2).err
    )
    (other := project.folder / "notes").write_text("not a copy")
    assert "is no copy of a store" in project.look("cache", "backup", str(other), "--yes").expect(2).err
    assert "can't be written" in project.look("cache", "backup", str(copy / "below")).expect(1).err
    project.api.release()
    finish(run).expect(0)
    assert [path.name for path in project.folder.glob("copy*")] == [copy.name]

    # When the directory is lost, and the copy is put into its place
    shutil.rmtree(project.cache)
    project.cache.mkdir()
    shutil.copy(copy, project.store_file)
    project.api.clear_calls()
    assert project.cached() >= kept
    project.crawl().expect(0)

    assert not kept & set(project.bought())
    assert project.ended() == {"alpha": "complete", "beta": "complete"}


def test_prune_names_the_price_and_asks_and_what_is_advised_afterwards_works(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    bought = len(project.api.calls)

    refused = project.scrapy("cache", "prune").expect(2)
    assert "5 pages with 651 users (bought for about $0.01)" in refused.out
    assert "2 KOLs" in refused.out
    assert "--yes" in refused.err
    assert len(project.cached()) == 5
    project.look("cache", "prune", "--yes").expect(0)
    assert project.cached() == set()
    assert "Nothing to delete" in project.look("cache", "prune").expect(0).out
    assert "Nothing to delete" in project.look("cache", "clear", "--keep-progress").expect(0).out
    assert "no page of this list is in the cache" in project.look("cache", "show", next(iter(KOLS))).expect(0).out

    # When a follows table is wanted that needs these pages
    project.follows = f"{project.target}_follows"
    project.init([])
    advised = project.crawl().expect(0)
    assert len(project.api.calls) == bought
    (advice,) = re.findall(r"-a refresh=0s", advised.err)
    project.crawl(*advice.split()).expect(0)
    assert len(project.sql(f"SELECT user_id FROM `{project.follows}`")) == 651

    # When its rows are lost, then pages are there again
    project.empty(project.follows)
    project.empty(f"{project.follows}_crawls")
    assert "-a replay=all` loads them again" in project.crawl().expect(0).err
    project.crawl("-a", "replay=all").expect(0)
    assert len(project.sql(f"SELECT user_id FROM `{project.follows}`")) == 651
    assert len(project.api.calls) == 2 * bought


def test_a_store_of_a_later_version_is_refused_by_every_command(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.look("cache", "clear", "--yes").expect(0)  # leaves an empty store
    with project.store() as store:
        store.execute(f"PRAGMA user_version = {VERSION + 1}")
    report, copy = project.folder / "report.html", project.folder / "copy.sqlite3"

    for words in (
        ("kols",),
        ("cache", "status"),
        ("cache", "backup", str(copy)),
        ("cache", "prune", "--yes"),
        ("report", "-o", str(report)),
        ("crawl", "followings", "-a", "estimate=1"),
    ):
        result = project.look(*words).expect(2)
        (line,) = [line for line in result.err.splitlines() if line.startswith("kolspider:")]
        assert "Traceback" not in result.err
        assert f"was written by a later version of kolspider (format {VERSION + 1}; this one knows {VERSION})" in line
    assert not report.exists()
    assert not copy.exists()
