"""HTTP servers of a test's own, for what the sandbox API can't be: a proxy, another host, an odd answer."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["http_server", "reply", "tunnel"]


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], None], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve, and give the base URL: `answer` writes the answer to each GET, PUT or POST."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            answer(self)

        def do_CONNECT(self) -> None:
            answer(self)

        def do_PUT(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away, or hung up on our certificate, is what a test wants to see."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> None:
    """Write an answer, in http_server's `answer`."""
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def tunnel(request: BaseHTTPRequestHandler) -> None:
    """Do as a proxy after CONNECT, in http_server's `answer`: pass on bytes, both ways, until one side hangs up."""
    host, _, port = request.path.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as there:
        request.send_response(200)
        request.end_headers()
        here = request.connection
        ways = {here: there, there: here}
        while ready := select.select(list(ways), [], [], 10)[0]:
            for side in ready:
                if not (data := side.recv(65536)):
                    request.close_connection = True
                    return
                ways[side].sendall(data)
