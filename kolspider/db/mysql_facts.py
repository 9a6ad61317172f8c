"""What MySQL's and MariaDB's error numbers mean for a run, and what their column types can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymysql.err import DataError, Error, IntegrityError, InterfaceError, InternalError

from kolspider.db.base import Column, DbErrorKind

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["INTEGER_BITS", "column", "error_code", "error_kind"]

# The server's numbers are in https://mariadb.com/kb/en/mariadb-error-codes/ and MySQL's error reference;
# 20xx are the client's. Other numbers are judged by PyMySQL's exception class, or fatal.
LOST: AbstractSet[int] = frozenset(
    {0, 2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2055}  # no connection, or it broke
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
BYTE_LIMITED = {"tinytext", "text", "mediumtext", "longtext"}


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


def column(facts: tuple[Any, ...]) -> Column:
    """Understand a row of information_schema.columns.

    VARCHAR limits characters; the TEXT types and columns without a character set limit bytes.
    """
    name, data_type, column_type, max_chars, max_octets, charset, is_nullable, default, extra = facts
    bits = INTEGER_BITS.get(data_type.lower())
    unsigned = "unsigned" in column_type.lower()
    in_bytes = data_type.lower() in BYTE_LIMITED or charset is None
    nullable = is_nullable.upper() == "YES"
    filled = default is not None or "auto_increment" in extra.lower() or "generated" in extra.lower()
    return Column(
        name=name.lower(),
        max_chars=None if in_bytes else max_chars,
        max_bytes=max_octets if in_bytes else None,
        int_min=None if bits is None else 0 if unsigned else -(2 ** (bits - 1)),
        int_max=None if bits is None else 2 ** (bits if unsigned else bits - 1) - 1,
        nullable=nullable,
        bmp_only=charset in {"utf8", "utf8mb3", "ucs2"},
        # The default of an ENUM is its first value.
        needs_value=not nullable and not filled and data_type.lower() != "enum",
    )
