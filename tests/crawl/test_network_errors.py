"""Whose fault a failed call is, what is said of it, and whether its request left the machine."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from OpenSSL import SSL
from scrapy.core.downloader.handlers.http11 import TunnelError
from scrapy.exceptions import DownloadCancelledError, DownloadFailedError, DownloadTimeoutError, ResponseDataLossError
from scrapy.settings import Settings
from scrapy.utils._download_handlers import wrap_twisted_exceptions
from service_identity import VerificationError
from twisted.internet import error as tx
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.web._newclient import ParseError, ResponseNeverReceived

from kolspider.crawl.network_errors import Fault, network_failure, never_left
from kolspider.options.config import Config

API = "https://api.example"
PROXY = "http://user:secret@proxy:3128"


@dataclass(frozen=True)
class Case:
    """A failed call, and what it means without a proxy and, `there`, behind one."""

    raised: Exception
    left: bool
    fault: Fault
    says: str
    there: Fault
    says_there: str


def tls(reason: str) -> ResponseNeverReceived:
    return unanswered(SSL.Error([("SSL routines", "", reason)]))


def unanswered(cause: Exception) -> ResponseNeverReceived:
    return ResponseNeverReceived([Failure(cause)])


def tunnel(answer: str) -> TunnelError:
    return TunnelError(f"Could not open CONNECT tunnel with proxy proxy:3128 [{answer}]")


CASES = {
    "refused": Case(
        tx.ConnectionRefusedError(),
        False,
        Fault.ADDRESS,
        "refuses",
        Fault.PROXY,
        "the proxy proxy:3128 (https_proxy)",
    ),
    "no such host": Case(
        tx.DNSLookupError(),
        False,
        Fault.ADDRESS,
        "can't be found",
        Fault.PROXY,
        "proxy:3128 (https_proxy) can't be found",
    ),
    "no route": Case(
        tx.NoRouteError(), False, Fault.ADDRESS, "can't be reached", Fault.PROXY, "can't be reached; start it"
    ),
    "no connection in time": Case(
        tx.TimeoutError(), False, Fault.ADDRESS, "can't be reached", Fault.PROXY, "can't be reached; start it"
    ),
    "no answer in time": Case(
        DownloadTimeoutError("slow"),
        True,
        Fault.ADDRESS,
        "no answer",
        Fault.ADDRESS,
        "the proxy proxy:3128",
    ),
    "password": Case(
        tunnel("{'status': 407, 'reason': b'Who are you?'}"),
        False,
        Fault.CALL,
        "",
        Fault.OURS,
        "asks for a user and password (HTTP 407 Who are you?)",
    ),
    "forbidden": Case(
        tunnel("{'status': 403, 'reason': b''}"),
        False,
        Fault.CALL,
        "",
        Fault.OURS,
        f"connect to {API} (HTTP 403)",
    ),
    "proxy without a way": Case(
        tunnel("{'status': 502, 'reason': b'x'}"), False, Fault.CALL, "", Fault.PROXY, "does not connect"
    ),
    "no proxy": Case(tunnel("b'SSH-2.0'"), False, Fault.CALL, "", Fault.OURS, "is no HTTP proxy"),
    "certificate": Case(
        tls("certificate verify failed"),
        False,
        Fault.OURS,
        "SSL_CERT_FILE",
        Fault.OURS,
        "certificate of https://api.example",
    ),
    "other host": Case(
        unanswered(VerificationError([])), False, Fault.OURS, "KOL_API_URL", Fault.OURS, "is for another host"
    ),
    "not TLS": Case(
        tls("wrong version number"), False, Fault.ADDRESS, "no TLS connection", Fault.ADDRESS, "wrong version number"
    ),
    "TLS breaks later": Case(
        tls("decryption failed or bad record mac"), True, Fault.CALL, "bad record mac", Fault.CALL, "bad record mac"
    ),
    "hung up": Case(
        unanswered(tx.ConnectionLost()),
        True,
        Fault.CALL,
        "closed before",
        Fault.CALL,
        "closed before",
    ),
    "cut off": Case(ResponseDataLossError(), True, Fault.CALL, "cut off", Fault.CALL, "cut off"),
    "too large": Case(CancelledError(), True, Fault.CALL, "too large", Fault.CALL, "DOWNLOAD_MAXSIZE"),
    "no HTTP": Case(
        unanswered(ParseError("wrong number of parts", b"SSH-2.0")),
        True,
        Fault.CALL,
        "the connection failed: ParseError: ('wrong number of parts', b'SSH-2.0')",
        Fault.CALL,
        "the connection failed: ParseError",
    ),
    "a bug": Case(KeyError("x"), True, Fault.CALL, "KeyError", Fault.CALL, "KeyError"),
}


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings()
    settings.setmodule("kolspider.settings")
    settings.set("KOL_API_URL", API, priority="cmdline")
    settings.set("KOL_API_KEY", "key-0123456789", priority="cmdline")
    return Config.from_settings(settings)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_failed_call_is_told_with_the_setting_that_is_wrong(
    config: Config, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    exception = as_scrapy_raises(case.raised)
    assert never_left(exception) is not case.left
    failure = network_failure(exception, config)
    assert failure.fault is case.fault
    assert case.says in str(failure)
    # and behind a proxy
    monkeypatch.setenv("https_proxy", PROXY)
    failure = network_failure(exception, config)
    assert failure.fault is case.there
    assert case.says_there in str(failure)
    assert "secret" not in str(failure)


def test_the_key_is_not_in_what_is_told(config: Config) -> None:
    assert "key-0123456789" not in str(network_failure(DownloadFailedError("header key-0123456789"), config))


def as_scrapy_raises(raised: Exception) -> Exception:
    """What comes out of Scrapy's download handler when Twisted raises this."""
    try:
        with wrap_twisted_exceptions():
            raise raised
    except Exception as error:  # noqa: BLE001 - what it is, is the question
        return error


def test_a_cancelled_download_is_one_that_was_too_large() -> None:
    assert isinstance(as_scrapy_raises(CancelledError()), DownloadCancelledError)
