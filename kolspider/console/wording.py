"""Numbers and times in the form for messages, columns and the report. Times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = [
    "clock",
    "counted",
    "day",
    "dollars",
    "duration",
    "iso",
    "moment",
    "percent",
    "rate",
    "rough",
    "short",
    "size",
]


def counted(number: int, what: str) -> str:
    """`1 page`, `1,200 pages`"""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def short(number: float) -> str:
    """`812`, `9,120`, `15.3 k`, `2.41 M`, `9,220,000 tn`, for a tile or an axis."""
    if number < 10_000:
        return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"
    for limit, by, unit in ((1e6, 1e3, "k"), (1e9, 1e6, "M"), (1e12, 1e9, "bn")):
        if number < limit * 0.9995:
            return f"{number / by:.3g} {unit}"
    return f"{number / 1e12:.3g} tn" if number < 1e15 * 0.9995 else f"{number / 1e12:,.0f} tn"


def percent(part: float, whole: float) -> str:
    """A share that is never `100 %` of an unfinished whole, and never `0 %` of something."""
    if not whole:
        return "0 %"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "under 0.1 %"
    if 99.9 < share < 100:
        return "over 99.9 %"
    return f"{share:.0f} %" if share in {0, 100} else f"{share:.1f} %"


def dollars(amount: float) -> str:
    """`$0.004`, `$12.30`, `$1,204`"""
    if amount >= 1000:
        return f"${amount:,.0f}"
    if amount >= 0.1 or amount == 0:
        return f"${amount:.2f}"
    return f"${amount:.2g}" if amount >= 0.0001 else "under $0.0001"


def size(count: float) -> str:
    """Bytes: `812 B`, `15.3 KB`, `2.4 MB`, `1.25 GB`, `1,234.50 TB`"""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB" if count < 1000 else f"{count / 1000:,.2f} TB"


def rate(a_minute: float) -> str:
    """A pace, in things a minute: `3.5`, `1,200`"""
    return f"{a_minute:,.0f}" if a_minute >= 100 else f"{a_minute:.1f}"


def duration(seconds: float) -> str:
    """`1.7 s`, `42 s`, `4 min 12 s`, `1 h 20 min`, `3 d 4 h`"""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def rough(seconds: float) -> str:
    """An estimated duration in round numbers: `40 s`, `1 h 20 min`, `2 days`"""
    if seconds < 45:
        return f"{max(round(seconds / 5) * 5, 5)} s"
    minutes = max(round(seconds / 60), 1)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{round(seconds / 86400):,} days"
    if hours >= 10:
        return f"{round(seconds / 3600)} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def moment(time: float | None) -> str:
    """Unix seconds as tables and commands show them, `2026-11-24 08:00:00`; a dash for None."""
    return "-" if time is None else datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(time: float | None) -> str | None:
    """Unix seconds as JSON has them, `2026-11-24T08:00:00+00:00`; None for None."""
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")


def day(time: float, *, year: bool = False) -> str:
    """`24 Nov`, `24 Nov 2026`"""
    at = datetime.fromtimestamp(time, UTC)
    return f"{at.day} {at:%b %Y}" if year else f"{at.day} {at:%b}"


def clock(time: float) -> str:
    """`06:16`"""
    return f"{datetime.fromtimestamp(time, UTC):%H:%M}"
