"""What a failed call means: a fault at our own end, an API that can't be reached, or a moment's trouble."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

from msgspec import Struct
from OpenSSL import SSL
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from service_identity import VerificationError
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError

from kolspider.options.proxy import proxy_of
from kolspider.options.secrets import redacted
from kolspider.providers.base import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kolspider.options.config import Config
    from kolspider.options.proxy import Proxy

__all__ = ["Fault", "NetworkFailure", "is_refused", "network_failure", "never_left"]

_REFUSED = (DownloadConnectionRefusedError,)
_NOT_FOUND = (CannotResolveHostError, DNSLookupError)
_NO_CONNECTION = (*_REFUSED, *_NOT_FOUND, ConnectError)
_HANDSHAKE = re.compile("certificate verify failed|version|protocol|handshake failure|unrecognized name|http request")
"""OpenSSL's reasons why no TLS session came about; others can also end a session that has begun."""
_TUNNEL = re.compile(r"'status': (\d+), 'reason': b['\"](.*)['\"]")
"""The proxy's answer in the text of a TunnelError."""


class Fault(Enum):
    """Whose fault it is that a call failed."""

    OURS = auto()
    """A certificate that is not trusted, or a proxy that refuses: another try would fail, too, so the run stops."""
    PROXY = auto()
    """The proxy can't be reached, or can't reach the API: if that lasts, the run stops."""
    ADDRESS = auto()
    """The API can't be reached. If that lasts, and the API never answered in this run, the run stops."""
    CALL = auto()
    """The connection broke, or the answer did: it says nothing about the next call."""


class NetworkFailure(Struct, frozen=True):
    """A failed call."""

    fault: Fault
    text: str
    """What happened, in one line."""
    advice: str
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.text}; {self.advice}" if self.advice else self.text


def never_left(exception: BaseException) -> bool:
    """Tell whether no byte of the request left for the API: no connection, tunnel or TLS session came about."""
    return any(
        isinstance(cause, _NO_CONNECTION) or _is_of_tunnel(cause) or _is_of_handshake(cause)
        for cause in _causes(exception)
    )


def is_refused(exception: BaseException) -> bool:
    """Tell whether nobody listens at the address."""
    return any(isinstance(cause, _REFUSED) for cause in _causes(exception))


def network_failure(exception: BaseException, config: Config) -> NetworkFailure:
    """Say what the failure of a call means."""
    causes, proxy = list(_causes(exception)), proxy_of(config.api_url)
    failure = (
        _certificate(causes, config)
        or (_at_proxy(causes, proxy, config) if proxy else None)
        or _at_address(causes, proxy, config)
        or _of_call(causes)
    )
    return NetworkFailure(failure.fault, one_line(redacted(failure.text, (config.api_key,))), failure.advice)


def _certificate(causes: list[BaseException], config: Config) -> NetworkFailure | None:
    if any(isinstance(cause, VerificationError) for cause in causes):
        text = f"the certificate of {config.api_url} is for another host"
        return NetworkFailure(Fault.OURS, text, "correct KOL_API_URL")
    if any(isinstance(cause, SSL.Error) and "certificate verify failed" in str(cause) for cause in causes):
        return NetworkFailure(
            Fault.OURS,
            f"the certificate of {config.api_url} is expired, or of a CA that is not known here",
            "check this machine's clock, and name the file of a company's own CA in SSL_CERT_FILE",
        )
    return None


def _at_proxy(causes: list[BaseException], proxy: Proxy, config: Config) -> NetworkFailure | None:
    if any(isinstance(cause, _REFUSED) for cause in causes):
        return NetworkFailure(Fault.PROXY, f"{proxy} refuses the connection", f"start it, or correct {proxy.variable}")
    if any(isinstance(cause, _NOT_FOUND) for cause in causes):
        return NetworkFailure(Fault.PROXY, f"the host of {proxy} can't be found", f"correct {proxy.variable}")
    if tunnel := next(filter(_is_of_tunnel, causes), None):
        return _at_tunnel(tunnel, proxy, config)
    if any(isinstance(cause, ConnectError) for cause in causes):
        return NetworkFailure(Fault.PROXY, f"{proxy} can't be reached", f"start it, or correct {proxy.variable}")
    return None


