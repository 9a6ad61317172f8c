"""Remembers which users this run has committed, to skip unchanged duplicates: several KOLs follow the same accounts,
and more than half of the users on the pages are repeats. Memory is bounded, so not every user is remembered.
"""

from __future__ import annotations

import marshal
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from kolspider.items import FollowedUser

__all__ = ["Repeats", "fingerprint"]

_MOST = 200_000
"""Number of accounts that are remembered, about 30 MB; when it is full, the older half is forgotten."""


class Repeats:
    """Knows the users whose rows are in the table. It is given each user in order, and each row that is committed.

    A row that is not committed does not count: it may be refused, or lost by a bug, and each user must be in the table
    or set aside.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._half = most // 2
        self._newer: dict[str, float] = {}
        self._older: dict[str, float] = {}
        self._uncommitted: dict[str, int] = {}
        """Number of rows of each id that are on their way to the table; those that don't get there count, too."""

    def fresh(self, ids: Iterable[str | None], seen: Iterable[float], only: Container[str] | None = None) -> list[int]:
        """Return the places of the users whose rows have to be written. They count as on their way to the table.

        ids: the id of each user, None for one without: it is never a repeat.
        seen: the fingerprint of each.
        only: write the rows of these accounts, repeats or not; None: of all that are not repeats.
        """
        fresh, newer, older, uncommitted = [], self._newer, self._older, self._uncommitted
        for place, (id_, one) in enumerate(zip(ids, seen, strict=True)):
            if id_ is None:
                if only is None:
                    fresh.append(place)
                continue
            is_known = (newer.get(id_) or older.get(id_)) == one and id_ not in uncommitted
            if is_known if only is None else id_ not in only:
                continue
            fresh.append(place)
            uncommitted[id_] = uncommitted.get(id_, 0) + 1
            if len(newer) >= self._half:
                newer, older = self._newer, self._older = {}, newer
            newer[id_] = one
        return fresh

    def committed(self, ids: Iterable[str]) -> None:
        """Record that rows of these ids are in the table."""
        uncommitted = self._uncommitted
        for id_ in ids:
            if left := uncommitted.pop(id_, 1) - 1:
                uncommitted[id_] = left


def fingerprint(user: FollowedUser | None) -> float:
    """Return a number for the values of a user; NaN, which equals nothing, if there is none. That of a plain user is
    its hash.

    Chance does not matter in 64 bits of a hash with a key of this process.
    """
    try:  # not hash(user): True equals 1, and is no count
        return hash(marshal.dumps(tuple(user), 2)) if user else math.nan  # type: ignore[arg-type]
    except ValueError:  # nested too deeply
        return math.nan
