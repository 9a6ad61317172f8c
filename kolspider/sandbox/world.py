"""Who follows whom in the sandbox, and the cursors that lead through a list while it may change.

A cursor has all the state of a reader: the page number, the number of entries in front of the page, and the number
that remain. The server keeps nothing about readers, so after a restart the old cursors are still valid.

The real API does not document what its cursors mean, so the sandbox has three kinds:

- `position`: the next page starts after as many entries as were read. Users repeat if the list has grown, and are
  skipped if it has shrunk in front of the page.
- `time`: the next page starts with the newest follow that is older than the last one read. No user repeats and none
  is skipped.
- `both` (default): the next page starts at the earlier of two places, counted from the front by the entries read, or
  from the end by the entries that remained. Users who stay in the list are never skipped: those not yet read are
  among the last `remaining` entries, whatever was added at the front or removed anywhere. Users repeat if the list
  has grown at the front or shrunk in its unread part.
"""

import hashlib
import re
import threading
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kolspider.sandbox.people import plausible, plausible_id
from kolspider.sandbox.users import entry, followings, member, user_id

__all__ = [
    "FIRST",
    "CursorError",
    "Cursors",
    "ListPage",
    "People",
    "Position",
    "World",
    "decode_cursor",
    "encode_cursor",
]

Cursors = Literal["both", "position", "time"]
People = Literal["wild", "plausible"]

_MANY = 100
_FOLLOWED_A_WEEK = 20
_CURSOR = re.compile(r"[0-9]{19}\|([0-9]{1,10})\.([0-9]{1,10})\.([0-9]{1,10})")


class CursorError(ValueError):
    """The cursor is not one that this API gave out for this KOL."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page starts."""

    page: int
    front: int
    """The number of entries in front of it when the cursor was given out."""
    remaining: int
    """The number of entries from there to the end; for `time`, the `nth` of the last follow read."""


