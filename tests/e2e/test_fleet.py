"""Several workers on one ledger in PostgreSQL: together they do what one would do, and one goes on for all."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.chaos.fleet import FleetToll, Story, judge
from tests.e2e.processes import finish, kill, wait_until
from tests.e2e.project import SMALL_BATCHES, settings
from tests.postgres import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project
    from tests.mariadb import MariaDB
    from tests.postgres import Postgres

pytestmark = pytest.mark.sqlite_only("the ledger is what matters here")

KOLS = {"alpha": 450, "beta": 600, "gamma": 1, "delta": 0, "epsilon": 201, "zeta": 400}
AT_ONCE = 2


def shared(project: Project, postgres: Postgres, schema: str) -> Project:
    project.env["KOL_SHARED_URL"] = postgres.url(schema=schema)
    return project


def workers_at_work(project: Project) -> int:
    """How many workers have a list in work, as `scrapy cache status` shows."""
    lines = project.look("cache", "status").expect(0).out.splitlines()
    return sum(line.startswith("worker") and ": 0 lists" not in line for line in lines)


def test_a_killed_workers_kols_are_finished_by_the_other(make_project: MakeProject, postgres: Postgres) -> None:
    project = shared(make_project(KOLS, follows=True), postgres, "killed")
    words = ("-a", "refresh=0s", *SMALL_BATCHES, *settings(CONCURRENT_REQUESTS=AT_ONCE, KOL_PROGRESS=0))
    project.api.hold(after=4)
    doomed, heir = project.start_crawl(*words), project.start_crawl(*words)
    wait_until(lambda: workers_at_work(project) == 2)
    assert "replay=pending" not in project.look("cache", "status").out, "nothing is to be done while they are at work"
    project.wait_for_calls(4 + 1)
    kill(doomed)
    project.api.release()
    ended = finish(heir).expect(0)
    assert PASSWORD not in ended.text
    assert quote(PASSWORD, safe="") not in ended.text
    toll = FleetToll()
    judge(project, postgres, toll)
    assert (toll.lost, toll.older) == (0, 0)
    assert toll.twice <= AT_ONCE
    assert not workers_at_work(project)
    # A page has the moment when it was fetched, not that when its loader began.
    assert project.look("follows", "lost", "--json").expect(0).out.strip() == "[]"
    assert project.look("follows", "new", "--since", "1d", "--json").expect(0).out.strip() == "[]"
    assert not project.cache.exists() or not project.store_file.exists(), "nothing is kept on this machine"

    before = len(project.api.calls)
    project.crawl("-a", "refresh=0s", *settings(KOL_PROGRESS=0)).expect(0)
    assert len(project.api.calls) == before + sum(max(1, -(-users // 200)) for users in KOLS.values())
    lost = project.look("follows", "lost", "--csv").expect(0).out.splitlines()
    assert len(lost) == 1, "a header: nobody is lost by who loads"


def test_a_run_whose_ledger_stays_away_says_so_and_can_be_started_again(
    make_project: MakeProject, postgres: Postgres
) -> None:
    project = shared(make_project(KOLS), postgres, "away")
    project.api.hold(after=2)
    run = project.start_crawl(*settings(CONCURRENT_REQUESTS=AT_ONCE, KOL_PROGRESS=0, KOL_DB_RETRY_SECS=1))
    project.wait_for_calls(2 + 1)
    postgres.stop()
    try:
        project.api.release()
        ended = finish(run)
    finally:
        postgres.start()
    assert ended.code == 75
    last = ended.err.splitlines()[-1]
    assert last.startswith("kolspider: the shared ledger was away for 1 s (KOL_DB_RETRY_SECS): the ledger at ")
    assert last.endswith("nothing is lost: run the same command again when it is back")
    project.crawl(*settings(KOL_PROGRESS=0)).expect(0)


def test_a_feed_of_several_workers_is_refused(make_project: MakeProject, postgres: Postgres) -> None:
    project = shared(make_project({"alpha": 1}), postgres, "feeds")
    refused = project.look("crawl", "followings", "-o", str(project.folder / "users.jsonl"))
    assert refused.code == 2
    assert "-a replay=all -o FILE" in refused.err


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_a_story_of_kills_freezes_and_restarts(tmp_path: Path, mariadb: MariaDB, postgres: Postgres, seed: int) -> None:
    toll = Story(tmp_path, seed, mariadb.url, postgres).tell()
    assert (toll.lost, toll.older, toll.in_pause) == (0, 0, 0), toll
    assert toll.twice <= toll.bound, toll
