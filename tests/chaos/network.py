"""The network between a worker and a server, through which, for a while, nothing comes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from tests.proxy import Proxy

__all__ = ["Network"]

_LOOK_EVERY = 0.05


class Network(Proxy):
    """Nobody is told of a cut: bytes only wait."""

    cut_until = 0.0
    """Nothing passes before this moment, on the monotonic clock."""

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
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
