"""`scrapy cache move`: a ledger goes into PostgreSQL and back, and nothing is bought again."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tests.e2e.expected import expected_rows
from tests.postgres import PASSWORD

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.postgres import Postgres

KOLS = {"BTC": 450, "ethereum": 201, "satoshi": 10}


def test_a_ledger_is_moved_and_moved_back_and_nothing_is_bought_again(
    make_project: MakeProject, postgres: Postgres
) -> None:
    project = make_project(KOLS)
    project.crawl("-a", "limit=1").expect(0)
    project.crawl("-a", "limit=1", "-a", "dry_run=1").expect(0)
    bought = len(project.api.calls)
    url = postgres.url(schema=f"e2e_{secrets.token_hex(4)}")

    moved = project.look("cache", "move", "--to", url).expect(0)
    assert "2 KOLs and 5 pages moved" in moved.out
    assert PASSWORD not in moved.text

    # Then a run there loads what was bought, and buys the rest once
    project.env = {"KOL_SHARED_URL": url}
    assert "KOLs loaded   1 into" in project.look("cache", "status").expect(0).out
    project.crawl("-a", "replay=pending").expect(0)
    assert len(project.api.calls) == bought
    project.crawl().expect(0)
    assert project.rows() == expected_rows(KOLS)

    # And back
    there = project.folder / "there"
    assert "3 KOLs and 6 pages moved" in project.look("cache", "move", "--to", str(there)).expect(0).out
    project.env = {"KOL_CACHE_DIR": str(there)}
    assert "none are due" in project.crawl("-a", "estimate=1").expect(0).text
    project.crawl("-a", "replay=all").expect(0)
    assert set(project.bought().values()) == {1}


def test_what_can_not_be_moved_is_one_line(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    for words, told in (
        (["--to", "elsewhere"], "KOL_SHARED_URL, which is not set"),
        ([], "--to goes with"),
        (["--to", "postgresql://kol:geheim@127.0.0.1:1/kol"], "there is no store"),
    ):
        refused = project.look("cache", "move", *words)
        assert refused.code in {1, 2}
        (line,) = refused.err.splitlines()
        assert told in line
    assert "--to goes with" in project.look("cache", "status", "--to", "x").expect(2).err
    project.env = {"KOL_SHARED_URL": "postgresql://kol:geheim@127.0.0.1:1/kol"}
    elsewhere = project.folder / "elsewhere"
    refused = project.look("cache", "move", "--to", str(elsewhere)).expect(1)
    assert "KOL_SHARED_URL (postgresql://kol@127.0.0.1:1/kol) can't be used" in refused.err
    assert "geheim" not in refused.text
    assert not elsewhere.exists()
    assert "pg_dump" in project.look("cache", "backup", str(project.folder / "copy")).expect(2).err
