"""The key is put into requests to the API's own address, and into no others."""

from __future__ import annotations

import pytest
from scrapy import Request
from scrapy.settings import Settings

from kolspider.crawl.download_handler import ApiDownloadHandler
from kolspider.errors import NotAsked
from kolspider.options.config import Config

KEY = "key-0123456789"


@pytest.fixture
def handler() -> ApiDownloadHandler:
    """A handler that has its settings, and no network."""
    settings = Settings()
    settings.setmodule("kolspider.settings")
    for name, value in {"KOL_API_KEY": KEY, "KOL_API_URL": "https://api.example/v1"}.items():
        settings.set(name, value, priority="cmdline")
    handler = object.__new__(ApiDownloadHandler)
    handler._config = Config.from_settings(settings)
    return handler


def test_the_api_gets_the_key_and_the_request_itself_does_not_have_it(handler: ApiDownloadHandler) -> None:
    request = Request("https://api.example/v1/twitter/user/followings?userName=BTC")
    assert handler._with_key(request).headers["X-API-Key"] == KEY.encode()
    assert "X-API-Key" not in request.headers


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.evil/v1/twitter",
        "https://api.example@evil/v1/twitter",
        "https://api.example/v1evil/twitter",
        "https://api.example/v2/twitter",
        "https://api.example:444/v1/twitter",
        "http://api.example/v1/twitter",
        "https://evil/https://api.example/v1/twitter",
    ],
)
def test_any_other_address_gets_no_request(handler: ApiDownloadHandler, url: str) -> None:
    with pytest.raises(NotAsked, match="is not at the API's address"):
        handler._with_key(Request(url))
