"""SELECT, UPDATE and DELETE: sqlglot turns Doris's SQL into SQLite's. What Doris would refuse is refused first."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlglot
from mysql_mimic.results import ResultColumn
from mysql_mimic.types import ColumnType
from sqlglot import exp
from sqlglot.dialects import SQLite
from sqlglot.errors import SqlglotError

from tests.doris_double.answers import Rows
from tests.doris_double.errors import DorisError, refuse, syntax_error
from tests.doris_double.storage import INFORMATION_SCHEMA
from tests.doris_double.tokens import RESERVED, Name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.doris_double.storage import Storage
    from tests.doris_double.tables import Table

__all__ = ["Query", "run_query"]

_WIRE_TYPES = {
    "DATETIME": ColumnType.DATETIME,
    "LARGEINT": ColumnType.STRING,
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT"), ColumnType.LONGLONG),
    **dict.fromkeys(("VARCHAR", "CHAR", "STRING"), ColumnType.STRING),
}


class _BackQuoted(SQLite):
    """SQLite's SQL, where a quoted name is nothing but a name: in double quotes an unknown column would be a text."""

    class Tokenizer(SQLite.Tokenizer):
        IDENTIFIERS = ["`"]  # noqa: RUF012 - as sqlglot has it


@dataclass(frozen=True, slots=True)
class Query:
    """Who asks, and what he sees."""

    sql: str
    database: str | None
    may_read: Callable[[str, str], None]
    """(database, table); raises when not."""


def run_query(query: Query, storage: Storage) -> Rows | int:
    """The rows, or how many were changed."""
    tree = _parsed(query.sql)
    _check_grammar(tree, query.sql)
    tables = _qualified(tree, query, storage)
    with storage.lock:
        try:
            cursor = storage.execute(tree.sql(_BackQuoted))
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            raise _refusal(error) from error
        if cursor.description is None:
            return cursor.rowcount
    names = [name for name, *_ in cursor.description]
    return Rows(_typed(tree, names, rows, tables), rows)


def _parsed(sql: str) -> exp.Expr:
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="doris") if tree is not None]
    except SqlglotError as error:
        raise syntax_error(f"mismatched input: {str(error).splitlines()[0]}", sql, 0) from None
    if len(trees) != 1:
        refuse("the double takes one statement at a time")
    return trees[0]


def _check_grammar(tree: exp.Expr, sql: str) -> None:
    """sqlglot takes reserved words as names, DELETE without WHERE, and FOR UPDATE; Doris does not."""
    for identifier in tree.find_all(exp.Identifier):
        if not identifier.quoted and identifier.name.lower() in RESERVED:
            start = identifier.meta.get("start", 0)
            raise syntax_error(f"mismatched input '{identifier.name}' expecting {{'IDENTIFIER'}}", sql, start)
    if isinstance(tree, exp.Delete) and not tree.args.get("where"):
        refuse("delete all rows is forbidden temporary.")  # DeleteFromCommand
    if tree.find(exp.Lock):
        raise syntax_error("mismatched input 'FOR' expecting {<EOF>, ';'}", sql, sql.upper().rfind("FOR"))


def _qualified(tree: exp.Expr, query: Query, storage: Storage) -> list[Table]:
    """Give each table its database; those that exist."""
    local = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables = []
    for node in tree.find_all(exp.Table):
        if not node.db and node.name in local:
            continue
        name = Name(node.db or None, node.name)
        if (name.database or query.database or "").lower() == INFORMATION_SCHEMA:
            node.set("db", exp.to_identifier(INFORMATION_SCHEMA, quoted=True))
            continue
        table = storage.find(name, query.database)
        query.may_read(table.database, table.name)
        node.set("db", exp.to_identifier(table.database, quoted=True))
        tables.append(table)
    return tables


def _typed(tree: exp.Expr, names: list[str], rows: Sequence[Sequence[Any]], tables: list[Table]) -> list[ResultColumn]:
    """The types on the wire: those of the tables' columns where a column is what is selected."""
    known = {column.name.lower(): column.type for table in reversed(tables) for column in table.columns}
    projections = tree.selects if isinstance(tree, exp.Query) else []
    plain = len(projections) == len(names) and not any(node.is_star for node in projections)
    columns = []
    for index, name in enumerate(names):
        source = _source(projections[index]) if plain else name
        wire = _WIRE_TYPES.get(known.get(source.lower(), ""))
        columns.append(ResultColumn(name, wire or _guessed(row[index] for row in rows)))
    return columns


def _source(node: exp.Expr) -> str:
    """The name of the column that is selected, or empty."""
    while isinstance(node, exp.Alias | exp.Min | exp.Max | exp.Paren):
        node = node.this
    return node.name if isinstance(node, exp.Column) else ""


def _guessed(values: Any) -> ColumnType:
    value = next((value for value in values if value is not None), "")
    if isinstance(value, int):
        return ColumnType.LONGLONG
    return ColumnType.DOUBLE if isinstance(value, float) else ColumnType.STRING


def _refusal(error: sqlite3.Error) -> DorisError:
    text = str(error)
    if text.startswith("no such column: "):
        column = text.removeprefix("no such column: ").rpartition(".")[2].strip('"')
        return DorisError(f"errCode = 2, detailMessage = Unknown column '{column}' in 'table list'")
    return DorisError(f"errCode = 2, detailMessage = the double can't: {text}")
