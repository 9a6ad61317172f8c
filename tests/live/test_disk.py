"""An unusable cache directory ends the run with one line that says what to do."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import NotAsked
from kolspider.live.disk import Disk
from kolspider.live.stop import Stop
from kolspider.store.damage import mark
from kolspider.store.database import FILE_NAME

if TYPE_CHECKING:
    from pathlib import Path


def after(directory: Path, error: Exception) -> Stop:
    """What is left of a run that met this error at work with the cache directory."""
    stop = Stop()
    with pytest.raises(NotAsked), Disk(directory, stop).guard():
        raise error
    return stop


def test_a_full_disk_stops_the_run(tmp_path: Path) -> None:
    stop = after(tmp_path, OSError(28, "No space left on device"))
    assert f"the cache directory {tmp_path} can't be written" in str(stop.error)
    assert "free some disk space" in str(stop.error)
    assert not mark(tmp_path / FILE_NAME).exists()


def test_a_store_that_another_process_keeps_locked_is_not_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as viewer, closing(sqlite3.connect(path, timeout=0)) as run:
        viewer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as error:
            run.execute("BEGIN IMMEDIATE")
    stop = after(tmp_path, error.value)
    assert f"another process keeps {path} locked (database is locked): close the program" in str(stop.error)
    assert "disk space" not in str(stop.error)
    assert not mark(path).exists()


def test_a_damaged_store_is_marked_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError) as error:
        sqlite3.connect(path).execute("SELECT * FROM kol")
    stop = after(tmp_path, error.value)
    assert "is damaged" in str(stop.error)
    assert mark(path).exists()


def test_low_memory_stops_the_run_and_is_no_damage(tmp_path: Path) -> None:
    of_sqlite = sqlite3.OperationalError("disk I/O error")
    of_sqlite.sqlite_errorcode = sqlite3.SQLITE_IOERR_NOMEM
    for error in (MemoryError(), of_sqlite):
        stop = after(tmp_path, error)
        assert str(stop.error).startswith("out of memory; nothing is lost")
        assert not mark(tmp_path / FILE_NAME).exists()


def test_a_bug_passes_through(tmp_path: Path) -> None:
    stop = Stop()
    with pytest.raises(KeyError), Disk(tmp_path, stop).guard():
        raise KeyError("a bug")
    assert not stop.is_set()


@pytest.mark.parametrize("name", ["", "lock", FILE_NAME])
@pytest.mark.parametrize("replaced", [False, True])
def test_what_was_removed_or_replaced_takes_no_page(tmp_path: Path, name: str, replaced: bool) -> None:
    directory, stop = tmp_path / "cache", Stop()
    directory.mkdir()
    for file in ("lock", FILE_NAME):
        (directory / file).touch()
    disk = Disk(directory, stop)
    with disk.guard():
        pass  # it is as it was

    gone = directory / name if name else directory
    gone.rename(tmp_path / "aside")
    if replaced and name:
        gone.touch()
    elif replaced:
        shutil.copytree(tmp_path / "aside", gone)

    reached = False
    with pytest.raises(NotAsked), disk.guard():
        reached = True
    assert not reached
    assert f"{gone} was removed or replaced during the run" in str(stop.error)
