"""Ends the run with one line when its cache directory can't be used."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kolspider.errors import NotAsked, StopRun
from kolspider.store.damage import is_damage, mark_damaged
from kolspider.store.database import FILE_NAME, locked_by_another

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kolspider.live.stop import Stop

__all__ = ["Disk", "unusable"]


class Disk:
    """Guards all work with the cache directory."""

    def __init__(self, directory: Path, stop: Stop) -> None:
        self._directory = directory
        self._stop = stop

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn an error of the store or the disk into the end of the run. Raises NotAsked after such an error."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._stop.fail(unusable(self._directory, error))
            raise NotAsked("the cache directory can't be used") from None


def unusable(directory: Path, error: sqlite3.Error | OSError) -> StopRun:
    """Return the error that ends the run; a damaged store is marked for the next run to salvage."""
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
