"""A TCP proxy before a MySQL server that breaks a connection around a statement: before it arrives, or its answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Cut", "MysqlProxy"]

COM_QUERY = 3


@dataclass(frozen=True)
class Cut:
    """Break the connection at a statement."""

    executed: bool
    """True: the server gets the statement, and its answer is lost. False: the server never gets it."""
    then: Callable[[], None] = lambda: None
    """What else happens before the client sees the connection break."""


class MysqlProxy(Proxy):
    """`with MysqlProxy(port, plan) as proxy:` plan is asked at every statement, in the order in which they come."""

    def __init__(self, server_port: int, plan: Callable[[str], Cut | None]) -> None:
        super().__init__(server_port)
        self._plan = plan

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        answers = _Answers(server, client)
        threading.Thread(target=answers.pass_on, daemon=True).start()
        try:
            while packet := _packet(client):
                cut = self._plan(packet[5:].decode(errors="replace")) if _is_query(packet) else None
                if cut is None:
                    server.sendall(packet)
                    continue
                if cut.executed:
                    answers.swallow(packet)
                cut.then()
                return
        finally:
            for end in (server, client):  # close() alone leaves the other thread's recv() asleep
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


class _Answers:
    """The server's answers on their way to the client."""

    def __init__(self, server: socket.socket, client: socket.socket) -> None:
        self._server = server
        self._client = client
        self._deaf = False
        self._heard = threading.Event()

    def pass_on(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                if not self._deaf:
                    self._client.sendall(data)
                elif not self._heard.is_set():
                    self._heard.set()
        self._heard.set()
        with contextlib.suppress(OSError):
            if not self._deaf:
                self._client.shutdown(socket.SHUT_RDWR)

    def swallow(self, packet: bytes) -> None:
        """Send a packet, and keep the answer from the client. The client is silent until it is answered."""
        self._deaf = True
        self._server.sendall(packet)
        self._heard.wait()


def _is_query(packet: bytes) -> bool:
    """A command, which begins again at sequence number 0 (the handshake does not), and the one that brings SQL."""
    return packet[3] == 0 and packet[4] == COM_QUERY


def _packet(client: socket.socket) -> bytes:
    """The next one that the client sends, with its header; empty at the end."""
    header = _exactly(client, 4)
    body = _exactly(client, int.from_bytes(header[:3], "little"))
    return header + body if header and body else b""


def _exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data
