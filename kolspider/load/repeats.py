"""Which users this run has committed already, as they are: more than half of the users that pages bring follow from
several KOLs. Remembers so many, not all: memory is bounded."""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kolspider.items import FollowedUser

__all__ = ["Repeats"]

_MOST = 200_000
"""Accounts remembered at most, about 30 MB; it forgets the older half when it is full."""


class Repeats:
    """Told of each user in order, and of each row that is committed. A row on its way counts for nothing yet: it may
    be refused, or lost by a bug, and each KOL's user must be in the table or set aside."""

    def __init__(self, most: int = _MOST) -> None:
        self._half = most // 2
        self._newer: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._on_their_way: dict[str, int] = {}
        """How many rows of an id are told of and not committed."""

    def is_one(self, id_: str, user: FollowedUser) -> bool:
        """Whether the table has the user with these very values. If not, a row is on its way from now on."""
        try:
            # Not hash(user): True equals 1, and is no count. 64 bits of a keyed hash: chance alone does not matter.
            seen = hash(marshal.dumps(tuple(user), 2))  # type: ignore[arg-type]
        except ValueError:  # nested too deeply
            seen = None
        known = self._newer.get(id_)
        if known is None:
            known = self._older.get(id_)
        if seen is not None and seen == known and id_ not in self._on_their_way:
            return True
        self._on_their_way[id_] = self._on_their_way.get(id_, 0) + 1
        if seen is None:
            self._newer.pop(id_, None)
            self._older.pop(id_, None)
            return False
        if len(self._newer) >= self._half:
            self._newer, self._older = {}, self._newer
        self._newer[id_] = seen
        return False

    def committed(self, id_: str) -> None:
        """A row of this id is in the table."""
        if left := self._on_their_way.pop(id_, 1) - 1:
            self._on_their_way[id_] = left
