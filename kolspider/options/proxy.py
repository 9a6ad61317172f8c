"""The proxy of the API, by the environment variables that other programs use, too."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct

from kolspider.errors import WrongUsage

__all__ = ["Proxy", "proxy_of"]

_PROXY = re.compile(
    r"http://(?:[^@/\s]*@)?(?P<host>[\w.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE
)
_VARIABLES = ("https_proxy", "HTTPS_PROXY")


class Proxy(Struct, frozen=True):
    """A proxy, without the user and password that it may need."""

    variable: str
    """The environment variable that names it."""
    address: str
    """Host and port."""

    def __str__(self) -> str:
        return f"the proxy {self.address} ({self.variable})"


def proxy_of(api_url: str) -> Proxy | None:
    """Return the proxy that the API is reached through; None if there is none.

    The API's key is never shown to a proxy, so an http:// API has none. Raises WrongUsage, without the variable's
    value, which may hold a password.
    """
    api = urlsplit(api_url)
    url = getproxies().get("https")
    if api.scheme != "https" or not url or proxy_bypass(api.hostname or ""):
        return None
    variable = next((name for name in _VARIABLES if os.environ.get(name)), _VARIABLES[0])
    match = _PROXY.fullmatch(url)
    port = int(match["port"] or 80) if match else 0
    if match is None or not 0 < port < 65536:
        raise WrongUsage(
            f"{variable} is not the address of a proxy such as http://host:3128 or http://user:password@host:3128 "
            "(with http:// in front: an https:// or SOCKS proxy can't be used); correct it, or unset it"
        )
    return Proxy(variable, f"{match['host']}:{port}")