def _is_of_tunnel(error: BaseException) -> bool:
    # A replay has no use for Scrapy's HTTP handler, which takes a seventh of the time in which a run starts.
    from scrapy.core.downloader.handlers.http11 import TunnelError  # noqa: PLC0415 - as above

    return isinstance(error, TunnelError)


def _at_tunnel(error: BaseException, proxy: Proxy, config: Config) -> NetworkFailure:
    answer = _TUNNEL.search(str(error))
    if answer is None:
        return NetworkFailure(Fault.OURS, f"{proxy} is no HTTP proxy", f"correct {proxy.variable}")
    said = f"HTTP {answer[1]} {answer[2]}".strip()
    if answer[1] == "407":
        text = f"{proxy} asks for a user and password ({said})"
        return NetworkFailure(Fault.OURS, text, f"write them into {proxy.variable}: http://user:password@host:port")
    text = f"{proxy} does not connect to {config.api_url} ({said})"
    fault = Fault.PROXY if answer[1].startswith("5") else Fault.OURS  # 5xx: the proxy itself can't reach it for now
    return NetworkFailure(
        fault, text, f"allow the API's host in the proxy, or name it in no_proxy, or correct {proxy.variable}"
    )


def _at_address(causes: list[BaseException], proxy: Proxy | None, config: Config) -> NetworkFailure | None:
    """Say why the API itself can't be reached."""
    url, network = config.api_url, str(proxy or "this machine's network")
    advice = f"the API never answered: check KOL_API_URL ({url}) and {network}"
    if any(isinstance(cause, _REFUSED) for cause in causes):
        text = f"{url} refuses the connection"
    elif any(isinstance(cause, _NOT_FOUND) for cause in causes):
        text = f"the host of {url} can't be found"
    elif any(isinstance(cause, ConnectError) for cause in causes):
        text = f"{url} can't be reached"
    elif any(isinstance(cause, DownloadTimeoutError) for cause in causes):
        text = f"no answer within {config.timeout:g} s (DOWNLOAD_TIMEOUT)"
    elif broken := next((cause for cause in causes if _is_of_handshake(cause)), None):
        text = f"no TLS connection to {url}: {_reasons(broken)}"
    else:
        return None
    return NetworkFailure(Fault.ADDRESS, text, advice)


def _of_call(causes: list[BaseException]) -> NetworkFailure:
    if any(isinstance(cause, ResponseDataLossError) for cause in causes):
        text = "the answer was cut off"
    elif any(isinstance(cause, DownloadCancelledError) for cause in causes):
        text = "the answer is too large for a page (DOWNLOAD_MAXSIZE)"
    elif any(isinstance(cause, ConnectionClosed) for cause in causes):
        text = "the connection was closed before the answer"
    else:
        text = f"the connection failed: {type(causes[-1]).__name__}: {causes[-1]}"
    return NetworkFailure(Fault.CALL, text, "")


def _is_of_handshake(cause: BaseException) -> bool:
    if isinstance(cause, SSL.Error):
        return bool(_HANDSHAKE.search(_reasons(cause)))
    return isinstance(cause, VerificationError)


def _reasons(error: BaseException) -> str:
    """Return why OpenSSL failed, in its own words."""
    stack = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(entry[-1]) for entry in stack if entry)


def _causes(exception: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception, and what is behind it: Scrapy chains exceptions, and Twisted lists failures."""
    while exception is not None:
        yield exception
        for failure in getattr(exception, "reasons", None) or ():
            yield from _causes(getattr(failure, "value", None))
        exception = exception.__cause__
