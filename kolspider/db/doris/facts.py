"""What Doris says, understood: its errors by their text, and a table as SHOW CREATE TABLE writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kolspider.db.base import Column, DbErrorKind
from kolspider.db.mysql_facts import INTEGER_BITS
from kolspider.items import COLUMNS

__all__ = ["PAGED_TYPES", "UNTOLD_CODES", "Layout", "column", "is_committed", "kind_of"]

UNTOLD_CODES = {1105, 5025}
"""Nearly every error is one of these, so the text tells (common/ErrorCode.java: ERR_UNKNOWN_ERROR)."""

# The first match counts. The text may quote a row that was filtered, so nothing else is looked for once that is said.
# -235 comes as `[E-235]failed to init rowset builder. version count: …` (be/src/olap/rowset_builder.cpp), the limit on
# transactions as `current running txns on db … larger than limit …` (transaction/DatabaseTransactionMgr.java), and a BE
# that is lost in the middle of a load as in apache/doris#16674, #37189 and #55754.
ERROR_TEXTS = (
    (DbErrorKind.REFUSED, re.compile("filtered (data|rows)|DATA_QUALITY_ERROR", re.IGNORECASE)),
    (
        DbErrorKind.FATAL,
        re.compile(
            "mismatched input|no viable alternative|extraneous input|unknown (column|table|database)"
            r"|\b(column|table|database)\b.{0,200}does not exist|column count doesn't match|denied|NOT_AUTHORIZED",
            re.IGNORECASE,
        ),
    ),
    (DbErrorKind.REFUSED, re.compile(r"too long|-238\b|TOO_MANY_SEGMENTS", re.IGNORECASE)),
    (
        DbErrorKind.LOST,
        re.compile(
            r"TOO_MANY_VERSION|-235\b|larger than limit|blocked on schema change|doing schema change|timeout|timed out"
            r"|MEM_LIMIT|label \[\S+\] has already been used"
            # A BE that goes down or comes up, as the FE and the other BEs see it.
            r"|no (\w+ )?(available )?backend|not alive|(alive|succ(ess)?) replica num|no queryable replica"
            "|rpc (failed|error)|RpcException|host is down|not connected to|failed to open tablet writer|io exception"
            "|connection (reset|refused)|catalog is not ready",
            re.IGNORECASE,
        ),
    ),
)
# From the beginning: further on, a row that was filtered may be quoted.
COMMITTED = re.compile(r"(errCode = \d+, detailMessage = )?transaction commit successfully, BUT", re.IGNORECASE)
PAGED_TYPES = {"tinyint", "smallint", "int", "bigint", "char", "varchar", "string", "text"}
"""Those whose values, read and sent back, are the same values: what is larger than one of them is the next page."""
# be.conf: string_type_length_soft_limit_bytes; what is longer is filtered.
MAX_STRING = 1_048_576

_KEY = re.compile(r"^(UNIQUE|DUPLICATE|AGGREGATE) KEY\s*\(([^)]*)\)", re.MULTILINE)
_COLUMN = re.compile(r"^\s+`((?:[^`]|``)+)`\s+(.*?),?\s*$", re.MULTILINE)
_PROPERTY = re.compile(r'"([\w.]+)"\s*=\s*"([^"]*)"')
# catalog/Column.java: toSql
_FILLED = re.compile(r" AS \(| NOT NULL (AUTO_INCREMENT|DEFAULT)\b")


def kind_of(text: str) -> DbErrorKind:
    """What to do about an error whose number says nothing."""
    return next((kind for kind, words in ERROR_TEXTS if words.search(text)), DbErrorKind.FATAL)


def is_committed(text: str) -> bool:
    """An error that is none: with `insert_visible_timeout_return_mode = error`, newer versions answer so to an INSERT
    that is durable and not yet visible (nereids/…/insert/OlapInsertExecutor.java)."""
    return COMMITTED.match(text) is not None


@dataclass(frozen=True, slots=True)
class Layout:
    """A table as it is stored."""

    model: str
    """UNIQUE, DUPLICATE or AGGREGATE; empty: a view, or a table of another engine."""
    keys: tuple[str, ...]
    columns: dict[str, str]
    """The definition of each, by its name in lower case."""
    properties: dict[str, str]

    @classmethod
    def of(cls, ddl: str) -> Layout:
        """Understand SHOW CREATE TABLE: a column a line, then the key, then the properties."""
        end = ddl.rfind("\n) ENGINE=")
        head, tail = (ddl[:end], ddl[end:]) if end >= 0 else (ddl, "")
        columns = {name.replace("``", "`").lower(): sql for name, sql in _COLUMN.findall(head)}
        match = _KEY.search(tail)
        keys = tuple(name.strip().strip("`").lower() for name in match[2].split(",")) if match else ()
        return cls(match[1] if match else "", keys, columns, dict(_PROPERTY.findall(tail)))

    @property
    def others(self) -> list[str]:
        """The columns that are not ours."""
        return [name for name in self.columns if name not in COLUMNS]

    @property
    def is_keyed_by_id(self) -> bool:
        """A row of an id replaces the row of that id."""
        return self.model == "UNIQUE" and self.keys == ("id",)

    @property
    def merge_on_write(self) -> bool:
        """Without it no partial update: an INSERT that asks for one is silently a plain one, and empties columns."""
        return self.properties.get("enable_unique_key_merge_on_write") == "true"

    @property
    def sequence(self) -> str:
        """What decides which row of an id stays, if not the order of writing."""
        names = ("function_column.sequence_col", "function_column.sequence_type")
        return next((name for name in names if name in self.properties), "")


def column(definition: str, name: str, data_type: str, length: int | None, is_nullable: str) -> Column:
    """A row of information_schema.columns: VARCHAR and CHAR count bytes of UTF-8, integers are signed.

    definition: that of SHOW CREATE TABLE, which alone tells of defaults: COLUMN_DEFAULT was NULL for every column until
    the end of 2024 (apache/doris#44849), and is NULL for those that Doris counts up or generates.
    """
    kind = data_type.lower().partition("(")[0]
    bits = INTEGER_BITS.get(kind)
    nullable = is_nullable.upper() == "YES"
    # A STRING is a varchar there, of 2147483643 bytes (be/src/exec/schema_scanner/schema_columns_scanner.cpp).
    max_bytes = min(int(length), MAX_STRING) if kind in {"varchar", "char"} and length else None
    return Column(
        name=name.lower(),
        max_chars=None,
        max_bytes=MAX_STRING if kind in {"string", "text"} else max_bytes,
        int_min=None if bits is None else -(2 ** (bits - 1)),
        int_max=None if bits is None else 2 ** (bits - 1) - 1,
        nullable=nullable,
        bmp_only=False,
        needs_value=not nullable and not _FILLED.search(definition.partition(' COMMENT "')[0]),
    )
