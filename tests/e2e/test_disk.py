"""A disk that is full or may not be written, and too few open files: one line that names it, and nothing lost."""

from __future__ import annotations

import resource
import subprocess
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.expected import expected_rows, rows_of_pages
from tests.e2e.processes import PATIENCE, Result
from tests.e2e.project import CRAWL, FAST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {f"kol{number:02}": 500 for number in range(16)}
AT_ONCE = 8


def test_a_full_disk_stops_the_run_and_after_room_is_made_it_goes_on(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    with small_disk(project.cache, "400k"):
        stopped = project.crawl().expect(1)

        assert_one_line_names(stopped, project.cache)
        kept = project.cached()
        paid = project.bought()
        assert 0 < len(paid) - len(kept) <= AT_ONCE  # those that were on their way when it became full
        assert project.rows() == rows_of_pages(KOLS, project.api.calls)  # even these are in the table
        calls = len(project.api.calls)
        assert_one_line_names(project.crawl().expect(1), project.cache)
        assert len(project.api.calls) - calls <= 1  # a page may fit that is smaller

        subprocess.run(["mount", "-o", "remount,size=20m", project.cache], check=True)
        project.crawl().expect(0)

        assert project.rows() == expected_rows(KOLS)
        assert project.ended() == dict.fromkeys(KOLS, "complete")
        again = project.bought() - Counter(dict.fromkeys(project.bought(), 1))
        assert again.total() <= AT_ONCE + 1
        assert not again.keys() & kept

        subprocess.run(["mount", "-o", "remount,ro", project.cache], check=True)
        for words in (("crawl", "followings"), ("crawl", "followings", "-a", "test=1"), ("cache", "clear", "--yes")):
            assert_one_line_names(project.scrapy(*words).expect(1), project.cache)
        project.scrapy("kols", "kol01").expect(0)


@pytest.mark.sqlite_only("its file is on the disk that is full")
def test_a_table_on_a_full_disk_stops_the_run_and_its_pages_are_kept(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    disk = project.folder / "disk"
    with small_disk(disk, "600k"):
        project.db_url = f"sqlite:///{disk / 'kol.db'}"
        project.init(KOLS)
        stopped = project.crawl("-s", "KOL_DB_RETRY_SECS=0.2").expect(1)
        assert_one_line_names(stopped, disk)
        assert "full" in stopped.text
        paid = project.bought()

        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        project.crawl().expect(0)

        assert project.rows() == expected_rows(KOLS)
        assert set(project.bought().values()) == {1}
        assert paid


def test_too_few_open_files_are_asked_for_or_refused_before_the_first_call(make_project: MakeProject) -> None:
    project = make_project({"alpha": 450, "beta": 5})

    refused = crawl_with_open_files(project, 60, 60)
    assert refused.code == 1
    assert refused.err.splitlines()[-1] == (
        "kolspider: this process may open 60 files at once and needs 128: raise `ulimit -n`"
    )
    assert project.api.calls == []

    assert crawl_with_open_files(project, 20, 200).code == 0
    assert project.rows() == expected_rows({"alpha": 450, "beta": 5})


def crawl_with_open_files(project: Project, soft: int, hard: int) -> Result:
    done = subprocess.run(
        [*CRAWL, *FAST],
        cwd=project.root,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )
    return Result(done.returncode, done.stdout, done.stderr)


def assert_one_line_names(result: Result, path: Path) -> None:
    lines = [line for line in result.out.splitlines() if line.startswith(("stopped", "FAIL"))]
    lines += [line for line in result.err.splitlines() if line.startswith("kolspider:")]
    assert len(lines) == 1, result.text
    assert str(path) in lines[0]
    assert "Traceback" not in result.text


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of its own that is soon full."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"only root may mount a small disk: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
