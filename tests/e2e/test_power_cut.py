"""What was reported as stored or committed is on disk: cache, ledger and table agree after a power cut."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.expected import expected_rows
from tests.e2e.processes import PATIENCE
from tests.e2e.project import CRAWL, FAST, Project
from tests.power import STRACE, Disk, Sent, replay

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject

KOLS = {"alpha": 410, "beta": 230, "gamma": 0, "delta": 200}


@pytest.mark.sqlite_only("its file is on the disk whose power is cut")
def test_a_power_cut_at_any_moment_costs_at_most_the_pages_in_flight(make_project: MakeProject) -> None:
    need_strace()
    project = make_project(KOLS, unusable=True)
    disk = Disk(project.folder)
    trace = project.folder.parent / "trace"
    often = ["-s", "KOL_FLUSH_ROWS=200", "-s", "CONCURRENT_REQUESTS=2", "-s", f"JOBDIR={project.folder / 'job'}"]
    subprocess.run(
        [*STRACE, "-o", trace, *CRAWL, *FAST, *often],
        cwd=project.root,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        check=True,
        capture_output=True,
        timeout=2 * PATIENCE,
    )
    paid = project.bought()
    project.api.clear_calls()

    left = Project(
        folder=project.folder.parent / "left",
        api=project.api,
        db_url=f"sqlite:///{project.folder.parent / 'left/kol.db'}",
    )
    dice = random.Random(7)
    asked: dict[str, int] = {}
    cuts, again = 0, False
    for event in replay(trace, disk):
        if isinstance(event, Sent):
            if page := page_asked_for(event.data):
                asked[page[0]] = asked.get(page[0], 0) + 1
            else:
                continue
        for odds in (None, dice):
            disk.after_a_cut(left.folder, odds)
            cuts += 1
            assert_nothing_reported_is_lost(left, asked)
        if cuts == 70:  # and the same command goes on from there
            in_flight = Counter({page: 1 for page in paid if not was_kept(left, page)})
            left.crawl(*often[:-1], f"JOBDIR={left.folder / 'job'}").expect(0)
            assert left.rows() == expected_rows(KOLS, unusable=True)
            assert left.bought() == in_flight
            again = True
    assert asked == dict(Counter(handle for handle, _ in paid))
    assert cuts > 100
    assert again


def page_asked_for(data: bytes) -> tuple[str, str] | None:
    """Handle and cursor of a request to the API."""
    match = re.match(rb"GET (\S+followings\?\S+) HTTP", data)
    if not match:
        return None
    query = parse_qs(urlsplit(match[1].decode()).query)
    return query["userName"][0].lower(), query.get("cursor", [""])[0]


def was_kept(project: Project, page: tuple[str, str]) -> bool:
    path = project.cache / "kolspider.sqlite3"
    return path.exists() and page in project.cached()


def assert_nothing_reported_is_lost(left: Project, asked: dict[str, int]) -> None:
    """Check that each page was stored before the next was asked for, and that the table is as the ledger says."""
    stored: Counter[str] = Counter()
    if (left.cache / "kolspider.sqlite3").exists():
        with left.store() as store:  # opened to write, as a run does: it repairs what the cut left
            assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            if store.execute("PRAGMA user_version").fetchone()[0]:
                stored.update(handle for (handle,) in store.execute("SELECT handle FROM page"))
                loaded = store.execute("SELECT handle, number FROM page JOIN page_load USING (seq)").fetchall()
                done = [handle for (handle,) in store.execute("SELECT handle FROM kol_load")]
                assert_rows_are_there(left, loaded, done)
    for handle, times in asked.items():
        assert stored[handle] >= times - 1, f"page {times} of {handle} is asked for, and {stored[handle]} are on disk"


def assert_rows_are_there(left: Project, loaded: list[tuple[str, int]], done: list[str]) -> None:
    pages = Counter(handle for handle, _ in loaded)
    rows = left.rows() if loaded else {}
    for handle in done:
        assert pages[handle] == max(1, -(-KOLS[handle] // 200))
        assert expected_rows({handle: KOLS[handle]}, unusable=True).keys() <= rows.keys()
    rejected = {line["kol"] for line in left.rejects()} if loaded else set()
    for handle, number in loaded:
        ids = list(expected_rows({handle: min(KOLS[handle], 200 * number)}, unusable=True))
        assert set(ids) <= rows.keys(), f"page {number} of {handle} counts as loaded"
        if KOLS[handle] >= 200:
            assert handle in rejected, f"the users of {handle} set aside are not on file"


def need_strace() -> None:
    if not shutil.which("strace"):
        reason = "strace is not installed: apt-get install strace"
        pytest.fail(reason) if "CI" in os.environ else pytest.skip(reason)
