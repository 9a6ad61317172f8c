"""A private MariaDB for tests: its own data directory, socket and port, and a user with an ugly password."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import pymysql
from pymysql.constants import ER

if TYPE_CHECKING:
    from collections.abc import Container

    from pymysql.connections import Connection

__all__ = ["DATABASE", "PASSWORD", "USER", "MariaDB", "installed"]

DATABASE = "kol"
USER = "kol"
PASSWORD = "s3cr3t-pässword/@:%"
START_SECS = 60


class MariaDB:
    """`with MariaDB() as server:` starts it; stop, kill and start again keep its data and its port."""

    def __init__(self) -> None:
        # Not pytest's tmp_path: a socket's path must be short.
        self._directory = Path(tempfile.mkdtemp(prefix="kol-mariadb-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = str(self._directory / "sock")
        # A server that starts deletes the temporary tables in its TMPDIR: those of others too, if it is shared.
        self._environment = os.environ | {"TMPDIR": str(self._directory)}
        self.port = _free_port()

    @property
    def url(self) -> str:
        """What KOL_DB_URL would be."""
        return f"mysql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def __enter__(self) -> Self:
        try:
            self._install()
            self.start()
            self._create_user()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def connect(self, database: str | None = DATABASE) -> Connection:
        """A connection as root, over the socket."""
        until = time.monotonic() + START_SECS
        while True:
            try:
                return pymysql.connect(
                    unix_socket=self.socket,
                    user="root",
                    database=database,
                    charset="utf8mb4",
                    autocommit=True,
                    ssl_disabled=True,  # reading the certificates would take longer than all the rest
                )
            except pymysql.err.OperationalError as error:
                # In a full house one place is kept for root, and whoever had it last may not have left it yet.
                if error.args[0] != ER.CON_COUNT_ERROR or time.monotonic() > until:
                    raise
            time.sleep(0.05)

    def kill_sessions(self, user: str = USER, *, but: Container[int] = ()) -> None:
        """KILL the connections of a user, but those of these ids."""
        with closing(self.connect()) as root, root.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (user,))
            for (session,) in cursor.fetchall():
                if session not in but:
                    with suppress(pymysql.err.OperationalError):  # it has just gone by itself
                        cursor.execute(f"KILL {session}")

    def start(self) -> None:
        """Start, and wait until it answers."""
        log = self._directory / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    _program("mariadbd"),
                    *self._options(),
                    f"--socket={self.socket}",
                    f"--pid-file={self._directory / 'pid'}",
                    f"--port={self.port}",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=16M",
                    "--innodb-log-file-size=16M",
                    "--performance-schema=OFF",
                    "--lock-wait-timeout=10",  # a table that is still read from fails a test, not hangs it
                ],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        give_up_at = time.monotonic() + START_SECS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"mariadbd does not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """An orderly shutdown."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """A crash."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(timeout=60)

    def _options(self) -> list[str]:
        return ["--no-defaults", f"--datadir={self._directory / 'data'}", f"--user={getpass.getuser()}"]

    def _install(self) -> None:
        subprocess.run(
            [
                _program("mariadb-install-db"),
                *self._options(),
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
            env=self._environment,
        )

    def _create_user(self) -> None:
        with self.connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
            cursor.execute(f"CREATE USER {USER}@'%%' IDENTIFIED BY %s", (PASSWORD,))
            cursor.execute(f"GRANT ALL ON {DATABASE}.* TO {USER}@'%'")

    def _answers(self) -> bool:
        # PyMySQL leaves a Unix socket open when nobody listens there, so it is not asked before somebody does.
        try:
            with closing(socket.socket(socket.AF_UNIX)) as probe:
                probe.settimeout(1)
                probe.connect(self.socket)
            self.connect(database=None).close()
        except (OSError, pymysql.err.Error):
            return False
        return True


def installed() -> bool:
    """Is there a MariaDB server on this machine?"""
    return all(map(_found, ("mariadbd", "mariadb-install-db")))


def _program(name: str) -> str:
    return _found(name) or name


def _found(name: str) -> str | None:
    # /usr/sbin is not on everybody's PATH.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/libexec:/usr/local/sbin:/usr/local/bin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
