"""Saves what can still be read of a damaged store into a new one; the rest is bought again.

A run that meets damage leaves a mark and stops; the next run begins here. The new file replaces the damaged one,
which is kept beside it.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kolspider.files import sync_directory
from kolspider.store.damage import UNREADABLE, WRONG, looks_damaged, mark
from kolspider.store.database import FILE_NAME, check_not_newer, create, open_file
from kolspider.store.pages import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Salvaged", "salvage_if_damaged"]

_COUNTED_BY = {
    "page": "page",
    "page_load": "page",
    "run": "run",
    "sample": "run",
    "bill": "run",
    "account_change": "account_change",
    "alert": "alert",
    "alert_sent": "alert",
    "alert_waiting": "alert_waiting",
}
"""Tables whose first key is a number that SQLite assigned, each with the table that it numbers the rows of."""
_TYPES: dict[str, tuple[type, ...]] = {
    "INTEGER": (int,),
    "BOOLEAN": (int,),
    "REAL": (float, int),
    "TEXT": (str,),
    "BLOB": (bytes,),
}
_SMALL = 256_000_000
"""Size in bytes up to which a whole store is checked when a run begins, which takes a second at most."""
_MOST_NUMBERS = 20_000_000
"""Largest number of a page that is believed, of a store of some 300 GB: a larger one is damage itself."""


class Salvaged(Struct, frozen=True):
    """What came out of a damaged store."""

    pages: int
    kols: int
    lost_pages: int | None
    """Number of unreadable pages of lists that had ended; None if it can't be known."""
    aside: Path
    """The damaged file."""


def salvage_if_damaged(directory: Path) -> Salvaged | None:
    """Replace a damaged store by a good one; None if there is none or it looks good.

    The caller holds the directory's lock. Raises sqlite3.Error or OSError if the disk can't be used, WrongUsage if a
    later version of kolspider wrote it.
    """
    path = directory / FILE_NAME
    salvaged = path.with_name(f"{FILE_NAME}.salvaged")
    if salvaged.exists():  # an earlier salvage died when only the swap was left
        return _swap(path, salvaged, None)
    if not path.exists():
        return None
    check_not_newer(path)
    if not (mark(path).exists() or looks_damaged(path, thoroughly=path.stat().st_size <= _SMALL)):
        return None
    unfinished = path.with_name(f"{FILE_NAME}.new")
    _delete(unfinished)
    try:
        lost = _copy_all(path, unfinished)
    except BaseException:
        _delete(unfinished)  # the disk may be full
        raise
    unfinished.rename(salvaged)
    sync_directory(directory)
    return _swap(path, salvaged, lost)


def _copy_all(path: Path, to: Path) -> int | None:
    with closing(open_file(to)) as new:
        create(new)
        with closing(sqlite3.connect(path, isolation_level=None)) as old, new.transaction():
            old.text_factory = _text_or_nothing
            # Else SQLite reads nothing of a file that is shorter than its first page says.
            old.execute("PRAGMA writable_schema = ON")
            tables = new.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
            torn = {table for (table,) in tables.fetchall() if not _copy(old, new, table)}
            torn |= {
                table for table, wrong in WRONG.items() if new.execute(f"DELETE FROM {table} WHERE {wrong}").rowcount
            }
            return _reconcile(new, torn)


