"""A store whose file is damaged: what can still be read of it goes into a new one, and the rest is bought again.

SQLite notices damage only where it reads, so a run that meets some leaves a mark and stops; the next one begins
here. The new file replaces the damaged one, which is kept beside it, in a single step.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolspider.files import sync_directory
from kolspider.states import State
from kolspider.store.database import FILE_NAME, create, transaction
from kolspider.store.pages import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Salvaged", "is_damage", "mark_damaged", "salvage_if_damaged"]

_MARK = f"{FILE_NAME}.is-damaged"
_UNFINISHED = f"{FILE_NAME}.new"
_SALVAGED = f"{FILE_NAME}.salvaged"
_KEYS = {
    "target": ("id",), "kol": ("provider", "handle"), "page": ("seq",), "page_load": ("seq", "target"),
    "kol_load": ("target", "provider", "handle"), "note": ("key",), "run": ("id",), "sample": ("run", "at"),
    "crawl": ("provider", "handle", "generation"),
}  # fmt: skip
_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (float, int), "TEXT": (str,), "BLOB": (bytes,)}
_OF_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
"""SQLITE_ERROR: our own statements are right, so a table or column that is missing was lost."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came out of a damaged store."""

    pages: int
    kols: int
    lost_pages: int
    """Of lists that were whole: their pages that could not be read. Those of other lists nobody counted."""
    aside: Path
    """The damaged file."""


def is_damage(error: BaseException) -> bool:
    """Whether what went wrong is that the store's content is not what was written."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # Python's own: text that is no UTF-8
    return code & 0xFF in _OF_DAMAGE or isinstance(error, sqlite3.IntegrityError)


def mark_damaged(directory: Path) -> None:
    """Have the next run begin with a salvage."""
    with suppress(OSError):
        (directory / _MARK).touch()


def salvage_if_damaged(directory: Path) -> Salvaged | None:
    """Make a good store of a damaged one; None when it is good, as far as can be seen, or not there.

    The caller holds the directory's lock. Raises sqlite3.Error or OSError when the disk does not let it.
    """
    path = directory / FILE_NAME
    if (directory / _SALVAGED).exists():  # a salvage died when it had all but done its work
        return _swap(directory, _count(directory / _SALVAGED))
    if not path.exists() or not ((directory / _MARK).exists() or _looks_damaged(path)):
        return None
    unfinished = directory / _UNFINISHED
    for name in (unfinished, *_beside(unfinished)):
        name.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as new:
        create(new)
        with closing(sqlite3.connect(path, isolation_level=None)) as old, transaction(new):
            for table, key in _KEYS.items():
                _copy(old, new, table, key)
            lost = _mend(new)
    unfinished.rename(directory / _SALVAGED)
    sync_directory(directory)
    return _swap(directory, (*_count(directory / _SALVAGED)[:2], lost))


def _looks_damaged(path: Path) -> bool:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0]:
                for table in ("target", "kol", "page"):
                    connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
        except sqlite3.Error as error:
            return is_damage(error)
    return False


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str, key: tuple[str, ...]) -> None:
    facts = new.execute(f"PRAGMA table_info({table})").fetchall()
    names = [name for _, name, *_ in facts]
    types = [
        _TYPES[kind] + (() if not_null or primary else (type(None),)) for _, _, kind, not_null, _, primary in facts
    ]
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    for row in _readable(old, table, names, key):
        if all(isinstance(value, kind) for value, kind in zip(row, types, strict=True)):
            new.execute(insert, row)


def _readable(old: sqlite3.Connection, table: str, names: list[str], key: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """From both ends to the damage between them, and then, where keys are numbers, each by itself."""
    select, at = f"SELECT {', '.join(names)} FROM {table}", names.index(key[0])
    ends: list[Any] = []
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{name} {direction}" for name in key)
        last = None
        try:
            for row in old.execute(f"{select} ORDER BY {order}"):
                last = row[at]
                yield row
        except sqlite3.Error:
            ends.append(last)
        else:
            return
    first, last = ends
    if isinstance(first, int) and isinstance(last, int):
        for number in range(first, last + 1):
            with suppress(sqlite3.Error):
                yield from old.execute(f"{select} WHERE {key[0]} = ?", (number,)).fetchall()


def _mend(new: sqlite3.Connection) -> int:
    """Let the ledger say no more than the pages bear out. Returns how many pages of whole lists are lost."""
    states = ", ".join(f"'{state}'" for state in State)
    new.execute(f"DELETE FROM kol WHERE state NOT IN ({states})")
    for (seq,) in new.execute("SELECT seq FROM page").fetchall():
        (body,) = new.execute("SELECT body FROM page WHERE seq = ?", (seq,)).fetchone()
        if unpack(body) is None:
            new.execute("DELETE FROM page WHERE seq = ?", (seq,))
    new.execute("DELETE FROM page_load WHERE seq NOT IN (SELECT seq FROM page)")
    new.execute(
        "INSERT INTO kol (provider, handle, user_name, generation, state, started_at) "
        "SELECT provider, handle, handle, max(generation), 'fetching', min(fetched_at) FROM page p "
        "WHERE NOT EXISTS (SELECT 1 FROM kol k WHERE k.provider = p.provider AND k.handle = p.handle) "
        "GROUP BY provider, handle"
    )
    new.execute(
        "CREATE TEMP TABLE short AS SELECT provider, handle, coalesce(c.pages, k.pages) - count(p.seq) AS lost "
        "FROM kol k LEFT JOIN crawl c USING (provider, handle, generation) "
        "LEFT JOIN page p USING (provider, handle, generation) WHERE k.state IN ('fetched', 'partial') "
        "GROUP BY provider, handle HAVING count(p.seq) < coalesce(c.pages, k.pages) "
        "AND (count(p.seq) > 0 OR NOT EXISTS "
        "(SELECT 1 FROM kol_load l WHERE l.provider = k.provider AND l.handle = k.handle "
        " AND l.generation = k.generation))"
    )
    which = "(provider, handle) IN (SELECT provider, handle FROM temp.short)"
    new.execute(f"UPDATE kol SET state = 'fetching', reason = '', finished_at = NULL WHERE {which}")
    new.execute(f"UPDATE crawl SET state = 'fetching', ended_at = NULL WHERE state = 'fetched' AND {which}")
    new.execute(f"DELETE FROM kol_load WHERE {which}")
    (lost,) = new.execute("SELECT coalesce(sum(lost), 0) FROM temp.short").fetchone()
    return int(lost)


def _count(path: Path) -> tuple[int, int, int]:
    with closing(sqlite3.connect(path)) as connection:
        (pages,) = connection.execute("SELECT count(*) FROM page").fetchone()
        (kols,) = connection.execute("SELECT count(*) FROM kol").fetchone()
    return pages, kols, 0


def _swap(directory: Path, counts: tuple[int, int, int]) -> Salvaged:
    """Put the new file in the place of the damaged one."""
    path = directory / FILE_NAME
    aside = directory / f"{FILE_NAME}.damaged-{int(time.time())}"
    with suppress(FileNotFoundError, FileExistsError):
        os.link(path, aside)
    for name in (*_beside(path), *_beside(directory / _SALVAGED)):
        name.unlink(missing_ok=True)  # a journal of the damaged file must not be played into the new one
    (directory / _SALVAGED).replace(path)
    (directory / _MARK).unlink(missing_ok=True)
    sync_directory(directory)
    return Salvaged(*counts, aside)


def _beside(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}-{end}") for end in ("wal", "shm", "journal")]
