"""The SQLite file of the cache directory, opened so that commits survive a power cut."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from kolspider.errors import StopRun, WrongUsage
from kolspider.files import sync_directory
from kolspider.store.damage import looks_damaged, mark_damaged
from kolspider.store.schema import ADDED, FIRST_VERSION, SCHEMA, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from kolspider.store.connection import Connection

__all__ = [
    "FILE_NAME",
    "REPAIR",
    "SqliteConnection",
    "check_not_newer",
    "closed_on_error",
    "connect",
    "connect_to_read",
    "create",
    "empty_in_memory",
    "locked_by_another",
    "open_file",
]

C = TypeVar("C", bound="Connection")
FILE_NAME = "kolspider.sqlite3"
NO_TEMPORARY_FILES = "PRAGMA temp_store = MEMORY"
"""A container may have nowhere to write but the cache directory."""
_LATEST_VERSION = 999
"""The greatest format that is taken for one of a later version: a greater number is damage."""
REPAIR = "`scrapy crawl followings` keeps what can be read of it and buys the rest again"
"""Advice for a user whose file a command could not read."""


class SqliteConnection(sqlite3.Connection):
    """A `store.connection.Connection`. What is said there of several processes is nothing to it: the directory's lock
    keeps all but one out.
    """

    def executemany(self, sql: str, values: Iterable[Any], /) -> sqlite3.Cursor:
        """Run a statement for each of these values: within a transaction, a hundred times as fast as one by one."""
        if self.in_transaction:
            return super().executemany(sql, values)
        self.execute("SAVEPOINT many")  # a reader can't begin a transaction, and fills temporary tables
        try:
            return super().executemany(sql, values)
        except BaseException:
            self.execute("ROLLBACK TO many")
            raise
        finally:
            self.execute("RELEASE many")

    def insert(self, sql: str, values: Sequence[Any], key: str) -> int:
        """Insert one row, and return the number that it got."""
        return int(self.execute(sql, values).lastrowid or 0)

    @contextmanager
    def transaction(
        self,
        *,
        synced: bool = True,
        in_turn: bool = False,
        fenced: bool = True,
    ) -> Iterator[None]:
        """Commit all changes of the block or none. The journal is written in order, so what is not synced is on disk
        with what is.
        """
        if self.in_transaction:
            yield
            return
        if not synced:
            self.execute("PRAGMA synchronous = NORMAL")
        try:
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                if self.in_transaction:  # a full disk rolls back by itself
                    self.execute("ROLLBACK")
                raise
        finally:
            if not synced:
                self.execute("PRAGMA synchronous = FULL")

    def freeze(self) -> None:
        """From now on show the file as it is at this moment, whatever a run beside it writes."""
        self.execute("BEGIN")

    def analyze(self, table: str) -> None:
        """Do nothing: plans are as good without."""

    def number_on(self, table: str, key: str) -> None:
        """Do nothing: SQLite numbers on after the greatest number."""

    def shrink(self) -> None:
        """Give freed space back to the disk. This needs space itself: on a full disk the file stays as it is."""
        path = self.execute("PRAGMA database_list").fetchone()[2]
        # With NO_TEMPORARY_FILES, the copy that VACUUM makes would be in memory: another connection writes it to disk.
        with suppress(sqlite3.OperationalError), closing(open_file(path)) as other:
            other.execute("VACUUM")
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_file(path: str | Path, *, uri: bool = False) -> SqliteConnection:
    """Open a file of SQLite as it is."""
    return sqlite3.connect(path, uri=uri, isolation_level=None, factory=SqliteConnection)


def locked_by_another(path: Path, error: BaseException) -> str:
    """Say who keeps the file from being used, if it is another process; else an empty text."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return ""
    return (
        f"another process keeps {path} locked ({error}): close the program that has it open, such as a viewer of "
        "SQLite files, then run the same command again"
    )


