"""Secrets are kept out of messages and answers; as a last resort, out of every log record as it is made.

A key is found however it is spelled: as it is, with NULs in between (which no row keeps), in JSON (also JSON within
JSON), in a URL, in HTML, in a repr, in hexadecimal, and in base64, alone or within something longer. A secret shorter
than 12 characters could be a part of any word or number, so it is only found as a word of its own, and not in
hexadecimal.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from base64 import b64encode, urlsafe_b64encode
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "NoRedirect",
    "fits_a_header",
    "passwords_of",
    "redact_logs",
    "redacted",
    "redacted_body",
    "without_password",
]

_LONG = 12
_HIDDEN = "***"
_SHORT_BODY = 5_000
"""Bytes of an answer in which everything is looked at: most that repeat a key are errors."""
_TEXT = rb'("[^"\\]*+(?:\\.[^"\\]*+)*+"?)?'
_JSON_TEXT = re.compile(rb'([^"]*+)' + _TEXT, re.DOTALL)
"""Matches a text in JSON and what is before it; one that is cut off has no end."""
_ESCAPED_TEXT = re.compile(rb'((?:[^"]*+"[^"\\]*+")*+[^"]*+)' + _TEXT, re.DOTALL)
"""The same, but texts without a backslash are before it."""
_ESCAPE, _NUL = rb"\u00", rb"\u0000"
_PASSWORD = re.compile(r"(://[^:/?#\s]*:).*@")
_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


class NoRedirect(HTTPRedirectHandler):
    """Takes a redirect for an error: it could take a key to another host, and what was posted would not go along."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """Return text with every secret replaced by `***`."""
    for secret in secrets:
        if secret:
            text = _Spellings.of(secret).hidden_in(text)
    return text


def redacted_body(body: bytes, secret: str) -> bytes:
    """Return an answer without the key, which a server may repeat in it. JSON stays JSON, with the same numbers.

    json.loads reads UTF-16 and UTF-32, too: such an answer becomes UTF-8 when it has the key.
    """
    if not secret:
        return body
    if not (encoding := json.detect_encoding(body)).startswith("utf-8"):
        try:
            text = body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            text = b""
        if (clean := _without(secret, text)) != text:
            return clean
    return _without(secret, body)


def _without(secret: str, body: bytes) -> bytes:
    """Return an answer in UTF-8 without the secret."""
    found, is_short = _Spellings.of(secret), len(body) < _SHORT_BODY
    signs = found.signs_in(body)
    if not is_short and not signs:
        return body
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in {b"{", b"[", b'"'}:
        return found.replaced_in(body)
    sign = re.compile(b"" if is_short else b"|".join(map(re.escape, signs)))

    def clean(match: re.Match[bytes]) -> bytes:
        before, text = match.groups(b"")
        return before + (found.out_of(text) if sign.search(text) else text)

    body = (_ESCAPED_TEXT if signs == [_ESCAPE] and not is_short else _JSON_TEXT).sub(clean, body)
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return found.replaced_in(body)  # not JSON after all
    return body


def without_password(url: str) -> str:
    """Return a URL without the password in it, whatever that is."""
    return _PASSWORD.sub(rf"\1{_HIDDEN}@", url)


def passwords_of(url: str) -> tuple[str, ...]:
    """Return the password of a URL, as it is spelled there and as it is."""
    spelled = urlsplit(url).password
    return (spelled, unquote(spelled)) if spelled else ()


def fits_a_header(key: str) -> bool:
    """Whether an HTTP header can carry the key: printable ASCII without blanks."""
    return all("!" <= character <= "~" for character in key)


def redact_logs(*secrets: str) -> None:
    """Scrub these secrets from the message and the traceback of every log record made from now on."""
    make = logging.LogRecord

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        message = record.getMessage()
        if (scrubbed := redacted(message, secrets)) != message:
            record.msg, record.args = scrubbed, ()
        if record.exc_info and record.exc_info[0]:
            text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            record.exc_text = redacted(text, secrets)  # a Formatter prints it instead of exc_info
        return record

    logging.setLogRecordFactory(factory)


class _Spellings:
    """What a secret can look like."""

    def __init__(self, secret: str) -> None:
        is_long = len(secret) >= _LONG
        encoded = [*(_in_hex(secret) if is_long else ()), *_in_base64(secret, inside=is_long)]
        texts = ["\0*".join(map(_one_of, secret)), *map(re.escape, encoded)]
        either = "|".join(texts)
        self._either = either if is_long else rf"(?<!\w)(?:{either})(?!\w)"
        self._plain = (secret, *encoded)
        # No other encoder but \u00XX changes these characters, so the longest run of them is in every other spelling.
        part = max(re.findall(r"[\w.~-]*", secret), key=len)
        self._signs = {text.encode() for text in (part, *encoded)}
        codes = "|".join({f"{ord(char):02x}" for char in secret})
        self._escape = re.compile(rf"\\u00(?i:{codes})".encode())

    @staticmethod
    @lru_cache(16)
    def of(secret: str) -> _Spellings:
        return _Spellings(secret)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches each spelling. A long key takes 10 ms to compile, and most runs never need it."""
        return re.compile(self._either)

    def hidden_in(self, text: str) -> str:
        """Return a text without the secret."""
        # What _one_of adds to the characters themselves has one of these in it.
        if not any(sign in text for sign in ("\\", "%", "&", "\0", *self._plain)):
            return text
        return self.pattern.sub(_HIDDEN, text)

    def signs_in(self, body: bytes) -> list[bytes]:
        """Return what calls for a look at a text: nearly no page has any of it, and each has 150 KB."""
        signs = [sign for sign in self._signs if sign in body]
        if _ESCAPE not in body:
            return signs
        bare = body.replace(_NUL, b"")  # which may stand between any two characters of the secret
        is_escaped = self._escape.search(bare) or (len(bare) < len(body) and any(sign in bare for sign in self._signs))
        return [*signs, _ESCAPE] if is_escaped else signs

    def out_of(self, typed: bytes) -> bytes:
        """Return a text of JSON without the secret; the same one if it is not there."""
        try:
            text = json.loads(typed, strict=False)
        except ValueError:  # cut off, or no UTF-8
            return self.replaced_in(typed)
        clean = self.pattern.sub(_HIDDEN, text)
        return typed if clean == text else json.dumps(clean).encode()

    def replaced_in(self, raw: bytes) -> bytes:
        return self.pattern.sub(_HIDDEN, raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _one_of(char: str) -> str:
    """Return a pattern of the ways in which a character can be written. A letter is only ever encoded by its number."""
    code, number = f"(?i:{ord(char):02x})", ord(char)
    back = r"\\{1,8}"  # JSON in JSON doubles them; without a bound, a long run of them would take for ever
    ways = [re.escape(char), f"{back}u00{code}", f"{back}x{code}", f"%(?:25){{0,3}}{code}"]
    ways += [f"&#0{{0,6}}{number};", f"&#[xX]0{{0,6}}{code};"]
    if not char.isalnum():
        ways.append(f"{back}{re.escape(char)}")
    if char in _ENTITIES:
        ways.append(f"&{_ENTITIES[char]};")
    return f"(?:{'|'.join(ways)})"


def _in_hex(secret: str) -> tuple[str, str]:
    digits = secret.encode().hex()
    return digits, digits.upper()


def _in_base64(secret: str, *, inside: bool) -> Iterator[str]:
    """Yield what base64 makes of the secret: alone or as half of a Basic login; inside: of any text around it."""
    for encode in (b64encode, urlsafe_b64encode):
        for text in () if inside else (secret, f"{secret}:", f":{secret}"):
            yield encode(text.encode()).decode().rstrip("=")
        for offset in (0, 1, 2) if inside else ():
            core = encode(bytes(offset) + secret.encode()).decode()
            yield core[offset + (offset > 0) : (offset + len(secret.encode())) * 8 // 6]
