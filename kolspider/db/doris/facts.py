"""Understand what Doris says: errors by their text, tables by their SHOW CREATE TABLE."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kolspider.db.base import Column, DbErrorKind, Fill, Form
from kolspider.db.mysql_facts import EXACT_IN_DOUBLE, INTEGER_BITS
from kolspider.items import COLUMNS

__all__ = [
    "FINISHED",
    "PAGED_TYPES",
    "UNTOLD_CODES",
    "Layout",
    "column",
    "is_committed",
    "is_taken",
    "kind_of",
    "label_state",
]

UNTOLD_CODES = {1105, 5025}
"""Codes of nearly every error, which say nothing: the text decides (common/ErrorCode.java: ERR_UNKNOWN_ERROR)."""

# The first match counts; what none matches is waited for. A text about filtered data may quote a row, so it comes
# before all others. A schema change passes, whatever it forbids meanwhile.
ERROR_TEXTS = (
    (DbErrorKind.REFUSED, re.compile("filtered (data|rows)|DATA_QUALITY_ERROR|string len over", re.IGNORECASE)),
    (DbErrorKind.LOST, re.compile("schema change", re.IGNORECASE)),
    (
        DbErrorKind.FATAL,
        re.compile(
            "mismatched input|no viable alternative|extraneous input|unknown (column|table|database)"
            r"|\b(column|table|database)\b.{0,200}does not exist|column count doesn't match|has no default value"
            "|denied|NOT_AUTHORIZED|can't do partial update|not support|support partial update|100-continue",
            re.IGNORECASE,
        ),
    ),
    (DbErrorKind.REFUSED, re.compile(r"too long|can't cast|-238\b|TOO_MANY_SEGMENTS", re.IGNORECASE)),
)
# Only at the beginning of the text: further on, it may quote a filtered row.
COMMITTED = re.compile(r"(errCode = \d+, detailMessage = )?transaction commit successfully, BUT", re.IGNORECASE)
PAGED_TYPES = {"tinyint", "smallint", "int", "bigint", "char", "varchar", "string", "text"}
"""Types whose values survive being read and sent back: the next page is what is larger than the last value."""
# be.conf: string_type_length_soft_limit_bytes, ten times as much from 3.1 on; longer values are filtered.
MAX_STRING = 1_048_576

FINISHED = {"COMMITTED", "VISIBLE", "FINISHED"}
"""States of a load that is durable."""
# In cloud mode: `status=[TXN_STATUS_PREPARED]`.
_STATE = re.compile(r"status\s*=?\s*\[(?:TXN_STATUS_)?([A-Z]+)\]")

_KEY = re.compile(r"^(UNIQUE|DUPLICATE|AGGREGATE) KEY\s*\(([^)]*)\)", re.MULTILINE)
_COLUMN = re.compile(r"^\s+`((?:[^`]|``)+)`\s+(.*?),?\s*$", re.MULTILINE)
_CLUSTER = re.compile(r"^CLUSTER BY\b", re.MULTILINE)
_TYPE = re.compile(r"[a-z]\w*", re.IGNORECASE)
_DECIMAL = re.compile(r"decimal(?:v[23])?\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", re.IGNORECASE)
_PROPERTY = re.compile(r'"([\w.]+)"\s*=\s*"([^"]*)"')
# catalog/Column.java: toSql
_FILLED = re.compile(r" AS \(| NOT NULL (AUTO_INCREMENT|DEFAULT)\b")


def kind_of(text: str) -> DbErrorKind:
    """Judge an error by its text.

    A Doris that restarts node by node has dozens of texts for it, new ones in each version, so an unknown error is
    waited for; what can't pass is a short list.
    """
    return next((kind for kind, words in ERROR_TEXTS if words.search(text)), DbErrorKind.LOST)


def is_taken(label: str, text: str) -> bool:
    """Whether a running or committed attempt has the label (common/LabelAlreadyUsedException.java)."""
    return f"Label [{label}] has already been used" in text


def label_state(text: str) -> str:
    """Return the state of the load that has a label, as the refusal of the label names it; UNKNOWN if it names none."""
    match = _STATE.search(text)
    return match[1] if match else "UNKNOWN"


def is_committed(text: str) -> bool:
    """Whether the error reports a durable INSERT that is not visible yet.

    Newer versions do that with `insert_visible_timeout_return_mode = error` (nereids/…/insert/OlapInsertExecutor.java).
    """
    return COMMITTED.match(text) is not None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is stored."""

    model: str
    """UNIQUE, DUPLICATE or AGGREGATE; empty: a view, or a table of another engine."""
    keys: tuple[str, ...]
    columns: dict[str, str]
    """Definitions by lower-case name."""
    properties: dict[str, str]
    is_clustered: bool = False
    """Whether rows are sorted by other columns than the key."""

    @classmethod
    def of(cls, ddl: str) -> Layout:
        """Parse SHOW CREATE TABLE: one column a line, then the key, then the properties."""
        end = ddl.rfind("\n) ENGINE=")
        head, tail = (ddl[:end], ddl[end:]) if end >= 0 else (ddl, "")
        columns = {name.replace("``", "`").lower(): sql for name, sql in _COLUMN.findall(head)}
        match = _KEY.search(tail)
        keys = tuple(name.strip().strip("`").lower() for name in match[2].split(",")) if match else ()
        is_clustered = _CLUSTER.search(tail) is not None
        return cls(match[1] if match else "", keys, columns, dict(_PROPERTY.findall(tail)), is_clustered)

    @property
    def others(self) -> list[str]:
        """The columns that are not ours."""
        return [name for name in self.columns if name not in COLUMNS]

    @property
    def is_keyed_by_id(self) -> bool:
        """Whether a row replaces the row with the same id."""
        return self.model == "UNIQUE" and self.keys == ("id",)

    @property
    def obstacle(self) -> str:
        """What makes an INSERT that asks for a partial update write whole rows, without a word; empty: nothing.

        Of CLUSTER BY (nereids: InsertUtils, isUniqKeyMergeOnWriteWithClusterKeys) see apache/doris#39504; Stream Load
        refuses.
        """
        if self.properties.get("enable_unique_key_merge_on_write") != "true":
            return "without merge-on-write"
        return "with CLUSTER BY" if self.is_clustered else ""

    @property
    def sequence(self) -> str:
        """The property that decides, instead of the order of writing, which row of an id stays; empty: none."""
        names = ("function_column.sequence_col", "function_column.sequence_type")
        return next((name for name in names if name in self.properties), "")


