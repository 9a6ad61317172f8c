"""`scrapy cache import`: what the script before kolspider has paid for is not bought again."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.sandbox import entry, followings
from tests.e2e.expected import expected_rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {"BTC": 450, "ethereum": 200, "loaded": 7, "empty": 2, "new": 3}
A_MONTH = 30 * 86400


def users(name: str) -> list[Any]:
    """A KOL's list as the API sends it."""
    return [entry(place, 0) for place in followings(name, KOLS[name])]


def old_cache(project: Project, progress: Any = None, **files: Any) -> Path:
    """The folder of the old script, with the files of two lists that wait, or these; they are two months old."""
    folder = project.folder / "old"
    folder.mkdir(exist_ok=True)
    lists = {name: users(name) for name in ("BTC", "ethereum")} | {"empty": []}
    for name, content in ({"progress": progress or ["loaded"]} | (files or lists)).items():
        file = folder / f"{name}.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        os.utime(file, (file.stat().st_mtime - 2 * A_MONTH,) * 2)
    return folder


@pytest.mark.parametrize("progress", [["loaded"], {"completed": ["@Loaded"], "failed": ["new"], "total": 2}])
def test_lists_of_the_old_script_are_loaded_and_never_bought_again(make_project: MakeProject, progress: Any) -> None:
    project = make_project(KOLS)
    before = {file: file.read_bytes() for file in old_cache(project, progress).iterdir()}

    printed = project.look("cache", "import", str(project.folder / "old")).expect(0).out
    assert "2 lists with 650 users imported" in printed
    assert "1 KOL of progress.json taken as loaded" in printed
    assert "1 list left out: without a user" in printed
    assert {file: file.read_bytes() for file in before} == before

    project.crawl("-a", "replay=pending").expect(0)
    assert project.rows() == expected_rows({"BTC": 450, "ethereum": 200})
    assert "complete, loaded before kolspider" in project.look("cache", "show", "loaded").expect(0).out
    project.crawl().expect(0)
    assert {call.handle for call in project.api.calls} == {"empty", "new"}
    assert project.rows() == expected_rows({name: size for name, size in KOLS.items() if name != "loaded"})


def test_imported_lists_are_as_old_as_their_files_and_are_refreshed_as_others(make_project: MakeProject) -> None:
    project = make_project(KOLS, follows=True)
    project.look("cache", "import", str(old_cache(project))).expect(0)
    project.crawl("-a", "replay=pending").expect(0)

    estimate = project.crawl("-a", "refresh=30d", "-a", "estimate=1").expect(0).out
    assert "5 due (2 new, 3 refresh)" in estimate
    assert "4 for 2 KOLs, by the list read last time" in estimate
    project.crawl("-a", "refresh=30d", "-a", "incremental=1").expect(0)
    assert project.rows() == expected_rows(KOLS)
    assert len(project.calls_for("BTC")) == 1, "its accounts are known"
    assert project.look("follows", "new", "--since", "7d", "--kol", "BTC", "--json").expect(0).out.strip() == "[]"


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"eth": '[{"id": 1}'}, "eth.json can't be read"),
        ({"eth": {"users": []}}, "eth.json is not a JSON list of users"),
        ({"eth": [{"name": "no id"}]}, "eth.json is not a JSON list of users"),
        ({"e t h": [{"id": 1}]}, "not a Twitter handle: 'e t h'"),
        ({"progress": {"failed": ["x"]}}, "progress.json is not the list of the KOLs that are done"),
        ({"progress": ["x", 1.5]}, "progress.json: not a Twitter handle"),
    ],
)
def test_an_old_cache_that_is_not_understood_is_left_alone(
    make_project: MakeProject, files: dict[str, Any], line: str
) -> None:
    project = make_project(KOLS)
    folder = old_cache(project, **({"BTC": users("BTC")} | files))
    refused = project.look("cache", "import", str(folder)).expect(2)
    assert line in refused.err
    assert len(refused.err.splitlines()) == 1
    assert project.cached() == set()
    assert project.look("kols", "--json").expect(0).out.strip() == "[]"


@pytest.mark.parametrize("evict", [False, True])
def test_nothing_older_is_imported_over_lists_that_were_bought(make_project: MakeProject, evict: bool) -> None:
    project = make_project(KOLS)
    project.crawl("-a", "kols=new", "-s", f"KOL_CACHE_EVICT={evict}").expect(0)
    folder = old_cache(project)
    assert "has lists already" in project.look("cache", "import", str(folder)).expect(2).err
    assert "is not a folder" in project.look("cache", "import", str(folder / "BTC.json")).expect(2).err
    assert set(project.ended()) == {"new"}


def test_a_folder_that_is_not_the_old_scripts_is_refused(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    (project.folder / "other").mkdir()
    refused = project.look("cache", "import", str(project.folder / "other")).expect(2)
    assert "has neither progress.json nor a list such as BTC.json" in refused.err
