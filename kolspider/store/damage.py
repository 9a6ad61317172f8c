"""Tells whether a store's content differs from what was written.

SQLite notices damage only where it reads, and not all of it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from kolspider.items import State
from kolspider.store.schema import Kind

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UNREADABLE", "WRONG", "is_damage", "is_low_memory", "looks_damaged", "mark", "mark_damaged"]

_OF_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
"""Error codes of SQLite that mean damage. SQLITE_ERROR is one: our own statements are right, so a missing table or
column was lost."""
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""Errors of reading a damaged file: Python can't always decode the message in which SQLite quotes what it found."""
_STATES = ", ".join(f"'{state}'" for state in State)
_KINDS = ", ".join(f"'{kind}'" for kind in Kind)
_NO_MOMENT = 253_402_300_800
"""The beginning of the year 10000 in unix seconds, which no date can hold."""
WRONG = {
    "kol": (
        "CASE instr(handle, '@') WHEN 0 THEN handle ELSE substr(handle, 1, instr(handle, '@') - 1) END "
        f"<> lower(user_name) OR state NOT IN ({_STATES}) OR "
        + " OR ".join(f"typeof({name}) <> 'integer'" for name in ("generation", "pages", "users", "calls", "restarts"))
        + "".join(f" OR typeof({name}) NOT IN ('real', 'integer', 'null')" for name in ("started_at", "finished_at"))
        + "".join(f" OR abs({name}) >= {_NO_MOMENT}" for name in ("started_at", "finished_at"))
    ),
    "crawl": f"kind NOT IN ({_KINDS}) OR state NOT IN ({_STATES})"
    + "".join(f" OR abs({name}) >= {_NO_MOMENT}" for name in ("started_at", "ended_at")),
    "note": "typeof(value) <> 'integer'",
}
"""SQL, by table: whether a row holds values that no run writes."""


def is_damage(error: BaseException) -> bool:
    """Tell whether the error means that the store is damaged, rather than that its disk is full or gone."""
    if isinstance(error, UnicodeDecodeError):
        return True
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # Python's own error: text that is not UTF-8
    return code & 0xFF in _OF_DAMAGE or isinstance(error, sqlite3.IntegrityError)


def is_low_memory(error: BaseException) -> bool:
    """Tell whether there was too little memory to read or write the store."""
    return isinstance(error, MemoryError) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_NOMEM


def looks_damaged(path: Path, *, thoroughly: bool = False) -> bool:
    """Tell whether a table, or a value of the ledger, is not what was written. Pages have checksums of their own.

    The table of pages is by far the largest; it is checked `thoroughly` only.

    A row that is out of order raises no error: one query finds it and the next does not, and a list that was complete
    no longer is.
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
                pass  # raises for a text that is not UTF-8
            return any(
                connection.execute(f'PRAGMA integrity_check("{table}")').fetchone() != ("ok",)
                for table in (tables if thoroughly else tables - {"page"})
            ) or any(
                connection.execute(f"SELECT 1 FROM {table} WHERE {wrong}").fetchone()
                for table, wrong in WRONG.items()
                if table in tables  # an older format has no `crawl`
            )
        except UNREADABLE as error:
            return is_damage(error)


def _is_cut_off(path: Path) -> bool:
    """Tell whether the file ends within one of SQLite's pages: SQLite would read zeros there and silently miss rows.

    A file whose journal is not empty is not cut off: it may be half written, and the journal completes it.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            page_size = int.from_bytes(file.read(18)[16:], "big")
        journal = path.with_name(f"{path.name}-wal")
        waiting = journal.stat().st_size if journal.exists() else 0
    except OSError:  # SQLite reports why it can't be read
        return False
    return not waiting and size % (page_size if page_size > 1 else 65_536) > 0


def mark(path: Path) -> Path:
    """Return the file that marks this store as damaged; a salvage removes it."""
    return path.with_name(f"{path.name}.is-damaged")


def mark_damaged(path: Path) -> None:
    """Mark the store as damaged: the next run begins with a salvage."""
    with suppress(OSError):
        mark(path).touch()
