"""Collects pages that are committed together, and the rows that each table gets of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kolspider.items import Follow, FollowingsPage, MappedPage, Row, WholeReading

__all__ = ["Batch", "size_of", "weight_of"]

_Span = TypeVar("_Span", "Follow", "WholeReading")


class Batch:
    """Whole pages, in order. The last row of an account counts, unless it is bare."""

    def __init__(self) -> None:
        self.pages: list[MappedPage] = []
        self.weight = 0
        """Number of rows or follows, whichever are more."""
        self.size = 0
        """Size of the rows, in bytes, roughly."""
        self._rows: dict[str, tuple[FollowingsPage, Row]] = {}

    def add(self, page: MappedPage, size: int) -> None:
        """Take a page of this size in bytes."""
        self.pages.append(page)
        self.size += size
        for row in page.rows:
            if not (row.id in self._rows and row.is_bare):
                self._rows[row.id] = (page.page, row)
        self.weight = max(len(self._rows), self.weight + len(page.follows))

    @property
    def rows(self) -> list[Row]:
        """The rows for the target; their ids differ."""
        return [row for _, row in self._rows.values()]

    def seqs(self, rows: Iterable[Row]) -> Iterator[tuple[str, int | None]]:
        """Yield the id of each row, and the number in the cache of the page that it came with."""
        return ((row.id, self._rows[row.id][0].seq) for row in rows)

    def follows(self) -> list[Follow]:
        """Return the follows, one for each KOL and account."""
        return _merged(follow for page in self.pages for follow in page.follows)

    def whole_readings(self) -> list[WholeReading]:
        """Return the full readings that ended with one of the pages, one for each KOL."""
        return _merged(page.whole for page in self.pages if page.whole)


def _merged(rows: Iterable[_Span]) -> list[_Span]:
    """Merge the rows of each key into one that spans both of their times, the last two columns."""
    merged: dict[tuple[str, ...], _Span] = {}
    for row in rows:
        key: tuple[str, ...] = row[:-2]
        if known := merged.get(key):
            first, last = known[-2:]
            row = type(row)(*(*key, min(first, row[-2]), max(last, row[-1])))  # noqa: PLW2901
        merged[key] = row
    return list(merged.values())


def weight_of(page: MappedPage) -> int:
    """Count a page's rows or follows, whichever are more."""
    return max(len(page.rows), len(page.follows))


def size_of(page: MappedPage) -> int:
    """Estimate how many bytes a page's rows are as SQL text or JSON; escapes are not counted."""
    size = 120 * len(page.rows)  # numbers, quotes, commas
    for row in page.rows:
        for text in (row.name, row.user_name, row.avatar, row.description, row.created_at):
            if text:
                size += len(text) if text.isascii() else len(text.encode(errors="replace"))
    return size
