"""An answer is unpacked up to the size of a page, whatever its encoding; what is larger is dropped."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from typing import TYPE_CHECKING

import brotli
import pytest
from scrapy import Request
from scrapy.http import Response, TextResponse
from scrapy.utils.test import get_crawler

from kolspider.crawl.unpacking import TOO_LARGE, UnpackMiddleware

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 8 * 1024 * 1024
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: bytes(brotli.compress(body, quality=1)),
    "zstd": zstd.compress,
}
URL = "https://api.example/x"


@pytest.fixture
def middleware() -> UnpackMiddleware:
    return UnpackMiddleware.from_crawler(get_crawler(settings_dict={"DOWNLOAD_MAXSIZE": LIMIT}))


def unpacked(middleware: UnpackMiddleware, body: bytes, encoding: str = "", *flags: str) -> Response:
    headers = {"Content-Encoding": encoding} if encoding else {}
    response = middleware.process_response(Request(URL), TextResponse(URL, body=body, headers=headers, flags=flags))
    assert isinstance(response, Response)
    return response


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_answer_is_unpacked_up_to_the_limit_and_no_further(middleware: UnpackMiddleware, encoding: str) -> None:
    pack = ENCODINGS[encoding]
    whole = unpacked(middleware, pack(bytes(LIMIT)), encoding)
    assert (whole.body, whole.flags) == (bytes(LIMIT), [])
    bomb = unpacked(middleware, pack(bytes(LIMIT + 1)), encoding)
    assert (bomb.body, bomb.flags) == (b"", [TOO_LARGE])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_answer_that_cannot_be_unpacked_is_an_empty_one(middleware: UnpackMiddleware, encoding: str) -> None:
    broken = unpacked(middleware, b"no such thing", encoding)
    assert (broken.body, broken.flags) == (b"", [])


@pytest.mark.parametrize("value", [{}, [], 1, "", {"a": []}])
def test_an_answer_of_more_values_than_a_page_has_is_dropped(middleware: UnpackMiddleware, value: object) -> None:
    assert unpacked(middleware, json.dumps([value] * 300_000).encode()).flags == [TOO_LARGE]
    page = json.dumps([value] * 10_000).encode()
    assert unpacked(middleware, page).body == page


@pytest.mark.parametrize(("values", "flags"), [(100_000, []), (100_001, [TOO_LARGE])])
def test_the_limit_of_values_is_within_it(middleware: UnpackMiddleware, values: int, flags: list[str]) -> None:
    assert unpacked(middleware, b"[" + b"1," * (values - 1) + b"1]").flags == flags


def test_what_is_stored_is_passed_on(middleware: UnpackMiddleware) -> None:
    body = b"[" + b"{}," * 300_000 + b"{}]"
    assert unpacked(middleware, body, "", "cached").body == body
