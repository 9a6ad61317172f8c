"""What is sent to each column, and whether the column holds it: as it is, with a loss that is named, or not at all."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from kolspider.db.base import Form
from kolspider.items import COLUMNS, CRAWLS, FOLLOWS

if TYPE_CHECKING:
    from kolspider.db.base import Column

__all__ = ["SENT", "Sent", "losses", "unfitness"]

_ID_CHARS = 20
_HANDLE_CHARS = 50
"""The longest handle that is taken for a KOL's (store/handles.py)."""
_MOMENT_CHARS = 19
_LARGEST_REAL_ID = 2**63 - 1
_LARGEST_USUAL_COUNT = 2**31 - 1
_USUAL_CHARS = {"name": 50, "user_name": 15, "avatar": 200, "description": 160, "created_at": 30}
"""What Twitter itself allows, or gives: narrower columns will cut texts, wider ones only what is odd."""


class Sent(Enum):
    """A kind of value, with what an unfit column can't hold."""

    ID = "ids of up to 20 digits"
    TEXT = "texts"
    COUNT = "whole numbers"
    MOMENT = "moments, such as 2009-03-18 13:46:38"
    HANDLE = "handles of up to 50 characters"
    KEY_ID = "ids of up to 20 digits as text"
    KEY_MOMENT = "moments until the year 9999, such as 2026-11-26 07:10:00"


_NEEDS = {
    Sent.ID: (Form.TEXT, _ID_CHARS),
    Sent.TEXT: (Form.TEXT, 0),
    Sent.COUNT: (Form.NUMBER, 0),
    Sent.MOMENT: (Form.MOMENT, _MOMENT_CHARS),
    Sent.HANDLE: (Form.TEXT, _HANDLE_CHARS),
    Sent.KEY_ID: (Form.TEXT, _ID_CHARS),
    Sent.KEY_MOMENT: (Form.MOMENT, _MOMENT_CHARS),
}
"""The form of each, and the characters that may not be cut."""
_COUNTS = {"followers", "following", "statuses_count"}
SENT: dict[str, Sent] = (
    {name: Sent.COUNT if name in _COUNTS else Sent.TEXT for name in COLUMNS}
    | {"id": Sent.ID, "created_at_time": Sent.MOMENT}
    | {"kol_user_name": Sent.HANDLE, "user_id": Sent.KEY_ID}
    | dict.fromkeys((*FOLLOWS[2:], *CRAWLS[1:]), Sent.KEY_MOMENT)
)
"""What each column of the target, of the follows table and of the crawls table is sent. No name has two meanings."""


def unfitness(column: Column) -> str:
    """Return why one of our columns can't hold what is sent; empty if it can, be it with losses."""
    sent = SENT[column.name]
    if column.generated:
        return "is generated, so it takes no value"
    if not _holds(column, sent):
        return f"can't hold {sent.value}"
    if column.name in COLUMNS and sent is not Sent.ID and not column.nullable:
        return "is NOT NULL, and the API leaves values out"
    return ""


def losses(column: Column) -> list[str]:
    """Return what is lost in a column that is fit, in words that go on from its name."""
    sent, lost = SENT[column.name], []
    if sent is Sent.ID and Form.TEXT not in column.takes and (largest := column.int_max) and largest < 10**_ID_CHARS:
        lost.append(f"hold numbers up to {largest:,}: an account with a larger id (real ones are smaller) is set aside")
    if sent is Sent.TEXT:
        if not _has_room(column, _USUAL_CHARS.get(column.name, 0)):
            lost.append("are narrow: longer texts are cut")
        if column.charset.unheld:
            what = " such as emoji," if re.match(column.charset.unheld, "\U0001f680") else ""
            lost.append(f"are in {column.charset.name}: the characters that it lacks,{what} are removed")
    if sent is Sent.COUNT:
        if Form.NUMBER not in column.takes or column.int_max is None:
            if not _has_room(column, len(str(_LARGEST_USUAL_COUNT))):
                lost.append("are narrow: longer numbers become NULL")
        elif column.int_max < _LARGEST_USUAL_COUNT:
            lost.append(f"hold numbers up to {column.int_max:,}: larger ones become NULL")
    if sent is Sent.MOMENT and column.moment_max is not None:
        lost.append(f"hold moments from {column.moment_min} to {column.moment_max}: others become NULL")
    return lost


def _holds(column: Column, sent: Sent) -> bool:
    if sent is Sent.ID and Form.TEXT not in column.takes:
        return Form.NUMBER in column.takes and (column.int_max is None or column.int_max >= _LARGEST_REAL_ID)
    if sent is Sent.KEY_MOMENT and column.moment_max is not None:
        return False
    form, chars = _NEEDS[sent]
    return form in column.takes and _has_room(column, chars)


def _has_room(column: Column, chars: int) -> bool:
    """Tell whether a text of this many characters of ASCII is not cut."""
    if column.max_chars is not None and column.max_chars < chars:
        return False
    return column.max_bytes is None or column.max_bytes >= chars * column.charset.ascii_bytes
