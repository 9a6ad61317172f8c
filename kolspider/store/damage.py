"""Whether a store's content is not what was written. SQLite notices damage only where it reads, and not all of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from kolspider.items import State
from kolspider.store.readings import Kind

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UNREADABLE", "WRONG", "is_damage", "looks_damaged", "mark_damaged", "marked_damaged", "unmark_damaged"]

_OF_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
"""SQLITE_ERROR: our own statements are right, so a table or column that is missing was lost."""
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file raises: Python can't always decode the message in which SQLite quotes what it found."""
_STATES = ", ".join(f"'{state}'" for state in State)
_KINDS = ", ".join(f"'{kind}'" for kind in Kind)
WRONG = {
    "kol": (
        f"handle <> lower(user_name) OR state NOT IN ({_STATES}) OR typeof(generation) <> 'integer' "
        "OR typeof(pages) <> 'integer' OR typeof(users) <> 'integer' OR typeof(calls) <> 'integer' "
        "OR typeof(restarts) <> 'integer' OR typeof(started_at) NOT IN ('real', 'integer', 'null') "
        "OR typeof(finished_at) NOT IN ('real', 'integer', 'null')"
    ),
    "crawl": f"kind NOT IN ({_KINDS}) OR state NOT IN ({_STATES})",
    "note": "typeof(value) <> 'integer'",
}
"""SQL, by table: whether a row holds what nobody wrote."""


def is_damage(error: BaseException) -> bool:
    """Whether this is what went wrong: not a disk that is full or away."""
    if isinstance(error, UnicodeDecodeError):
        return True
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # Python's own: text that is no UTF-8
    return code & 0xFF in _OF_DAMAGE or isinstance(error, sqlite3.IntegrityError)


def looks_damaged(path: Path) -> bool:
    """Whether a table, or a value of the ledger, is not what was written. Pages have checksums of their own.

    A row that is out of order raises nothing: one query finds it and the next does not, and a list that was complete
    is so no more.
    """
    if _is_cut_off(path):
        return True
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                return bool(tables)
            for table in ("target", "page", "page_load", "kol_load", "note"):
                connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
            for _ in connection.execute("SELECT handle, user_name, reason FROM kol"):
                pass  # raises where text is no UTF-8
            return any(
                connection.execute(f'PRAGMA integrity_check("{table}")').fetchone() != ("ok",)
                for table in tables - {"page"}
            ) or any(
                connection.execute(f"SELECT 1 FROM {table} WHERE {wrong}").fetchone()
                for table, wrong in WRONG.items()
                if table in tables  # an older format has no `crawl`
            )
        except UNREADABLE as error:
            return is_damage(error)


def _is_cut_off(path: Path) -> bool:
    """Does the file end within one of SQLite's pages? SQLite would read zeros there, and miss rows without a word.

    Not where the journal has something: then the file may be in the middle of being written, and made whole by it.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            page_size = int.from_bytes(file.read(18)[16:], "big")
        journal = path.with_name(f"{path.name}-wal")
        waiting = journal.stat().st_size if journal.exists() else 0
    except OSError:  # SQLite will say what keeps it from reading
        return False
    return not waiting and size % (page_size if page_size > 1 else 65_536) > 0


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.is-damaged")


def mark_damaged(path: Path) -> None:
    """Have the next run begin with a salvage."""
    with suppress(OSError):
        _mark(path).touch()


def marked_damaged(path: Path) -> bool:
    """Whether a run met damage."""
    return _mark(path).exists()


def unmark_damaged(path: Path) -> None:
    """The store is good again."""
    _mark(path).unlink(missing_ok=True)