def _text_or_nothing(raw: bytes) -> str | None:
    """Decode a text, or return None for one that is not UTF-8, which must not end the reading of its table."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> bool:
    """Copy the rows whose values have the right types. Returns whether all rows could be read."""
    facts = new.execute(f"PRAGMA table_info({table})").fetchall()
    names = [name for _, name, *_ in facts]
    key = [name for is_key, name in sorted((is_key, name) for _, name, *_, is_key in facts) if is_key]
    types = [_TYPES[kind] if must or is_key else (*_TYPES[kind], type(None)) for _, _, kind, must, _, is_key in facts]
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    whole = True
    for row in _readable(old, table, names, key):
        if row is None or not all(isinstance(value, kind) for value, kind in zip(row, types, strict=True)):
            whole = False
        else:
            new.execute(insert, row)
    return whole


def _readable(
    old: sqlite3.Connection, table: str, names: list[str], key: list[str]
) -> Iterator[tuple[Any, ...] | None]:
    """Yield the rows from both ends up to the damage, then, where keys are numbers, each row by itself.

    Yields None where it meets damage.
    """
    select, at = f"SELECT {', '.join(names)} FROM {table}", names.index(key[0])
    ends: list[Any] = []
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{name} {direction}" for name in key)
        last = None
        try:
            for row in old.execute(f"{select} ORDER BY {order}"):
                last = row[at]
                yield row
        except UNREADABLE:
            yield None
            ends.append(last)
        else:
            return
    if table in _COUNTED_BY:
        first, last = ends
        most = _largest_number(old, _COUNTED_BY[table])
        low = first if isinstance(first, int) and first > 0 else 1
        high = last if isinstance(last, int) and last <= most else most
        for number in range(low, high + 1):
            with suppress(*UNREADABLE):
                yield from old.execute(f"{select} WHERE {key[0]} = ?", (number,)).fetchall()


def _largest_number(old: sqlite3.Connection, table: str) -> int:
    """Return the largest key that was assigned; if that is lost, a guess by the size of the file."""
    with suppress(*UNREADABLE):
        found = old.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        if found and isinstance(found[0], int) and 0 <= found[0] <= _MOST_NUMBERS:
            return found[0]
    with suppress(*UNREADABLE):
        (pages,) = old.execute("PRAGMA page_count").fetchone()
        return min(int(pages) * 20 + 10_000, _MOST_NUMBERS)
    return 10_000


def _reconcile(new: sqlite3.Connection, torn: set[str]) -> int | None:
    """Make the ledger claim no more than the pages prove. Returns how many pages of ended lists are lost."""
    for (seq,) in new.execute("SELECT seq FROM page").fetchall():
        (body,) = new.execute("SELECT body FROM page WHERE seq = ?", (seq,)).fetchone()
        if unpack(body) is None:
            new.execute("DELETE FROM page WHERE seq = ?", (seq,))
    # What is loaded counts only for a target whose name is left: another target may get its number.
    for table in ("page_load", "kol_load", "refused"):
        new.execute(f"DELETE FROM {table} WHERE target NOT IN (SELECT id FROM target)")
    if "refused" in torn:  # so rows of any page may be missing in any target
        new.execute("DELETE FROM page_load")
    # Every KOL is in `kol` and `crawl` from its first call on: a name that is in neither was damaged.
    if not {"kol", "crawl"} <= torn:
        known = "SELECT provider, handle FROM kol UNION ALL SELECT provider, handle FROM crawl"
        for table in ("page", "kol_load"):
            new.execute(f"DELETE FROM {table} WHERE (provider, handle) NOT IN ({known})")
    for table in ("page_load", "refused"):
        new.execute(f"DELETE FROM {table} WHERE seq NOT IN (SELECT seq FROM page)")
    # A new run or alert may get the number of a lost one.
    new.execute("DELETE FROM bill WHERE run NOT IN (SELECT id FROM run)")
    new.execute("DELETE FROM alert_sent WHERE alert NOT IN (SELECT seq FROM alert)")
    new.execute(
        "INSERT OR IGNORE INTO kol (provider, handle, user_name, generation, state, started_at) "
        "SELECT provider, handle, handle, max(generation), 'fetching', min(fetched_at) FROM page "
        "GROUP BY provider, handle"
    )
    if "page" not in torn:  # then a list that is in a table and has no page had ended, and its pages were evicted
        new.execute(
            "INSERT OR IGNORE INTO kol (provider, handle, user_name, generation, state, started_at, finished_at) "
            "SELECT provider, handle, handle, max(generation), 'fetched', max(loaded_at), max(loaded_at) "
            "FROM kol_load GROUP BY provider, handle"
        )
    new.execute(
        "CREATE TEMP TABLE short AS SELECT provider, handle, coalesce(c.pages, k.pages) - count(p.seq) AS lost "
        "FROM kol k LEFT JOIN crawl c USING (provider, handle, generation) "
        "LEFT JOIN page p USING (provider, handle, generation) WHERE k.state IN ('fetched', 'partial') "
        "GROUP BY provider, handle HAVING count(p.seq) < coalesce(c.pages, k.pages) "
        "AND (count(p.seq) > 0 "
        "OR (provider, handle, k.generation) NOT IN (SELECT provider, handle, generation FROM kol_load))"
    )
    which = "(provider, handle) IN (SELECT provider, handle FROM temp.short)"
    new.execute(f"UPDATE kol SET state = 'fetching', reason = '', finished_at = NULL WHERE {which}")
    new.execute(
        f"UPDATE crawl SET state = 'fetching', ended_at = NULL WHERE state = 'fetched' AND {which} "
        "AND (provider, handle, generation) IN (SELECT provider, handle, generation FROM kol)"
    )
    new.execute(f"DELETE FROM kol_load WHERE {which}")
    (lost,) = new.execute("SELECT coalesce(sum(lost), 0) FROM temp.short").fetchone()
    return None if "kol" in torn else int(lost)


def _swap(path: Path, salvaged: Path, lost: int | None) -> Salvaged:
    """Put the new file in the place of the damaged one. A death in between does no harm: `salvaged` is found first."""
    with closing(sqlite3.connect(salvaged)) as connection:
        (pages,) = connection.execute("SELECT count(*) FROM page").fetchone()
        (kols,) = connection.execute("SELECT count(*) FROM kol").fetchone()
    aside = path.with_name(f"{FILE_NAME}.damaged-{int(time.time())}")
    with suppress(FileNotFoundError):
        path.rename(aside)
    for name in _journals(path):
        name.unlink(missing_ok=True)  # the journal of the damaged file must not be applied to the new one
    salvaged.replace(path)
    mark(path).unlink(missing_ok=True)
    sync_directory(path.parent)
    return Salvaged(pages, kols, lost, aside)


def _delete(path: Path) -> None:
    for name in (path, *_journals(path)):
        name.unlink(missing_ok=True)


def _journals(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}-{end}") for end in ("wal", "shm", "journal")]
