"""The key goes to the API's address and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from scrapy import Request

from kolspider.crawl.download_handler import ApiDownloadHandler
from kolspider.errors import NotAsked
from kolspider.providers import provider

KEY = "key-0123456789"


def with_key(url: str) -> Request:
    handler = object.__new__(ApiDownloadHandler)
    handler._config = SimpleNamespace(api_url="https://api.example/v1", api_key=KEY, provider=provider("twitterapi_io"))  # type: ignore[assignment]  # what it needs of one
    request = Request(url)
    keyed = handler._with_key(request)
    assert request.headers == {}, "the request that is logged and cached never has it"
    return keyed


def test_a_request_to_the_api_gets_the_key() -> None:
    assert with_key("https://api.example/v1/twitter").headers["X-API-Key"] == KEY.encode()


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/v1/twitter",
        "https://api.example/v2/twitter",
        "https://api.example/v1.evil/twitter",
        "https://api.example.evil/v1/twitter",
        "https://api.example:444/v1/twitter",
        "https://api.example@evil/v1/twitter",
    ],
)
def test_a_request_to_another_address_is_not_sent(url: str) -> None:
    with pytest.raises(NotAsked):
        with_key(url)
