"""Who follows whom in the sandbox, and the cursors that lead through a list, also while it changes.

A cursor says all there is to know (page number, how many entries are in front, how many remain); nothing is
kept about a reader, so a restarted server goes on with the cursors of the one before.

The next page starts at the lesser of two places: as many entries from the front as were read, or as many
from the end as remained. Nobody who is in the list throughout can be lost: the unread ones are among the
last `remaining` entries, whatever came in at the front or was taken out anywhere. And users repeat, as with
the real API, when the list grew at its front, or shrank in its unread part.
"""

import hashlib
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from kolspider.sandbox.users import entry, followings, member, user_id

__all__ = ["FIRST", "CursorError", "ListPage", "Position", "World", "decode_cursor", "encode_cursor"]

_CURSOR = re.compile(r"[0-9]{19}\|([0-9]{1,10})\.([0-9]{1,10})\.([0-9]{1,10})")


class CursorError(ValueError):
    """A cursor that this API never gave for this KOL."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page starts."""

    page: int
    front: int
    """How many entries were in front of it when the cursor was given."""
    remaining: int
    """How many entries were from there to the end."""


FIRST = Position(1, 0, 0)


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a list, with the cursors that an honest or a faulty answer may name."""

    users: list[object]
    next_cursor: str
    """Empty on the last page."""
    own_cursor: str
    """Leads to this page, as the same number."""
    again_cursor: str
    """Leads to the same users as a page of the next number: a cursor never seen, for users seen before."""


def encode_cursor(handle: str, position: Position) -> str:
    """The text of a cursor. It holds a `|`, and a check number that makes it good for this KOL only."""
    numbers = f"{position.page}.{position.front}.{position.remaining}"
    digest = hashlib.blake2b(f"{handle.lower()}|{numbers}".encode("utf-8", "replace"), digest_size=7).digest()
    return f"{10**18 + int.from_bytes(digest)}|{numbers}"


def decode_cursor(handle: str, cursor: str) -> Position:
    """The position that a cursor leads to; an empty one leads to the first page."""
    if not cursor:
        return FIRST
    match = _CURSOR.fullmatch(cursor)
    if not match:
        raise CursorError(cursor)
    position = Position(*map(int, match.groups()))
    if encode_cursor(handle, position) != cursor:
        raise CursorError(cursor)
    return position


class World:
    """The KOLs and their lists. Handles ignore case. May be changed from any thread while it is read."""

    def __init__(self, kols: Mapping[str, int], *, unusable: bool = False) -> None:
        self._counts = {kol.lower(): count for kol, count in kols.items()}
        self._unusable = unusable
        self._lists: dict[str, list[int]] = {}
        self._lock = threading.Lock()
        self.revision = 0

    def __contains__(self, handle: str) -> bool:
        return handle.lower() in self._counts

    def page(self, handle: str, position: Position, size: int) -> ListPage:
        """One page of a KOL's list as it is now."""
        with self._lock:
            indices = self._list(handle)
            start = max(0, min(position.front, len(indices) - position.remaining))
            here = indices[start : start + size]
            read, total = start + len(here), len(indices)
        following = Position(position.page + 1, read, total - read)
        return ListPage(
            users=[entry(index, self.revision) for index in here],
            next_cursor=encode_cursor(handle, following) if read < total else "",
            own_cursor=encode_cursor(handle, Position(1, 0, total) if position == FIRST else position),
            again_cursor=encode_cursor(handle, Position(position.page + 1, start, total - start)),
        )

    def ids(self, handle: str) -> list[str]:
        """The usable ids of a list as it is now, in its order."""
        with self._lock:
            return [user_id(index) for index in self._list(handle) if index >= 0]

    def follow(self, handle: str, number: int) -> list[str]:
        """Put new accounts at the front; an unknown KOL comes into being. Returns their usable ids."""
        handle = handle.lower()
        with self._lock:
            begin = self._counts.setdefault(handle, 0)
            indices = self._list(handle)
            new = [member(handle, begin + n, unusable=self._unusable) for n in reversed(range(number))]
            indices[:0] = new
            self._counts[handle] = begin + number
        return [user_id(index) for index in new if index >= 0]

    def unfollow(self, handle: str, who: int | Collection[str]) -> None:
        """Take the `who` newest entries out of a list, or the users with these ids."""
        with self._lock:
            indices = self._list(handle)
            if isinstance(who, int):
                del indices[:who]
                return
            ids = set(who)
            indices[:] = [index for index in indices if index < 0 or user_id(index) not in ids]

    def _list(self, handle: str) -> list[int]:
        handle = handle.lower()
        if handle not in self._lists:
            self._lists[handle] = followings(handle, self._counts[handle], unusable=self._unusable)
        return self._lists[handle]