def connect(directory: Path, *, fresh: bool = False) -> SqliteConnection:
    """Open the file for changes, and create it if it is missing. The caller holds the directory's lock.

    `fresh` also fills a file that has no tables. Raises StopRun if the file can't be used, WrongUsage if it has no
    tables or another version of kolspider wrote it.
    """
    path = _undamaged(directory)
    try:
        if fresh or not path.exists():
            _create_file(path)
        with closed_on_error(open_file(path)) as connection:
            connection.execute(NO_TEMPORARY_FILES)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit is on disk before it is reported
            _check_version(connection, path)
            if missing := _missing_tables(connection):
                connection.executescript(f"BEGIN; {missing} PRAGMA user_version = {VERSION}; COMMIT;")
            return connection
    except (sqlite3.Error, OSError) as error:
        raise StopRun(
            locked_by_another(path, error)
            or f"{path} can't be used: {error}; free some disk space or fix its permissions, or move the file away "
            "(then its pages are bought again)"
        ) from None


def _create_file(path: Path) -> None:
    """Create the file with all tables, unless it has some; so a file without tables is none that a run has left."""
    unfinished = path.with_name(f"{FILE_NAME}.new")
    if path.exists():
        with closing(sqlite3.connect(path)) as connection:
            if _version(connection):
                return
    unfinished.unlink(missing_ok=True)
    with closing(open_file(unfinished)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        create(connection)
    unfinished.replace(path)
    sync_directory(path.parent)


def create(connection: sqlite3.Connection) -> None:
    """Create all tables or none."""
    connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def connect_to_read(directory: Path) -> SqliteConnection | None:
    """Open the file read-only, beside a run; None if there is no file yet.

    Raises StopRun if the file can't be read, WrongUsage if another version of kolspider wrote it.
    """
    path = _undamaged(directory)
    if not path.exists():
        return None
    try:
        try:
            return _connect_to_read(path, "mode=ro")
        except sqlite3.OperationalError:  # WAL needs to write beside the file even for a reader
            return _connect_to_read(path, "immutable=1")
    except sqlite3.Error as error:
        raise StopRun(f"{path} can't be read: {error}") from None


def _connect_to_read(path: Path, how: str) -> SqliteConnection:
    with closed_on_error(open_file(f"{path.as_uri()}?{how}", uri=True)) as connection:
        connection.execute(NO_TEMPORARY_FILES)
        _check_version(connection, path)
        connection.execute("SELECT count(*) FROM target").fetchone()
        if missing := _missing_tables(connection):  # the next run upgrades it
            connection.executescript(missing.replace("TABLE", "TEMP TABLE").replace("INDEX ", "INDEX temp."))
        return connection


@contextmanager
def closed_on_error(connection: C) -> Iterator[C]:
    """Close the connection if the block raises."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _undamaged(directory: Path) -> Path:
    """Return the path of the file. Raises StopRun if the file looks damaged; the next run then salvages it."""
    path = directory / FILE_NAME
    if path.exists():
        check_not_newer(path)
        if looks_damaged(path):
            mark_damaged(path)
            raise StopRun(f"{path} is damaged; {REPAIR}")
    return path


def check_not_newer(path: Path) -> None:
    """Raise WrongUsage for a file of a later version of kolspider, whose tables and values may look damaged."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        if VERSION < (version := _version(connection)) <= _LATEST_VERSION:
            raise WrongUsage(
                f"{path} was written by a later version of kolspider (format {version}; this one knows {VERSION}): "
                "use that version, or another KOL_CACHE_DIR"
            )


def _missing_tables(connection: sqlite3.Connection) -> str:
    """SQL: creates the tables that formats after the file's have added."""
    version = _version(connection)
    return "".join(tables for added, tables in ADDED.items() if added > version)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if not version:
        raise WrongUsage(
            f"{path} has no tables: it is empty, or a copy made during a run, which lacks what was in the journal; put "
            "the whole file back, or buy everything again with -a fresh=1"
        )
    if not FIRST_VERSION <= version <= VERSION:
        raise WrongUsage(f"{path} was written by another version of kolspider (format {version}, not {VERSION})")


def empty_in_memory() -> SqliteConnection:
    """Open an empty store in memory, for commands that read before the first run."""
    connection = open_file(":memory:")
    connection.executescript(SCHEMA)
    return connection
