"""Makes a row fit a table whose columns are too narrow: values are cut and counted rather than refused. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kolspider.items import Row

__all__ = ["Fitter", "Limits"]

_ABOVE_BMP = re.compile("[\U00010000-\U0010ffff]")


class Limits(Protocol):
    """What a column of the target can hold; None means no limit."""

    @property
    def max_chars(self) -> int | None:
        """Longest text in code points."""

    @property
    def max_bytes(self) -> int | None:
        """Longest text in bytes of UTF-8, as Doris counts its VARCHAR."""

    @property
    def int_min(self) -> int | None: ...

    @property
    def int_max(self) -> int | None: ...

    @property
    def bmp_only(self) -> bool:
        """Whether characters above U+FFFF are refused, as by MySQL's utf8mb3."""


class Fitter:
    """Fits rows to the columns of one target.

    The id is never cut: a cut id is another account's. Texts come from `mapping` and can be encoded as UTF-8.
    """

    def __init__(self, columns: Mapping[str, Limits]) -> None:
        self.clipped: Counter[str] = Counter()
        """How many values of each column were cut, or set to NULL because they are numbers that it can't hold."""
        self._columns = [
            (name, columns[name]) for name in COLUMNS if name in columns and name != "id" and _limited(columns[name])
        ]

    def fit(self, row: Row) -> Row:
        """Return `row` itself if it fits, else a row that does."""
        changes: dict[str, str | int | None] = {}
        for name, limits in self._columns:
            value: str | int | None = getattr(row, name)
            if value is None:
                continue
            fitting = _fit_text(value, limits) if isinstance(value, str) else _fit_int(value, limits)
            if fitting != value:
                changes[name] = fitting
        if not changes:
            return row
        self.clipped.update(changes.keys())
        return row._replace(**changes)  # type: ignore[arg-type]


def _limited(limits: Limits) -> bool:
    bounds = (limits.max_chars, limits.max_bytes, limits.int_min, limits.int_max)
    return limits.bmp_only or any(bound is not None for bound in bounds)


def _fit_text(text: str, limits: Limits) -> str:
    if limits.bmp_only and not text.isascii():
        text = _ABOVE_BMP.sub("", text)
    if limits.max_chars is not None:
        text = text[: limits.max_chars]
    # A character takes at most 4 bytes, so most texts need not be encoded to be measured.
    if limits.max_bytes is not None and len(text) * 4 > limits.max_bytes:
        text = text.encode()[: limits.max_bytes].decode(errors="ignore")
    return text


def _fit_int(number: int, limits: Limits) -> int | None:
    for size in (limits.max_chars, limits.max_bytes):  # a column of text
        if size is not None and len(str(number)) > size:
            return None
    if limits.int_min is not None and number < limits.int_min:
        return None
    if limits.int_max is not None and number > limits.int_max:
        return None
    return number
