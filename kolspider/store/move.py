"""Moves the ledger between a directory and PostgreSQL: every row with its number, so that nothing is bought again."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, NamedTuple

from kolspider.errors import StopRun, WrongUsage
from kolspider.store.database import FILE_NAME, connect, connect_to_read, empty_in_memory
from kolspider.store.ledger import REJECTS_SIZE, postgres
from kolspider.store.lock import DirectoryLock
from kolspider.store.rejects import RejectsFile
from kolspider.store.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from kolspider.store.connection import Connection

__all__ = ["Moved", "move_into_directory", "move_to_server"]

_TABLES = tuple(re.findall(r"CREATE TABLE (\w+)", SCHEMA))
_AT_ONCE = 200
"""Rows of a table that are in memory at a time: those of the largest one are pages, of some ten KB each."""


class Moved(NamedTuple):
    """What was moved, and where the old ledger is now."""

    kols: int
    pages: int
    aside: str


def move_to_server(directory: Path, url: str) -> Moved:
    """Move the ledger of a directory into PostgreSQL. Raises StopRun, WrongUsage; then all is as it was."""
    with DirectoryLock(directory), ExitStack() as stack:
        source = connect_to_read(directory)
        if source is None:
            raise StopRun(f"there is no store in {directory}, so there is nothing to move")
        stack.enter_context(closing(source))
        target = stack.enter_context(closing(postgres().connect_to_fill(url)))
        with target.transaction(in_turn=True, fenced=False):
            target.be_patient()
            moved = _move(source, target, directory / FILE_NAME)
        source.close()
        aside = directory / f"{FILE_NAME}.moved-{int(time.time())}"
        for end in ("-wal", "-shm"):  # the reader that closed last has emptied them
            (directory / f"{FILE_NAME}{end}").unlink(missing_ok=True)
        (directory / FILE_NAME).rename(aside)
    return Moved(*moved, str(aside))


def move_into_directory(url: str, directory: Path) -> Moved:
    """Move the ledger from PostgreSQL into a directory. Raises StopRun, WrongUsage; then all is as it was."""
    with ExitStack() as stack:
        source = postgres().connect_to_read(url)
        if source is None:
            raise StopRun("there is no ledger at KOL_SHARED_URL, so there is nothing to move")
        stack.enter_context(closing(source))
        stack.enter_context(DirectoryLock(directory))  # which creates it
        target = stack.enter_context(closing(connect(directory)))
        rejects = RejectsFile(directory / "rejects.jsonl")
        before = rejects.size()
        with source.transaction(in_turn=True, fenced=False):  # no other one begins or writes
            source.be_patient()
            if source.is_in_use():
                raise WrongUsage("a run uses the ledger at KOL_SHARED_URL; wait for it, or stop it with one Ctrl-C")
            try:
                with target.transaction():
                    moved = _move(source, target, "KOL_SHARED_URL")
                    rejects.append_lines(line for (line,) in source.execute("SELECT line FROM reject ORDER BY id"))
            except BaseException:
                rejects.cut_to(before)
                raise
            aside = source.set_aside()
    return Moved(*moved, f"schema {aside}")


def _move(source: Connection, target: Connection, named: object) -> tuple[int, int]:
    """Copy every table. Inside a transaction of the target. Returns the numbers of KOLs and pages."""
    if any(target.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in ("kol", "page", "crawl", "run")):
        raise WrongUsage("there are runs, KOLs or pages in that ledger already; name an empty one")
    with closing(empty_in_memory()) as model:
        for table in _TABLES:
            facts = model.execute(f"PRAGMA table_info({table})").fetchall()
            _copy(source, target, table, facts, named)
    # Of the file of users set aside, which stays where it is.
    target.execute("DELETE FROM note WHERE key = ?", (REJECTS_SIZE,))
    kols, pages = (target.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("kol", "page"))
    return kols, pages


def _copy(source: Connection, target: Connection, table: str, facts: list[Any], named: object) -> None:
    """Copy a table's rows, and let its numbers go on after theirs. `facts` are SQLite's of its columns."""
    names = [name for _, name, *_ in facts]
    is_flag = [kind == "BOOLEAN" for _, _, kind, *_ in facts]
    keys = [name for place, name in sorted((place, name) for _, name, *_, place in facts if place)]
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    target.execute(f"DELETE FROM {table}")  # names of targets
    try:
        for rows in _rows(source, table, names, keys):
            target.executemany(
                insert,
                [
                    [
                        bool(value) if flag and value is not None else value
                        for value, flag in zip(row, is_flag, strict=True)
                    ]
                    for row in rows
                ],
            )
        count = f"SELECT count(*) FROM {table}"
        here, there = source.execute(count).fetchone(), target.execute(count).fetchone()
    except sqlite3.Error as error:
        raise StopRun(f"table {table} of {named} can't be moved: {error}; nothing was changed") from None
    if here != there:
        raise StopRun(f"{here[0]:,} rows of table {table} came out as {there[0]:,}; nothing was changed")
    target.number_on(table, keys[0])


def _rows(source: Connection, table: str, names: list[str], keys: list[str]) -> Iterator[list[Any]]:
    """Yield the rows of a table, some at a time."""
    columns, order = ", ".join(names), ", ".join(keys)
    places = [names.index(key) for key in keys]
    rows = source.execute(f"SELECT {columns} FROM {table} ORDER BY {order} LIMIT {_AT_ONCE}").fetchall()
    after = f"({order}) > ({', '.join('?' * len(keys))})"
    while rows:
        yield rows
        last = [rows[-1][place] for place in places]
        rows = source.execute(
            f"SELECT {columns} FROM {table} WHERE {after} ORDER BY {order} LIMIT {_AT_ONCE}", last
        ).fetchall()
