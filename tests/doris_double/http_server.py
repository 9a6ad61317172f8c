"""As much of an HTTP/1.1 server as Stream Load needs: a request's head first, its body only when it is asked for.

Written by hand, because the point is what happens between the two: aiohttp answers `Expect: 100-continue` by itself.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import socket
import struct
from dataclasses import dataclass
from typing import Any

__all__ = ["STREAM_LOAD_PATH", "Request", "credentials", "read_head", "reset", "respond", "respond_json"]

STREAM_LOAD_PATH = re.compile(r"/api/([^/]+)/([^/]+)/_stream_load")
REASONS = {200: "OK", 307: "Temporary Redirect", 401: "Unauthorized", 404: "Not Found"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head; the names of its headers are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def expects_continue(self) -> bool:
        return self.headers.get("expect", "").lower() == "100-continue"

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", 0))

    async def body(self) -> bytes:
        """Ask for the body where the client waits for that, and read it."""
        if self.expects_continue:
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self.writer.drain()
        return await self.reader.readexactly(self.length)

    async def sends_body(self, seconds: float) -> bool:
        """Does the body come unasked?"""
        if not self.length:
            return False
        try:
            return bool(await asyncio.wait_for(self.reader.read(1), seconds))
        except TimeoutError:
            return False


async def read_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request's head; None when the client is gone."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    path, _, query = target.partition("?")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        # Column names may be UTF-8.
        headers[name.strip().lower()] = value.strip().encode("latin-1").decode("utf-8", "replace")
    return Request(method, path, query, headers, reader, writer)


def credentials(request: Request) -> tuple[str, str] | None:
    """User and password of Basic auth."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


async def respond(request: Request, status: int, body: bytes, kind: str = "text/plain", **headers: str) -> None:
    """Answer. The connection is closed after it."""
    lines = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        f"Content-Type: {kind};charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    request.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    await request.writer.drain()


async def respond_json(request: Request, answer: dict[str, Any], status: int = 200, **headers: str) -> None:
    await respond(request, status, json.dumps(answer, indent=4).encode(), "application/json", **headers)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset, whatever is still unread."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
