"""Makes a row fit the columns of the target: what they can't hold is cut, removed or NULL, and counted. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kolspider.db.base import Charset, Column
    from kolspider.items import Row

__all__ = ["Fitter"]


class _Limited(NamedTuple):
    name: str
    column: Column
    unheld: re.Pattern[str] | None


class Fitter:
    """Fits rows to the columns of one target.

    The id is never cut: a cut id is another account's. Texts come from `mapping` and can be encoded as UTF-8.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.clipped: Counter[str] = Counter()
        """How many values of each column were cut, lost characters, or were set to NULL because it can't hold them."""
        self._columns = [
            _Limited(name, column, re.compile(column.charset.unheld) if column.charset.unheld else None)
            for name in COLUMNS
            if name != "id" and (column := columns.get(name)) is not None and _is_limited(column)
        ]

    def fit(self, row: Row) -> Row:
        """Return `row` itself if it fits, else a row that does."""
        changes: dict[str, str | int | None] = {}
        for limited in self._columns:
            value: str | int | None = getattr(row, limited.name)
            if value is None:
                continue
            fitting = _fit_text(value, limited) if isinstance(value, str) else _fit_int(value, limited.column)
            if fitting != value:
                changes[limited.name] = fitting
        if not changes:
            return row
        self.clipped.update(changes.keys())
        return row._replace(**changes)  # type: ignore[arg-type]


def _is_limited(column: Column) -> bool:
    bounds = (column.max_chars, column.max_bytes, column.int_min, column.int_max, column.moment_max)
    return bool(column.charset.unheld) or column.drops_spaces or any(bound is not None for bound in bounds)


def _fit_text(text: str, limited: _Limited) -> str | None:
    _, column, unheld = limited
    if column.moment_min is not None and column.moment_max is not None:
        return text if column.moment_min <= text <= column.moment_max else None
    if unheld is not None:
        text = unheld.sub("", text)
    if column.max_chars is not None:
        text = text[: column.max_chars]
    if column.max_bytes is not None and len(text) * 4 > column.max_bytes:  # most texts need not be measured
        text = _cut(text, column.max_bytes, column.charset)
    return text.rstrip(" ") if column.drops_spaces else text


def _cut(text: str, size: int, charset: Charset) -> str:
    """Cut a text to at most `size` bytes in a charset."""
    if charset.wide_bytes is None:
        return text.encode()[:size].decode(errors="ignore")
    for end, char in enumerate(text):
        size -= charset.ascii_bytes if char.isascii() else charset.wide_bytes
        if size < 0:
            return text[:end]
    return text


def _fit_int(number: int, column: Column) -> int | None:
    digits = len(str(number))  # in a column of text
    if column.max_chars is not None and digits > column.max_chars:
        return None
    if column.max_bytes is not None and digits * column.charset.ascii_bytes > column.max_bytes:
        return None
    if column.int_min is not None and number < column.int_min:
        return None
    if column.int_max is not None and number > column.int_max:
        return None
    return number
