"""The accounts of the sandbox, who follows whom, and the cursors that lead through a list while it may change.

A KOL is an account with an id, a handle and a list. It may be renamed, after which its old handle is free for another
account; it may be protected, suspended or deleted, and come back. The accounts that KOLs follow have an id and a
profile but no list of their own, and can be renamed, suspended and deleted, too.

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
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from kolspider.sandbox.people import plausible, plausible_id
from kolspider.sandbox.users import User, entry, followings, kol_index, kol_user, member, plain_entry, user_id

__all__ = [
    "FIRST",
    "CursorError",
    "Cursors",
    "ListPage",
    "People",
    "Position",
    "Profile",
    "State",
    "World",
    "decode_cursor",
    "encode_cursor",
]

Cursors = Literal["both", "position", "time"]
People = Literal["wild", "plausible"]
Shape = Callable[[User], User]
"""Makes what an API sends of a user from a user with the names of Twitter's API 1.1 and a text `id`."""

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


class State(Enum):
    """What an account is."""

    OPEN = "open"
    PROTECTED = "protected"
    """Its list is for its followers: the API sends an empty one."""
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Profile:
    """What the world knows of an account, with or without a list."""

    id: str
    handle: str
    """As it is written; empty for an account that has none."""
    state: State
    user: User
    """With the names of Twitter's API 1.1; `friends_count` is the real length of a KOL's list."""

    @property
    def is_there(self) -> bool:
        """Whether anybody can look at it."""
        return self.state in {State.OPEN, State.PROTECTED}


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
    past_cursor: str = ""
    """Leads to the next page, and behind the last one to an empty page."""


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


_Follow = tuple[int, int]
"""Which follow of the KOL's it is, 0 for its first one ever, and the index of the account."""


@dataclass(slots=True)
class _Kol:
    key: str
    """What its id, its list and its cursors are made from: no other KOL has it, and it never changes."""
    handle: str
    index: int
    count: int
    """How many accounts it has followed so far."""
    state: State = State.OPEN
    follows: list[_Follow] | None = None
    """Its list, newest first; None until somebody asks for it."""
    gone: dict[str, int] = field(default_factory=dict)
    """The index of each unfollowed account, by id."""

    @property
    def length(self) -> int:
        """The length of its list."""
        return self.count if self.follows is None else len(self.follows)


@dataclass(slots=True)
class _Changed:
    """What has become of an account that is no KOL."""

    state: State = State.OPEN
    handle: str = ""


