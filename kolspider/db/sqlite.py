"""SQLite. Only `create_tables` creates the file: a typo in KOL_DB_URL is an error, not a new file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any, ClassVar

from kolspider.db.base import HANDLES, Column, Database, DbErrorKind, Table, name_parts
from kolspider.db.follow_tables import spans
from kolspider.errors import StopRun
from kolspider.items import COLUMNS, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from kolspider.db.base import Ask
    from kolspider.db.follow_tables import Span

__all__ = ["SqliteDatabase"]

BUSY_SECS = 2.0  # one attempt's wait for a lock; KOL_DB_RETRY_SECS bounds the attempts

# Primary result codes (https://www.sqlite.org/rescode.html); the others are fatal.
LOST = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_INTERRUPT,
}
REFUSED = {sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH}

COLUMNS_SQL = 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?, ?)'
# A partial index does not make its columns unique. An expression in an index has no name.
UNIQUE_SQL = """
    SELECT list.name, part.name
    FROM pragma_index_list(?1, ?2) AS list, pragma_index_info(list.name, ?2) AS part
    WHERE list."unique" AND NOT list.partial
    ORDER BY list.seq, part.seqno
"""


class SqliteDatabase(Database):
    """A SQLite file, with the journal mode that its owner chose."""

    errors = (sqlite3.Error, OSError)
    quote = '"'
    types: ClassVar[dict[str, str]] = {
        name: "INTEGER" if name in {"followers", "following", "statuses_count"} else "TEXT" for name in COLUMNS
    }

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        super().__init__(f"sqlite:///{self.path.as_posix()}")
        self._connection: sqlite3.Connection | None = None

    def connect(self) -> None:
        self._open("rw")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def describe(self, table: str) -> Table | None:
        connection = self._open("rw")
        schema, name = ["main", *name_parts(table)][-2:]
        found = connection.execute(COLUMNS_SQL, (name, schema)).fetchall()
        if not found:
            return None
        key = tuple(row[0].lower() for row in sorted(found, key=lambda row: row[4]) if row[4])
        columns = [_column(row, is_key=key == (row[0].lower(),)) for row in found]
        indexes: dict[str, list[str | None]] = {}
        for index, column in connection.execute(UNIQUE_SQL, (name, schema)):
            indexes.setdefault(index, []).append(column)
        keys = [
            key,
            *(tuple(part.lower() for part in parts if part) for parts in indexes.values() if all(parts)),
        ]
        return Table(table, {column.name: column for column in columns}, [of for of in dict.fromkeys(keys) if of])

    def place(self, table: str) -> tuple[str, ...]:
        return tuple(["main", *name_parts(table.lower())][-2:])

    def upsert(self, table: str, rows: Sequence[Row]) -> str:
        marks = ", ".join("?" * len(COLUMNS))
        updates = ", ".join(f'"{name}" = excluded."{name}"' for name in COLUMNS if name != "id")
        self._write(
            f"INSERT INTO {self.quoted(table)} ({self._column_list()}) VALUES ({marks})\n"
            f'ON CONFLICT ("id") DO UPDATE SET {updates}',
            iter(rows),
            lambda ask: self._check_written(table, ("id",), rows, ask),
        )
        return ""

    def _execute(self, sql: str) -> None:
        connection = self._open("rw")
        connection.execute(sql)
        connection.rollback()

    def error_kind(self, exc: BaseException) -> DbErrorKind:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        if code in LOST or (isinstance(exc, sqlite3.ProgrammingError) and "closed database" in str(exc)):
            return DbErrorKind.LOST
        # The driver itself refuses integers past 64 bits and half surrogate pairs.
        if code in REFUSED or isinstance(exc, OverflowError | UnicodeError) or "binding parameter" in str(exc):
            return DbErrorKind.REFUSED
        return DbErrorKind.FATAL

    def source_ddl(self, table: str, column: str = HANDLES) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n"
            f'  "id" INTEGER PRIMARY KEY,\n  {self.identifier(column)} TEXT NULL\n)'
        )

    def target_ddl(self, table: str) -> str:
        return (
            f'CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n{self._column_definitions()},\n  PRIMARY KEY ("id")\n)'
        )

    def unique_key_ddl(self, table: str) -> str:
        *schema, name = name_parts(table)
        index = ".".join(map(self.identifier, [*schema, f"{name}_id"]))
        return f'CREATE UNIQUE INDEX {index} ON {self.identifier(name)} ("id")'

    def span_ddls(self, table: str, span: Span) -> list[str]:
        columns = ",\n".join(f"  {self.identifier(name)} TEXT NOT NULL" for name in span.columns)
        *schema, name = name_parts(table)
        ddls = [
            (
                f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n{columns},\n"
                f"  PRIMARY KEY ({self._column_list(span.keys)})\n) WITHOUT ROWID"
            )
        ]
        for index in span.indexes:
            made = ".".join(map(self.identifier, [*schema, "_".join((name, *index))]))
            ddls.append(f"CREATE INDEX IF NOT EXISTS {made} ON {self.identifier(name)} ({self._column_list(index)})")
        return ddls

    def widen(self, table: str, span: Span, rows: Sequence[tuple[str, ...]]) -> str:
        marks = ", ".join("?" * len(span.columns))
        updates = ", ".join(
            f'"{name}" = {which}(coalesce({kept}, excluded."{name}"), excluded."{name}")'
            for name, which, kept in (
                (span.least, "min", f'"{span.least}"'),
                (span.most, "max", span.believed(f'"{span.most}"')),
            )
        )
        self._write(
            f"INSERT INTO {self.quoted(table)} ({self._column_list(span.columns)}) VALUES ({marks})\n"
            f"ON CONFLICT ({self._column_list(span.keys)}) DO UPDATE SET {updates}",
            iter(rows),
            lambda ask: self._check_written(table, span.keys, rows, ask),
        )
        return ""

    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._open("rw").execute(sql, tuple(values)).fetchall()

    def stream(self, sql: str, values: Sequence[object] = ()) -> Generator[tuple[Any, ...], None, None]:
        with contextlib.closing(self._open("rw").execute(sql, tuple(values))) as cursor:
            yield from cursor

    def create_tables(self, source: str, target: str, follows: str = "", column: str = HANDLES) -> list[str]:
        if not self.path.parent.is_dir():
            raise StopRun(f"{self.label}: there is no directory {self.path.parent} to create the file in")
        connection = self._open("rwc")
        created = []
        ddls = {source: [self.source_ddl(source, column)], target: [self.target_ddl(target)]}
        for table, ddl in (ddls | {table: self.span_ddls(table, span) for table, span in spans(follows)}).items():
            if self.describe(table) is None:
                for statement in ddl:
                    connection.execute(statement)
                created.append(table)
        return created

    def delete_handles(self, table: str, handles: Sequence[str], column: str = HANDLES) -> None:
        self._write(
            f"DELETE FROM {self.quoted(table)} WHERE CAST({self.identifier(column)} AS TEXT) IN "
            "(SELECT value FROM json_each(?))",
            iter([(json.dumps(handles),)]),
        )

    def _insert_handles(self, table: str, column: str, handles: Sequence[str]) -> None:
        insert = f"INSERT INTO {self.quoted(table)} ({self.identifier(column)}) VALUES (?)"
        self._write(insert, ((name,) for name in handles))

    def _write(
        self, sql: str, values: Iterator[tuple[object, ...]], check: Callable[[Ask], None] = lambda _: None
    ) -> None:
        """Run one statement for many rows in a transaction that takes the write lock at once; `check` may refuse it."""
        connection = self._open("rw")
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(sql, values)
            check(lambda question, keys: connection.execute(question, keys).fetchall())
            connection.execute("COMMIT")
        except BaseException:
            try:
                connection.rollback()
            except sqlite3.Error:
                self.close()
            raise

    def _open(self, mode: str) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"{self.path.as_uri()}?mode={mode}",
                uri=True,
                timeout=BUSY_SECS,
                isolation_level=None,  # transactions begin and end where the code says so
                check_same_thread=False,  # opened in one thread and used in another, never in two at once
            )
            # With less, a power cut right after a commit may undo it, because the deletion of the journal is not synced
            # (https://www.sqlite.org/pragma.html#pragma_synchronous).
            self._connection.execute("PRAGMA synchronous = EXTRA")
            self._connection.execute("PRAGMA temp_store = MEMORY")  # there may be no folder for temporary files
            self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
        return self._connection

    def _message(self, exc: BaseException) -> str:
        if isinstance(exc, sqlite3.OperationalError) and not self.path.exists():
            return "there is no such database file: `scrapy initdb` creates it"
        return str(exc)

    def advice(self, exc: BaseException) -> str:
        """Say what to do about an exception that keeps a run from starting."""
        return "check KOL_DB_URL" + ("" if self.path.exists() else ", which `scrapy initdb` needs as well")


def _column(facts: tuple[str, str, int, object, int], *, is_key: bool) -> Column:
    """Understand a row of table_info. SQLite enforces no length; integers have 64 bits."""
    name, declared, not_null, default, _ = facts
    rowid = is_key and declared.upper() == "INTEGER"  # which SQLite fills in itself
    numeric = _is_numeric(declared)
    return Column(
        name=name.lower(),
        max_chars=None,
        max_bytes=None,
        int_min=-(2**63) if numeric else None,
        int_max=2**63 - 1 if numeric else None,
        nullable=not (not_null or rowid),
        bmp_only=False,
        needs_value=bool(not_null) and default is None and not rowid,
    )


def _is_numeric(declared: str) -> bool:
    """Follow the rules of https://www.sqlite.org/datatype3.html#determination_of_column_affinity."""
    declared = declared.upper()
    if "INT" in declared:
        return True
    return declared != "" and not any(word in declared for word in ("CHAR", "CLOB", "TEXT", "BLOB"))
