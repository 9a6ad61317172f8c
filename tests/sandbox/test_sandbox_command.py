"""`python -m kolspider.sandbox` serves in a process of its own, and refuses wrong options."""

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kolspider.sandbox.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_command_serves_until_a_signal_stops_it(tmp_path, stop):
    faults = tmp_path / "faults.json"
    faults.write_text('{"BTC": [{"name": "rate_limit", "seconds": 3}]}')
    log = tmp_path / "calls.jsonl"
    options = ["--kols", "BTC=3,ethereum=0", "--key", "k", "--faults", faults, "--log", log]
    command = [sys.executable, "-W", "error", "-m", "kolspider.sandbox", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("sandbox API at http://127.0.0.1:")
            url = line.split()[-1]
            assert (status(url, "BTC"), status(url, "BTC")) == (429, 200)
        finally:
            process.send_signal(stop)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0
    assert [json.loads(call)["status"] for call in log.read_text().splitlines()] == [429, 200]


def status(url: str, handle: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", f"/twitter/user/followings?userName={handle}", headers={"X-API-Key": "k"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("options", [["--kols", "BTC"], ["--kols", "BTC=x"], ["--faults", "/none"], ["--what"]])
def test_wrong_usage_is_one_line_and_exit_2(options, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(options)
    assert exit_.value.code == 2
    assert "error:" in capsys.readouterr().err
