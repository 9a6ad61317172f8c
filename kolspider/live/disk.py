"""Ends the run with one line when its cache directory can't be used, or is another one than when the run began."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kolspider.errors import NotAsked, StopRun, out_of_memory
from kolspider.live.store import Store
from kolspider.store.damage import is_damage, is_low_memory, mark_damaged
from kolspider.store.database import FILE_NAME, locked_by_another
from kolspider.store.lock import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kolspider.live.stop import Stop

__all__ = ["Disk", "unusable"]


class Disk(Store):
    """Guards all work with the cache directory of a run that holds its lock and has opened its store."""

    def __init__(self, directory: Path, stop: Stop) -> None:
        self._directory = directory
        self._stop = stop
        self._known = {path: _identity(path) for path in (directory, directory / LOCK_NAME, directory / FILE_NAME)}

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn an error of the store or the disk into the end of the run. Raises NotAsked after such an error.

        What is written into a store that was removed is gone with the run, and a lock that was removed keeps no other
        run out: neither raises an error by itself. Both files are open, so no other file can get their numbers.
        """
        for path, identity in self._known.items():
            if _identity(path) != identity:
                self._stop.fail(_moved(path))
                raise NotAsked("the cache directory is another one")
        try:
            yield
        except (sqlite3.Error, OSError, MemoryError) as error:
            self._stop.fail(unusable(self._directory, error))
            raise NotAsked("the cache directory can't be used") from None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells this file or folder from any other; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _moved(path: Path) -> StopRun:
    return StopRun(
        f"{path} was removed or replaced during the run: pages that were on their way are not stored, and are bought "
        "again; put it back if you can, then run the same command again"
    )


def unusable(directory: Path, error: sqlite3.Error | OSError | MemoryError) -> StopRun:
    """Return the error that ends the run; a damaged store is marked for the next run to salvage."""
    if is_low_memory(error):
        return out_of_memory()
    path = directory / FILE_NAME
    if is_damage(error):
        mark_damaged(path)
        return StopRun(
            f"{path} is damaged ({error}); run the same command again: it keeps what can be read, and buys the rest "
            "again"
        )
    return StopRun(
        locked_by_another(path, error)
        or f"the cache directory {directory} can't be written ({error}); free some disk space or fix its permissions, "
        "then run the same command again"
    )
