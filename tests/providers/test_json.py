"""The fast way to read JSON gives what json gives, wherever it gives anything."""

from __future__ import annotations

import json
from contextlib import suppress
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import example, given

from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.providers.base import Page
from kolspider.providers.described import _json
from kolspider.providers.refusals import NO_JSON
from kolspider.providers.users import Users, ids_of
from tests.wild import answers, pages, wildly


def slowly(body: bytes) -> object:
    def refuse(name: str) -> None:
        raise ValueError(name)

    with suppress(ValueError, RecursionError):
        return json.loads(body, parse_constant=refuse)
    return NO_JSON


@wildly
@example(b"[99999999999999999999, -9223372036854775809, 18446744073709551616, 9007199254740993.0, -0, -0.0, 1e-999]")
@example(b'{"a": 1, "b": 2, "a": {"a": 3, "a": 4}}')
@example(b'["\\ud83d\\ude80", "\\u0000", "\\/", "\x7f", "\xe2\x80\xa8"]')
@given(answers | pages.map(str.encode))
def test_what_msgspec_reads_is_what_json_reads(body: bytes) -> None:
    with suppress(ValueError, RecursionError):
        assert repr(msgspec.json.decode(body)) == repr(slowly(body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "\\ud800"}',
        b'["\\udc00\\ud83d"]',
        b'"\xed\xa0\x80"',
        b"1e999",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": "\u5e01"}'.encode("utf-16"),
        b"[NaN]",
        b"-Infinity",
        b"1" * 5000,
        b"[" * 100_000,
        b'{"a": 1} x',
        b'"\x01"',
        b"",
    ],
)
def test_json_reads_what_msgspec_refuses(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        msgspec.json.decode(body)
    assert repr(_json(body)) == repr(slowly(body))


API = provider("twitterapi_io")


def read_alike(body: bytes) -> Page | None:
    """Return the page that is read by its fields, if it is one, after a look at whether it is the one read in full."""
    quick = API.parse(200, body, "")
    with patch("kolspider.providers.users.UsersReader.answer", side_effect=ValueError):
        full = API.parse(200, body, "")
    if not isinstance(full, Page):
        assert quick == full
        return None
    assert isinstance(quick, Page)
    assert (repr([*quick.users]), quick.next_cursor, quick.more) == (repr(full.users), full.next_cursor, full.more)
    assert ids_of(quick.users, API.account_id) == ids_of(full.users, API.account_id)
    for place, plain in enumerate(quick.users.plain if isinstance(quick.users, Users) else ()):
        user = API.followed_user(full.users[place])
        if plain:
            assert repr(plain) == repr(tuple(user or ()))
            assert Mapper.map_plain(plain) == Mapper().map_user(user, None)
    return quick


@wildly
@given(answers | pages.map(str.encode))
def test_a_page_that_is_read_by_fields_is_the_page_that_is_read_in_full(body: bytes) -> None:
    read_alike(body)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("changes", "is_plain"),
    [
        ({}, True),
        *(({"id": id_}, False) for id_ in ("1,2", "0", "007", "", "1" * 21, "\u0663", "7 ", 7, None, "7\0")),
        ({"id": "1" * 20}, True),
        ({"name": "a\0b"}, False),
        ({"name": "", "description": ""}, True),
        ({"description": "", "profile_bio": {"description": "a bio"}}, False),
        ({"screen_name": "", "userName": "a"}, False),
        ({"unavailable": True}, False),
        ({"unavailable": False}, True),
        ({"followers_count": -1}, False),
        ({"followers_count": 2**63}, False),
        ({"statuses_count": "7"}, False),
        ({"created_at": None}, False),
    ],
)
def test_a_user_that_is_not_as_nearly_all_are_is_looked_at_alone(
    place: int, changes: dict[str, object], *, is_plain: bool
) -> None:
    answer = json.loads(API.sample)
    users = [answer["followings"][0] | {"id": str(number)} for number in (5, 6, 7)]
    users[place] |= changes
    page = read_alike(json.dumps(answer | {"followings": users}).encode())
    assert page
    assert isinstance(page.users, Users)
    assert [one is not None for one in page.users.plain] == [number != place or is_plain for number in range(3)]
