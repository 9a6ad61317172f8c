"""How Scrapy logs requests and items: a page takes one short line, not its 200 users."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy.logformatter import LogFormatter, LogFormatterResult

from kolspider.items import MappedPage

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.http import Response
    from twisted.python.failure import Failure

__all__ = ["PageLogFormatter"]


class PageLogFormatter(LogFormatter):
    """Formats Scrapy's log lines, with the names of pages instead of their content."""

    def scraped(self, item: Any, response: Response | Failure | None, spider: Spider) -> LogFormatterResult:
        """Log one DEBUG line for each page."""
        if not isinstance(item, MappedPage):
            return super().scraped(item, response, spider)
        return {
            "level": logging.DEBUG,
            "msg": "KOL %(kol)s: page %(number)d handed to the database, %(rows)d rows",
            "args": {"kol": item.page.kol.user_name, "number": item.page.number, "rows": len(item.rows)},
        }

    def item_error(
        self, item: Any, exception: BaseException, response: Response | Failure | None, spider: Spider
    ) -> LogFormatterResult:
        """Log which page failed, without its users."""
        page = getattr(item, "page", item)
        return {
            "level": logging.ERROR,
            "msg": "KOL %(kol)s: page %(number)s could not be processed: %(error)r",
            "args": {
                "kol": getattr(getattr(page, "kol", None), "user_name", "?"),
                "number": getattr(page, "number", "?"),
                "error": exception,
            },
        }
