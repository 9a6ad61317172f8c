"""SQLite. Only `create_tables` creates the file: a typo in KOL_DB_URL is an error, not a new file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from kolspider.db.base import HANDLES, Column, Database, DbErrorKind, Fill, Form, Table, name_parts
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

COLUMNS_SQL = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, ?)'
_GENERATED = {2, 3}
# An expression in an index has no name. A partial index makes its columns unique in some rows only.
UNIQUE_SQL = """
    SELECT list.name, part.name, list.partial
    FROM pragma_index_list(?1, ?2) AS list, pragma_index_info(list.name, ?2) AS part
    WHERE list."unique"
    ORDER BY list.seq, part.seqno
"""
_STRICT = re.compile(r"\)[^)]*\bSTRICT\b[^)]*$", re.IGNORECASE)
_CHECK = re.compile(r"\bCHECK\s*\(", re.IGNORECASE)
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_EXACT_IN_REAL = 2**53


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
        ((ddl,),) = connection.execute(
            f"SELECT max(sql) FROM {self.identifier(schema)}.sqlite_master WHERE lower(name) = ?", (name.lower(),)
        )
        ddl = _QUOTED.sub("''", ddl or "")
        key = tuple(row[0].lower() for row in sorted(found, key=lambda row: row[4]) if row[4])
        strict = _STRICT.search(ddl) is not None
        columns = [_column(row, is_key=key == (row[0].lower(),), strict=strict) for row in found]
        indexes: dict[str, list[str]] = {}
        for index, column, partial in connection.execute(UNIQUE_SQL, (name, schema)):
            parts = indexes.setdefault(index, ["(condition)"] if partial else [])
            parts.append(column.lower() if column is not None else "(expression)")
        keys = [key, *map(tuple, indexes.values())]
        return Table(
            table,
            {column.name: column for column in columns},
            [of for of in dict.fromkeys(keys) if of],
            _CHECK.search(ddl) is not None,
        )

    def place(self, table: str) -> tuple[str, ...]:
        return tuple(["main", *name_parts(table.lower())][-2:])

    def upsert(self, table: str, rows: Sequence[Row]) -> str:
        marks = ", ".join("?" * len(COLUMNS))
        updates = ", ".join(f'"{name}" = excluded."{name}"' for name in COLUMNS if name != "id")
        sent = [(int(row.id), *row[1:]) for row in rows] if self._has_numeric_ids(table) else rows
        self._write(
            f"INSERT INTO {self.quoted(table)} ({self._column_list()}) VALUES ({marks})\n"
            f'ON CONFLICT ("id") DO UPDATE SET {updates}',
            iter(sent),
            lambda ask: self._check_written(table, ("id",), sent, ask),
        )
        return ""

    def try_write(self, table: str, columns: Sequence[str] = COLUMNS) -> None:
        """Upsert no row, and write what is rolled back: only then does SQLite open its journal beside the file."""
        super().try_write(table, columns)
        connection = self._open("rw")
        ((version,),) = connection.execute("PRAGMA user_version")
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(f"PRAGMA user_version = {version ^ 1}")
        finally:
            connection.rollback()

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

    def refit_ddl(self, table: Table, columns: Sequence[Column]) -> list[str]:
        """SQLite can't change a type: a column is made again, with its values."""
        quoted, statements = self.quoted(table.name), list[str]()
        for column in columns:
            if column.name == "id":
                return self.renew_ddl(table.name)
            name, new = self.identifier(column.name), self.identifier(f"{column.name}_new")
            statements += [
                f"ALTER TABLE {quoted} ADD COLUMN {new} {self.types[column.name]}",
                f"UPDATE {quoted} SET {new} = {name}",
                f"ALTER TABLE {quoted} DROP COLUMN {name}",
                f"ALTER TABLE {quoted} RENAME COLUMN {new} TO {name}",
            ]
        return statements

    def renew_ddl(self, table: str) -> list[str]:
        *_, own = name_parts(table)
        old = self.identifier(f"{own}_old")
        return [f"ALTER TABLE {self.quoted(table)} RENAME TO {old}", " ".join(self.target_ddl(table).split())]

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
            self.fence()
            connection.execute("COMMIT")
        except BaseException:
            self.close()  # which rolls back, on a full disk too
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
            if not os.access(self.path.parent, os.W_OK):
                return f"this user can't create the file: {self.path.parent} can't be written"
            return "there is no such database file: `scrapy initdb` creates it"
        if self._is_unwritable(exc):
            return f"{exc}: this user must be able to write {self.path} and its folder, where SQLite keeps its journal"
        return str(exc)

    def advice(self, exc: BaseException) -> str:
        """Say what to do about an exception that keeps a run from starting."""
        if self._is_unwritable(exc):
            return "change their permissions"
        return ("" if self.path.exists() else "if it should be there, ") + "check KOL_DB_URL"

    def _is_unwritable(self, exc: BaseException) -> bool:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        return code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY} and self.path.exists()


class _Affinity(Enum):
    """What SQLite makes of a value (https://www.sqlite.org/datatype3.html#determination_of_column_affinity)."""

    TEXT = "text"
    NUMERIC = "numeric"
    """INTEGER, too: a text that looks like a number becomes one."""
    REAL = "real"
    BLOB = "blob"
    """Every value stays as it is."""


_ANY = frozenset(Form)
_TAKES = {
    _Affinity.TEXT: _ANY,
    _Affinity.BLOB: _ANY,
    _Affinity.NUMERIC: frozenset({Form.NUMBER, Form.MOMENT}),  # no moment looks like a number
    _Affinity.REAL: frozenset({Form.NUMBER, Form.MOMENT}),
}
_STRICTLY_TAKES = {
    "INT": frozenset({Form.NUMBER}),
    "INTEGER": frozenset({Form.NUMBER}),
    "REAL": frozenset({Form.NUMBER}),
    "TEXT": _ANY,
    "ANY": _ANY,
}


def _column(facts: tuple[str, str, int, object, int, int], *, is_key: bool, strict: bool) -> Column:
    """Understand a row of table_xinfo. SQLite enforces no length; integers have 64 bits."""
    name, declared, not_null, default, _, hidden = facts
    rowid = is_key and declared.upper() == "INTEGER"  # which SQLite fills in itself
    affinity, takes = _affinity(declared), _TAKES[_affinity(declared)]
    if strict:
        takes = _STRICTLY_TAKES.get(declared.upper(), frozenset())
    elif rowid:
        takes = frozenset({Form.NUMBER})
    lowest, largest = {_Affinity.NUMERIC: (-(2**63), 2**63 - 1), _Affinity.REAL: (-_EXACT_IN_REAL, _EXACT_IN_REAL)}.get(
        affinity, (None, None)
    )
    if strict and declared.upper() == "ANY":
        lowest = largest = None
    generated = hidden in _GENERATED
    fills = default is not None and str(default).upper() != "NULL"
    return Column(
        name=name.lower(),
        type=declared or "without a type",
        takes=takes,
        int_min=lowest,
        int_max=largest,
        nullable=not (not_null or rowid),
        needs_value=bool(not_null) and default is None and not rowid and not generated,
        fill=Fill.DISTINCT if rowid else Fill.OTHER if generated or fills else Fill.NULL,
        generated=generated,
    )


def _affinity(declared: str) -> _Affinity:
    declared = declared.upper()
    if "INT" in declared:
        return _Affinity.NUMERIC
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return _Affinity.TEXT
    if not declared or "BLOB" in declared:
        return _Affinity.BLOB
    return _Affinity.REAL if any(word in declared for word in ("REAL", "FLOA", "DOUB")) else _Affinity.NUMERIC
