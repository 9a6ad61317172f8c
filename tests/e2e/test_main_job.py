"""The main job on SQLite and on MariaDB: every user of every list is in the table, each page bought once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.expected import expected_rows

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {"BTC": 450, "ethereum": 1000, "nobody_followed": 0, "one": 1, "exactly200": 200, "just201": 201}


def states(project: Project) -> dict[str, str]:
    """What `scrapy kols` says, by handle in lower case."""
    kols = json.loads(project.look("kols", "--json").expect(0).out)
    return {kol["user_name"].lower(): kol["state"] for kol in kols}


def test_every_user_is_in_the_table_and_each_page_is_bought_once(make_project: MakeProject, db_url: str) -> None:
    project = make_project(KOLS, db_url=db_url)
    project.crawl().expect(0)
    assert project.rows() == expected_rows(KOLS)
    assert states(project) == dict.fromkeys(map(str.lower, KOLS), "complete")
    assert len(project.api.calls) == 3 + 5 + 1 + 1 + 1 + 2
    assert set(project.bought().values()) == {1}
    assert all(call.key_ok and call.page_size == 200 for call in project.api.calls)

    # and a second run has nothing to do
    project.api.clear_calls()
    project.crawl().expect(0)
    assert project.api.calls == []


def test_a_gzip_answer_is_cached_and_loaded(make_project: MakeProject) -> None:
    project = make_project({"BTC": 450}, gzip=True)
    project.crawl().expect(0)
    project.empty()
    project.crawl("-s", "HTTPCACHE_IGNORE_MISSING=True", env={"KOL_API_KEY": ""}).expect(0)
    assert project.rows() == expected_rows({"BTC": 450})
    assert len(project.api.calls) == 3
