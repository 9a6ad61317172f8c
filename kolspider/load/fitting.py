"""Makes a row fit the columns of the target: what they can't hold is cut, removed or NULL, and counted. Pure."""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kolspider.db.base import Charset, Column
    from kolspider.items import Row

__all__ = ["Fitter"]

_WIDEST = 4
"""Most bytes of a character in any charset."""


class _Limited(NamedTuple):
    place: int
    """Index of the column in a row."""
    column: Column
    unheld: re.Pattern[str] | None
    roomy: int
    """Characters up to which every text fits as it is; 0: each has to be looked at."""


class Fitter:
    """Fits rows to the columns of one target.

    The id is never cut: a cut id is another account's. Texts come from `mapping` and can be encoded as UTF-8.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.clipped: Counter[str] = Counter()
        """How many values of each column were cut, lost characters, or were set to NULL because it can't hold them."""
        self._columns = [
            _limited(place, column)
            for place, name in enumerate(COLUMNS)
            if name != "id" and (column := columns.get(name)) is not None and _is_limited(column)
        ]

    def fit(self, row: Row) -> Row:
        """Return `row` itself if it fits, else a row that does."""
        changes: dict[str, str | int | None] = {}
        for place, column, unheld, roomy in self._columns:
            value: str | int | None = row[place]
            if value is None:
                continue
            if not isinstance(value, str):
                fitting: str | int | None = _fit_int(value, column)
            elif len(value) > roomy:
                fitting = _fit_text(value, column, unheld)
            else:
                continue
            if fitting != value:
                changes[COLUMNS[place]] = fitting
        if not changes:
            return row
        self.clipped.update(changes.keys())
        return row._replace(**changes)  # type: ignore[arg-type]


def _is_limited(column: Column) -> bool:
    bounds = (column.max_chars, column.max_bytes, column.int_min, column.int_max, column.moment_max)
    return bool(column.charset.unheld) or column.drops_spaces or any(bound is not None for bound in bounds)


def _limited(place: int, column: Column) -> _Limited:
    unheld = re.compile(column.charset.unheld) if column.charset.unheld else None
    if unheld is not None or column.drops_spaces or column.moment_max is not None:
        return _Limited(place, column, unheld, 0)
    limits = (column.max_chars, None if column.max_bytes is None else column.max_bytes // _WIDEST)
    return _Limited(place, column, None, min((limit for limit in limits if limit is not None), default=sys.maxsize))


def _fit_text(text: str, column: Column, unheld: re.Pattern[str] | None) -> str | None:
    if column.moment_min is not None and column.moment_max is not None:
        return text if column.moment_min <= text <= column.moment_max else None
    if unheld is not None:
        text = unheld.sub("", text)
    if column.max_chars is not None:
        text = text[: column.max_chars]
    if column.max_bytes is not None and len(text) * _WIDEST > column.max_bytes:
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
    if column.int_min is not None and number < column.int_min:
        return None
    if column.int_max is not None and number > column.int_max:
        return None
    if column.max_chars is None and column.max_bytes is None:
        return number
    digits = len(str(number))  # in a column of text
    if column.max_chars is not None and digits > column.max_chars:
        return None
    if column.max_bytes is not None and digits * column.charset.ascii_bytes > column.max_bytes:
        return None
    return number
