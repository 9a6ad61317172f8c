"""Tells whether a store's content differs from what was written.

SQLite notices damage only where it reads, and not all of it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from kolspider.items import State

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_damage", "looks_damaged", "mark", "mark_damaged", "state_of"]

_OF_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
"""Error codes of SQLite that mean damage. SQLITE_ERROR is one: our own statements are right, so a missing table or
column was lost."""
_WRONG_KOL = f"""
SELECT 1 FROM kol WHERE state NOT IN ({", ".join(f"'{state}'" for state in State)})
{" ".join(f"OR typeof({name}) <> 'integer'" for name in ("generation", "pages", "users", "calls", "restarts"))}
{" ".join(f"OR typeof({name}) NOT IN ('real', 'integer', 'null')" for name in ("started_at", "finished_at"))}
"""


def is_damage(error: BaseException) -> bool:
    """Tell whether the store is damaged by this error, rather than its disk full or gone."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # Python's own error: text that is not UTF-8
    return code & 0xFF in _OF_DAMAGE or isinstance(error, sqlite3.IntegrityError)


def state_of(text: object) -> State:
    """Return the state that a row of the store names. Raises sqlite3.DatabaseError if it names none."""
    try:
        return State(text)  # type: ignore[arg-type]
    except ValueError:
        raise sqlite3.DatabaseError(f"a KOL is in state {text!r}") from None


def looks_damaged(path: Path) -> bool:
    """Read a row of each table and every value of the ledger; the pages have checksums of their own."""
    if _is_cut_off(path):
        return True
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                return bool(tables)
            for table in ("target", "page", "page_load", "kol_load"):
                connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
            wrong = (
                connection.execute(_WRONG_KOL).fetchone()
                or connection.execute("SELECT 1 FROM note WHERE typeof(value) <> 'integer'").fetchone()
            )
        except sqlite3.Error as error:
            return is_damage(error)
    return wrong is not None


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
