"""Turns a followed user, whatever the API sent, into a row of the target table. Pure; never raises.

Values that no database can hold are removed or set to NULL, and the row stays. A user is set aside if it has no
usable id, or if a field of it can't be read: a row of the other fields would replace good values.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from kolspider.items import Reject, Row, usable_id
from kolspider.providers.base import Unreadable

if TYPE_CHECKING:
    from kolspider.items import FollowedUser
    from kolspider.providers.users import Plain

__all__ = ["Mapper", "as_in_lists", "utc_time"]

_MAX_COUNT = 2**63 - 1

# Characters that are valid in JSON and that no database takes. (json has already joined the pairs of surrogates.)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# Thu Dec 13 08:41:26 +0000 2007. Read by hand, because strptime expects the names in the process's language.
_TWITTER_TIME = re.compile(
    r"[a-z]{3} ([a-z]{3}) (\d{1,2}) (\d\d:\d\d:\d\d) ([+-]\d{4}) (\d{4})", re.ASCII | re.IGNORECASE
)
_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTH_NUMBERS = {name: f"{number:02}" for number, name in enumerate(_MONTHS, 1)}

# ISO 8601 with its dashes: without them a text of digits, such as a Unix time, would pass for a date.
_ISO_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?:(:\d\d)(?:[.,]\d+)?)? ?(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII | re.IGNORECASE
)

_UTC = frozenset({None, "Z", "z", "+0000", "+00:00"})


class Mapper:
    """Maps users to rows, and counts the numbers that are out of range."""

    def __init__(self) -> None:
        self.out_of_range: Counter[str] = Counter()
        """How many numbers of each column were set to NULL because they are negative or do not fit 64 bits."""

    def map_user(self, user: FollowedUser | None, raw: object) -> Row | Reject:
        """Return the row for `user`, or a reject with `raw` (what the API sent) if there can be none."""
        if user is None:
            if isinstance(raw, Unreadable):
                return Reject("unreadable", raw.user, raw.fields)
            return Reject("not_an_object", raw)
        sent_id, name, screen_name, avatar, description, created, followers, following, statuses_count = user
        id_ = usable_id(sent_id)
        if id_ is None:
            missing = sent_id is None or (isinstance(sent_id, str) and not sent_id.strip())
            return Reject("no_id" if missing else "bad_id", raw)
        created_at = _text(created)
        return Row(  # by place: names take as long as all the rest
            id_,
            _text(name),
            _text(screen_name),
            _text(avatar),
            _text(description),
            created_at,
            None if created_at is None else utc_time(created_at),
            self._count("followers", followers),
            self._count("following", following),
            self._count("statuses_count", statuses_count),
        )

    @staticmethod
    def map_plain(user: Plain) -> Row:
        """Return the row for a plain user, the same as that of `map_user`."""
        return Row._make((*user[:6], utc_time(user[5]), *user[6:]))

    def _count(self, column: str, value: object) -> int | None:
        number = value if type(value) is int else _whole_number(value)
        if number is None or 0 <= number <= _MAX_COUNT:
            return number
        self.out_of_range[column] += 1
        return None


def utc_time(text: str) -> str | None:
    """Return the time that `text` names in UTC, as `YYYY-MM-DD HH:MM:SS`; None if it names none.

    Reads Twitter's own format and ISO 8601 (UTC if it names no zone), in the years 1000 to 9999 that DATETIME holds.
    """
    text = text.strip()
    if (date := _utc_date(text[:11], text[19:])) and _CLOCK.fullmatch(text, 11, 19):  # as in nearly all texts
        return f"{date} {text[11:19]}"
    return _utc_time(text)


@lru_cache(10_000)
def _utc_date(day: str, year: str) -> str | None:
    """Return the date of a text in Twitter's own format, by what stands before and behind its clock."""
    midnight = _utc_time(f"{day}00:00:00{year}") if year.startswith(" +0000 ") else None
    return midnight[:10] if midnight else None


def _utc_time(text: str) -> str | None:
    if twitter := _TWITTER_TIME.fullmatch(text):
        name, day, clock, zone, year = twitter.groups()
        local = f"{year}-{_MONTH_NUMBERS.get(name.lower())}-{day:0>2} {clock}"
    elif iso := _ISO_TIME.fullmatch(text):
        date, minutes, seconds, zone = iso.groups()
        local = f"{date} {minutes or '00:00'}{seconds or ':00'}"
    else:
        return None
    try:
        time = datetime.fromisoformat(local)  # raises for an impossible time
        utc = time - _offset(zone) if zone not in _UTC else time
    except (ValueError, OverflowError):  # no such month, day or hour; before year 1 or after 9999 in UTC
        return None
    return utc.isoformat(" ") if utc.year >= 1000 else None


def as_in_lists(row: Row) -> Row:
    """Return a row whose time has the form of the rows of lists: profiles that are asked for have another."""
    if row.created_at_time is None:
        return row
    at = datetime.fromisoformat(row.created_at_time)
    day, month = _DAYS[at.weekday()].capitalize(), _MONTHS[at.month - 1].capitalize()
    return row._replace(created_at=f"{day} {month} {at:%d %H:%M:%S} +0000 {at.year}")


def _offset(zone: str) -> timedelta:
    """Return how far `+0530`, `+05:30` or `+05` is ahead of UTC."""
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    ahead = timedelta(hours=hours, minutes=minutes)
    return -ahead if zone.startswith("-") else ahead


def _text(value: object) -> str | None:
    """Return a text without NUL and lone surrogates, or a number as text; None for anything else."""
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else _UNSTORABLE.sub("", value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        return None
    return str(value)


def _finite(number: float) -> bool:
    """Tell whether str() gives digits: not for infinity (JSON's 1e999), nor for ints so long that it refuses them."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _whole_number(value: object) -> int | None:
    """Return the whole number that a float (1e3) or a text of digits stands for; None for anything else."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    # A number of more than 20 digits is out of range anyway, and int() raises at 4,300.
    number = int(digits.lstrip("0")[:20] or "0")
    return -number if text.startswith("-") else number
