"""Rows as the text of an INSERT, in a third of the time of PyMySQL's own `Cursor.mogrify` (benchmarks/RESULTS.md)."""

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
_FORMATS = {str: "'%s'", int: "%d", type(None): "NULL%.0s"}


def values_sql(row: tuple[str | int | None, ...]) -> bytes:
    """Write a row in brackets, as UTF-8."""
    form, quotes = _form(tuple(map(type, row)))
    text = (form % row).encode()
    if len(text) - len(text.translate(None, _SPECIAL)) == quotes:  # as in nearly all rows
        return text
    return (form % tuple([escape_string(value) if isinstance(value, str) else value for value in row])).encode()


@lru_cache(100)
def _form(types: tuple[type, ...]) -> tuple[str, int]:
    """Return the format of a row of these types, and how many quotation marks are in it."""
    form = f"({','.join([_FORMATS[type_] for type_ in types])})"
    return form, form.count("'")


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
