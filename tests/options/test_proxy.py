"""Which proxy the API is reached through, and which values of its variable are refused."""

from __future__ import annotations

import pytest

from kolspider.errors import WrongUsage
from kolspider.options.proxy import Proxy, proxy_of

API = "https://api.example"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("http://proxy:3128", "proxy:3128"),
        ("http://proxy", "proxy:80"),
        ("http://10.0.0.1:3128/", "10.0.0.1:3128"),
        ("http://[::1]:3128", "[::1]:3128"),
        ("HTTP://user:pa%40ss@proxy:3128", "proxy:3128"),
    ],
)
@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
def test_a_proxy_is_named_with_its_variable_and_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, address: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert proxy_of(API) == Proxy(variable, address)


@pytest.mark.parametrize(
    "value",
    [
        "proxy:3128",
        "user:secret@proxy:3128",
        "https://user:secret@proxy:3128",
        "socks5://user:secret@proxy:1080",
        "http://",
        "http://:3128",
        "http://user:secret@:3128",
        "http://proxy:port",
        "http://proxy:0",
        "http://proxy:99999",
        "http://proxy/path",
        "http://pro xy:3128",
    ],
)
def test_a_value_that_is_no_proxy_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("https_proxy", value)
    with pytest.raises(WrongUsage, match="https_proxy is not the address of a proxy") as error:
        proxy_of(API)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("environment", "api"),
    [
        ({}, API),
        ({"https_proxy": ""}, API),
        ({"https_proxy": "socks5://proxy:1", "no_proxy": "api.example"}, API),
        ({"https_proxy": "socks5://proxy:1", "NO_PROXY": "*"}, API),
        ({"https_proxy": "socks5://proxy:1"}, "http://api.example"),
        ({"http_proxy": "http://proxy:3128", "all_proxy": "http://proxy:3128"}, API),
    ],
)
def test_no_proxy_is_used_where_none_is_set_for_the_api(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], api: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(api) is None
