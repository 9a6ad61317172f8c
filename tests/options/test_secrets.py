"""A key is found in whatever an API may make of it, and what only looks a little like it stays."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolspider.options.secrets import redact_logs, redacted, redacted_body, without_password
from tests.wild import wildly

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = ["Zq7Xv9Kp2Wm4Tb6Rn8YcLd3Hs5Jg", "Zq7/Xv9&Kp2\"Wm4\\Tb6'Rn8+<8>", "Qz7", "q/7"]
PADDING = {"followings": [{"id": str(10**12 + n), "name": "x" * 40} for n in range(200)]}
"""What makes an answer a page, of which only what may matter is looked at."""


def spellings(key: str) -> Iterator[str]:
    """The key as text, in each way in which an encoder writes it."""
    yield key
    whole = quote(key, safe="")
    yield from (
        whole,
        quote(key),
        quote_plus(key),
        quote(whole, safe=""),
        re.sub("%..", lambda code: code[0].lower(), whole),
    )
    yield from (html.escape(key), repr(key), ascii([key]))
    yield from (json.dumps(key), json.dumps(json.dumps(key)), json.dumps(key).replace("/", r"\/"))
    yield "".join(f"\\u{ord(char):04x}" for char in key)
    yield "\0".join(key)
    yield f"{key[:3]}\0\0{key[3:]}"
    yield from (key.encode().hex(), key.encode().hex().upper()) if len(key) > 11 else ()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield from (encode(text.encode()).decode() for text in (key, f"{key}:", f":{key}"))
        yield from (encode(f"{'u' * n}:{key}:x".encode()).decode() for n in range(3) if len(key) > 11)


def unescaped(body: bytes) -> list[str]:
    """The body, and all texts of its JSON."""
    text = body.decode()
    texts = [text]

    def collect(value: object) -> object:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list | dict):
            for part in [*value, *(value.values() if isinstance(value, dict) else ())]:
                collect(part)
        return value

    collect(json.loads(text))
    return texts


def by_number(key: str) -> Iterator[str]:
    """The key with every character encoded, which no encoder does to letters."""
    for form in ("&#{};", "&#0{};", "&#x{:X};", "%{:02X}", "\\x{:02x}"):
        yield "".join(form.format(ord(char)) for char in key)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("padding", [{}, PADDING], ids=["error", "page"])
def test_no_spelling_of_the_key_is_left_in_an_answer(key: str, padding: dict[str, object]) -> None:
    for spelling in [*spellings(key), *([] if padding else by_number(key))]:
        for raw in (json.dumps, lambda text: json.dumps(text).replace("/", r"\/"), every_character_escaped):
            if padding and raw is every_character_escaped and spelling != key:
                continue
            text = raw(f"the key {spelling} is no good")
            body = json.dumps({**padding, "msg": "HERE"}).replace('"HERE"', text).encode()
            clean = redacted_body(body, key)
            assert json.loads(clean) == json.loads(body) | {"msg": json.loads(clean)["msg"]}
            assert "***" in json.loads(clean)["msg"], (spelling, text)
            assert not [found for found in unescaped(clean) if key in found or spelling in found]


def every_character_escaped(text: str) -> str:
    return '"' + "".join(f"\\u{ord(char):04X}" for char in text) + '"'


@pytest.mark.parametrize("key", KEYS)
def test_what_is_no_json_is_cleaned_too(key: str) -> None:
    for spelling in spellings(key):
        assert redacted_body(f"<p>no such key: {spelling} </p>".encode(), key).startswith(b"<p>no such key: ")
        assert spelling not in redacted_body(f"<p>no such key: {spelling} </p>".encode(), key).decode()
        cut_off = redacted_body(f'{{"msg": "no such key: {key} \xff'.encode("latin-1"), key)
        assert key.encode() not in cut_off
        assert cut_off.endswith(b" \xff")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_the_key_is_found_in_every_encoding_that_json_is_read_in(encoding: str) -> None:
    for padding in ({}, PADDING):
        body = json.dumps({**padding, "name": "币 \ud800", "msg": f"the key {KEYS[0]} is no good"}, ensure_ascii=False)
        raw = body.encode(encoding, "surrogatepass")
        assert json.loads(redacted_body(raw, KEYS[0])) == json.loads(body) | {"msg": "the key *** is no good"}
        assert redacted_body(raw, "another-key-0123456789") == raw


def test_a_long_key_is_found_inside_a_word_and_a_short_one_is_not() -> None:
    long, short = KEYS[0], "id"
    assert redacted_body(json.dumps(f"x{long}x").encode(), long) == b'"x***x"'
    body = json.dumps({"id_str": "1", "hidden": "idea, did", "n": 12}).encode()
    assert redacted_body(body, short) == body
    assert redacted_body(b'{"msg": "key id\\n"}', short) == b'{"msg": "key ***\\n"}'


def test_numbers_stay_numbers() -> None:
    body = b'{"followers": 1234, "msg": "1234 and 12345"}'
    assert json.loads(redacted_body(body, "1234")) == {"followers": 1234, "msg": "*** and 12345"}


def test_a_page_with_nul_and_without_the_key_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"users": [{"name": "a\0b"}], **PADDING}).encode()
    monkeypatch.setattr(json, "loads", None)
    assert redacted_body(body, KEYS[0]) is body


def test_an_answer_without_the_key_is_the_same_bytes() -> None:
    body = json.dumps({**PADDING, "name": '币 é &/"\\'}, indent=1).encode()
    for key in (*KEYS, ""):
        assert redacted_body(body, key) is body or redacted_body(body, key) == body
        assert redacted_body(b"\xff\xfe{", key) == b"\xff\xfe{"


@given(st.binary(max_size=60), st.sampled_from(KEYS), st.sampled_from([b"", b"{", b'"', b'{"a": "\\']))
@wildly
def test_any_bytes_around_a_key_lose_it(around: bytes, key: str, start: bytes) -> None:
    raw = json.dumps(key)[1:-1].encode()
    clean = redacted_body(start + around + b" " + raw + b" " + around, key)
    assert b" " + raw + b" " not in clean


@pytest.mark.parametrize("run", ["\\", "%25", "&#0", "\\u00", '"'])
def test_what_only_begins_like_a_spelling_takes_no_longer(run: str) -> None:
    around = run * 20_000
    for key in KEYS:
        assert key.encode() not in redacted_body(f"{around} {key} {around}".encode(), key)
        assert key.encode() not in redacted_body(f'{{"{around} {key} {around}'.encode(), key)


@pytest.mark.parametrize("key", KEYS)
def test_texts_lose_the_key_in_any_spelling(key: str) -> None:
    for spelling in spellings(key):
        assert redacted(f"got {spelling} back", (key,)) in {
            f"got {before}***{after} back" for before, after in [("", ""), *surroundings(spelling)]
        }
    assert redacted(f"got {key} back", ("", "other", key)) == "got *** back"


def surroundings(spelling: str) -> list[tuple[str, str]]:
    return [(spelling[:n], spelling[len(spelling) - m :]) for n in range(8) for m in range(8)]


def test_a_url_loses_its_password_however_short() -> None:
    assert without_password("KOL_DB_URL=mysql://kol:p@h:1/db?x=1") == "KOL_DB_URL=mysql://kol:***@h:1/db?x=1"
    assert without_password("KOL_DB_URL=mysql://kol:p:@/@h/db") == "KOL_DB_URL=mysql://kol:***@h/db"
    assert without_password("KOL_CACHE_DIR=/a:b") == "KOL_CACHE_DIR=/a:b"
    assert without_password("KOL_DB_URL=sqlite:////a/b@c.db") == "KOL_DB_URL=sqlite:////a/b@c.db"


def test_a_traceback_in_the_log_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "_logRecordFactory", logging.getLogRecordFactory())
    redact_logs(KEYS[0])
    try:
        raise ValueError(f"the key {KEYS[0]} is no good")
    except ValueError:
        record = logging.getLogger().makeRecord("n", logging.ERROR, "f", 1, "it is %s", (KEYS[0],), sys.exc_info())
    text = logging.Formatter().format(record)
    assert text.startswith("it is ***\nTraceback")
    assert KEYS[0] not in text
    assert "the key *** is no good" in text
