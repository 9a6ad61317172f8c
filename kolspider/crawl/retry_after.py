"""How long an answer asks to wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy.http import Response

__all__ = ["retry_after"]


def retry_after(response: Response) -> float | None:
    """Return the seconds of the Retry-After header, which has seconds or a date (RFC 9110, 10.2.3).

    Where a 429 has none, X-Rate-Limit-Reset has seconds, or unix seconds as with X's own API. A moment is measured by
    the answer's own Date, because the clock of this machine may be another one.
    """
    raw = _header(response, "Retry-After")
    if not raw and response.status == 429:
        raw = _header(response, "X-Rate-Limit-Reset")
        if re.fullmatch(r"[0-9]{9,11}", raw, re.ASCII):
            raw = formatdate(int(raw), usegmt=True)
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", raw, re.ASCII):  # RFC 9110 has no decimals, but some servers send them
        return float(raw)
    until = _moment(raw)
    if until is None:
        return None
    return max(0.0, (until - (_moment(_header(response, "Date")) or datetime.now(UTC))).total_seconds())


def _header(response: Response, name: str) -> str:
    return (response.headers.get(name) or b"").decode("latin-1").strip()


def _moment(date: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(date)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)  # HTTP knows no other zone (RFC 9110, 5.6.7)
