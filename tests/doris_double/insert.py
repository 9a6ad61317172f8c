"""INSERT INTO … VALUES, parsed by hand: its rows may be megabytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.doris_double.errors import refuse, syntax_error
from tests.doris_double.tokens import Name, Tokens, unescaped

__all__ = ["Insert", "parse_insert"]

_VALUE = re.compile(
    r"""\s*(?: ('[^'\\]*(?:(?:\\.|'')[^'\\]*)*' | "[^"\\]*(?:(?:\\.|"")[^"\\]*)*")   # 1: string
             | ([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w$]))                  # 2: number
             | ([A-Za-z_$][\w$]*) )                                                  # 3: word
        \s*([,)])""",
    re.VERBOSE | re.DOTALL,
)
_ROW = re.compile(r"\s*\(")
_MORE = re.compile(r"\s*,")
_WORDS = {"NULL": None, "TRUE": 1, "FALSE": 0}


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT; columns is None where the column list is left out."""

    name: Name
    label: str | None
    columns: list[str] | None
    rows: list[list[Any]]
    query: str = ""
    """INSERT … SELECT: where the rows come from."""


def parse_insert(sql: str) -> Insert:
    """Parse, and refuse what Doris's grammar does: IGNORE, SET, VALUE, ON DUPLICATE KEY UPDATE."""
    tokens = Tokens(sql)
    tokens.expect("INSERT")
    tokens.expect("INTO")
    name = tokens.name()
    label = None
    if tokens.accept("WITH"):
        tokens.expect("LABEL")
        label = tokens.identifier()
    columns = tokens.identifiers() if tokens.peek().text == "(" else None
    if tokens.peek().word in {"SELECT", "WITH"}:
        return Insert(name, label, columns, [], sql[tokens.position :])
    tokens.expect("VALUES")
    rows, tokens.position = _rows(sql, tokens.position)
    tokens.expect_end()
    return Insert(name, label, columns, rows)


def _rows(sql: str, position: int) -> tuple[list[list[Any]], int]:
    rows = []
    while True:
        match = _ROW.match(sql, position)
        if match is None:
            raise syntax_error("mismatched input expecting '('", sql, position)
        row, position = _row(sql, match.end())
        rows.append(row)
        match = _MORE.match(sql, position)
        if match is None:
            return rows, position
        position = match.end()


def _row(sql: str, position: int) -> tuple[list[Any], int]:
    values: list[Any] = []
    match_value = _VALUE.match
    while True:
        match = match_value(sql, position)
        if match is None:
            near = sql[position : position + 20]
            raise syntax_error(f"mismatched input '{near}': the double takes literals in VALUES", sql, position)
        string, number, word, end = match.groups()
        if string is not None:
            values.append(unescaped(string))
        elif number is not None:
            values.append(int(number) if number.lstrip("+-").isdigit() else float(number))
        else:
            values.append(_named(word))
        position = match.end()
        if end == ")":
            return values, position


def _named(word: str) -> object:
    try:
        return _WORDS[word.upper()]
    except KeyError:
        refuse(f"Unknown column '{word}' in 'table list'")
