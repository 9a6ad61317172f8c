"""Apache Doris over the MySQL protocol. Every identifier is back-quoted: `following` is reserved there."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from kolspider.db.base import Column, ErrorKind, Table, row_values
from kolspider.db.mysql import MysqlDatabase
from kolspider.db.mysql_facts import INTEGER_BITS, error_code
from kolspider.items import COLUMNS, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DorisDatabase"]

COLUMNS_SQL = """
    SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`, `column_default`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = %s AND `table_name` = %s
    ORDER BY `ordinal_position`
"""
UNIQUE_KEY = re.compile(r"^\s*UNIQUE KEY\s*\(([^)]*)\)", re.MULTILINE | re.IGNORECASE)

# Nearly every error is 1105 (5025 in older versions), so the text tells, and the first match counts. The text may
# quote a row that was filtered, so nothing else is looked for once that is said.
UNTOLD_CODES = {1105, 5025}
ERROR_TEXTS = (
    (ErrorKind.REFUSED, re.compile("filtered data", re.IGNORECASE)),
    (
        ErrorKind.FATAL,
        re.compile(
            "mismatched input|no viable alternative|extraneous input|unknown (column|table|database)"
            "|column count doesn't match|denied",
            re.IGNORECASE,
        ),
    ),
    (ErrorKind.REFUSED, re.compile(r"too long|-238\b|TOO_MANY_SEGMENTS", re.IGNORECASE)),
    (
        ErrorKind.LOST,
        re.compile(
            r"TOO_MANY_VERSION|-235\b|larger than limit|blocked on schema change|no available backend"
            "|not alive|timeout|timed out|MEM_LIMIT",
            re.IGNORECASE,
        ),
    ),
)


class DorisDatabase(MysqlDatabase):
    """A database in Doris: an INSERT of a known key replaces the row, and commits itself."""

    dialect = "doris"
    types: ClassVar[dict[str, str]] = {**MysqlDatabase.types, "description": "STRING"}
    transactional = False
    sql_mode = None
    init_command = "SET group_commit = 'off_mode', enable_insert_strict = true"

    def describe(self, table: str) -> Table | None:
        columns = {facts[0].lower(): _column(*facts) for facts in self._select(COLUMNS_SQL, self._where(table))}
        return Table(table, columns, self._unique_keys(table)) if columns else None

    def upsert(self, table: str, rows: Sequence[Row]) -> None:
        """One INSERT for the batch: `executemany` would split it, and half of it could stay behind."""
        if not rows:
            return
        marks = f"({', '.join(['%s'] * len(COLUMNS))})"
        sql = f"INSERT INTO {self._formatted(table)} ({self._column_list()}) VALUES\n{', '.join([marks] * len(rows))}"
        self._select(sql, tuple(chain.from_iterable(map(row_values, rows))))

    def try_write(self, table: str) -> None:
        """Not here: even an empty INSERT is a transaction and a tablet version."""

    def refusal(self, table: Table) -> str | None:
        # An INSERT replaces the whole row, so columns that it leaves out would be emptied.
        others = [name for name in table.columns if name not in COLUMNS]
        if not others:
            return None
        return f"its columns {', '.join(others)} are not ours, and an INSERT in Doris would empty them"

    def error_kind(self, exc: BaseException) -> ErrorKind:
        if error_code(exc) in UNTOLD_CODES:
            text = str(exc)
            return next((kind for kind, words in ERROR_TEXTS if words.search(text)), ErrorKind.FATAL)
        return super().error_kind(exc)

    def source_ddl(self, table: str) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n  `user_name` VARCHAR(128) NOT NULL\n) "
            "ENGINE=OLAP UNIQUE KEY(`user_name`) DISTRIBUTED BY HASH(`user_name`) BUCKETS AUTO\n"
            'PROPERTIES ("enable_unique_key_merge_on_write" = "true", "light_schema_change" = "true")'
        )

    def target_ddl(self, table: str) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n{self._column_definitions()}\n) "
            "ENGINE=OLAP UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS AUTO\n"
            'PROPERTIES ("enable_unique_key_merge_on_write" = "true", "light_schema_change" = "true", '
            '"store_row_column" = "true")'
        )

    def unique_key_ddl(self, table: str) -> str:
        """A table's key can't be changed in Doris, so: the table anew."""
        return " ".join(self.target_ddl(table).split())

    def _unique_keys(self, table: str) -> list[tuple[str, ...]]:
        ((_, ddl, *_),) = self._select(f"SHOW CREATE TABLE {self.quoted(table)}")
        match = UNIQUE_KEY.search(ddl)
        return [tuple(name.strip().strip("`").lower() for name in match[1].split(","))] if match else []

    def _insert_handles(self, table: str, handles: Sequence[str]) -> None:
        marks = ", ".join(["(%s)"] * len(handles))
        self._select(f"INSERT INTO {self._formatted(table)} (`user_name`) VALUES {marks}", tuple(handles))


def _column(name: str, data_type: str, length: Any, is_nullable: str, default: object) -> Column:
    """VARCHAR and CHAR count bytes of UTF-8; integers are signed."""
    kind = data_type.lower().partition("(")[0]
    bits = INTEGER_BITS.get(kind)
    nullable = is_nullable.upper() == "YES"
    return Column(
        name=name.lower(),
        max_chars=None,
        max_bytes=int(length) if kind in {"varchar", "char"} and length else None,
        int_min=None if bits is None else -(2 ** (bits - 1)),
        int_max=None if bits is None else 2 ** (bits - 1) - 1,
        nullable=nullable,
        bmp_only=False,
        needs_value=not nullable and default is None,
    )
