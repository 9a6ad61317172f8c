"""Unpacks answers, and refuses those that are too large to be a page: a few KB can unpack to gigabytes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

__all__ = ["TOO_LARGE", "UnpackMiddleware", "header_texts"]

logger = logging.getLogger(__name__)

TOO_LARGE = "too large"
"""The flag of a response whose body was dropped."""
_MOST_VALUES = 100_000
"""The most JSON values in an answer; 200 users have some 10,000. An empty one takes 3 bytes of the answer, and some 100
bytes of memory."""
_LEAST_BYTES = 2
"""What a value in a list takes, with its comma."""


class UnpackMiddleware(HttpCompressionMiddleware):
    """Turns an answer that can't be unpacked, or is too large, into an empty one, so that it is retried.

    DOWNLOAD_MAXSIZE bounds an answer while it is unpacked, too.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> UnpackMiddleware:
        """Silence Scrapy's own lines about answers that are too large or cut off: AnswerMiddleware has one for each."""
        for name in ("scrapy.downloadermiddlewares.httpcompression", "scrapy.core.downloader.handlers.http11"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return super().from_crawler(crawler)

    def process_response(  # type: ignore[override]  # Scrapy's old `spider` argument is gone in 2.19
        self, request: Request, response: Response
    ) -> Response:
        """Unpack, whatever Content-Encoding says."""
        if "cached" in response.flags:
            return response
        try:
            unpacked = super().process_response(request=request, response=response)
        except IgnoreRequest:  # larger than DOWNLOAD_MAXSIZE
            return response.replace(body=b"", flags=[TOO_LARGE])
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - zlib, gzip, brotli and zstd each have errors of their own
            logger.debug("%s can't be unpacked: %r", request.url, error)
            return response.replace(body=b"")
        if not isinstance(unpacked, Response) or _is_too_large(unpacked.body):
            return response.replace(body=b"", flags=[TOO_LARGE])
        return unpacked


def header_texts(response: Response) -> dict[str, str]:
    """Return the headers of an answer, by lower-case name."""
    return {
        name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
        for name, values in response.headers.items()
    }


def _is_too_large(body: bytes) -> bool:
    if len(body) <= _LEAST_BYTES * _MOST_VALUES:  # as nearly every page is; counting takes as long as reading its JSON
        return False
    return sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES
