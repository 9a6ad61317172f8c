"""Reads of the users on a page only the fields that become a row, where they are as nearly all are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

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
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode


class Users(Sequence[object]):
    """A list of users, of any JSON type or Unreadable, each read in full when it is asked for."""

    def __init__(self, text: msgspec.Raw, read: Callable[[bytes], object]) -> None:
        self._text, self._read = text, read
        self.ids: list[str | None] = []
        """The usable id of each, None for one without."""
        self.plain: list[Plain | None] = []
        """The fields of each, None for one that takes a closer look."""

    @cached_property
    def texts(self) -> list[msgspec.Raw]:
        """The JSON of each."""
        return _list(self._text)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: Any) -> Any:
        found = self.texts[place]
        return self._read(bytes(found)) if isinstance(found, msgspec.Raw) else [self._read(bytes(one)) for one in found]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]  # as of a list


def ids_of(users: Sequence[object], account_id: Callable[[object], object]) -> list[str | None]:
    """Return the usable id of each user, None for one without."""
    return users.ids if isinstance(users, Users) else [usable_id(account_id(user)) for user in users]


class UsersReader:
    """Reads the answers of one API.

    path: where the users are in an answer.
    fields: the paths of each field of a user.
    account_id: finds the id of any user.
    read: reads the JSON of one user in full, and never raises.
    """

    def __init__(
        self,
        path: str,
        fields: Mapping[str, Sequence[str]],
        account_id: Callable[[object], object],
        read: Callable[[bytes], object],
    ) -> None:
        self._path = path.split(".")
        self._account_id, self._read = account_id, read
        keys = {name: fields[name][0] for name in _FIELDS if name in fields}
        keys |= {f"bio{n}": path.partition(".")[0] for n, path in enumerate(fields.get("description", ())[1:])}
        keys |= dict(zip(("gone",), fields.get("unavailable", ()), strict=False))
        self._can_read = _can_read(keys)
        if not self._can_read:
            return
        of_user = [(name, *_kind(name, len(fields.get(name, ())))) for name in keys]
        user: Any = msgspec.defstruct("User", of_user, rename=keys, gc=False)
        self._user, self._users = msgspec.json.Decoder(user).decode, msgspec.json.Decoder(list[user]).decode
        self._bios = [attrgetter(name) for name in keys if name.startswith("bio")]
        self._gone = attrgetter("gone") if "gone" in keys else None

    def answer(self, body: bytes) -> dict[str, Any]:
        """Return the JSON of an answer, with Users in it.

        Raises ValueError, KeyError or RecursionError for what is to be read in another way: what is no JSON, or has no
        list where the users are.
        """
        if not self._can_read:
            raise ValueError("a field of the users has no place of its own")
        if not body.isascii():
            body.decode()  # msgspec looks only at texts that it is asked for
        return self._around(body, b"\\u0000" in body, *self._path)

    def _around(self, text: bytes | msgspec.Raw, has_nul: bool, key: str, *deeper: str) -> dict[str, Any]:
        fields = _object(text)
        inner = fields.pop(key)
        around = {name: _value(field) for name, field in fields.items()}
        around[key] = self._around(inner, has_nul, *deeper) if deeper else self._list(inner, has_nul)
        return around

    def _list(self, text: msgspec.Raw, has_nul: bool) -> Users:
        """Return the users; nearly all lists can be read at once, the others one by one."""
        users, fields, gone = Users(text, self._read), _fields, self._gone
        try:
            read: Sequence[Any] = self._users(text)
        except ValueError:
            read = [self._plain(one) for one in users.texts]
        for user in read:
            found: Plain | None = user and fields(user)
            if (
                found
                and (id_ := found[0]).isdigit()
                and id_[0] != "0"
                and len(id_) <= 20
                and id_.isascii()
                and not (gone and gone(user))
                and (found[_BIO] or not any(bio(user) for bio in self._bios))
                and not (has_nul and "\0" in "".join(found[:6]))
            ):
                users.ids.append(id_)
                users.plain.append(found)
            else:
                users.ids.append(usable_id(self._account_id(users[len(users)])))
                users.plain.append(None)
        return users

    def _plain(self, text: msgspec.Raw) -> Any:
        try:
            return self._user(text)
        except ValueError:
            return None


_fields = attrgetter(*_FIELDS)


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
