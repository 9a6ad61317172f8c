"""Reads the users of an answer by the paths at which an API has their fields. Pure."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from kolspider.items import FollowedUser, usable_id
from kolspider.providers.base import Profile, Unreadable, one_line
from kolspider.providers.paths import getter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FIELDS", "UserReader"]

FIELDS = FollowedUser._fields
_COUNTS = ("followers_count", "following_count", "statuses_count")
_NONE_FOUND = (None,) * len(FIELDS)


class UserReader:
    """Finds the fields of users. Its two functions run for every user of every page, so they are closures."""

    def __init__(self, paths: Mapping[str, Sequence[str]]) -> None:
        """Take the paths of each field, the best one first. Beside FIELDS there are those of `profile`."""
        self._paths = paths
        self.account_id = _id_reader(paths["id"])
        """Returns the id of a user, of any JSON type; None if it has none."""
        self.followed_user = _user_reader(paths, self.account_id)
        """Returns a user as a FollowedUser; None if it is no JSON object."""

    def profile(self, raw: Mapping[str, object]) -> Profile:
        """Return what a profile says of its account; one that is unavailable is gone, whatever the reason."""
        protected, gone = self._value("protected", raw), self._value("unavailable", raw) is True
        user_name, following = self._value("screen_name", raw), self._value("following_count", raw)
        reason = self._value("unavailable_reason", raw)
        told = one_line(reason).lower() if isinstance(reason, str) else ""
        return Profile(
            usable_id(self.account_id(raw)) or "",
            user_name if isinstance(user_name, str) and user_name else None,
            following if type(following) is int and following >= 0 else None,
            protected if isinstance(protected, bool) else None,
            (told or "unavailable") if gone else "",
            raw,
        )

    def _value(self, field: str, raw: Mapping[str, object]) -> object:
        return _finder(field, self._paths.get(field, ()))(raw)


def _id_reader(paths: Sequence[str]) -> Callable[[object], object]:
    finders = [getter(path) for path in paths]
    first = paths[0]  # a path of several keys finds nothing here, and then all are looked up

    def account_id(raw: object) -> object:
        if not isinstance(raw, dict):
            return raw.id if isinstance(raw, Unreadable) else None
        id_ = raw.get(first)
        if type(id_) is str and usable_id(id_):  # as in nearly every answer
            return id_
        found = [value for find in finders if (value := find(raw)) is not None]
        # Relays in JavaScript round numbers of this size, so a text comes first.
        texts = (value for value in found if isinstance(value, str) and usable_id(value))
        return next(texts, next(filter(usable_id, found), found[0] if found else None))

    return account_id


def _user_reader(  # noqa: C901 - a field a line
    paths: Mapping[str, Sequence[str]], account_id: Callable[[object], object]
) -> Callable[[object], FollowedUser | None]:
    finders = [_finder(field, paths.get(field, ())) for field in FIELDS]
    find_name, find_handle, find_avatar, find_text, find_created, *find_counts = finders[1:]
    find_followers, find_following, find_statuses = find_counts
    gone = paths.get("unavailable", ("",))[0]
    best_paths = [paths.get(field, ("",))[0] for field in FIELDS]  # one of several keys is none of an object
    best = itemgetter(*best_paths)

    def followed_user(raw: object) -> FollowedUser | None:  # noqa: C901 - a field a line
        if not isinstance(raw, dict):
            return None
        # Most users have each field at its best path: the others are looked up only if nothing is there.
        try:
            id_, name, handle, avatar, text, created, followers, following, statuses = best(raw)
        except KeyError:
            id_, name, handle, avatar, text, created, followers, following, statuses = map(raw.get, best_paths)
        if type(id_) is not str or not usable_id(id_):
            id_ = account_id(raw)
        if not name:
            name = find_name(raw)
        if not handle:
            handle = find_handle(raw)
        # Of an account that is unavailable, or has neither name nor handle, the API knows only that it is followed:
        # its other values are not those of the account.
        if not (name or handle) or raw.get(gone) is True:
            return FollowedUser(id_, None, None, None, None, None, None, None, None)
        if not avatar:
            avatar = find_avatar(raw)
        if not text:
            text = find_text(raw)
        if not created:
            created = find_created(raw)
        if type(followers) is not int:
            followers = find_followers(raw)
        if type(following) is not int:
            following = find_following(raw)
        if type(statuses) is not int:
            statuses = find_statuses(raw)
        return FollowedUser(id_, name, handle, avatar, text, created, followers, following, statuses)

    return followed_user


def _finder(field: str, paths: Sequence[str]) -> Callable[[Any], Any]:
    """Return a function of a JSON object that gives the first value of a field that says something."""
    if len(paths) == 1:
        return getter(paths[0])
    is_plain = not any("." in path for path in paths)
    getters = [getter(path) for path in paths]

    def find_count(raw: dict[str, object]) -> object:
        for value in map(raw.get, paths) if is_plain else (get(raw) for get in getters):
            if value is not None and type(value) is not bool:  # Twitter's own `following` is true or false
                return value
        return None

    def find(raw: dict[str, object]) -> object:
        empty = None
        for value in map(raw.get, paths) if is_plain else (get(raw) for get in getters):
            if value:
                return value
            if empty is None:
                empty = value
        return empty

    return find_count if field in _COUNTS else find
