"""Reads of the users on a page only the fields that become a row, where they are as nearly all are. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec

from kolspider.items import FollowedUser, usable_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Plain", "Users", "UsersReader", "ids_of"]

Plain = tuple[str, str, str, str, str, str, int, int, int]
"""The fields of FollowedUser, each as it should be: the id usable, no NUL in a text, the counts of 63 bits."""

_FIELDS = FollowedUser._fields
_BIO = _FIELDS.index("description")
_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_DIGITS = re.compile("[0-9]+").fullmatch
_NUL = re.compile(rb"\\u0000").search  # in half the time of `in`


class Users(Sequence[object]):
    """A list of users, of any JSON type or Unreadable, each read in full when it is asked for."""

    def __init__(self, texts: Callable[[], list[msgspec.Raw]], read: Callable[[bytes], object]) -> None:
        self._texts, self._read = texts, read
        self.ids: list[str | None] = []
        """The usable id of each, None for one without."""
        self.plain: Sequence[Plain | None] = []
        """The fields of each, None for one that takes a closer look."""

    @cached_property
    def texts(self) -> list[msgspec.Raw]:
        """The JSON of each."""
        return self._texts()

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, place: int) -> object:
        """Return one user, read in full."""
        return self._read(bytes(self.texts[place]))

    def __getitem__(self, place: Any) -> Any:
        return [*map(self.read, range(len(self))[place])] if isinstance(place, slice) else self.read(place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]  # as of a list


def ids_of(users: Sequence[object], account_id: Callable[[object], object]) -> list[str | None]:
    """Return the usable id of each user, None for one without."""
    return users.ids if isinstance(users, Users) else [usable_id(account_id(user)) for user in users]


class UsersReader:
    """Reads the answers of one API.

    path: where the users are in an answer.
    others: the paths of what else is read of an answer.
    fields: the paths of each field of a user.
    account_id: finds the id of any user.
    read: reads the JSON of one user in full, and never raises.
    """

    def __init__(
        self,
        path: str,
        others: Sequence[str],
        fields: Mapping[str, Sequence[str]],
        account_id: Callable[[object], object],
        read: Callable[[bytes], object],
    ) -> None:
        *self._outer, self._key = path.split(".")
        self._account_id, self._read = account_id, read
        keys = {name: fields[name][0] for name in _FIELDS if name in fields}
        keys |= {f"bio{n}": path.partition(".")[0] for n, path in enumerate(fields.get("description", ())[1:])}
        keys |= dict(zip(("gone",), fields.get("unavailable", ()), strict=False))
        self._can_read = _can_read(keys)
        if not self._can_read:
            return
        of_user = [(name, *_kind(name, len(fields.get(name, ())))) for name in keys]
        user: Any = msgspec.defstruct("User", of_user, rename=keys, gc=False)
        self._user = msgspec.json.Decoder(user).decode
        self._answer, self._raw_answer = (
            msgspec.json.Decoder(_answer_type(path, others, of)).decode for of in (user, msgspec.Raw)
        )
        self._bios = [attrgetter(name) for name in keys if name.startswith("bio")]
        self._gone = attrgetter("gone") if "gone" in keys else None

    def answer(self, body: bytes) -> object:
        """Return what is read of the JSON of an answer, with Users in it.

        Raises ValueError, KeyError or RecursionError for what is to be read in another way: what is no JSON, or has no
        list where the users are.
        """
        if not self._can_read:
            raise ValueError("a field of the users has no place of its own")
        if not body.isascii():
            body.decode()  # msgspec looks only at texts that it is asked for
        users = Users(lambda: self._around(self._raw_answer(body))[self._key], self._read)
        try:
            answer = self._answer(body)
            read = self._around(answer)[self._key]
        except msgspec.ValidationError:
            answer = self._raw_answer(body)
            users.texts = self._around(answer)[self._key]
            read = [self._of(text) for text in users.texts]
        users.plain = self._plain(read, has_nul=_NUL(body) is not None)
        users.ids = [
            one[0] if one else usable_id(self._account_id(users.read(place))) for place, one in enumerate(users.plain)
        ]
        self._around(answer)[self._key] = users
        return answer

    def _around(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the object that has the list of users."""
        for key in self._outer:
            answer = answer[key]
        return answer

    def _of(self, text: msgspec.Raw) -> Any:
        """Return the fields of a user; None if they are of other types."""
        try:
            return self._user(text)
        except ValueError:
            return None

    def _plain(self, users: Sequence[Any], *, has_nul: bool) -> Sequence[Plain | None]:
        """Return the fields of each user that is as nearly all are; None for the others, which are found by halves."""
        plain: list[Plain] = [*map(_fields, users)] if all(users) else []
        if len(plain) == len(users) and self._are_plain(users, plain, has_nul=has_nul):
            return plain
        if len(users) == 1:
            return [None]
        half = len(users) // 2
        return [*self._plain(users[:half], has_nul=has_nul), *self._plain(users[half:], has_nul=has_nul)]

    def _are_plain(self, users: Sequence[Any], plain: Sequence[Plain], *, has_nul: bool) -> bool:
        ids = [one[0] for one in plain]
        return bool(
            (not ids or (_DIGITS("".join(ids)) and min(ids) >= "1" and max(map(len, ids)) <= 20))
            and not (self._gone and any(map(self._gone, users)))
            and not any(
                bio(user) for user, one in zip(users, plain, strict=True) if not one[_BIO] for bio in self._bios
            )
            and not (has_nul and "\0" in "".join(chain.from_iterable(one[:6] for one in plain)))
        )


_fields = attrgetter(*_FIELDS)


def _answer_type(path: str, others: Sequence[str], user: Any) -> Any:
    """Return the type of an answer: a dict with the list of users at `path`, and what is at the head of other paths."""
    key, _, deeper = path.partition(".")
    heads = [(head, rest) for head, _, rest in (other.partition(".") for other in others)]
    inner = _answer_type(deeper, [rest for head, rest in heads if head == key], user) if deeper else list[user]
    keys = {head: object for head, _ in heads} | {key: inner}
    return TypedDict("_Answer", keys, total=False)  # type: ignore[operator]  # mypy wants it as a class


def _can_read(keys: Mapping[str, str]) -> bool:
    """Tell whether each field of a user is at a key of its own; one that is deeper in the user has none."""
    return {*_FIELDS} <= keys.keys() and len({*keys.values()}) == len(keys) and not any("." in k for k in keys.values())


def _kind(name: str, paths: int) -> tuple[Any, ...]:
    """Return the type of a field, and its default if nobody has to have it."""
    if name not in _FIELDS:
        return (object, None)
    if name.endswith("_count"):
        return (_Count,)
    is_needed = name == "screen_name" or (paths > 1 and name != "description")  # else it is looked for elsewhere
    return (_Text if is_needed else str,)
