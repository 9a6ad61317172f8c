"""Commands as processes: what one left behind, and how a test waits for what must happen."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["PATIENCE", "Result", "finish", "kill", "stats", "wait_for_text", "wait_until"]

PATIENCE = 240.0
"""Seconds in which something must happen, however busy the machine is."""


@dataclass(frozen=True)
class Result:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def expect(self, code: int) -> Result:
        assert self.code == code, f"exit code {self.code}, not {code}\n{self.text}"
        return self


def finish(process: subprocess.Popen[str], timeout: float = PATIENCE) -> Result:
    """Wait for a command; one that hangs is killed, and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout} s\n{out}{err}") from None
    return Result(process.returncode, out, err)


def kill(process: subprocess.Popen[str]) -> Result:
    """`kill -9`"""
    process.send_signal(signal.SIGKILL)
    return finish(process)


def wait_until(true: Callable[[], bool]) -> None:
    """Poll until it is true; fail when that takes longer than PATIENCE."""
    until = (asked := time.monotonic()) + PATIENCE
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(max(0.01, 4 * (time.monotonic() - asked)))  # what is waited for needs the processor more
        asked = time.monotonic()


def wait_for_text(path: Path, text: str) -> None:
    """Wait until a file has this text."""
    wait_until(lambda: path.exists() and text in path.read_text())


def stats(text: str) -> dict[str, int]:
    """The numbers under kol/, without that prefix, in the log of a run with `-s STATS_DUMP=True`."""
    return {name: int(number) for name, number in re.findall(r"'kol/([^']+)': (\d+)", text)}
