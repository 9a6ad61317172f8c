"""`scrapy report`, and the history that real runs leave for it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from tests.e2e.processes import kill, wait_until
from tests.e2e.project import KEY, ROOT

if TYPE_CHECKING:
    import pytest

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {"BTC": 450, "ethereum": 201}


def history(project: Project, columns: str) -> list[tuple[Any, ...]]:
    return project.ledger(f"SELECT {columns} FROM run ORDER BY id")


def test_a_run_is_in_the_history_and_on_the_page(make_project: MakeProject) -> None:
    project = make_project(KOLS, names=["BTC", "ethereum", "gone"])
    project.crawl("-a", "limit=2", "-a", f"api_key={KEY}").expect(0)
    project.crawl("-a", "dry_run=1").expect(0)
    project.crawl("-a", "replay=all").expect(0)
    project.look("crawl", "followings", "-a", "test=1", "-a", "limit=1").expect(0)

    told = history(project, "mode, exit_code, calls, pages, users, selected, unbegun, states")
    assert told == [
        ("buy", 0, 5, 5, 651, 2, 1, '{"complete": 2}'),
        ("dry run", 0, 1, 0, 0, 1, 0, '{"not_found": 1}'),
        ("replay", 0, 0, 0, 651, 2, None, '{"complete": 2}'),
    ]
    (asked, rows, dollars), *_ = history(project, "asked, rows, dollars")
    assert (
        asked
        == "scrapy crawl followings -a limit=2 -s DOWNLOAD_DELAY=0 -s CONCURRENT_REQUESTS=8 -s KOL_RETRY_SECS=0.05"
    )
    assert 0 < rows <= 651
    assert dollars > 0

    page = project.folder / "report.html"
    printed = project.look("report", "-o", str(page)).expect(0)
    assert (printed.out, printed.err) == (f"{page}\n", "")
    html = page.read_text()
    assert "All 3 KOLs are done" in html
    assert "in 3 runs" in html
    assert KEY not in html


def test_a_killed_run_shows_what_it_did_and_the_report_is_written_beside_a_run(make_project: MakeProject) -> None:
    project = make_project({"BTC": 900})
    page = project.folder / "report.html"
    run = project.start_crawl_and_hold(3)
    wait_until(lambda: history(project, "pages") > [(2,)])

    project.look("report", "-o", str(page)).expect(0)
    assert "Run 1 has been running for" in page.read_text()

    kill(run)
    assert history(project, "pages, exit_code, finished_at") == [(3, None, None)]


def test_why_a_run_stopped_is_noted(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl("-a", "max_calls=2").expect(1)
    ((code, why, states),) = history(project, "exit_code, stopped, states")
    assert code == 1
    assert "the cap of 2 API calls is reached" in why
    assert "fetching" in states


def test_report_refuses_what_it_can_not_do(make_project: MakeProject) -> None:
    project = make_project({})
    assert "can't be written" in project.look("report", "-o", str(project.folder)).expect(2).err
    missing = project.folder / "missing" / "report.html"
    assert f"there is no folder {missing.parent}" in project.look("report", "-o", str(missing)).expect(2).err
    assert not missing.parent.exists()
    (project.folder / "file").write_text("")
    told = project.look("report", "-o", str(project.folder / "file" / "report.html")).expect(2)
    assert "can't be written" in told.err
    assert told.err.count("\n") == 1


def test_the_report_of_the_sandbox_leaves_that_of_your_own_runs_alone(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project({})
    shutil.copy(ROOT / "scrapy.cfg", project.folder)
    monkeypatch.chdir(project.folder)
    page = project.folder / "report-sandbox.html"
    assert project.look("report", "--sandbox").expect(0).out == f"{page}\n"
    assert "To update this page: <code>scrapy report --sandbox</code>" in page.read_text()
    assert not (project.folder / "report.html").exists()
