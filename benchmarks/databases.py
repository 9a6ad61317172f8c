"""The targets, which are emptied before a run and read after it: MariaDB, SQLite and the double of Doris."""

from __future__ import annotations

import getpass
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import pymysql

from kolspider.db.url import open_database
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.inputs import Row

__all__ = ["SOURCE", "TARGET", "DorisTarget", "MariaDB", "SqliteFile", "Target", "doris_double"]

SOURCE, TARGET = "twitter_kol", "twitter_kol_all"
_SELECT = f"SELECT {', '.join(f'`{column}`' for column in COLUMNS)} FROM {TARGET}"
_USER, _PASSWORD, _DATABASE = "bench", "not-so-secret", "bench"


class Target(Protocol):
    """A database that a contestant writes to."""

    url: str

    def empty(self, kols: Iterable[str]) -> None:
        """Create both tables again, with these KOLs in the source."""

    def rows(self) -> dict[str, Row]:
        """The rows of the target table by id."""


def _create_tables(url: str, kols: Iterable[str]) -> None:
    database = open_database(url, base=Path.cwd())
    try:
        database.create_tables(SOURCE, TARGET)
        database.insert_handles(SOURCE, list(kols))
    finally:
        database.close()


def _by_id(rows: Iterable[tuple[Any, ...]]) -> dict[str, Row]:
    found = {}
    for id_, *others in rows:
        others[5] = others[5] and str(others[5]).partition(".")[0]  # created_at_time
        found[str(id_)] = (str(id_), *others)
    return found


class SqliteFile:
    """A file that only our contestants write to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url = f"sqlite:///{path}"

    def empty(self, kols: Iterable[str]) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        _create_tables(self.url, kols)

    def rows(self) -> dict[str, Row]:
        with closing(sqlite3.connect(self._path)) as connection:
            return _by_id(connection.execute(_SELECT))


class DorisTarget:
    """The tests' double of Doris: it shows what kolspider costs, not how fast Doris is."""

    def __init__(self, url: str, http: str, connect: dict[str, Any]) -> None:
        self.url, self.http = url, http
        self._connect = connect

    def empty(self, kols: Iterable[str]) -> None:
        with closing(pymysql.connect(**self._connect)) as connection, connection.cursor() as cursor:
            for table in (SOURCE, TARGET):
                cursor.execute(f"DROP TABLE IF EXISTS {table}")
        _create_tables(self.url, kols)

    def rows(self) -> dict[str, Row]:
        with closing(pymysql.connect(**self._connect)) as connection, connection.cursor() as cursor:
            cursor.execute(_SELECT)
            return _by_id(cursor.fetchall())


@contextmanager
def doris_double() -> Iterator[DorisTarget | None]:
    """Run the double in this process, which is idle meanwhile; yields None if its packages are not installed."""
    try:
        from tests.doris_double import DATABASE, PASSWORD, USER, DorisDouble  # noqa: PLC0415
    except ImportError:
        yield None
        return
    with DorisDouble(backends=3) as doris:
        where = {"host": "127.0.0.1", "port": doris.port, "user": USER, "database": DATABASE, "charset": "utf8mb4"}
        yield DorisTarget(doris.url(), doris.http, {**where, "password": PASSWORD.encode()})


class MariaDB:
    """A server with its own data directory and port, as a context manager. Its durability settings are the defaults."""

    def __init__(self, pool: str = "256M") -> None:
        self._pool = pool
        self._directory = Path(tempfile.mkdtemp(prefix="kol-bench-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.url = f"mysql://{_USER}:{_PASSWORD}@127.0.0.1:{self._port}/{_DATABASE}"
        self.environment = {
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(self._port),
            "DB_USER": _USER,
            "DB_PASSWORD": _PASSWORD,
            "DB_NAME": _DATABASE,
        }
        """The settings that lead the peers to it."""

    def __enter__(self) -> Self:
        base = ["--no-defaults", f"--datadir={self._directory / 'data'}", f"--user={getpass.getuser()}"]
        install = [_program("mariadb-install-db"), *base, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(install, check=True, capture_output=True)
        self._process = subprocess.Popen(
            [
                _program("mariadbd"),
                *base,
                f"--socket={self._directory / 'sock'}",
                f"--pid-file={self._directory / 'pid'}",
                f"--port={self._port}",
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                f"--innodb-buffer-pool-size={self._pool}",
                "--innodb-log-file-size=256M",
                "--local-infile=ON",
                "--character-set-server=utf8mb4",  # dlt creates a database of its own
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self._directory / "log").open("wb"),
        )
        try:
            self._wait()
            self._as_root(
                f"CREATE DATABASE {_DATABASE} CHARACTER SET utf8mb4",
                f"CREATE USER {_USER}@'%' IDENTIFIED BY '{_PASSWORD}'",
                f"GRANT ALL ON *.* TO {_USER}@'%'",
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def version(self) -> str:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            (version,) = cursor.fetchone() or ("",)
            return str(version)

    def empty(self, kols: Iterable[str]) -> None:
        # The whole database, because dlt leaves other tables.
        self._as_root(
            f"DROP DATABASE IF EXISTS {_DATABASE}_staging",
            f"DROP DATABASE {_DATABASE}",
            f"CREATE DATABASE {_DATABASE} CHARACTER SET utf8mb4",
        )
        _create_tables(self.url, kols)

    def drop_target(self) -> None:
        """Drop the target table, for a contestant that creates it itself."""
        self._as_root(f"DROP TABLE {_DATABASE}.{TARGET}")

    def rows(self) -> dict[str, Row]:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {_DATABASE}.{TARGET}")
            ((count,),) = cursor.fetchall()
            cursor.execute(_SELECT.replace(TARGET, f"{_DATABASE}.{TARGET}"))
            rows = _by_id(cursor.fetchall())
        if len(rows) != count:
            raise AssertionError(f"{count} rows, but {len(rows)} different ids")
        return rows

    def root(self) -> pymysql.Connection:
        """Connect as a user that may load files."""
        return self._connect(database=_DATABASE, local_infile=True)

    def _as_root(self, *statements: str) -> None:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def _connect(self, **more: Any) -> pymysql.Connection:
        return pymysql.connect(
            unix_socket=str(self._directory / "sock"), user="root", charset="utf8mb4", autocommit=True, **more
        )

    def _wait(self) -> None:
        give_up_at = time.monotonic() + 60
        while time.monotonic() < give_up_at and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                self._connect().close()
            except (OSError, pymysql.err.Error):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"mariadbd does not start:\n{(self._directory / 'log').read_text(errors='replace')[-2000:]}")


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/libexec:/usr/local/sbin:/usr/local/bin")
    if not found:
        raise SystemExit(f"{name} is missing: the benchmark needs a MariaDB server installed")
    return found
