"""What the double says when it refuses, in Doris's words and numbers."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["ACCESS_DENIED", "BAD_DATABASE", "DB_DENIED", "DorisError", "Hangup", "denied", "refuse", "syntax_error"]

UNKNOWN_ERROR = 1105
"""Nearly everything is this number (common/ErrorCode.java: ERR_UNKNOWN_ERROR)."""
DB_DENIED = 1044
ACCESS_DENIED = 1045
NO_DATABASE = 1046
BAD_DATABASE = 1049
SPECIFIC_DENIED = 1227

_SQLSTATES = {DB_DENIED: "42000", ACCESS_DENIED: "28000", NO_DATABASE: "3D000", BAD_DATABASE: "42000"}


class DorisError(Exception):
    """A refusal, as MySQL's protocol carries it."""

    def __init__(self, text: str, code: int = UNKNOWN_ERROR) -> None:
        super().__init__(text)
        self.text = text
        self.code = code

    @property
    def sqlstate(self) -> str:
        return _SQLSTATES.get(self.code, "HY000")


class Hangup(Exception):  # noqa: N818 - no error of Doris: the connection dies without a word
    """Drop the connection now, unanswered."""


def refuse(text: str, code: int = UNKNOWN_ERROR) -> NoReturn:
    """A refusal as Doris's front end words it."""
    raise DorisError(f"errCode = 2, detailMessage = {text}", code)


def syntax_error(text: str, sql: str, position: int) -> DorisError:
    """As nereids/exceptions/ParseException.java words it; lines count from 1, positions from 0."""
    before = sql[:position]
    line = before.count("\n") + 1
    column = position - (before.rfind("\n") + 1)
    return DorisError(f"errCode = 2, detailMessage = \n{text}(line {line}, pos {column})\n")


def denied(privilege: str) -> DorisError:
    """ERR_SPECIFIC_ACCESS_DENIED_ERROR of common/ErrorCode.java."""
    text = f"Access denied; you need (at least one of) the ({privilege}) privilege(s) for this operation"
    return DorisError(f"errCode = 2, detailMessage = {text}", SPECIFIC_DENIED)
