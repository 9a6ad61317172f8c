"""The API of the benchmark: a process of its own that answers with prepared pages, as fast as it can.

    python -m benchmarks.api FOLDER [--any BODY] [--log FILE]

It prints its base URL. All pages are made beforehand, so no contestant waits for the sandbox: an answer costs a look-up
and a read from the page cache. It keeps connections alive, does not compress, and accepts any key.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main", "serve"]

_ACCOUNT = b'{"recharge_credits": 1000000000, "total_bonus_credits": 0}'
_NOT_FOUND = b'{"status": "error", "msg": "user not found"}'


@contextmanager
def serve(folder: Path, *options: str) -> Iterator[str]:
    """Run it for as long as the block lasts; yields its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.api", str(folder), *options],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


class Pages:
    """The prepared answers by KOL and cursor."""

    def __init__(self, folder: Path, any_kol: Path | None) -> None:
        index = json.loads((folder / "index.json").read_text())
        self._files = {(kol, cursor): folder / file for kol, cursor, file in index}
        self._otherwise = any_kol.read_bytes() if any_kol else _NOT_FOUND

    def find(self, target: str) -> bytes:
        query = parse_qs(urlsplit(target).query)
        if "userName" not in query:
            return _ACCOUNT
        file = self._files.get((query["userName"][0].lower(), query.get("cursor", [""])[0]))
        return self._otherwise if file is None else file.read_bytes()


class Connection(asyncio.Protocol):
    """A connection of HTTP/1.1 that knows only GET."""

    def __init__(self, pages: Pages, log: TextIO | None) -> None:
        self._pages = pages
        self._log = log
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            head, self._got = self._got[:end], self._got[end + 4 :]
            if self._log and b"?userName=" in head:
                print(time.time(), file=self._log, flush=True)
            body = self._pages.find(head.split(b" ", 2)[1].decode())
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            self._transport.write(body)


async def _serve(pages: Pages, log: TextIO | None) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(pages, log), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--any", type=Path, help="the answer for a KOL that the folder does not have")
    parser.add_argument("--log", type=Path, help="append the time of each request for a list to this file")
    arguments = parser.parse_args()
    log = arguments.log.open("a") if arguments.log else None
    asyncio.run(_serve(Pages(arguments.folder, arguments.any), log))


if __name__ == "__main__":
    main()
