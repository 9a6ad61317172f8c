"""Makes a row fit the columns of the target: what they can't hold is cut, removed or NULL, and counted. Pure."""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from kolspider.db.capacity import SENT, Sent
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    bounds: tuple[Any, Any] | None
    """The least and the greatest number or moment that surely fits; None for a text."""


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

        self._roomy = [(limited.place, limited.roomy) for limited in self._columns if limited.bounds is None]
        self._bounds = [(limited.place, *limited.bounds) for limited in self._columns if limited.bounds is not None]

    def fit(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows; those that fit are the same objects."""
        return [*rows] if self._all_fit(rows) else [self._fitted(row) for row in rows]

    def _all_fit(self, rows: Sequence[Row]) -> bool:
        """Tell quickly of most pages that all their rows fit: a look at a column takes less than one at each row."""
        columns: list[tuple[Any, ...]] = [*zip(*rows, strict=True)] or [()] * len(COLUMNS)
        for place, roomy in self._roomy:
            if max(map(len, filter(None, columns[place])), default=0) > roomy:
                return False
        for place, least, most in self._bounds:
            values = [value for value in columns[place] if value is not None]
            if values and not (least <= min(values) and max(values) <= most):
                return False
        return True

    def _fitted(self, row: Row) -> Row:
        changes: dict[str, str | int | None] = {}
        for place, column, unheld, _, _ in self._columns:
            value: str | int | None = row[place]
            if value is None:
                continue
            fitting = _fit_text(value, column, unheld) if isinstance(value, str) else _fit_int(value, column)
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
    sizes = (column.max_chars, None if column.max_bytes is None else column.max_bytes // _WIDEST)
    roomy = min((size for size in sizes if size is not None), default=sys.maxsize)
    bounds: tuple[Any, Any] | None = None
    if SENT[COLUMNS[place]] is Sent.COUNT:
        least, most = column.int_min, column.int_max
        bounds = (-sys.maxsize if least is None else least, sys.maxsize if most is None else most)
        if column.max_chars is not None or column.max_bytes is not None:  # its digits are counted
            bounds = (0, -1)
    elif column.moment_min is not None and column.moment_max is not None:
        bounds = (column.moment_min, column.moment_max)
    elif unheld is not None or column.drops_spaces or column.moment_max is not None:
        roomy = 0
    return _Limited(place, column, unheld, roomy, bounds)


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
