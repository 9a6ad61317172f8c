"""Doris's Stream Load over HTTP: an empty PUT to the FE, which names a BE, then the rows to that BE.

The password goes to these two only: no proxy of the environment is used and no further redirect followed. HTTP 200
does not mean success, `Status` decides (Doris's documentation of Stream Load, be/src/http/action/stream_load.cpp).
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
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kolspider.db.base import DbErrorKind
from kolspider.db.doris.facts import FINISHED, kind_of, label_state

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOT_EXTRA", "PUBLIC", "Address", "StreamLoad", "StreamLoadError", "basic"]

CONNECT_SECS = 10
ANSWER_SECS = 30
GO_AHEAD_SECS = 5
"""Seconds for the BE to ask for the body or refuse the load; then the body is sent unasked."""
LONGEST_ANSWER = 1_000_000  # bytes
LONGEST_REASON = 1000
PUBLIC = {"redirect-policy", "cloud_cluster", "compute_group"}
"""Extra headers whose values are no secrets."""
NOT_EXTRA = set(
    """
    authorization connection content-length expect host token transfer-encoding columns compress_type delete format
    function_column.sequence_col group_commit hidden_columns jsonpaths json_root label max_filter_ratio merge_type
    partial_columns partial_update_new_key_behavior partitions read_json_by_line strict_mode strip_outer_array
    temporary_partitions timeout timezone two_phase_commit unique_key_update_mode where
    """.split()  # noqa: SIM905 - one name a line would be a page
)
"""Headers that are set here, and those that would load other rows, or load them otherwise."""
_PLAIN = re.compile("[!-~]+").fullmatch
"""Matches text made of the characters that a URL may have."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class StreamLoadError(Exception):
    """A load that failed, or whose outcome is unknown."""

    def __init__(self, kind: DbErrorKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    location: str
    body: bytes

    def json(self) -> dict[str, Any]:
        """Parse the object in the body; empty when there is none."""
        with suppress(ValueError, RecursionError):
            found = json.loads(self.body)
            if isinstance(found, dict):
                return found
        return {}


class StreamLoad:
    """Loads batches, each over connections of its own."""

    def __init__(
        self, front_end: Address, user: str, password: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """headers: further ones, for the FE and the BE."""
        self._front_end = front_end
        self._headers = {"Authorization": basic(user, password), "Expect": "100-continue", **headers}

    def check(self, path: str) -> None:
        """Raise unless this user may load and the BE that the FE names can be reached. Loads nothing."""
        back_end, _ = self._back_end(path)
        try:
            socket.create_connection((back_end.host, back_end.port), CONNECT_SECS).close()
        except OSError as error:
            raise _unreachable(back_end, error) from error

    def load(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """Load a batch under the label in headers; returns label, transaction and status.

        Raises StreamLoadError. When its kind is LOST the outcome may be unknown: repeat the load with the same label.
        """
        back_end, target = self._back_end(path)
        answer = self._put(back_end, target, headers, body)
        facts = answer.json()
        status = str(facts.get("Status", ""))
        if answer.status != 200 or not status:
            kind = DbErrorKind.FATAL if 400 <= answer.status < 500 else DbErrorKind.LOST
            text = f"the BE {back_end} answered HTTP {answer.status} without a status{_advice(answer)}"
            raise StreamLoadError(kind, text)
        if status == "Label Already Exists":
            # By our own earlier attempt, whose answer was lost.
            status = _existing(facts)
        elif status not in {"Success", "Publish Timeout"}:
            raise self._failed(facts, back_end)
        elif facts.get("NumberLoadedRows") != facts.get("NumberTotalRows"):
            raise StreamLoadError(
                DbErrorKind.REFUSED,
                f"{facts.get('NumberLoadedRows')} of {facts.get('NumberTotalRows')} rows were loaded",
            )
        return f"label {headers['label']}, txnId {facts.get('TxnId', '?')}, {status}"

    def _back_end(self, path: str) -> tuple[Address, str]:
        """Ask the FE which BE takes the load, and under which path.

        The PUT is empty: from 3.1.3 on, the FE may reset a connection that sends it the body
        (httpv2/rest/LoadAction.java).
        """
        answer = self._put(self._front_end, path, {}, b"")
        if answer.status not in {301, 302, 307, 308}:
            raise self._refused(answer)
        # The location may hold user and password (RestBaseController.java: getRedirectUrL), so no message repeats it.
        try:
            parts = urlsplit(answer.location)
            address = Address(parts.hostname or "", parts.port or 8040)
            address.host.encode("idna")  # as connecting will do
        except ValueError:
            parts, address = urlsplit(""), Address("", 0)
        usable = _PLAIN(answer.location) and address.host and parts.path.endswith("/_stream_load")
        if parts.scheme != "http" or not usable:
            raise StreamLoadError(
                DbErrorKind.FATAL, f"the FE {self._front_end} redirects to no http:// address of a BE"
            )
        return address, parts.path + (f"?{parts.query}" if parts.query else "")

    def _refused(self, answer: _Answer) -> StreamLoadError:
        """The error for an answer of the FE that names no BE."""
        facts = answer.json()
        text = str(facts.get("msg") or facts.get("Message") or "")
        if answer.status == 401 or facts.get("code") == 401:
            kind, text = DbErrorKind.FATAL, f"Access denied ({text or 'Unauthorized'})"
        elif answer.status >= 500:
            kind = DbErrorKind.LOST
        else:
            kind = DbErrorKind.FATAL if answer.status >= 400 else kind_of(text)
        said = f"HTTP {answer.status} {text}".rstrip() + _advice(answer)
        return StreamLoadError(kind, f"the FE {self._front_end} refuses the load: {said}")

    def _failed(self, facts: dict[str, Any], back_end: Address) -> StreamLoadError:
        text = str(facts.get("Message", ""))
        url = str(facts.get("ErrorURL") or "")
        kind = DbErrorKind.REFUSED if url else kind_of(text)
        example = facts.get("FirstErrorMsg") or self._first_reason(url, back_end)  # the field is of 3.1
        return StreamLoadError(kind, f"{facts.get('Status')}: {text}{f'; {example}' if example else ''}")

    def _first_reason(self, url: str, back_end: Address) -> str:
        """Fetch the first line of the BE's log of filtered rows; empty when that fails.

        Without credentials, and from a host that we talk to anyway.
        """
        with suppress(OSError, ValueError, http.client.HTTPException):
            parts = urlsplit(url)
            if parts.scheme == "http" and parts.hostname in {back_end.host, self._front_end.host}:
                connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CONNECT_SECS)
                try:
                    connection.request("GET", f"{parts.path}?{parts.query}")
                    answer = connection.getresponse()
                    if answer.status == 200:
                        return answer.readline(LONGEST_REASON).decode("utf-8", "replace").strip()
                finally:
                    connection.close()
        return ""

    def _put(self, address: Address, target: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=CONNECT_SECS)
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_SECS)
            connection.putrequest("PUT", target, skip_accept_encoding=True)
            for name, value in {**self._headers, **headers, "Content-Length": str(len(body))}.items():
                connection.putheader(name, value)
            connection.endheaders()
            if body and _wants_body(connection.sock):
                # A server may answer early and hang up: the answer counts.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.send(body)
            answer = connection.getresponse()
            return _Answer(answer.status, answer.getheader("Location", ""), answer.read(LONGEST_ANSWER))
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(address, error) from error
        finally:
            connection.close()


def basic(user: str, password: str) -> str:
    """The Authorization header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _wants_body(sock: socket.socket) -> bool:
    """Whether the server says `100 Continue`, or nothing for GO_AHEAD_SECS; otherwise it has answered already."""
    poll = select.poll()  # select() fails for descriptors from 1024 on
    poll.register(sock, select.POLLIN)
    return not poll.poll(GO_AHEAD_SECS * 1000) or sock.recv(12, socket.MSG_PEEK)[9:] in {b"", b"1", b"10", b"100"}


def _advice(answer: _Answer) -> str:
    """What to do about something between us and Doris."""
    if answer.status == 413:
        return "; a proxy on the way limits the size of a request: raise its limit, or lower KOL_FLUSH_ROWS"
    if b"100-continue" in answer.body:
        return "; a proxy on the way takes the header Expect away: KOL_DORIS_HTTP must lead to the FE itself"
    if b"Invalid header host" in answer.body:
        return "; this version of Doris takes no IPv6 address: write a host name into KOL_DORIS_HTTP"
    return ""


def _existing(facts: dict[str, Any]) -> str:
    """Return the status of the load that has the label. Raises StreamLoadError while it is not over."""
    # Cloud mode before apache/doris#42700 has the status in the message only.
    job = str(facts.get("ExistingJobStatus") or "").upper() or label_state(str(facts.get("Message", "")))
    if job in FINISHED:
        return f"Label Already Exists, {job}"
    raise StreamLoadError(DbErrorKind.LOST, f"the first attempt under this label is {job}")


def _unreachable(address: Address, error: Exception) -> StreamLoadError:
    return StreamLoadError(DbErrorKind.LOST, f"{address}: {error or type(error).__name__}")
