"""Rows as the text of an INSERT. PyMySQL's own way (`Cursor.mogrify`) takes twice as long: benchmarks/RESULTS.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pymysql.converters import escape_string

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["of_at_most", "values_sql"]

# What PyMySQL escapes with backslashes. So the session's sql_mode must not have NO_BACKSLASH_ESCAPES (mysql.py sets
# it), nor its character set characters that end in the byte of a backslash (utf8mb4 has none).
_special = re.compile("[\\0\\n\\r\\x1a\"'\\\\]").search


def values_sql(row: Iterable[str | int | None]) -> str:
    """The row in brackets. Its values are texts, whole numbers and None."""
    return "(" + ",".join([_literal(value) for value in row]) + ")"


def _literal(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    if value.__class__ is int:
        return str(value)
    text: str = value  # type: ignore[assignment]
    return f"'{escape_string(text)}'" if _special(text) else f"'{text}'"


def of_at_most(size: int, texts: Iterable[str]) -> Iterator[list[str]]:
    """Split into runs of at most so many bytes of UTF-8, but for a text that is larger by itself."""
    run: list[str] = []
    total = 0
    for text in texts:
        length = len(text) if text.isascii() else len(text.encode())
        if run and total + length > size:
            yield run
            run, total = [], 0
        run.append(text)
        total += length
    if run:
        yield run
