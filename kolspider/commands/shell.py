"""`scrapy shell`: refused in one line."""

from __future__ import annotations

from kolspider.command import NotHere


class Command(NotHere):
    """Not available in kolspider."""
