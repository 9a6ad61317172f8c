"""Numbers, times and outcomes as the report writes them. Times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from kolspider.report.html import Html, element

__all__ = ["ago", "clock", "day", "dollar_tick", "dollars", "duration", "moment", "percent", "rate", "short", "size"]


def short(number: float) -> str:
    """`812`, `9,120`, `15.3 k`, `2.41 M`, for a tile or an axis."""
    if number < 10_000:
        return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"
    for limit, by, unit in ((1e6, 1e3, "k"), (1e9, 1e6, "M"), (1e12, 1e9, "bn")):
        if number < limit * 0.9995:
            return f"{number / by:.3g} {unit}"
    return f"{number / 1e12:,.3g} tn"


def dollars(amount: float) -> str:
    """`$0.004`, `$12.30`, `$1,204`"""
    if amount >= 1000:
        return f"${amount:,.0f}"
    return (
        f"${amount:.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.2g}" if amount >= 0.0001 else "under $0.0001"
    )


def dollar_tick(amount: float) -> str:
    """On an axis: `$30`, `$1.50`, `$0.004`"""
    return dollars(amount).removesuffix(".00")


def percent(part: float, whole: float) -> str:
    """Of an unfinished whole never 100 %, of something never 0 %."""
    if not whole:
        return "0 %"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "under 0.1 %"
    if 99.9 < share < 100:
        return "over 99.9 %"
    return f"{share:.0f} %" if share in {0, 100} else f"{share:.1f} %"


def size(count: float) -> str:
    """Bytes."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def rate(a_minute: float) -> str:
    """Of a pace."""
    return f"{a_minute:,.0f}" if a_minute >= 100 else f"{a_minute:.1f}"


def duration(seconds: float) -> str:
    """`1.7 s`, `4 min 10 s`, `5 h 33 min`, `3 d 4 h`"""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def ago(seconds: float) -> str:
    """How long before the report."""
    return "just now" if seconds < 2 else f"{duration(seconds)} ago"


def moment(time: float | None) -> Html | str:
    """`24 Nov 2026 06:16`"""
    if time is None:
        return "–"
    at = datetime.fromtimestamp(time, UTC)
    return element("time", f"{at.day} {at:%b %Y} {at:%H:%M}", datetime=at.isoformat(timespec="seconds"))


def day(time: float, *, year: bool = False) -> str:
    """`24 Nov`, `24 Nov 2026`"""
    at = datetime.fromtimestamp(time, UTC)
    return f"{at.day} {at:%b %Y}" if year else f"{at.day} {at:%b}"


def clock(time: float) -> str:
    """`06:16`"""
    return f"{datetime.fromtimestamp(time, UTC):%H:%M}"
