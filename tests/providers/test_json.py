"""The fast way to read JSON gives what json gives, wherever it gives anything."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import example, given

from kolspider.providers.described import _json
from kolspider.providers.refusals import NO_JSON
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