FIRST = Position(1, 0, 0)


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a list, with the cursors for a normal and for a faulty answer."""

    users: list[object]
    next_cursor: str
    """Leads to the next page; empty on the last one."""
    own_cursor: str
    """Leads to this page again, with the same page number."""
    again_cursor: str
    """Leads to the same users with the next page number: a new cursor for users already sent."""


def encode_cursor(handle: str, position: Position) -> str:
    """The text of a cursor. It has a `|` in it, and a check number that makes it valid for this KOL only."""
    numbers = f"{position.page}.{position.front}.{position.remaining}"
    digest = hashlib.blake2b(f"{handle.lower()}|{numbers}".encode("utf-8", "replace"), digest_size=7).digest()
    return f"{10**18 + int.from_bytes(digest)}|{numbers}"


def decode_cursor(handle: str, cursor: str) -> Position:
    """The position that a cursor leads to; an empty cursor leads to the first page."""
    if not cursor:
        return FIRST
    match = _CURSOR.fullmatch(cursor)
    if not match:
        raise CursorError(cursor)
    position = Position(*map(int, match.groups()))
    if encode_cursor(handle, position) != cursor:
        raise CursorError(cursor)
    return position


class _Follow(NamedTuple):
    nth: int
    """0 for the first account that the KOL ever followed."""
    user: int
    """The index of the account."""


class World:
    """The KOLs and their lists, for any number of threads. The case of handles does not matter."""

    def __init__(self, kols: Mapping[str, int], *, people: People = "wild", unusable: bool = False) -> None:
        self._entry, self._id = (entry, user_id) if people == "wild" else (plausible, plausible_id)
        self._counts = {kol.lower(): count for kol, count in kols.items()}
        self._unusable = unusable
        self._lists: dict[str, list[_Follow]] = {}
        self._gone: dict[str, dict[str, int]] = {}
        """The index of each unfollowed account, by KOL and id."""
        self._lock = threading.Lock()
        self.revision = 0
        self.cursors: Cursors = "both"

    def __contains__(self, handle: str) -> bool:
        return handle.lower() in self._counts

    def page(self, handle: str, position: Position, size: int) -> ListPage:
        """One page of a KOL's current list."""
        with self._lock:
            follows = self._list(handle)
            start = self._start(follows, position)
            here = follows[start : start + size]
            read, total = start + len(here), len(follows)
            following = Position(position.page + 1, read, self._remaining(handle, read))
            again = Position(position.page + 1, start, self._remaining(handle, start))
            own = Position(1, 0, self._remaining(handle, 0)) if position == FIRST else position
        return ListPage(
            users=[self._entry(follow.user, self.revision) for follow in here],
            next_cursor=encode_cursor(handle, following) if read < total else "",
            own_cursor=encode_cursor(handle, own),
            again_cursor=encode_cursor(handle, again),
        )

    def ids(self, handle: str) -> list[str]:
        """The usable ids of a KOL's current list, in its order."""
        with self._lock:
            return [self._id(follow.user) for follow in self._list(handle) if follow.user >= 0]

    def follow(self, handle: str, who: int | Collection[str]) -> list[str]:
        """Put accounts at the front of a list: `who` new ones, or the unfollowed ones with these ids.

        Creates the KOL if there is none. Returns the usable ids.
        """
        handle = handle.lower()
        if not isinstance(who, int):
            return self._follow_again(handle, who)
        number = who
        with self._lock:
            begin = self._counts.setdefault(handle, 0)
            follows = self._list(handle)
            end = self._counts[handle] = begin + number
            new = [_Follow(nth, member(handle, nth, unusable=self._unusable)) for nth in reversed(range(begin, end))]
            follows[:0] = new
        return [self._id(follow.user) for follow in new if follow.user >= 0]

    def _follow_again(self, handle: str, ids: Collection[str]) -> list[str]:
        with self._lock:
            follows, gone = self._list(handle), self._gone[handle]
            for id_ in reversed(list(ids)):
                follows.insert(0, _Follow(self._counts[handle], gone.pop(id_)))
                self._counts[handle] += 1
        return list(ids)

    def unfollow(self, handle: str, who: int | Collection[str]) -> None:
        """Remove entries from a list: the `who` newest, or those with these ids."""
        with self._lock:
            follows = self._list(handle)
            newest = follows[:who] if isinstance(who, int) else []
            ids = {self._id(follow.user) for follow in newest if follow.user >= 0} if isinstance(who, int) else set(who)
            gone = {self._id(follow.user): follow.user for follow in follows if follow.user >= 0}
            self._gone.setdefault(handle.lower(), {}).update((id_, gone[id_]) for id_ in ids if id_ in gone)
            kept = follows[len(newest) :]
            follows[:] = [follow for follow in kept if follow.user < 0 or self._id(follow.user) not in ids]

    def let_a_week_pass(self) -> None:
        """Add some accounts to each long list, and remove a few."""
        for handle, count in list(self._counts.items()):
            if count >= _MANY:
                ids = self.ids(handle)
                self.unfollow(handle, {ids[len(ids) * part // 4] for part in (1, 2, 3)})
                self.follow(handle, _FOLLOWED_A_WEEK)

    def _start(self, follows: list[_Follow], position: Position) -> int:
        """The place of a page's first entry in the current list."""
        if self.cursors == "position" or position == FIRST:
            return min(position.front, len(follows))
        if self.cursors == "time":
            return bisect_right(follows, -position.remaining, key=lambda follow: -follow.nth)
        return max(0, min(position.front, len(follows) - position.remaining))

    def _remaining(self, handle: str, place: int) -> int:
        """The `remaining` of a cursor for this place."""
        follows = self._list(handle)
        if self.cursors != "time":
            return len(follows) - place
        return follows[place - 1].nth if place else self._counts[handle.lower()]

    def _list(self, handle: str) -> list[_Follow]:
        handle = handle.lower()
        if handle not in self._lists:
            count = self._counts[handle]
            indices = followings(handle, count, unusable=self._unusable)
            self._lists[handle] = [_Follow(count - 1 - place, index) for place, index in enumerate(indices)]
        return self._lists[handle]
