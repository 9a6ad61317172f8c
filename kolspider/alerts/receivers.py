"""Where alerts go: a webhook gets them as JSON, everything else a message, by apprise. It blocks: call it in a thread.

An address is a secret. What is said of a receiver is its number in KOL_NOTIFY, the scheme of its address, and in a few
fixed words what went wrong: what servers and libraries say may hold the address.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import urllib.error
import urllib.request
import warnings
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from kolspider.alerts.message import message
from kolspider.options.secrets import NoRedirect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.store.outbox import Parcel

__all__ = ["Receiver", "receivers_of"]

_SECS = 10
"""Seconds that a webhook has for an answer."""
_UNKNOWN = "is no address that can be used: docs/alerts.md#receivers shows how to write it"
_TEST = ("kolspider: test", "Alerts of kolspider arrive here.")


@dataclass(frozen=True, slots=True)
class Receiver:
    """One address of KOL_NOTIFY."""

    number: int
    address: str = field(repr=False)

    @property
    def key(self) -> str:
        """What the outbox knows it by."""
        return hashlib.sha256(self.address.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        """Name it without its address."""
        return f"receiver {self.number} ({self.address.partition(':')[0].lower()})"

    @property
    def is_webhook(self) -> bool:
        """Whether it gets each alert as JSON; others get a message a rule and run."""
        return self.address.lower().startswith(("json+http://", "json+https://"))

    def deliver(self, parcel: Parcel) -> str:
        """Send a parcel. Returns what went wrong; empty if the receiver has got it."""
        if self.is_webhook:
            return self._post({"alerts": list(map(json.loads, parcel.contents))})
        return self._notify(*message(parcel))

    def fault(self) -> str:
        """Return what is wrong with the address, without sending anything; empty if it can be used."""
        if not self.is_webhook:
            return "" if _apprise()[0].Apprise.instantiate(self.address) else _UNKNOWN
        try:
            parts = urlsplit(self.address)
            return "" if parts.hostname and parts.port != 0 else _UNKNOWN
        except ValueError:
            return _UNKNOWN

    def send_test(self) -> str:
        """Send a message that says that it is a test. Returns what went wrong; empty if the receiver has got it."""
        return self._post({"alerts": [], "test": True}) if self.is_webhook else self._notify(*_TEST)

    def _post(self, content: object) -> str:
        parts = urlsplit(self.address[len("json+") :])
        headers = {"Content-Type": "application/json", "User-Agent": "kolspider"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        try:
            url = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
            body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
            request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - of http or https
            with urllib.request.build_opener(NoRedirect).open(request, timeout=_SECS):
                return ""
        except urllib.error.HTTPError as error:
            error.close()
            return f"answered {error.code}"
        except (OSError, HTTPException, ValueError):
            return "was not reached"

    def _notify(self, title: str, text: str) -> str:
        apprise, heard = _apprise()
        heard.forget()
        try:
            asset = apprise.AppriseAsset(app_id="kolspider", app_desc="kolspider", app_url="")
            service = apprise.Apprise.instantiate(self.address, asset=asset)
            if service is None:
                return _UNKNOWN
            service.overflow_mode = apprise.OverflowMode.SPLIT  # some services refuse what is too long for them
            service.redirects = False  # what was posted would not go along, and the page there would count as success
            if service.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT):
                return ""
        except Exception as error:  # noqa: BLE001 - each of a hundred services has errors of its own, with the address
            return f"failed with {type(error).__name__}"
        return heard.problem()


class _Heard(logging.Handler):
    """Takes the log of apprise out of ours, and keeps what went wrong in each thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._of_thread = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the status of an answer."""
        text = record.getMessage()
        if status := re.search(r"\berror=(-?\d{1,6})\b", text):
            self._of_thread.problem = f"answered {status[1]}"
        elif re.search("connection error", text, re.IGNORECASE):
            self._of_thread.problem = "was not reached"

    def forget(self) -> None:
        """Forget what this thread heard."""
        self._of_thread.problem = ""

    def problem(self) -> str:
        """Return what went wrong in this thread."""
        return getattr(self._of_thread, "problem", "") or "refused it"


@cache
def _apprise() -> tuple[Any, _Heard]:
    """Import apprise, which takes a second, and keep what it and its HTTP client log to ourselves.

    DingTalk and WeCom answer with 200 and an `errcode` to what they refuse, such as a message that lacks the keyword of
    a robot. apprise 2.3 takes that for success, so the answer is turned into an error here.
    """
    with warnings.catch_warnings():  # it imports what Python 3.13 has no more, and does without
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise  # noqa: PLC0415 - only when there is something to send
        import requests  # noqa: PLC0415 - as above

        apprise.Apprise.instantiate("json://localhost")  # imports the services

    heard = _Heard()
    for name in ("apprise", "requests", "urllib3"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [heard], False
        logger.setLevel(logging.WARNING)
    session: Any = requests.Session
    send = session.send

    def checked(*args: Any, **kwargs: Any) -> Any:
        answer = send(*args, **kwargs)
        if answer.status_code == requests.codes.ok and b'"errcode"' in answer.content[:1000]:
            found = re.search(rb'"errcode"\s*:\s*"?(-?\d{1,9})', answer.content)
            if found and int(found[1]):
                answer.status_code = int(found[1])
        return answer

    session.send = checked
    return apprise, heard


def receivers_of(addresses: Sequence[str]) -> list[Receiver]:
    """Return the receivers of KOL_NOTIFY."""
    return [Receiver(number, address) for number, address in enumerate(addresses, 1)]
