"""Copies the store into one file that is whole, also beside a run."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from kolspider.errors import StopRun, WrongUsage
from kolspider.files import sync_directory
from kolspider.store.database import connect_to_read

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["back_up"]


def back_up(directory: Path, to: Path, *, replace: bool) -> None:
    """Copy the store as it is at this moment; `to` is there completely or not at all, and on disk on return.

    Raises WrongUsage for a file that can't or may not be replaced, StopRun if there is no store or no room.
    """
    to = to.absolute()
    if to.parent.resolve() == directory.resolve():
        raise WrongUsage(f"{to} is in the cache directory; put the copy into another one, on another disk")
    if os.path.lexists(to) and not (replace and to.is_file() and not to.is_symlink()):
        if to.is_file() and not to.is_symlink():
            raise WrongUsage(f"{to} is there already; add --yes to replace it, or name another file")
        raise WrongUsage(f"{to} is not the name of a file")
    if to.exists() and not _is_copy(to):
        raise WrongUsage(f"{to} is no copy of a store, so it is not replaced; name another file")
    store = connect_to_read(directory)
    if store is None:
        raise StopRun(f"there is no store in {directory} yet, so there is nothing to copy")
    unfinished = to.with_name(f"{to.name}.{os.getpid()}.tmp")
    try:
        with closing(store):
            _copy(store, unfinished)
        unfinished.replace(to)
        sync_directory(to.parent)
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StopRun(f"{to} can't be written: {reason}; what was there before is as it was") from None
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                unfinished.with_name(unfinished.name + end).unlink()


def _is_copy(file: Path) -> bool:
    """Tell whether a file is an earlier copy, or empty: any other, such as the table's database, would be lost."""
    if not file.stat().st_size:
        return True
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as found:
            ((tables,),) = found.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('page', 'kol', 'crawl')")
    except sqlite3.Error:
        return False
    return bool(tables == 3)


def _copy(store: sqlite3.Connection, to: Path) -> None:
    with closing(sqlite3.connect(to, isolation_level=None)) as copy:
        store.backup(copy)  # all pages in one transaction, so a run beside it neither waits nor shows
        copy.execute("PRAGMA journal_mode = DELETE")  # else the file would need another one beside it
    with to.open("rb+") as file:
        os.fsync(file.fileno())
