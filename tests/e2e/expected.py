"""The rows that the sandbox's lists give, worked out without HTTP and without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.items import Row
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.sandbox import entry, followings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kolspider.sandbox import Call

__all__ = ["expected_rows", "rows_of_pages"]


def expected_rows(
    kols: Mapping[str, int],
    revision: int = 0,
    *,
    unusable: bool = False,
    entry: Callable[[int, int], object] = entry,
) -> dict[str, Row]:
    """The rows of these KOLs' whole lists, by id."""
    places = (place for kol, count in kols.items() for place in followings(kol, count, unusable=unusable))
    return _rows(places, revision, entry)


def rows_of_pages(
    kols: Mapping[str, int], calls: Iterable[Call], revision: int = 0, *, unusable: bool = False
) -> dict[str, Row]:
    """The rows of the pages that these calls were answered with, by id."""
    places: list[int] = []
    for call in calls:
        end = call.page * call.page_size
        places += followings(call.handle, kols[call.handle], unusable=unusable)[end - call.page_size : end]
    return _rows(places, revision, entry)


def _rows(places: Iterable[int], revision: int, entry: Callable[[int, int], object]) -> dict[str, Row]:
    mapper, adapter = Mapper(), provider("twitterapi_io")
    mapped = (mapper.map_user(adapter.followed_user(raw), raw) for raw in (entry(place, revision) for place in places))
    return {row.id: row for row in mapped if isinstance(row, Row)}
