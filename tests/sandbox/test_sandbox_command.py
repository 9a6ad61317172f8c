"""`python -m kolspider.sandbox` serves in a process of its own, and refuses wrong options."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import pytest

from kolspider.sandbox.__main__ import main

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(*options: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL of a sandbox in a process of its own, which ends cleanly with the block."""
    command = [sys.executable, "-W", "error", "-m", "kolspider.sandbox", *map(str, options)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("sandbox API at http://127.0.0.1:")
            yield line.split()[-1], process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_command_serves_until_a_signal_stops_it(tmp_path, stop):
    faults = tmp_path / "faults.json"
    faults.write_text('{"BTC": [{"name": "rate_limit", "seconds": 3}]}')
    log = tmp_path / "calls.jsonl"
    with serving("--kols", "BTC=3,ethereum=0", "--key", "k", "--faults", faults, "--log", log) as (url, process):
        assert (status(url, "BTC"), status(url, "BTC")) == (429, 200)
        process.send_signal(stop)
        process.wait(60)
    assert [json.loads(call)["status"] for call in log.read_text().splitlines()] == [429, 200]


def test_command_serves_another_api_to_a_customer_with_little_left():
    options = ["--kols", "BTC=90", "--key", "k", "--api", "tikhub", "--balance", "1"]
    with serving(*options) as (url, _process):
        path, headers = "/api/v1/twitter/web/fetch_user_followings", {"Authorization": "Bearer k"}
        assert [status(url, "BTC", path, "screen_name", headers) for _ in range(2)] == [200, 402]


def status(
    url: str,
    handle: str,
    path: str = "/twitter/user/followings",
    who: str = "userName",
    headers: Mapping[str, str] = MappingProxyType({"X-API-Key": "k"}),
) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", f"{path}?{who}={handle}", headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "options", [["--kols", "BTC"], ["--kols", "BTC=x"], ["--faults", "/none"], ["--what"], ["--api", "x"]]
)
def test_wrong_usage_is_one_line_and_exit_2(options, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(options)
    assert exit_.value.code == 2
    assert "error:" in capsys.readouterr().err
