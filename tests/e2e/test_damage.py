"""A damaged store: no traceback, no wrong row; what is lost is reported, and at worst bought again."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.e2e.expected import expected_rows
from tests.e2e.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {f"kol{number:02}": 150 + 70 * number for number in range(12)}
SEEDS = range(int(os.environ.get("KOL_TEST_SEEDS", "1")))


def overwrite(path: Path, dice: random.Random) -> None:
    """Put random bytes here and there, from a few to thousands in a row."""
    content = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 6)):
        size = dice.choice([1, 4, 100, 5000])
        at = dice.randrange(len(content))
        content[at : at + size] = dice.randbytes(min(size, len(content) - at))
    path.write_bytes(content)


def truncate(path: Path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size))


def overwrite_the_beginning(path: Path, dice: random.Random) -> None:
    with path.open("r+b") as file:
        file.write(dice.randbytes(200))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("damage", [overwrite, truncate, overwrite_the_beginning])
def test_a_damaged_store_costs_at_worst_the_pages_that_were_in_it(
    half_done: Project, damage: Callable[[Path, random.Random], None], seed: int
) -> None:
    project, dice = half_done, random.Random(seed)
    damage(project.cache / "kolspider.sqlite3", dice)

    text = crawl_until_all_is_well(project)

    assert project.rows() == expected_rows(KOLS)
    assert project.ended() == dict.fromkeys(KOLS, "complete")
    replay = ("-s", "HTTPCACHE_IGNORE_MISSING=True")
    if project.crawl(*replay).code:  # it is the first to read the pages of lists that were complete
        text += crawl_until_all_is_well(project)
        project.crawl(*replay).expect(0)
    assert project.rows() == expected_rows(KOLS)
    assert project.ended() == dict.fromkeys(KOLS, "complete")
    bought_again = sum(times - 1 for times in project.bought().values())
    assert bought_again <= 14, text
    if bought_again:
        assert "is damaged" in text or "was damaged" in text


def test_marks_of_what_is_loaded_count_for_no_target_whose_name_was_lost(half_done: Project) -> None:
    project = half_done
    with project.store() as store:
        store.execute("PRAGMA writable_schema = ON")
        store.execute("DELETE FROM target")
    project.mark_damaged()
    project.empty()

    project.crawl().expect(0)

    assert project.rows() == expected_rows(KOLS)


def test_unreadable_names_cost_no_other_kol(half_done: Project) -> None:
    project = half_done
    project.crawl("-s", "KOL_CACHE_EVICT=True").expect(0)
    calls = len(project.api.calls)
    with project.store() as store:
        store.execute("UPDATE kol SET user_name = CAST(x'ff41' AS TEXT) WHERE handle IN ('kol03', 'kol07')")
        store.execute("UPDATE kol SET generation = 'x' WHERE handle = 'kol05'")

    result = project.crawl().expect(0)

    assert "was damaged" in result.err
    assert len(project.api.calls) == calls
    assert project.ended() == dict.fromkeys(KOLS, "complete")


def test_a_store_that_is_gone_or_emptied_is_reported_before_pages_are_bought_again(half_done: Project) -> None:
    (project := half_done).look("kols", "kol03").expect(0)
    calls = len(project.api.calls)
    os.truncate(project.store_file, 0)
    assert "kolspider.sqlite3 has no tables" in project.crawl().expect(2).err
    project.store_file.unlink()
    result = project.crawl().expect(2)
    assert "kolspider.sqlite3 is missing, although there were runs in this directory" in result.err
    assert "-a fresh=1" in result.err
    assert len(project.api.calls) == calls
    project.crawl("-a", "fresh=1").expect(0)
    assert project.rows() == expected_rows(KOLS)


def test_whoever_looks_at_a_damaged_store_gets_one_line(half_done: Project) -> None:
    overwrite_the_beginning(half_done.cache / "kolspider.sqlite3", random.Random(1))
    for words in (("kols",), ("cache", "status"), ("cache", "clear", "--yes")):
        result = half_done.look(*words).expect(1)
        assert len(result.err.splitlines()) == 1
        assert "kolspider.sqlite3" in result.err
    # and tables can be made all the same
    one_node = ("--replicas", "1") if half_done.dialect == "doris" else ()
    half_done.follows = f"{half_done.target}_follows"
    assert "follows_crawls: created" in half_done.look("initdb", "--follows", *one_node).expect(0).out


def test_low_memory_is_no_damage_and_buys_nothing_again(half_done: Project, tmp_path: Path) -> None:
    # Given a machine without memory for the third page
    hook = (
        "from kolspider.store import pages\n"
        "unpack, sizes = pages.zstd.decompress, []\n"
        "def decompress(packed):\n"
        "    sizes.append(len(packed))\n"
        "    if len(sizes) == 3:\n"
        "        raise MemoryError\n"
        "    return unpack(packed)\n"
        "pages.zstd.decompress = decompress\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    half_done.api.clear_calls()
    # when the pages are loaded again
    low = half_done.crawl("-a", "replay=all", env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}).expect(1)
    # then the run stops and says why, and a run on another machine finds every page as it was
    assert "out of memory; nothing is lost" in low.out
    assert "Traceback" not in low.text
    assert "14 from the cache" in half_done.crawl("-a", "replay=all").expect(0).out
    assert half_done.api.calls == []


@pytest.fixture
def half_done(make_project: MakeProject, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in the middle of its work. Where its table is a file, one crawl is copied for each test."""
    project = make_project(KOLS)
    original = tmp_path_factory.getbasetemp() / "half_done"
    if not original.exists():
        project.crawl("-a", "max_calls=14").expect(1)
        if project.dialect == "sqlite":
            shutil.copytree(project.folder, original)
    else:
        shutil.rmtree(project.folder)
        shutil.copytree(original, project.folder)
        with project.store() as store:  # what the original loaded is in this copy's table
            store.execute("UPDATE target SET label = ?", (f"{project.db_url} {project.target}",))
    return project


def crawl_until_all_is_well(project: Project) -> str:
    """Run the same command until nothing is left to do, and with fresh=1 if nothing could be read."""
    text, calls = "", len(project.api.calls)
    for _ in range(4):
        result = project.crawl()
        text += result.text
        assert "Traceback" not in text, text
        if result.code == 0:
            return text
        if result.code == 2:
            assert "0 pages and 0 KOLs could be read" in text
            assert "knows of no list that was bought" in result.err
            assert len(project.api.calls) == calls
            return text + project.crawl("-a", "fresh=1").expect(0).text
        assert result.code == 1
        assert "run the same command again" in result.out
    raise AssertionError(f"it does not come right\n{text}")
