"""Which users this run has handed to the database already, as they are: more than half of the users that pages
bring follow from several KOLs. Remembers so many, not all: memory is bounded."""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kolspider.items import FollowedUser

__all__ = ["Repeats"]

_MOST = 200_000
"""Accounts remembered at most, about 30 MB; it forgets the older half when it is full."""


class Repeats:
    """Told of each user that is on its way to the table, in order: the last one told of an id is in it."""

    def __init__(self, most: int = _MOST) -> None:
        self._half = most // 2
        self._newer: dict[str, int] = {}
        self._older: dict[str, int] = {}

    def is_one(self, id_: str, user: FollowedUser) -> bool:
        """Whether the user, with these very values, was the last one of this id; from now on it is."""
        try:
            # Not hash(user): True equals 1, and is no count. 64 bits of a keyed hash: chance alone does not matter.
            seen = hash(marshal.dumps(tuple(user), 2))  # type: ignore[arg-type]
        except ValueError:  # nested too deeply
            self.forget(id_)
            return False
        known = self._newer.get(id_)
        if known is None:
            known = self._older.get(id_)
            if len(self._newer) >= self._half:
                self._newer, self._older = {}, self._newer
            self._newer[id_] = seen
        elif known != seen:
            self._newer[id_] = seen
        return known == seen

    def forget(self, id_: str) -> None:
        """The row was refused: the next one like it must not pass for one that is in the table."""
        self._newer.pop(id_, None)
        self._older.pop(id_, None)
