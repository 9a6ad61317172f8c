"""The input of every contestant: lists of followings as complete API answers, one file per page.

The profiles are the sandbox's, but only those that a plain mapping takes as they are. So all contestants must have the
same rows in the end, and no contestant is slower because it handles rare ugly values that others do not. Accounts are
drawn from a common pool, and about 40% of the users read are different ones. An id always has the same profile, so it
does not matter which duplicate is written last.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from kolspider.sandbox import CONTRACTS, entry
from kolspider.sandbox.answers import json_answer
from kolspider.sandbox.world import ListPage, Position, encode_cursor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PAGE_SIZE", "Input", "Row", "build", "row_of"]

PAGE_SIZE = 200
_API = CONTRACTS["twitterapi_io"]
_POOL = 0.45
"""The size of the pool for each user read, so that about 40% of the users read are different ones."""
_LONG = 1000
"""The longest description in characters. Twitter's are far shorter, but the sandbox has longer ones."""
_TEXTS = ("name", "screen_name", "profile_image_url_https", "description", "created_at")
_COUNTS = ("followers_count", "following_count", "statuses_count")

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Input:
    """The pages in a folder, whose `index.json` lists KOL, cursor and file name; and the expected rows by id."""

    folder: Path
    kols: list[str]
    pages: int
    users: int
    size: int
    """The bytes of JSON in all pages."""
    rows: dict[str, Row]


def build(folder: Path, kols: int, users: int, *, repeats: bool = True) -> Input:
    """Write the pages of `kols` lists of about `users` users each; the same numbers give the same pages.

    repeats: whether an account may be on several lists.
    """
    folder.mkdir(parents=True)
    chance = random.Random(20250111)
    indices = _plain_indices()
    pool = list(islice(indices, max(int(_POOL * kols * users), 2 * users) if repeats else 0))
    names = [f"kol_{number:04}" for number in range(kols)]
    index: list[tuple[str, str, str]] = []
    rows: dict[str, Row] = {}
    size = total = 0
    for name in names:
        length = chance.randint(2, 2 * users - 2)
        followed = chance.sample(pool, length) if repeats else list(islice(indices, length))
        total += len(followed)
        for cursor, page in _pages(name, followed):
            body = json_answer(200, _API.listing(_API.page(page))).body
            size += len(body)
            file = f"{len(index):06}.json"
            (folder / file).write_bytes(body)
            index.append((name, cursor, file))
            for user in page.users:
                row = row_of(user)
                rows[row[0]] = row
    (folder / "index.json").write_text(json.dumps(index))
    return Input(folder, names, len(index), total, size, rows)


def _pages(name: str, followed: list[int]) -> Iterator[tuple[str, ListPage]]:
    cursor = ""
    for number, start in enumerate(range(0, len(followed), PAGE_SIZE), 1):
        end = min(start + PAGE_SIZE, len(followed))
        left = len(followed) - end
        following = encode_cursor(name, Position(number + 1, end, left)) if left else ""
        yield cursor, ListPage([entry(i) for i in followed[start:end]], following, cursor, "")
        cursor = following


def _plain_indices() -> Iterator[int]:
    return (index for index in count() if _is_plain(entry(index)))


def _is_plain(user: Any) -> bool:
    """Whether a mapping without special cases gets every column of this user right."""
    return (
        isinstance(user.get("id"), str)
        and all(isinstance(user.get(key), str) and _storable(user[key]) for key in _TEXTS)
        and all(type(user.get(key)) is int and 0 <= user[key] < 2**63 for key in _COUNTS)
        and len(user["description"]) <= _LONG
        and user["created_at"][20:25] == "+0000"
        and not user["created_at"].startswith("Thu Feb 30")
    )


def _storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def row_of(user: Any) -> Row:
    """The expected row of a plain user, in the order of the columns."""
    created = datetime.strptime(user["created_at"], "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
    return (
        user["id"],
        user["name"],
        user["screen_name"],
        user["profile_image_url_https"],
        user["description"],
        user["created_at"],
        f"{created:%Y-%m-%d %H:%M:%S}",
        user["followers_count"],
        user["following_count"],
        user["statuses_count"],
    )
