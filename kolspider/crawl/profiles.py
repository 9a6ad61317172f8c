"""Asks the API for profiles, between the pages: the way of a request is the same, with its retries, caps and pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy import Request

from kolspider.crawl.network_errors import network_failure
from kolspider.crawl.profile_request import ProfileRequest
from kolspider.errors import NotAsked
from kolspider.providers.base import ApiError, ApiErrorKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy.crawler import Crawler

    from kolspider.options.config import Config
    from kolspider.providers.base import Profile, ProfileCall

__all__ = ["ask_for_profiles"]


async def ask_for_profiles(
    crawler: Crawler, config: Config, call: ProfileCall, accounts: Sequence[str]
) -> list[Profile] | ApiError:
    """Return the profiles of these accounts, or why they did not come. Raises NotAsked if the run stops."""
    asked = ProfileRequest(call, accounts)
    request = Request(call.url(config.api_url, accounts), meta=asked.meta(config.api_url))
    if body := call.body(accounts):
        request = request.replace(method="POST", body=body, headers={"Content-Type": "application/json"})
    if crawler.engine is None:
        raise NotAsked("the crawl has not begun")
    try:
        await crawler.engine.download_async(request)
    except NotAsked:
        raise
    except Exception as error:  # noqa: BLE001 - whatever Scrapy and Twisted raise: AnswerMiddleware has seen it
        return ApiError(ApiErrorKind.TRANSIENT, network_failure(error, config).text)
    answer: list[Profile] | ApiError = asked.answer
    return answer
