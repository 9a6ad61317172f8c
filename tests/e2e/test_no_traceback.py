"""However a command is started, interrupted or listened to, it shows no traceback, and the rows are in the table."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.expected import expected_rows
from tests.e2e.processes import PATIENCE
from tests.e2e.project import CRAWL, FAST, ROOT, settings

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject

KOLS = {"BTC": 250}


def test_a_log_that_cannot_be_written_is_one_line_and_the_run_goes_on(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    result = project.crawl(*settings(LOG_FILE="/dev/full")).expect(0)
    assert result.err == "kolspider: the log can't be written: No space left on device\n"
    assert project.rows() == expected_rows(KOLS)


def test_a_run_needs_neither_standard_streams_nor_a_home(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    env = {name: value for name, value in project.environment().items() if name != "HOME"}
    words = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *CRAWL, *FAST]
    assert subprocess.run(words, cwd=ROOT, env=env, check=False, timeout=60).returncode == 0
    assert project.rows() == expected_rows(KOLS)


def test_the_end_of_the_terminal_ends_a_run_in_order(make_project: MakeProject) -> None:
    project = make_project({"BTC": 1000})
    log, (ours, its) = project.folder / "log", pty.openpty()
    project.api.hold(after=1)
    process = subprocess.Popen(
        ["setsid", "--ctty", *CRAWL, *FAST, *settings(LOG_FILE=log)],
        cwd=ROOT,
        env=project.environment() | {"TERM": "xterm"},
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    project.wait_for_calls(2)
    os.close(ours)
    project.api.release()
    assert process.wait(PATIENCE) == 130
    assert "Traceback" not in log.read_text()
    assert "SIGHUP" in log.read_text()
    assert len(project.rows()) == 200 * len(project.api.calls)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import kolspider.settings; raise KeyboardInterrupt", "kolspider: interrupted"),
        (
            "import sys; sys.version_info, sys.version = (3, 10), '3.10.9 (main)'; import kolspider",
            "kolspider: Python 3.11 or newer is needed, and this is 3.10.9",
        ),
    ],
    ids=["Ctrl-C", "Python 3.10"],
)
def test_a_command_that_cannot_begin_says_so_in_one_line(code: str, told: str) -> None:
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode in {1, -signal.SIGINT}
    assert result.stderr == f"{told}\n"
