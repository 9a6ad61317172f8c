"""What a value becomes in a column, or why a row is filtered: Doris's limits, in bytes and in range.

The reasons are those of the BE's tablet sink validation (vtablet_block_convertor.cpp): "the length of input is too
long than schema. first 32 bytes of input str: …", "null value for not null column, type=…".
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.doris_double.tables import INTEGER_BITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doris_double.tables import Column

__all__ = ["BadValue", "converter"]

STRING_LIMIT = 1_048_576
"""string_type_length_soft_limit_bytes of be.conf, its default."""
_DATETIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(\.\d{1,6})?)?")
_INTEGER = re.compile(r"\s*[+-]?\d+\s*")


class BadValue(Exception):  # noqa: N818 - it is the value that is bad
    """Why the row is filtered, as strict mode has it."""


def converter(column: Column, *, truncates: bool = False) -> Callable[[Any], Any]:
    """What turns a literal into the column's value; raises BadValue."""
    convert = _CONVERTERS[column.type](column)
    # Substring counts characters, so a text of more bytes than its column has may still be too long.
    length = column.max_bytes if truncates else None
    not_null = f"column_name[{column.name}], null value for not null column, type={column.type}"

    def checked(value: Any) -> Any:
        if value is None:
            if column.nullable:
                return None
            raise BadValue(not_null)
        return convert(value[:length] if length and isinstance(value, str) else value)

    return checked


def _text(column: Column) -> Callable[[Any], Any]:
    limit = column.max_bytes or STRING_LIMIT

    def convert(value: Any) -> str:
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
        # Most texts are short enough whatever they are made of: at most 4 bytes a character.
        if len(value) * 4 > limit and len(data := value.encode("utf-8", "surrogatepass")) > limit:
            start = data[:32].decode("utf-8", "replace")
            raise BadValue(
                f"column_name[{column.name}], the length of input is too long than schema. first 32 bytes of "
                f"input str: [{start}] schema length: {limit}; actual length: {len(data)}; "
            )
        return value

    return convert


def _integer(column: Column) -> Callable[[Any], Any]:
    limit = 2 ** (INTEGER_BITS[column.type] - 1)

    def convert(value: Any) -> Any:
        if isinstance(value, str):
            if not _INTEGER.fullmatch(value):
                raise _bad_cast(column, value)
            value = int(value)
        elif isinstance(value, float):
            value = int(value)
        if not -limit <= value < limit:
            raise _bad_cast(column, value)
        return str(value) if column.type == "LARGEINT" else value

    return convert


def _datetime(column: Column) -> Callable[[Any], Any]:
    scale = column.arguments[0] if column.arguments else 0

    def convert(value: Any) -> str:
        match = _DATETIME.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise _bad_cast(column, value)
        day, time, fraction = match.groups()
        try:
            moment = datetime.fromisoformat(f"{day} {time or '00:00:00'}")
        except ValueError:
            raise _bad_cast(column, value) from None
        micros = round(float(fraction or 0) * 10**scale) * 10 ** (6 - scale)
        moment += timedelta(microseconds=micros)
        return moment.isoformat(" ")[: 19 if scale == 0 else 20 + scale]

    return convert


def _bad_cast(column: Column, value: object) -> BadValue:
    reason = f"column({column.name}) value is incorrect while strict mode is true, src value is {value}"
    return BadValue(reason)


_CONVERTERS: dict[str, Callable[[Column], Callable[[Any], Any]]] = {
    "VARCHAR": _text,
    "CHAR": _text,
    "STRING": _text,
    "DATETIME": _datetime,
    **dict.fromkeys(INTEGER_BITS, _integer),
}
