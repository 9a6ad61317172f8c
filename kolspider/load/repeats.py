"""Remembers which users this run has committed, to skip unchanged duplicates: several KOLs follow the same accounts,
and more than half of the users on the pages are repeats. Memory is bounded, so not every user is remembered.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        self._newer: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._uncommitted: dict[str, int] = {}
        """Number of rows of each id that are on their way to the table."""

    def is_one(self, id_: str, seen: int | None) -> bool:
        """Tell whether the table has the user with exactly these values, whose fingerprint is `seen`."""
        known = self._newer.get(id_)
        if known is None:
            known = self._older.get(id_)
        return seen is not None and seen == known and id_ not in self._uncommitted

    def comes(self, id_: str, seen: int | None) -> None:
        """Record that a row of the user is on its way to the table."""
        self._uncommitted[id_] = self._uncommitted.get(id_, 0) + 1
        if seen is None:
            self._newer.pop(id_, None)
            self._older.pop(id_, None)
            return
        if len(self._newer) >= self._half:
            self._newer, self._older = {}, self._newer
        self._newer[id_] = seen

    def committed(self, id_: str) -> None:
        """Record that a row of this id is in the table."""
        if left := self._uncommitted.pop(id_, 1) - 1:
            self._uncommitted[id_] = left


def fingerprint(user: FollowedUser | None) -> int | None:
    """Return a number for the values of a user; None if there is none. That of a plain user is its hash.

    Chance does not matter in 64 bits of a hash with a key of this process.
    """
    try:  # not hash(user): True equals 1, and is no count
        return hash(marshal.dumps(tuple(user), 2)) if user else None  # type: ignore[arg-type]
    except ValueError:  # nested too deeply
        return None
