"""What MySQL's and MariaDB's error numbers mean for a run, and what their column types can hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymysql.err import DataError, Error, IntegrityError, InterfaceError, InternalError

from kolspider.db.base import Charset, Column, DbErrorKind, Fill, Form

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

__all__ = [
    "BYTES",
    "EXACT_IN_DOUBLE",
    "INTEGER_BITS",
    "Definition",
    "charset_that_holds",
    "column",
    "error_code",
    "error_kind",
    "known_charset",
]

BYTES = Charset("binary")
"""Of columns without a charset: they hold UTF-8 as it comes."""

# The server's numbers are in https://mariadb.com/kb/en/mariadb-error-codes/ and MySQL's error reference;
# 20xx are the client's. Other numbers are judged by PyMySQL's exception class, or fatal.
LOST: AbstractSet[int] = frozenset(
    {2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2055}  # no connection, or it broke
    | {1040, 1203, 1226, 1637}  # too many connections, queries or transactions
    | {1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031}  # shutting down, hung up on us
    | {1020, 1180, 1205, 1206, 1213, 1317, 1412, 1969, 3024, 3101}  # lock wait, deadlock, killed, "try again"
    | {1021, 1026, 1114, 1037, 1038, 1041}  # disk or memory full
    | {1047, 1290, 1792, 1836, 3032, 3168, 9001}  # read-only, offline, not ready: a cluster during failover
)
REFUSED: AbstractSet[int] = frozenset(
    {1048, 1062, 1264, 1265, 1292, 1366, 1406, 1411, 1690}  # null, duplicate, range, format, length
    | {1216, 1452, 1526, 1644, 3819, 4025}  # foreign key, no partition, a trigger's SIGNAL, CHECK
    | {1118, 1153}  # too big a row, too big a packet
)

INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64, "largeint": 128}
_BYTE_LIMITED = {"tinytext", "text", "mediumtext", "longtext"}
_BYTES = {"varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
"""Types without a charset that give a text back as it was; BINARY pads it."""
EXACT_IN_DOUBLE = 2**53
"""Whole numbers up to it are exact in a DOUBLE."""
_TEXT = frozenset(Form)
"""A column of text takes numbers and moments, too, as their text."""
_NUMBER = frozenset({Form.NUMBER})
_MOMENT = frozenset({Form.MOMENT})
_NOTHING: frozenset[Form] = frozenset()
TIMESTAMP_MIN, TIMESTAMP_MAX = "1970-01-01 00:00:01", "2038-01-19 03:14:07"
_MAKES_DISTINCT = re.compile(r"uuid\(\)|uuid_short\(\)|sys_guid\(\)|nextval\(.*\)", re.IGNORECASE)
_GENERATED = re.compile(r"\b(virtual|stored|persistent)\b", re.IGNORECASE)
_JSON = re.compile(r"\bjson_valid\(`((?:[^`]|``)+)`\)", re.IGNORECASE)
_CHECK = re.compile(r"\bCHECK\s*\(", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^'\\]|''|\\.)*'")

_WHOLE_UNICODE = {"utf8mb4": (1, None), "utf16": (2, 4), "utf16le": (2, 4), "utf32": (4, 4)}
_BMP = {"utf8": (1, None), "utf8mb3": (1, None), "ucs2": (2, 2)}
_ABOVE_BMP = "[\U00010000-\U0010ffff]"


def error_code(exc: BaseException) -> int | None:
    """Return the server's or PyMySQL's number for an error, if it has one."""
    code = exc.args[0] if isinstance(exc, Error) and exc.args else None
    return code if isinstance(code, int) else None


def error_kind(exc: BaseException) -> DbErrorKind:
    """Judge an exception by its number and class."""
    code = error_code(exc)
    if code in LOST or isinstance(exc, OSError | InterfaceError):
        return DbErrorKind.LOST
    if code is None and isinstance(exc, InternalError):  # a packet out of sequence; PyMySQL has hung up
        return DbErrorKind.LOST
    # UnicodeError: the driver can't encode half a surrogate pair.
    if code in REFUSED or isinstance(exc, DataError | IntegrityError | UnicodeError):
        return DbErrorKind.REFUSED
    return DbErrorKind.FATAL


def known_charset(name: str, collation: str) -> Charset | None:
    """Return a Unicode charset; None for others, whose characters the server tells."""
    if name in _WHOLE_UNICODE:
        return Charset(name, collation, "", *_WHOLE_UNICODE[name])
    if name in _BMP:
        return Charset(name, collation, _ABOVE_BMP, *_BMP[name])
    return None


def charset_that_holds(name: str, collation: str, held: str, widest: int) -> Charset:
    """Return a charset with these characters and no other, of which the widest takes this many bytes."""
    ranges, begin = [], 0
    for code in (*sorted(map(ord, held)), 0x110000):
        if code > begin:
            ranges.append((begin, code - 1))
        begin = code + 1
    unheld = "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in ranges)
    return Charset(name, collation, f"[{unheld}]", 1, widest)


@dataclass(frozen=True, slots=True)
class Definition:
    """What SHOW CREATE TABLE says beyond information_schema."""

    has_checks: bool = False
    json: frozenset[str] = frozenset()
    """Columns in which MariaDB takes JSON only: it lists them as LONGTEXT."""

    @classmethod
    def of(cls, ddl: str) -> Definition:
        """Read the DDL of a table, or nothing."""
        json = frozenset(name.replace("``", "`").lower() for name in _JSON.findall(ddl))
        return cls(bool(_CHECK.search(_QUOTED.sub("", ddl))), json)


def column(facts: Sequence[Any], charset: Charset | None, *, mariadb: bool, definition: Definition) -> Column:
    """Understand a row of information_schema.columns.

    VARCHAR limits characters; the TEXT types and columns without a character set limit bytes.
    """
    name, data_type, column_type, max_chars, max_octets, default, is_nullable, extra, digits, decimals = facts
    name, kind = name.lower(), data_type.lower()
    takes, lowest, highest = _numbers(kind, column_type.lower(), digits, decimals)
    if name in definition.json:
        takes = _NOTHING
    elif kind in {"varchar", "char"} | _BYTE_LIMITED | _BYTES:
        takes = _TEXT
    elif kind in {"datetime", "timestamp"}:
        takes = _MOMENT
    nullable = is_nullable.upper() == "YES"
    generated = _GENERATED.search(extra) is not None
    fill = _fill(default, extra, generated=generated, mariadb=mariadb)
    in_bytes = kind in _BYTE_LIMITED or charset is None
    of_text = f" CHARACTER SET {charset.name} COLLATE {charset.collation}" if charset else ""
    return Column(
        name=name,
        type=f"{column_type}{of_text}",
        takes=takes,
        max_chars=None if in_bytes else max_chars,
        max_bytes=max_octets if in_bytes else None,
        int_min=lowest,
        int_max=highest,
        moment_min=TIMESTAMP_MIN if kind == "timestamp" else None,
        moment_max=TIMESTAMP_MAX if kind == "timestamp" else None,
        charset=charset or BYTES,
        drops_spaces=kind == "char",
        nullable=nullable,
        # The default of an ENUM is its first value.
        needs_value=not nullable and default is None and fill is Fill.NULL and kind != "enum",
        fill=fill,
        generated=generated,
    )


def _numbers(
    kind: str, column_type: str, digits: int | None, decimals: int | None
) -> tuple[frozenset[Form], int | None, int | None]:
    """Return whether a type takes whole numbers, the lowest and the highest one."""
    unsigned = "unsigned" in column_type
    if bits := INTEGER_BITS.get(kind):
        return _NUMBER, 0 if unsigned else -(2 ** (bits - 1)), 2 ** (bits if unsigned else bits - 1) - 1
    if kind == "decimal" and digits is not None:
        largest = 10 ** (digits - (decimals or 0)) - 1
        return _NUMBER, 0 if unsigned else -largest, largest
    if kind == "double" and decimals is None:  # FLOAT is shown with six digits
        return _NUMBER, 0 if unsigned else -EXACT_IN_DOUBLE, EXACT_IN_DOUBLE
    return _NOTHING, None, None


def _fill(default: str | None, extra: str, *, generated: bool, mariadb: bool) -> Fill:
    """Tell what an INSERT without the column puts there. MariaDB shows NULL as a text, and texts in quotes."""
    if "auto_increment" in extra.lower():
        return Fill.DISTINCT
    if generated:
        return Fill.OTHER
    if default is None or (mariadb and default.upper() == "NULL"):
        return Fill.NULL
    is_expression = mariadb or "default_generated" in extra.lower()
    return Fill.DISTINCT if is_expression and _MAKES_DISTINCT.fullmatch(default) else Fill.OTHER
