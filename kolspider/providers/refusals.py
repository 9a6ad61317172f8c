"""What an answer means that is not what was asked for, by its status, its texts and the signs of a failure. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kolspider.providers.base import ApiError, ApiErrorKind, one_line
from kolspider.providers.paths import getter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kolspider.providers.description import Errors

__all__ = ["NO_JSON", "Refusals", "json_type", "shown"]

# not_found is final for a KOL, so it counts only if it is not the caller's own account or key that is missing. The
# `user` in a path is not one.
_NOT_FOUND = re.compile(
    r"^(?!.*\b(?:your|keys?|tokens?)\b)(?:"
    r".*(?<!/)\b(?:user|account)\b(?!/).{0,60}?(?:\bnot|n['’]t|\bcannot) (?:be )?(?:found|exist)"
    r"|.*\b(?:user|account) (?:is )?unavailable|.*\bno (?:such )?user\b|.*\bfind (?:the |this )?user\b"
    r"|(?!.*\bapi\b).*\bsuspended)",
    re.IGNORECASE,
)
NO_JSON = object()
"""What stands for the JSON of a body that is none."""
_CLOUDFLARE = re.compile(rb"error code: ?(1[0-9]{3})|<title>[^<]*cloudflare", re.IGNORECASE)


class Refusals:
    """Reads the errors of one API."""

    def __init__(self, errors: Errors) -> None:
        self._errors = errors
        self._texts = [getter(path) for path in errors.texts]
        self._failed_if = [(path, getter(path), values) for path, values in errors.failed_if.items()]
        self._failed_unless = [(path, getter(path), values) for path, values in errors.failed_unless.items()]

    def in_200(self, answer: Mapping[str, object]) -> ApiError | None:
        """Return the failure that the JSON of a 200 tells of; None if it tells of none."""
        for path, get, values in self._failed_if:
            if _is_one_of(value := get(answer), values):
                return self._failure(path, value, answer, names_value=False)
        for path, get, values in self._failed_unless:
            if (value := get(answer)) is not None and not _is_one_of(value, values):
                return self._failure(path, value, answer, names_value=True)
        return None

    def other(self, status: int, body: bytes, answer: object, cursor: str) -> ApiError:
        """Return the error of an answer that is no 200. `answer` is the JSON in `body`, or NO_JSON."""
        if 300 <= status < 400:
            said = "not modified" if status == 304 else "redirected"
            return ApiError(ApiErrorKind.REDIRECTED, f"HTTP {status}: {said}")
        if status == 403 and answer is NO_JSON:
            return _blocked(body)
        texts = list(self._error_texts(answer))
        if meant := self._in_words(texts):
            return ApiError(meant[0], f"HTTP {status}: {meant[1]}")
        text = next((text for text in texts if status == 404 and _names_missing_user(text)), "")
        kind = ApiErrorKind.NOT_FOUND if text else self._kind(status, cursor)
        text = text or next(iter(texts), "")
        return ApiError(kind, f"HTTP {status}: {text}" if text else f"HTTP {status}")

    def _failure(self, path: str, value: object, answer: object, *, names_value: bool) -> ApiError:
        texts = [one_line(text) for text in self._error_texts(answer)]
        spoken = [*texts, value] if isinstance(value, str) else texts
        if meant := self._in_words(spoken):
            return ApiError(*meant)
        if text := next(filter(_names_missing_user, spoken), ""):
            return ApiError(ApiErrorKind.NOT_FOUND, text)
        told = f"{path} is {shown(value)}"
        text = texts[0] if texts else "no text"
        return ApiError(ApiErrorKind.ERROR_IN_200, f"{told}: {text}" if names_value or not texts else text)

    def _in_words(self, texts: Sequence[str]) -> tuple[ApiErrorKind, str] | None:
        for words, kind in self._errors.words.items():
            for text in texts:
                if words.lower() in text.lower():
                    return kind, text
        return None

    def _kind(self, status: int, cursor: str) -> ApiErrorKind:
        if cursor and status in self._errors.bad_cursor:
            return ApiErrorKind.BAD_CURSOR
        if kind := self._errors.statuses.get(status):
            return kind
        return ApiErrorKind.BAD_REQUEST if 400 <= status < 500 else ApiErrorKind.TRANSIENT

    def _error_texts(self, answer: object) -> Iterator[str]:
        """Yield the texts of an error, the most specific one first."""
        if not isinstance(answer, dict):
            return
        for get in self._texts:
            value = get(answer)
            parts = value if isinstance(value, list) else [value]
            if text := "; ".join(filter(None, map(_error_text, parts))):
                yield text


def json_type(value: object) -> str:
    """Return what a value is that is not what it should be."""
    return "missing or null" if value is None else type(value).__name__


def shown(value: object) -> str:
    """Return a value for a message, or what kind of value it is."""
    return repr(value) if isinstance(value, str | int | float) else json_type(value)


def _is_one_of(value: object, values: Sequence[object]) -> bool:
    """Tell whether a value is one of these: texts in any case, and true is not 1."""
    if isinstance(value, str):
        value = value.lower()
    return any(type(value) is type(one) and value == (one.lower() if isinstance(one, str) else one) for one in values)


def _names_missing_user(text: str) -> bool:
    return _NOT_FOUND.search(text.replace("_", " ")) is not None


def _blocked(body: bytes) -> ApiError:
    """Return the error for a 403 that is no JSON, as the API's own is."""
    found = _CLOUDFLARE.search(body)
    code = f", error code {found[1].decode()}" if found and found[1] else ""
    who = f"Cloudflare{code}, " if found else ""
    return ApiError(ApiErrorKind.BLOCKED, f"HTTP 403: {who}not the API's own answer")


def _error_text(part: object) -> str:
    """Return the text of a part of an error: it is a text, or an object with one, as for a faulty parameter."""
    if isinstance(part, dict):
        part = next((part[key] for key in ("msg", "message") if part.get(key) is not None), None)
    return part.strip() if isinstance(part, str) else ""
