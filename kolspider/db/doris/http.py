"""Doris's Stream Load over HTTP: an empty PUT to the FE, which names a BE, and the rows to that BE.

The password goes to these two and to no other. Neither a proxy of the environment nor a further redirect is followed.
From Doris's documentation of Stream Load, and be/src/http/action/stream_load.cpp: HTTP 200 is no success, `Status` is.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kolspider.db.base import DbErrorKind
from kolspider.db.doris.facts import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Address", "StreamLoad", "StreamLoadError", "basic"]

CONNECT_SECS = 10
ANSWER_SECS = 30
GO_AHEAD_SECS = 5
"""How long the BE is given to ask for the body, or to refuse the load, before it gets the body unasked."""
LONGEST_ANSWER = 1_000_000  # bytes
FINISHED = {"FINISHED", "VISIBLE", "COMMITTED"}
_PLAIN = re.compile("[!-~]+").fullmatch
"""What a URL is made of."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class StreamLoadError(Exception):
    """What became of a load, judged."""

    def __init__(self, kind: DbErrorKind, text: str, *, log: str = "", filtered: int = 0) -> None:
        super().__init__(text)
        self.kind = kind
        self.log = log
        """The BE's error log of the rows that it filtered, or its beginning."""
        self.filtered = filtered
        """How many those are."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    location: str
    body: bytes

    def json(self) -> dict[str, Any]:
        """The object in the body; empty when there is none."""
        with suppress(ValueError, RecursionError):
            found = json.loads(self.body)
            if isinstance(found, dict):
                return found
        return {}


class StreamLoad:
    """Loads batches; has no connection between two of them."""

    def __init__(self, front_end: Address, user: str, password: str) -> None:
        self._front_end = front_end
        self._authorization = basic(user, password)

    def check(self, path: str) -> None:
        """May this user load, and is the BE that the FE names within reach? Loads nothing."""
        back_end, _ = self._back_end(path)
        try:
            socket.create_connection((back_end.host, back_end.port), CONNECT_SECS).close()
        except OSError as error:
            raise _unreachable(back_end, error) from error

    def load(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """Load a batch under the label in headers; what Doris says of it.

        Raises StreamLoadError. When that is LOST the outcome may be unknown: repeat it under the same label.
        """
        back_end, target = self._back_end(path)
        answer = self._put(back_end, target, headers, body)
        told = answer.json()
        status = str(told.get("Status", ""))
        if answer.status != 200 or not status:
            kind = DbErrorKind.FATAL if 400 <= answer.status < 500 else DbErrorKind.LOST
            raise StreamLoadError(kind, f"the BE {back_end} answered HTTP {answer.status} without a status")
        if status == "Label Already Exists":
            # It is ours, from an attempt whose answer was lost.
            status = _existing(told)
        elif status not in {"Success", "Publish Timeout"}:
            raise self._failed(told, back_end)
        return f"label {headers['label']}, txnId {told.get('TxnId', '?')}, {status}"

    def _back_end(self, path: str) -> tuple[Address, str]:
        """The BE that the FE names for a load, and what to ask it for.

        Empty, because the FE of 3.1.3 and later may reset who sends it the body (httpv2/rest/LoadAction.java).
        """
        answer = self._put(self._front_end, path, {}, b"")
        if answer.status not in {301, 302, 307, 308}:
            raise self._refused(answer)
        # It may hold user and password (RestBaseController.java: getRedirectUrL), so it is never repeated.
        try:
            parts = urlsplit(answer.location)
            address = Address(parts.hostname or "", parts.port or 8040)
            address.host.encode("idna")  # as it will be to connect
        except ValueError:
            parts, address = urlsplit(""), Address("", 0)
        usable = _PLAIN(answer.location) and address.host and parts.path.endswith("/_stream_load")
        if parts.scheme != "http" or not usable:
            raise StreamLoadError(
                DbErrorKind.FATAL, f"the FE {self._front_end} redirects to no http:// address of a BE"
            )
        return address, parts.path + (f"?{parts.query}" if parts.query else "")

    def _refused(self, answer: _Answer) -> StreamLoadError:
        """The FE's answer to a load that it does not pass on."""
        told = answer.json()
        text = str(told.get("msg") or told.get("Message") or "")
        if answer.status == 401 or told.get("code") == 401:
            kind, text = DbErrorKind.FATAL, f"Access denied ({text or 'Unauthorized'})"
        elif answer.status >= 500:
            kind = DbErrorKind.LOST
        else:
            kind = kind_of(text)
        return StreamLoadError(kind, f"the FE {self._front_end} refuses the load: HTTP {answer.status} {text}")

    def _failed(self, told: dict[str, Any], back_end: Address) -> StreamLoadError:
        text = str(told.get("Message", ""))
        first = str(told.get("FirstErrorMsg") or "")
        url = str(told.get("ErrorURL") or "")
        kind = DbErrorKind.REFUSED if url else kind_of(text)
        log = self._error_log(url, back_end) if url else ""
        said = first or next(iter(log.splitlines()), "")
        filtered = told.get("NumberFilteredRows")
        return StreamLoadError(
            kind,
            f"{told.get('Status')}: {text}{f'; {said}' if said else ''}",
            log=log,
            filtered=filtered if isinstance(filtered, int) else 0,
        )

    def _error_log(self, url: str, back_end: Address) -> str:
        """The log, if it is on a host that we talk to anyway; without credentials. It is a help, so it may fail."""
        with suppress(OSError, ValueError, http.client.HTTPException):
            parts = urlsplit(url)
            if parts.scheme == "http" and parts.hostname in {back_end.host, self._front_end.host}:
                connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CONNECT_SECS)
                try:
                    connection.request("GET", f"{parts.path}?{parts.query}")
                    answer = connection.getresponse()
                    if answer.status == 200:
                        return answer.read(LONGEST_ANSWER).decode("utf-8", "replace")
                finally:
                    connection.close()
        return ""

    def _put(self, address: Address, target: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=CONNECT_SECS)
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_SECS)
            connection.putrequest("PUT", target, skip_accept_encoding=True)
            given = {"Authorization": self._authorization, "Expect": "100-continue", **headers}
            for name, value in {**given, "Content-Length": str(len(body))}.items():
                connection.putheader(name, value)
            connection.endheaders()
            if body and _wants_body(connection.sock):
                # A server that has heard enough answers and hangs up: the answer counts.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.send(body)
            answer = connection.getresponse()
            return _Answer(answer.status, answer.getheader("Location", ""), answer.read(LONGEST_ANSWER))
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(address, error) from error
        finally:
            connection.close()


def basic(user: str, password: str) -> str:
    """The header that names the user."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _wants_body(sock: socket.socket) -> bool:
    """Is the body asked for (`100 Continue`)? False: the answer is there already. Nothing is read."""
    poll = select.poll()  # select() takes no descriptor from 1024 on
    poll.register(sock, select.POLLIN)
    return not poll.poll(GO_AHEAD_SECS * 1000) or sock.recv(12, socket.MSG_PEEK)[9:] in {b"", b"1", b"10", b"100"}


def _existing(told: dict[str, Any]) -> str:
    """What became of the load that had the label first."""
    job = str(told.get("ExistingJobStatus") or "").upper()
    if not job:  # cloud mode before apache/doris#42700: only the message says it
        message = str(told.get("Message", "")).upper()
        job = next((status for status in FINISHED if status in message), "RUNNING")
    if job in FINISHED:
        return f"Label Already Exists, {job}"
    raise StreamLoadError(DbErrorKind.LOST, f"the first attempt under this label is {job}")


def _unreachable(address: Address, error: Exception) -> StreamLoadError:
    return StreamLoadError(DbErrorKind.LOST, f"{address}: {error or type(error).__name__}")
