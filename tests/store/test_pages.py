"""A page's body: what is damaged is None, and what there is no memory for is not damaged."""

from __future__ import annotations

import os
import sys

import pytest

from kolspider.store import pages
from kolspider.store.pages import unpack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY = os.urandom(2000) + b'{"followings": []}' * 50
PACKED = zstd.compress(BODY, options={zstd.CompressionParameter.checksum_flag: 1})


def test_a_body_is_what_was_packed() -> None:
    assert unpack(PACKED) == BODY
    assert unpack(zstd.compress(b"")) == b""


def test_a_flipped_bit_anywhere_is_damage() -> None:
    for at in range(len(PACKED)):
        damaged = bytearray(PACKED)
        damaged[at] ^= 1 << at % 8
        assert unpack(bytes(damaged)) in {None, BODY}, at
    assert unpack(PACKED[:-1]) is None


@pytest.mark.parametrize("body", [None, "text", b"", b"no page"])
def test_what_is_no_body_is_damage(body: object) -> None:
    assert unpack(body) is None


def test_a_size_that_no_page_has_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_LARGEST", len(BODY) - 1)
    assert unpack(PACKED) is None


@pytest.mark.parametrize(
    "error", [MemoryError(), zstd.ZstdError("Unable to ...: Allocation error : not enough memory")]
)
def test_low_memory_is_no_damage(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def no_room(_: bytes) -> bytes:
        raise error

    monkeypatch.setattr(zstd, "decompress", no_room)
    with pytest.raises(MemoryError):
        unpack(PACKED)
