"""An unusable cache directory ends the run with one line that says what to do."""

from __future__ import annotations

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


def test_a_bug_passes_through(tmp_path: Path) -> None:
    stop = Stop()
    with pytest.raises(KeyError), Disk(tmp_path, stop).guard():
        raise KeyError("a bug")
    assert not stop.is_set()
