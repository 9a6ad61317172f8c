"""The network between a worker and a server: a TCP proxy through which, for a while, nothing comes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

__all__ = ["Network"]

_LOOK_EVERY = 0.05


class Network:
    """`with Network(port) as network:` clients connect to `network.port`. Nobody is told of a cut: bytes only wait."""

    def __init__(self, server_port: int) -> None:
        self.cut_until = 0.0
        """Nothing passes before this moment, on the monotonic clock."""
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
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._server_port)) as server:
            back = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
            back.start()
            self._pass_on(client, server)
            back.join()

    def _pass_on(self, source: socket.socket, drain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                while time.monotonic() < self.cut_until:
                    time.sleep(_LOOK_EVERY)
                drain.sendall(data)
        for end in (source, drain):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
