"""Rows as the text of an INSERT, in half the time of PyMySQL's own `Cursor.mogrify` (benchmarks/RESULTS.md)."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from pymysql.converters import escape_string

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["of_at_most", "values_sql"]

# What PyMySQL escapes with backslashes. That needs a sql_mode without NO_BACKSLASH_ESCAPES (mysql.py sets it) and a
# character set where no character ends in the byte of a backslash (utf8mb4 is one).
_special = re.compile("[\\0\\n\\r\\x1a\"'\\\\]").search


def values_sql(row: Iterable[str | int | None]) -> str:
    """Write a row of texts, whole numbers and None in brackets."""
    return "(" + ",".join([_literal(value) for value in row]) + ")"


def _literal(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    if value.__class__ is int:
        return str(value)
    text: str = value  # type: ignore[assignment]
    return f"'{escape_string(text)}'" if _special(text) else f"'{text}'"


def of_at_most(size: int, texts: Iterable[str], count: int = sys.maxsize) -> Iterator[list[str]]:
    """Split texts into runs of at most `count` texts and `size` bytes of UTF-8; a larger text is a run of its own."""
    run: list[str] = []
    total = 0
    for text in texts:
        length = len(text) if text.isascii() else len(text.encode())
        if run and (total + length > size or len(run) == count):
            yield run
            run, total = [], 0
        run.append(text)
        total += length
    if run:
        yield run