def column(definition: str, name: str, data_type: str, length: int | None, is_nullable: str) -> Column:
    """Understand a row of information_schema.columns: VARCHAR and CHAR count bytes of UTF-8, integers are signed.

    definition: the column in SHOW CREATE TABLE, for its default and its type: COLUMN_DEFAULT was NULL for every column
    until the end of 2024 (apache/doris#44849), and still is for auto-increment and generated columns; DATA_TYPE lists a
    LARGEINT as a `bigint unsigned` and a BOOLEAN as a `tinyint`.
    """
    listed = data_type.lower().partition("(")[0]
    shown = _TYPE.match(definition)
    kind = shown[0].lower() if shown else listed
    bits, decimal = INTEGER_BITS.get(kind), _DECIMAL.match(definition)
    nullable = is_nullable.upper() == "YES"
    largest = None if bits is None else 2 ** (bits - 1) - 1
    takes, lowest = frozenset[Form](), None if largest is None else -largest - 1
    if kind in {"varchar", "char", "string", "text"}:
        takes = frozenset(Form)
    elif largest is not None:
        takes = frozenset({Form.NUMBER})
    elif decimal or kind == "double":
        takes = frozenset({Form.NUMBER})
        largest = 10 ** (int(decimal[1]) - int(decimal[2])) - 1 if decimal else EXACT_IN_DOUBLE
        lowest = -largest
    elif kind in {"datetime", "datetimev2"}:
        takes = frozenset({Form.MOMENT})
    # A STRING is listed as a varchar of 2147483643 bytes (be/src/exec/schema_scanner/schema_columns_scanner.cpp).
    max_bytes = min(int(length), MAX_STRING) if listed in {"varchar", "char"} and length else None
    own = definition.partition(' COMMENT "')[0]
    return Column(
        name=name.lower(),
        type=own.partition(" NOT NULL")[0].partition(" NULL")[0] or data_type,
        takes=takes,
        max_bytes=MAX_STRING if kind in {"string", "text"} else max_bytes,
        int_min=lowest,
        int_max=largest,
        nullable=nullable,
        needs_value=not nullable and not _FILLED.search(own),
        fill=Fill.DISTINCT if "AUTO_INCREMENT" in own else Fill.NULL,
        generated=" AS (" in own,
    )
