"""Answers that are too large or can't be unpacked, eight at once: bounded memory, and the other KOLs are well."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import brotli

from tests.e2e.http_servers import http_server, reply
from tests.e2e.project import ROOT

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.e2e.conftest import MakeProject

MB = 1024 * 1024
HEAD = b'{"status": "success", "has_next_page": false, "next_cursor": "", "followings": ['
USER = {"id": "1", "name": "A", "screen_name": "a"}


def page(*users: dict[str, str]) -> bytes:
    return HEAD + ", ".join(map(json.dumps, users)).encode() + b"]}"


def test_eight_bombs_at_once_keep_the_run_under_300_mb(make_project: MakeProject, tmp_path: Path) -> None:
    empty = HEAD + b"{}," * (64 * MB // 3) + b"{}]}"
    large = page(USER | {"description": "x" * 8_300_000})
    bombs = {
        "gzip": (gzip.compress(empty, 1), "gzip"),
        "deflate": (zlib.compress(empty, 1), "deflate"),
        "br": (bytes(brotli.compress(empty, quality=1)), "br"),
        "values": (empty[: 8 * MB - 10] + b"]}", ""),
        "users": (HEAD + b"{}," * 60_000 + b"{}]}", ""),
        "raw": (bytes(9 * MB), ""),
    }
    good = {"largest": (large, ""), "usual": (page(USER), "")}
    del empty
    answers = bombs | good
    were_here = threading.Event()
    all_here = threading.Barrier(len(answers), action=were_here.set)

    def answer(request: BaseHTTPRequestHandler) -> None:
        kol = parse_qs(urlsplit(request.path).query)["userName"][0]
        body, encoding = answers[kol]
        if not were_here.is_set():
            with suppress(threading.BrokenBarrierError):
                all_here.wait(timeout=30)
            if kol == "usual":
                body, encoding = b"no gzip at all", "gzip"
        reply(request, 200, body, {"Content-Encoding": encoding} if encoding else {})

    hook = (
        "import atexit, pathlib\n"
        f"peak = pathlib.Path({str(tmp_path / 'peak')!r})\n"
        "atexit.register(lambda: peak.write_text(pathlib.Path('/proc/self/status').read_text()))\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    project = make_project(dict.fromkeys(answers, 1))
    with http_server(answer) as url:
        env = {"KOL_API_URL": url, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
        result = project.crawl("-s", "RETRY_TIMES=1", env=env).expect(3)
    assert project.ended() == dict.fromkeys(bombs, "failed") | dict.fromkeys(good, "complete")
    for kol in bombs:
        assert "the answer is too large for a page" in project.records()[kol].reason
        assert sum(f"KOL {kol}: " in line for line in result.err.splitlines()) == 2  # one more try, and the end
    assert "scrapy.core.downloader" not in result.err
    assert "scrapy.downloadermiddlewares" not in result.err
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", (tmp_path / "peak").read_text())

    assert int(peak) < 300 * 1024
