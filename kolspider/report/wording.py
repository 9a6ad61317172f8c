"""What only the page writes."""

from __future__ import annotations

from datetime import UTC, datetime

from kolspider.console.wording import dollars
from kolspider.report.html import Html, element

__all__ = ["dollar_tick", "minute"]


def dollar_tick(amount: float) -> str:
    """On an axis: `$30`, `$1.50`, `$0.004`"""
    return dollars(amount).removesuffix(".00")


def minute(time: float) -> Html:
    """`24 Nov 2026 06:16`"""
    at = datetime.fromtimestamp(time, UTC)
    return element("time", f"{at.day} {at:%b %Y} {at:%H:%M}", datetime=at.isoformat(timespec="seconds"))
