"""A private PostgreSQL for tests: its own data directory, socket and port, and a user with an ugly password."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

__all__ = ["PASSWORD", "USER", "Postgres", "installed"]

USER = "kol"
PASSWORD = "s3cr3t-pässword/@:%?"
START_SECS = 60
_AS_USER: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
"""PostgreSQL does not run as root."""
_QUICK = {"fsync": "off", "full_page_writes": "off"}


class Postgres:
    """`with Postgres() as server:` starts it; stop, kill and start again keep its data and its port.

    A `durable` one syncs its commits to the disk.
    """

    def __init__(self, *, durable: bool = False) -> None:
        # Not pytest's tmp_path: a socket's path must be short, and the server may be another user's.
        self._directory = Path(tempfile.mkdtemp(prefix="kol-postgres-"))
        if _AS_USER:
            shutil.chown(self._directory, "postgres")
        self._options = {} if durable else _QUICK
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def url(self, database: str = "kol", **options: str) -> str:
        """What KOL_SHARED_URL would be."""
        query = "&".join(f"{name}={quote(value)}" for name, value in options.items())
        address = f"{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{address}{f'?{query}' if query else ''}"

    def __enter__(self) -> Self:
        try:
            self._install()
            self.start()
            with closing(self.connect("postgres")) as root:
                root.execute(f"CREATE ROLE kol LOGIN PASSWORD {sql.Literal(PASSWORD).as_string(root)}")
                root.execute("CREATE DATABASE kol OWNER kol")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def connect(self, database: str = "kol") -> psycopg.Connection[Any]:
        """A connection as superuser, over the socket."""
        return psycopg.connect(
            host=str(self._directory), port=self.port, user="postgres", dbname=database, autocommit=True
        )

    def kill_sessions(self) -> None:
        """End the connections of the user."""
        with closing(self.connect()) as root:
            root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kol'")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = {
            "unix_socket_directories": str(self._directory),
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "shared_buffers": "16MB",
            "max_connections": "40",
            "autovacuum": "off",
            **self._options,
        }
        command = [_program("postgres"), "-D", str(self._directory / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        log = self._directory / "log"
        give_up_at = time.monotonic() + START_SECS
        while not self._answers():
            # After a crash, the sessions hold the data for a moment, and another start fails.
            if self._process is None or self._process.poll() is not None:
                with log.open("ab") as output:
                    self._process = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **_AS_USER
                    )
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"postgres does not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """A shutdown that ends all connections in order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """A crash."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(timeout=60)

    def _install(self) -> None:
        subprocess.run(
            [
                _program("initdb"),
                *("-D", str(self._directory / "data"), "--username=postgres", "--encoding=UTF8", "--locale=C"),
                *("--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            **_AS_USER,
        )

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True


def installed() -> bool:
    """Is there a PostgreSQL server on this machine?"""
    return _found("postgres") is not None


def _program(name: str) -> str:
    return _found(name) or name


def _found(name: str) -> str | None:
    # Debian puts the server on nobody's PATH.
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name) or shutil.which(name, path=":".join(map(str, versions)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
