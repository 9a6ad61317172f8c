"""Reads an answer that is whole but not quite JSON: NaN, a cut character, a raw control character, endless digits.

It is read twice, in such a way that the two readings differ wherever something can't be read, and only there. Pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kolspider.items import FollowedUser
from kolspider.providers.base import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kolspider.providers.base import Provider

__all__ = ["marked", "two_readings"]


def two_readings(body: bytes) -> Iterator[object]:
    """Yield both readings of `body`. Raises ValueError if it is cut off or no JSON at all."""
    for errors in ("surrogateescape", "replace"):  # for bytes that are not UTF-8
        text = body.decode("utf-8-sig", errors)
        try:
            yield json.loads(text, strict=False, parse_int=_whole_number, parse_constant=_not_a_number)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def marked(provider: Provider, user: object, again: object) -> object:
    """Return a user of the first reading, or an Unreadable if the second one differs in a field that is used.

    Raises RecursionError if the values are nested too deeply to be compared.
    """
    one, other = provider.followed_user(user), provider.followed_user(again)
    if one is None or other is None or one == other:
        return user
    fields = [name for name in FollowedUser._fields if getattr(one, name) != getattr(other, name)]
    return Unreadable(user, provider.account_id(user), ", ".join(fields))


def _whole_number(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts
        return _not_a_number(digits)


def _not_a_number(_: str) -> float:
    return float("nan")  # a new object each time: Python takes the same one for equal in lists and dicts
