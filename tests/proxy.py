"""A TCP proxy before a server on this machine; what happens to the bytes is up to its kinds."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from typing import Self

__all__ = ["Proxy"]


class Proxy(ABC):
    """`with ... as proxy:` clients connect to `proxy.port`; each is served in a thread of its own."""

    def __init__(self, server_port: int) -> None:
        self.connections = 0
        """How many clients came."""
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._server_port)) as server:
            self._serve(client, server)

    @abstractmethod
    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what comes, until one of them is gone. An OSError ends the connection."""
