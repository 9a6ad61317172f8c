"""Commands without the second that Python and the imports take: a process that is ready forks for each.

A command begins where `python -m scrapy` does once it has imported everything, as a process of its own, with its own
environment and streams; a `sitecustomize.py` in its PYTHONPATH, with which a test changes a command, is imported
then. A copy of the product in a folder has a server of its own. What a fork cannot be true to is started the ordinary
way (see `can_fork`)."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from tests.e2e.fork_server import MOST, OWN_PATH, hooks_of, python_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Fork", "can_fork", "start"]

ROOT = Path(__file__).resolve().parents[2]
SERVER = str(Path(__file__).with_name("fork_server.py"))
ENVIRONMENT = dict(os.environ)
"""That of the servers."""
PR_SET_CHILD_SUBREAPER = 36
PROXIES = [f"{name}_proxy" for name in ("http", "https", "all", "no")]
NOT_READ_AT_IMPORT = (
    *("KOL_", "SCRAPY_", "PYTEST_", "PYTHONWARNINGS", "NO_COLOR", "TERM"),
    *PROXIES,
    *map(str.upper, PROXIES),
)


def can_fork(environment: Mapping[str, str]) -> bool:
    """Tell whether all that Python and the libraries read when they are imported is as in the server's environment."""
    if sys.platform != "linux":
        return False
    changed = {name for name, _ in environment.items() ^ ENVIRONMENT.items()}
    if {*python_path(environment)} <= {*hooks_of(environment), *OWN_PATH, str(ROOT)}:
        changed.discard("PYTHONPATH")
    return all(name.startswith(NOT_READ_AT_IMPORT) for name in changed)


def start(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], output: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Start `scrapy <words>` in a folder; the caller ends it."""
    forked = can_fork(environment)
    return (Fork if forked else subprocess.Popen)(
        [*words] if forked else [sys.executable, "-m", "scrapy", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        text=True,
    )


class Fork(subprocess.Popen[str]):
    """`scrapy <words>` as a child of this process, which the server forks."""

    def _execute_child(self, args: list[str], *others: Any) -> None:
        """Do what Popen does at this point, but for fork and exec."""
        folder: Path = others[4]
        environment: Mapping[str, str] = others[5]
        pipes: tuple[int, ...] = others[9:15]
        self.pid = _server_in(folder).start(args, environment, pipes[0], pipes[3], pipes[5])
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # Popen's own


class _Server:
    def __init__(self, folder: Path) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor = theirs.fileno()
        self._process = subprocess.Popen(
            # As with -m, the product is that of the folder.
            [sys.executable, "-c", f"import runpy; runpy.run_path({SERVER!r}, run_name='__main__')", str(descriptor)],
            cwd=folder,
            env=ENVIRONMENT,
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # like those of the commands: Python looks at what a stream is when it starts
            stderr=subprocess.STDOUT,
            text=True,
        )
        theirs.close()
        self._lock = Lock()

    def start(self, words: list[str], environment: Mapping[str, str], *streams: int) -> int:
        """Start a command with these streams as 0, 1 and 2. Returns its process id."""
        request = json.dumps([words, dict(environment)]).encode()
        with self._lock, _adopting():
            socket.send_fds(self._control, [request], streams)
            answer = self._control.recv(MOST)
        assert answer, f"the fork server ended: {self._process.communicate()[0]}"
        return int(answer)

    def end(self) -> None:
        self._control.close()
        self._process.communicate()


def _server_in(folder: Path) -> _Server:
    """The server of this folder. Besides the one of the project itself, only the last one used is kept."""
    if folder not in _servers:
        for other in _servers.keys() - {ROOT}:
            _servers.pop(other).end()
        _servers[folder] = _Server(folder)
    return _servers[folder]


_servers: dict[Path, _Server] = {}


@atexit.register
def _end() -> None:
    for server in _servers.values():
        server.end()


@contextmanager
def _adopting() -> Iterator[None]:
    """Be the parent of orphans, so that a command whose parent ends is a child of this process."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0)
