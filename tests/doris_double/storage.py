"""The tables and their rows, in SQLite: one attached in-memory database for each of Doris's.

information_schema is one of them, kept up to date by hand. Everything is behind one lock, so tests may look in at any
time.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.doris_double.errors import BAD_DATABASE, NO_DATABASE, refuse
from tests.doris_double.tables import INTEGER_BITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.doris_double.tables import Column, Table
    from tests.doris_double.tokens import Name

__all__ = ["INFORMATION_SCHEMA", "Storage", "quoted"]

INFORMATION_SCHEMA = "information_schema"
DEFAULTS_SINCE = (3, 0, 4)
"""Before, COLUMN_DEFAULT is NULL for every column (apache/doris#44849)."""

_SCHEMA_TABLES = {
    "tables": "TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, TABLE_COMMENT",
    "columns": (
        "TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_DEFAULT, IS_NULLABLE, "
        "DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, "
        "DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_TYPE, COLUMN_KEY, EXTRA, PRIVILEGES, "
        "COLUMN_COMMENT"
    ),
}


class Storage:
    """Databases, tables and rows."""

    def __init__(self, version: tuple[int, ...]) -> None:
        self._tells_defaults = version >= DEFAULTS_SINCE
        self.lock = threading.RLock()
        self.databases: dict[str, dict[str, Table]] = {}
        # Autocommit: transactions are begun by hand.
        self._sqlite = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._sqlite.execute("PRAGMA case_sensitive_like = ON")
        self._sqlite.execute(f"ATTACH ':memory:' AS {INFORMATION_SCHEMA}")
        for table, columns in _SCHEMA_TABLES.items():
            self._sqlite.execute(f"CREATE TABLE {INFORMATION_SCHEMA}.{table} ({columns})")

    def close(self) -> None:
        with self.lock:
            self._sqlite.close()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """SQLite's SQL; hold the lock until the rows are fetched."""
        return self._sqlite.execute(sql, values)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._sqlite.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        with self.lock:
            self._sqlite.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._sqlite.execute("ROLLBACK")
                raise
            self._sqlite.execute("COMMIT")

    def create_database(self, name: str) -> None:
        with self.lock:
            self._sqlite.execute(f"ATTACH ':memory:' AS {quoted(name)}")
            self.databases[name] = {}

    def find(self, name: Name, current: str | None) -> Table:
        """The table, or Nereids' refusal. Names of tables have case."""
        database = self.database_of(name, current)
        table = self.databases[database].get(name.table)
        if table is None:
            refuse(f"Table [{name.table}] does not exist in database [{database}].")
        return table

    def database_of(self, name: Name, current: str | None) -> str:
        database = name.database or current
        if database is None:
            refuse("No database selected", NO_DATABASE)
        if database not in self.databases:
            refuse(f"Unknown database '{database}'", BAD_DATABASE)
        return database

    def create(self, table: Table) -> None:
        with self.lock:
            columns = ", ".join(f"{quoted(column.name)} {_affinity(column)}" for column in table.columns)
            self._sqlite.execute(f"CREATE TABLE {self.where(table)} ({columns})")
            if table.model != "DUPLICATE":
                self._sqlite.execute(
                    f"CREATE UNIQUE INDEX {quoted(table.database)}.{quoted(table.name + '.key')} "
                    f"ON {quoted(table.name)} ({conflict_key(table)})"
                )
            self.databases[table.database][table.name] = table
            self._describe_table(table)

    def add_column(self, table: Table, column: Column) -> None:
        with self.lock:
            if table.column(column.name):
                refuse(f"Can not add column which already exists in base table: {column.name}")
            self._sqlite.execute(
                f"ALTER TABLE {self.where(table)} ADD COLUMN {quoted(column.name)} {_affinity(column)}"
            )
            if column.default is not None:
                self._sqlite.execute(f"UPDATE {self.where(table)} SET {quoted(column.name)} = ?", (column.default,))
            table.columns.append(column)
            self._describe_table(table)

    def allow_null(self, table: Table, column: Column) -> None:
        with self.lock:
            old = table.column(column.name)
            if old is None:
                refuse(f"Column[{column.name}] does not exists")
            if replace(old, nullable=True) != column:
                refuse("the double changes nothing but NOT NULL")
            table.columns[table.columns.index(old)] = column
            self._describe_table(table)

    def drop_column(self, table: Table, name: str) -> None:
        with self.lock:
            column = table.column(name)
            if column is None:
                refuse(f"Column does not exists: {name}")
            if column.key and table.model == "UNIQUE":  # SchemaChangeHandler.processDropColumn
                refuse("Can not drop key column in Unique data model table")
            if column.key:
                refuse("the double drops no key column")
            self._sqlite.execute(f"ALTER TABLE {self.where(table)} DROP COLUMN {quoted(column.name)}")
            table.columns.remove(column)
            self._describe_table(table)

    def rename_column(self, table: Table, old: str, new: str) -> None:
        """Of a key column, too (Env.renameColumn), which the key and the distribution then name anew."""
        with self.lock:
            column = table.column(old)
            if column is None:
                refuse(f"Column[{old}] does not exist")
            if table.column(new):
                refuse(f"Column name[{new}] is already used")
            self._sqlite.execute(
                f"ALTER TABLE {self.where(table)} RENAME COLUMN {quoted(column.name)} TO {quoted(new)}"
            )
            table.columns[table.columns.index(column)] = replace(column, name=new)
            table.keys = tuple(new if key == column.name else key for key in table.keys)
            table.hashed_by = tuple(new if name.lower() == old.lower() else name for name in table.hashed_by)
            self._describe_table(table)

    def rename(self, table: Table, name: str) -> None:
        """The indexes too, whose names have the table's."""
        with self.lock:
            if name in self.databases[table.database]:
                refuse(f"Table name[{name}] is already used")
            renamed = replace(table, name=name)
            self.create(renamed)
            self._sqlite.execute(f"INSERT INTO {self.where(renamed)} SELECT * FROM {self.where(table)}")
            self.drop(table)

    def drop(self, table: Table) -> None:
        with self.lock:
            self._sqlite.execute(f"DROP TABLE {self.where(table)}")
            del self.databases[table.database][table.name]
            self._forget_table(table)

    @staticmethod
    def where(table: Table) -> str:
        """The table's name for SQLite."""
        return f"{quoted(table.database)}.{quoted(table.name)}"

    def _forget_table(self, table: Table) -> None:
        for name in ("tables", "columns"):
            self._sqlite.execute(
                f"DELETE FROM {INFORMATION_SCHEMA}.{name} WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                (table.database, table.name),
            )

    def _describe_table(self, table: Table) -> None:
        self._forget_table(table)
        about = ("internal", table.database, table.name)
        self._sqlite.execute(
            f"INSERT INTO {INFORMATION_SCHEMA}.tables VALUES (?, ?, ?, 'BASE TABLE', 'Doris', NULL, ?)",
            (*about, table.comment),
        )
        marks = ", ".join("?" * len(_SCHEMA_TABLES["columns"].split()))
        for position, column in enumerate(table.columns, 1):
            self._sqlite.execute(
                f"INSERT INTO {INFORMATION_SCHEMA}.columns VALUES ({marks})",
                (
                    *(*about, column.name, position),
                    column.default if self._tells_defaults else None,
                    *_column_facts(table, column),
                ),
            )


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def conflict_key(table: Table) -> str:
    """What a row is known by. In a key of Doris two NULLs are equal, to SQLite they are not."""
    parts = []
    for key in table.keys:
        column = table.column(key)
        name = quoted(key)
        parts.append(f"ifnull({name}, x'00')" if column and column.nullable else name)
    return ", ".join(parts)


def _affinity(column: Column) -> str:
    return "INTEGER" if column.type in INTEGER_BITS.keys() - {"LARGEINT"} else "TEXT"


def _column_facts(table: Table, column: Column) -> tuple[Any, ...]:
    """The rest of a row of information_schema.columns, as be/src/…/schema_columns_scanner.cpp makes it."""
    length = column.max_bytes or (2147483643 if column.type == "STRING" else None)
    digits = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}.get(column.type)
    data_type = {"LARGEINT": "bigint unsigned", "STRING": "varchar"}.get(column.type, column.type.lower())
    column_type = "string" if column.type == "STRING" else column.sql_type
    return (
        "YES" if column.nullable else "NO",
        data_type,
        length,
        length,
        digits,
        0 if digits else None,
        (column.arguments or (0,))[0] if column.type == "DATETIME" else None,
        None,
        None,
        column_type,
        table.column_key if column.key else "",
        "",
        "",
        column.comment,
    )
