"""Rows as the text of an INSERT, in a third of the time that PyMySQL's own `Cursor.mogrify` takes."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from pymysql.converters import escape_string

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["of_at_most", "values_sql"]

# What PyMySQL escapes with backslashes. That needs a sql_mode without NO_BACKSLASH_ESCAPES (mysql.py sets it) and a
# character set where no character ends in the byte of a backslash (utf8mb4 is one).
_SPECIAL = b"\0\n\r\x1a\"'\\"


def values_sql(row: tuple[object, ...]) -> bytes:
    """Write a row of texts, whole numbers and None in brackets, as UTF-8; anything else as its text."""
    form, quotes = _form(tuple(map(type, row)))
    text = (form % row).encode()
    if len(text) - len(text.translate(None, _SPECIAL)) == quotes:  # as in nearly all rows
        return text
    values = [value if isinstance(value, int | None) else escape_string(str(value)) for value in row]
    return (form % tuple(values)).encode()


@lru_cache(100)
def _form(types: tuple[type, ...]) -> tuple[str, int]:
    """Return the format of a row of these types, and how many quotation marks are in it."""
    form = f"({','.join(map(_format, types))})"
    return form, form.count("'")


def _format(kind: type) -> str:
    if kind is type(None):
        return "NULL%.0s"  # which takes the None, and writes nothing of it
    return "%d" if issubclass(kind, int) else "'%s'"


def of_at_most(size: int, texts: Iterable[bytes], count: int = sys.maxsize) -> Iterator[list[bytes]]:
    """Split texts into runs of at most `count` texts and `size` bytes; a larger text is a run of its own."""
    run: list[bytes] = []
    total = 0
    for text in texts:
        if run and (total + len(text) > size or len(run) == count):
            yield run
            run, total = [], 0
        run.append(text)
        total += len(text)
    if run:
        yield run
