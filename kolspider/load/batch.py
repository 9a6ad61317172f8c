"""Pages that are committed together, and what each table gets of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.items import Follow, WholeReading

if TYPE_CHECKING:
    from kolspider.items import FollowingsPage, MappedPage, Row

__all__ = ["Batch", "size_of", "weight_of"]


class Batch:
    """Whole pages, in order. Of an account that occurs more than once, the row that came last counts."""

    def __init__(self) -> None:
        self.pages: list[MappedPage] = []
        self.weight = 0
        """Rows or follows, whichever are more."""
        self.size = 0
        """Bytes, about."""
        self._rows: dict[str, tuple[FollowingsPage, Row]] = {}

    def add(self, page: MappedPage, size: int) -> None:
        """Take a page of this size in bytes."""
        self.pages.append(page)
        self.size += size
        for row in page.rows:
            self._rows[row.id] = (page.page, row)
        self.weight = max(len(self._rows), self.weight + len(page.follows))

    @property
    def rows(self) -> list[Row]:
        """The rows for the target; their ids differ."""
        return [row for _, row in self._rows.values()]

    def page_of(self, row: Row) -> FollowingsPage:
        """Return the page that a row came with."""
        return self._rows[row.id][0]

    def follows(self) -> dict[tuple[str, str], tuple[FollowingsPage, Follow]]:
        """Return the follows by their key (KOL, account), each with the page that it came with last."""
        merged: dict[tuple[str, str], tuple[FollowingsPage, Follow]] = {}
        for page in self.pages:
            for follow in page.follows:
                key = follow[:2]
                if known := merged.get(key):
                    first, last = known[1].first_seen, known[1].last_seen
                    merged[key] = page.page, Follow(*key, min(first, follow.first_seen), max(last, follow.last_seen))
                else:
                    merged[key] = page.page, follow
        return merged

    def whole_readings(self) -> dict[str, tuple[FollowingsPage, WholeReading]]:
        """Return the full readings that ended with one of the pages, by KOL, each with its last page."""
        merged: dict[str, tuple[FollowingsPage, WholeReading]] = {}
        for page in self.pages:
            if (whole := page.whole) is None:
                continue
            kol = whole.kol_user_name
            if known := merged.get(kol):
                first, last = known[1].first_whole, known[1].last_whole
                whole = WholeReading(kol, min(first, whole.first_whole), max(last, whole.last_whole))
            merged[kol] = page.page, whole
        return merged


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