class World:
    """The accounts and their lists, for any number of threads. The case of handles does not matter.

    `shape`: how the API sends a user; None: as twitterapi.io does, which sends several shapes.
    """

    def __init__(
        self, kols: Mapping[str, int], *, people: People = "wild", unusable: bool = False, shape: Shape | None = None
    ) -> None:
        self._entry, self._plain, self._id = (
            (entry, plain_entry, user_id) if people == "wild" else (plausible, plausible, plausible_id)
        )
        self._unusable = unusable
        self._shape = shape
        self._kols: dict[str, _Kol] = {}
        """The KOLs by their present handle, in lower case."""
        self._by_index: dict[int, _Kol] = {}
        self._changed: dict[int, _Changed] = {}
        self._indices: dict[str, int] = {}
        """The index of every account so far met, by id."""
        self._met: dict[str, int] = {}
        """How many of the accounts that a KOL has ever followed are in `_indices`, by its key."""
        self._lock = threading.RLock()
        self.revision = 0
        self.cursors: Cursors = "both"
        self.cursors_of_one_size = False
        """Whether a cursor is good only for pages of the size that it came with."""
        for handle, count in kols.items():
            self.join(handle, count)

    def __contains__(self, handle: str) -> bool:
        """Whether the API has a list under this handle, be it an empty one."""
        kol = self._kols.get(handle.lower())
        return kol is not None and kol.state in {State.OPEN, State.PROTECTED}

    # --- accounts -------------------------------------------------------------------------------------------------

    def join(self, handle: str, count: int) -> str:
        """A new KOL takes a handle that nobody has. Returns its id. Raises ValueError if the handle is taken."""
        with self._lock:
            self._must_be_free(handle)
            key, nth = handle.lower(), 1
            while (index := kol_index(key)) in self._by_index:
                nth += 1
                key = f"{handle.lower()}#{nth}"
            kol = _Kol(key, handle, index, count)
            self._kols[handle.lower()] = self._by_index[index] = kol
            self._indices[self._id(index)] = index
            return self._id(index)

    def rename(self, who: str, handle: str) -> None:
        """Give the KOL with this handle, or the account with this id, another handle; the old one is free then."""
        with self._lock:
            self._must_be_free(handle)
            kol = self._kols.pop(who.lower(), None)
            if kol:
                kol.handle = handle
                self._kols[handle.lower()] = kol
            else:
                self._change_of(who).handle = handle

    def turn(self, who: str, state: State) -> None:
        """Make the KOL with this handle, or the account with this id, open, protected, suspended or deleted."""
        with self._lock:
            kol = self._kols.get(who.lower())
            if kol:
                kol.state = state
            else:
                self._change_of(who).state = state

    def profile(self, handle: str) -> Profile | None:
        """The profile of a KOL; None: nobody has this handle. Other accounts are found by id only."""
        with self._lock:
            kol = self._kols.get(handle.lower())
            return self._profile(kol.index) if kol else None

    def profile_of_id(self, id_: str) -> Profile | None:
        """The profile of an account; None: nobody ever had this id."""
        with self._lock:
            index = self._index(id_)
            return None if index is None else self._profile(index)

    def handles(self, *states: State) -> list[str]:
        """The handles of the KOLs in these states."""
        with self._lock:
            return [kol.handle for kol in self._kols.values() if kol.state in states]

    def key(self, handle: str) -> str:
        """What stays the same of a KOL when its handle changes, and can be a seed."""
        return self._kols[handle.lower()].key

    def _must_be_free(self, handle: str) -> None:
        if handle.lower() in self._kols:
            raise ValueError(f"the handle {handle} is taken")

    def _change_of(self, id_: str) -> _Changed:
        index = self._index(id_)
        if index is None:
            raise KeyError(f"no KOL and no account is called {id_}")
        return self._changed.setdefault(index, _Changed())

    def _index(self, id_: str) -> int | None:
        """The index of an account that is a KOL, or that a KOL follows or followed."""
        if id_ not in self._indices:
            for kol in self._by_index.values():
                for place in range(self._met.get(kol.key, 0), kol.count):
                    index = member(kol.key, place, unusable=self._unusable)
                    if index >= 0:
                        self._indices[self._id(index)] = index
                self._met[kol.key] = kol.count
        return self._indices.get(id_)

    def _profile(self, index: int) -> Profile:
        kol = self._by_index.get(index)
        if kol:
            return Profile(self._id(index), kol.handle, kol.state, self._kol_user(kol))
        user = self._plain(index, self.revision)
        assert isinstance(user, dict)  # noqa: S101 - an index of an account, not one without an id
        change = self._changed.get(index, _Changed())
        if change.handle and "unavailable" not in user:
            user = {**user, "screen_name": change.handle, "userName": change.handle}
        state = State.SUSPENDED if "unavailable" in user else change.state
        if state is State.PROTECTED:
            user = {**user, "protected": True}
        return Profile(self._id(index), str(user.get("screen_name") or ""), state, user)

    def _kol_user(self, kol: _Kol) -> User:
        protected = kol.state is State.PROTECTED
        user = kol_user(kol.index, kol.handle, kol.length, protected=protected, revision=self.revision)
        return {"id": self._id(kol.index), **user}

    def _shown(self, index: int) -> object:
        """An account as the API sends it in a list."""
        if index >= 0 and (index in self._by_index or index in self._changed):
            profile = self._profile(index)
            user = profile.user if profile.is_there else {"id": profile.id, **unavailable(profile.state)}
            return self._shape(user) if self._shape else user
        if self._shape is None:
            return self._entry(index, self.revision)
        plain = self._plain(index, self.revision)
        return self._shape(plain) if isinstance(plain, dict) else plain

    # --- lists ----------------------------------------------------------------------------------------------------

    def page(self, handle: str, position: Position, size: int) -> ListPage:
        """One page of a KOL's current list, which is empty for a protected one."""
        with self._lock:
            kol = self._kols[handle.lower()]
            follows = [] if kol.state is State.PROTECTED else self._list(kol)
            start = self._start(follows, position)
            here = follows[start : start + size]
            read, total = start + len(here), len(follows)
            following = Position(position.page + 1, read, self._remaining(kol, follows, read))
            again = Position(position.page + 1, start, self._remaining(kol, follows, start))
            own = Position(1, 0, self._remaining(kol, follows, 0)) if position == FIRST else position
            users = [self._shown(user) for _, user in here]
        key = self._cursor_key(kol.key, size)
        past = encode_cursor(key, following)
        return ListPage(
            users=users,
            next_cursor=past if read < total else "",
            own_cursor=encode_cursor(key, own),
            again_cursor=encode_cursor(key, again),
            past_cursor=past,
        )

    def position(self, handle: str, cursor: str, size: int) -> Position:
        """Where a cursor leads to in this KOL's list, for pages of this size. Raises CursorError."""
        kol = self._kols.get(handle.lower())
        return decode_cursor(self._cursor_key(kol.key if kol else handle, size), cursor)

    def _cursor_key(self, key: str, size: int) -> str:
        return f"{key}@{size}" if self.cursors_of_one_size else key

    def length(self, handle: str) -> int:
        """The length of a KOL's list."""
        with self._lock:
            return self._kols[handle.lower()].length

    def ids(self, handle: str) -> list[str]:
        """The usable ids of a KOL's current list, in its order."""
        with self._lock:
            return [self._id(user) for _, user in self._list(self._kols[handle.lower()]) if user >= 0]

    def follow(self, handle: str, who: int | Collection[str]) -> list[str]:
        """Put accounts at the front of a list: `who` new ones, or unfollowed ones and KOLs with these ids.

        Creates the KOL if there is none. Returns the usable ids.
        """
        with self._lock:
            if handle.lower() not in self._kols:
                self.join(handle, 0)
            kol = self._kols[handle.lower()]
            if not isinstance(who, int):
                return self._follow_again(kol, who)
            begin, follows = kol.count, self._list(kol)
            kol.count += who
            new = [(nth, member(kol.key, nth, unusable=self._unusable)) for nth in reversed(range(begin, kol.count))]
            follows[:0] = new
        return [self._id(user) for _, user in new if user >= 0]

    def _follow_again(self, kol: _Kol, ids: Collection[str]) -> list[str]:
        follows = self._list(kol)
        for id_ in reversed(list(ids)):
            index = kol.gone.pop(id_, None) or self._index(id_)
            if index is None:
                raise KeyError(f"no account has the id {id_}")
            follows.insert(0, (kol.count, index))
            kol.count += 1
        return list(ids)

    def unfollow(self, handle: str, who: int | Collection[str]) -> None:
        """Remove entries from a list: the `who` newest, or those with these ids."""
        with self._lock:
            if isinstance(who, int):
                places = set(range(who))
            else:
                follows, wanted = self._list(self._kols[handle.lower()]), set(who)
                places = {place for place, (_, user) in enumerate(follows) if user >= 0 and self._id(user) in wanted}
            self.unfollow_at(handle, places)

    def unfollow_at(self, handle: str, places: Collection[int]) -> list[str]:
        """Remove the entries at these places, 0 for the newest. Returns their usable ids, newest first."""
        with self._lock:
            kol = self._kols[handle.lower()]
            follows = self._list(kol)
            last_first = sorted((place for place in places if place < len(follows)), reverse=True)
            out = [follows.pop(place)[1] for place in last_first]
            gone = {self._id(index): index for index in reversed(out) if index >= 0}
            kol.gone.update(gone)
            return list(gone)

    def move_down(self, handle: str, number: int, place: int) -> None:
        """Put the newest entries of a list behind others, at this place."""
        with self._lock:
            follows = self._list(self._kols[handle.lower()])
            follows[:place] = follows[number:place] + follows[:number]

    def let_a_week_pass(self) -> None:
        """Add some accounts to each long list, and remove a few."""
        for kol in list(self._kols.values()):
            if kol.count >= _MANY:
                ids = self.ids(kol.handle)
                self.unfollow(kol.handle, {ids[len(ids) * part // 4] for part in (1, 2, 3)})
                self.follow(kol.handle, _FOLLOWED_A_WEEK)

    def _start(self, follows: list[_Follow], position: Position) -> int:
        """The place of a page's first entry in the current list."""
        if self.cursors == "position" or position == FIRST:
            return min(position.front, len(follows))
        if self.cursors == "time":
            return bisect_right(follows, -position.remaining, key=lambda follow: -follow[0])
        return max(0, min(position.front, len(follows) - position.remaining))

    def _remaining(self, kol: _Kol, follows: list[_Follow], place: int) -> int:
        """The `remaining` of a cursor for this place."""
        if self.cursors != "time":
            return len(follows) - place
        return follows[place - 1][0] if place else kol.count

    def _list(self, kol: _Kol) -> list[_Follow]:
        if kol.follows is None:
            indices = followings(kol.key, kol.count, unusable=self._unusable)
            kol.follows = list(zip(range(kol.count - 1, -1, -1), indices, strict=True))
        return kol.follows


def unavailable(state: State) -> User:
    """What twitterapi.io says of an account that is suspended or deleted, instead of its profile."""
    return {"unavailable": True, "unavailableReason": "Suspended" if state is State.SUSPENDED else "NotFound"}
