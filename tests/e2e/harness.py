"""A project of its own for a test: cache directory, database, sandbox API; the real `scrapy` command on top."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pymysql
from scrapy.cmdline import execute
from scrapy.settings import Settings

from kolspider.db.url import open_database
from kolspider.items import COLUMNS, Row
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.sandbox import Sandbox, entry, followings
from kolspider.store.ledger import Ledger

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pymysql.connections import Connection

    from kolspider.sandbox import Call
    from kolspider.store.kols import KolRecord

ROOT = Path(__file__).resolve().parents[2]
KEY = "secret-key-0123456789"
FAST = ("-s", "DOWNLOAD_DELAY=0", "-s", "KOL_RETRY_SECS=0.05")
SMALL_BATCHES = ("-s", "KOL_FLUSH_ROWS=50", "-s", "KOL_FLUSH_SECS=0.05")


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def expect(self, code: int) -> Result:
        assert self.code == code, f"exit code {self.code}, not {code}\n{self.text}"
        return self


@dataclass
class Project:
    """Runs commands with every setting in the environment, so that nothing of the developer's own is used."""

    folder: Path
    api: Sandbox
    db_url: str
    env: dict[str, str] = field(default_factory=dict)
    source: str = "twitter_kol"
    target: str = "twitter_kol_all"
    follows: str = ""
    """The follows table, where it is kept."""
    loading: Mapping[str, str] = field(default_factory=dict)
    """Settings: how rows get into the database."""
    root: Path = ROOT
    """Where scrapy.cfg is, and the command is run."""
    _taken: list[tuple[str, str]] = field(default_factory=list)
    """URL of a server and what the names of this project's tables there have in them."""

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("KOL_", "SCRAPY_"))}
        return inherited | {
            "KOL_API_KEY": KEY,
            "KOL_API_URL": self.api.url,
            "KOL_CACHE_DIR": str(self.cache),
        } | self.database_settings() | self.env  # fmt: skip

    def database_settings(self) -> dict[str, str]:
        """Which tables, where, and the way into them."""
        return {
            "KOL_DB_URL": self.db_url,
            "KOL_SOURCE_TABLE": self.source,
            "KOL_TARGET_TABLE": self.target,
            "KOL_FOLLOWS_TABLE": self.follows,
            **self.loading,
        }

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `scrapy <words>`; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "scrapy", *words],
            cwd=self.root,
            env=self.environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def scrapy(self, *words: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> Result:
        """Run `scrapy <words>` to its end."""
        return finish(self.start(*words, env=env), timeout)

    def look(self, *words: str) -> Result:
        """As `scrapy`, for a command beside `crawl`, in this process: a hundred times as fast."""
        settings = Settings()
        settings.setmodule("kolspider.settings", priority="project")
        for name, value in self.environment().items():
            if name.startswith("KOL_"):
                settings.set(name, value, priority="cmdline")
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                execute(["scrapy", *words], settings)
            except SystemExit as end:
                code = end.code
        return Result(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

    def crawl(self, *words: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> Result:
        """Run `scrapy crawl followings <words>` without delays."""
        return self.scrapy("crawl", "followings", *FAST, *words, env=env, timeout=timeout)

    def start_crawl(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return self.start("crawl", "followings", *FAST, *words, env=env)

    def init(self, kols: Iterable[str | None]) -> None:
        """Create both tables and put these handles, as they are, into the source table."""
        database = open_database(self.db_url, base=ROOT)
        if self.dialect == "doris":
            database.spread(replicas=1, buckets=1)  # the double, and Apache's container, are single nodes
        try:
            database.create_tables(self.source, self.target, self.follows)
            database.insert_handles(self.source, [kol for kol in kols if kol is not None])
        finally:
            database.close()

    def take_new_tables(self) -> None:
        """From now on its tables are others, that no test on the same server has, and that are not there yet."""
        mark = uuid.uuid4().hex[:8]
        self._taken.append((self.db_url, mark))
        self.source, self.target = f"kol_{mark}", f"all_{mark}"
        self.follows = self.follows and f"{self.target}_follows"

    def take_another_database(self) -> None:
        """From now on its rows go to another place, where no table is yet: a file, or other tables on the server."""
        if self.dialect == "sqlite":
            self.db_url = f"sqlite:///{self.folder / 'other.db'}"
        else:
            self.take_new_tables()

    def drop_tables(self) -> None:
        """Those that it made on a Doris, which may be a real one; the other servers end with the tests."""
        for url, mark in self._taken:
            if url.startswith("doris:"):
                with closing(_mysql(url)) as connection, connection.cursor() as cursor:
                    cursor.execute(f"SHOW TABLES LIKE '%{mark}%'")
                    for (table,) in list(cursor.fetchall()):
                        cursor.execute(f"DROP TABLE `{table}` FORCE")

    @property
    def dialect(self) -> str:
        """sqlite, mysql or doris."""
        return self.db_url.partition(":")[0]

    def empty(self, table: str = "") -> None:
        """Delete all rows, of the target if no table is named."""
        # Doris wants a WHERE in a DELETE, SQLite has no TRUNCATE.
        verb = "DELETE FROM" if self.dialect == "sqlite" else "TRUNCATE TABLE"
        self.sql(f"{verb} `{table or self.target}`")

    def put_handles(self, handles: Iterable[str | None]) -> None:
        """Into the source, in this order: blank and repeated ones too, for which Doris gets a table of another kind."""
        if self.dialect == "doris":
            self.sql(f"DROP TABLE `{self.source}`")
            self.sql(
                f"CREATE TABLE `{self.source}` (`id` BIGINT NOT NULL, `user_name` VARCHAR(128) NULL) "
                "DUPLICATE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES "
                '("replication_allocation" = "tag.location.default: 1")'
            )
        for number, handle in enumerate(handles, 1):
            self.sql(f"INSERT INTO `{self.source}` (id, user_name) VALUES (?, ?)", number, handle)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another program has the target of a SQLite or MariaDB for itself."""
        if self.dialect == "sqlite":
            other = sqlite3.connect(self.db_url.removeprefix("sqlite:///"), isolation_level=None, timeout=5)
            begin, end = "BEGIN IMMEDIATE", "COMMIT"
        else:
            other = _mysql(self.db_url)
            begin, end = f"LOCK TABLES `{self.target}` WRITE", "UNLOCK TABLES"
        with closing(other), closing(other.cursor()) as cursor:
            cursor.execute(begin)
            yield
            cursor.execute(end)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement in the database, and commit it."""
        if self.dialect == "sqlite":
            with closing(sqlite3.connect(self.db_url.removeprefix("sqlite:///"))) as connection, connection:
                return connection.execute(statement, values).fetchall()
        with closing(_mysql(self.db_url)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement.replace("?", "%s"), values or None)
                rows = list(cursor.fetchall())
            connection.commit()
        return rows

    def rows(self) -> dict[str, Row]:
        """The target table, by id."""
        columns = ", ".join(f"`{name}`" for name in COLUMNS)
        found = self.sql(f"SELECT {columns} FROM `{self.target}`")
        rows = (
            Row(*(str(v) if n == "created_at_time" and v else v for n, v in zip(COLUMNS, r, strict=True)))
            for r in found
        )
        return {row.id: row for row in rows}

    def states(self) -> dict[str, str]:
        """The state of each KOL that the ledger knows, by handle in lower case."""
        kols = json.loads(self.scrapy("kols", "--json").expect(0).out)
        return {kol["user_name"].lower(): kol["state"] for kol in kols}

    def calls_for(self, handle: str) -> list[Call]:
        """The API's log of the calls for one KOL."""
        return [call for call in self.api.calls if call.handle == handle.lower()]

    def ledger(self, statement: str) -> list[tuple[Any, ...]]:
        """Read the store's SQLite file."""
        path = self.cache / "kolspider.sqlite3"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()

    def rejects(self) -> list[dict[str, Any]]:
        path = self.cache / "rejects.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def bought(self) -> Counter[tuple[str, str]]:
        """How often each page was asked for, by (handle, cursor)."""
        return Counter((call.handle, call.cursor) for call in self.api.calls)

    @contextmanager
    def store(self) -> Iterator[sqlite3.Connection]:
        """The store's SQLite file, to bring it into a state that is hard to hit; committed at the end."""
        with closing(sqlite3.connect(self.cache / "kolspider.sqlite3")) as connection, connection:
            yield connection

    def opened(self) -> AbstractContextManager[Ledger]:
        """The ledger and the cached pages, as `scrapy kols` reads them."""
        target = open_database(self.db_url, base=ROOT).target_label(self.target, self.follows)
        return Ledger.read(self.cache, provider("twitterapi_io"), target)

    def records(self) -> dict[str, KolRecord]:
        """What `scrapy kols` lists, by handle, without a process of its own."""
        with self.opened() as ledger:
            return {kol.handle: kol for kol in ledger.kols}

    def ended(self) -> dict[str, str]:
        """The state of each KOL, as `states` has it, by `records`."""
        return {handle: str(record.state) for handle, record in self.records().items()}

    def cached(self, generation: int = 0) -> set[tuple[str, str]]:
        """The pages in the cache, by (handle, cursor)."""
        return set(self.ledger(f"SELECT handle, cursor FROM page WHERE generation = {generation}"))

    def cached_generations(self, handle: str) -> set[int]:
        """Of a KOL's pages in the cache."""
        return {generation for (generation,) in self.ledger(f"SELECT generation FROM page WHERE handle = '{handle}'")}

    def in_flight(self, since: int = 0, generation: int = 0) -> list[tuple[str, str]]:
        """Of a killed process: the pages it asked for, from the since-th call on, whose answers it did not keep."""
        kept = self.cached(generation)
        asked = [(call.handle, call.cursor) for call in self.calls_of_the_dead()[since:]]
        return [page for page in asked if page not in kept]

    def calls_of_the_dead(self) -> list[Call]:
        """The API's log of calls, once it has all that a killed process sent, however busy this machine is."""
        # Their connections are accepted before one that is made now, and what came in on them is read before what
        # comes on the connection after it.
        for _ in range(2):
            with closing(HTTPConnection(urlsplit(self.api.url).netloc)) as connection:
                connection.request("GET", "/_sandbox/calls")
                connection.getresponse().read()
        return self.api.calls


class Home(Project):
    """A project as a user has it: a folder with kolspider/, scrapy.cfg and `.env`, and nothing in the environment."""

    @classmethod
    def of(cls, project: Project, dotenv: Mapping[str, str]) -> Home:
        """A copy of the product beside a project's files, with these settings in its `.env`."""
        root = project.folder / "home"
        shutil.copytree(ROOT / "kolspider", root / "kolspider")  # with what is compiled: it takes as long as a run
        shutil.copy(ROOT / "scrapy.cfg", root)
        (root / ".env").write_text("".join(f"{name}={value}\n" for name, value in dotenv.items()))
        return cls(project.folder, project.api, project.db_url, root=root)

    @property
    def cache(self) -> Path:
        return self.root / ".kol_cache"

    def environment(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if not k.startswith(("KOL_", "SCRAPY_"))} | self.env


def _mysql(url: str) -> Connection:
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or (9030 if parts.scheme == "doris" else 3306),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "").encode(),  # PyMySQL would encode it as latin-1
        database=parts.path.lstrip("/"),
        charset="utf8mb4",
    )


def expected_rows(
    kols: Mapping[str, int],
    revision: int = 0,
    *,
    unusable: bool = False,
    entry: Callable[[int, int], object] = entry,
) -> dict[str, Row]:
    """The rows that the lists of these KOLs give, without HTTP and without a database."""
    mapper, adapter = Mapper(), provider("twitterapi_io")
    rows: dict[str, Row] = {}
    for kol, count in kols.items():
        for index in followings(kol, count, unusable=unusable):
            raw = entry(index, revision)
            row = mapper.map_user(adapter.followed_user(raw), raw)
            if isinstance(row, Row):
                rows[row.id] = row
    return rows


def rows_of_pages(
    kols: Mapping[str, int], calls: Iterable[Call], revision: int = 0, *, unusable: bool = False
) -> dict[str, Row]:
    """The rows of the pages that these calls were answered with."""
    mapper, adapter = Mapper(), provider("twitterapi_io")
    rows: dict[str, Row] = {}
    for call in calls:
        end = call.page * call.page_size
        for index in followings(call.handle, kols[call.handle], unusable=unusable)[end - call.page_size : end]:
            raw = entry(index, revision)
            row = mapper.map_user(adapter.followed_user(raw), raw)
            if isinstance(row, Row):
                rows[row.id] = row
    return rows


def watch_network(folder: Path) -> tuple[dict[str, str], Path]:
    """An environment in which a command notes each look-up of a host and each connection in a file."""
    hooks, log = folder / "hooks", folder / "network.log"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(
        "import socket, sys\n"
        "def note(event, args):\n"
        "    if event in {'socket.connect', 'socket.getaddrinfo', 'socket.sendto'}:\n"
        "        if not (isinstance(args[0], socket.socket) and args[0].family == socket.AF_UNIX):\n"
        f"            print(event, args, file=open({str(log)!r}, 'a'))\n"
        "sys.addaudithook(note)\n"
    )
    return {"PYTHONPATH": str(hooks)}, log


def gaps(calls: Iterable[Call]) -> list[float]:
    """Seconds between the arrivals of one call and the next."""
    return [later.at - earlier.at for earlier, later in pairwise(calls)]


def stats(result: Result) -> dict[str, int]:
    """The numbers under kol/ of a run with `-s STATS_DUMP=True`, without that prefix."""
    return {name: int(number) for name, number in re.findall(r"'kol/([^']+)': (\d+)", result.text)}


def start_logged(project: Project, *words: str) -> tuple[subprocess.Popen[str], Path]:
    """Start a crawl that writes in small batches, and its log to a file that can be read meanwhile."""
    log = project.folder / "log"
    return project.start_crawl(*SMALL_BATCHES, "-s", f"LOG_FILE={log}", *words), log


def logged_stats(log: Path) -> dict[str, int]:
    """As `stats`, from a log file."""
    return stats(Result(0, "", log.read_text()))


def wait_for_text(path: Path, text: str) -> None:
    """Wait until a file has this text."""
    wait_until(lambda: path.exists() and text in path.read_text(), timeout=20)


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], None], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server of the test's own: `answer` writes the answer to each GET. Gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            answer(self)

        def do_CONNECT(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away, or that hung up on our certificate, is what a test wants to see."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> None:
    """Write an answer in http_server's `answer`."""
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Result:
    """Wait for a command; one that hangs is killed, and that fails the test."""
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


def wait_until(true: Callable[[], bool], timeout: float = 30) -> None:
    """Look again and again until it is so; fails after timeout seconds."""
    until = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


__all__ = [
    "FAST",
    "KEY",
    "ROOT",
    "Home",
    "Project",
    "Result",
    "expected_rows",
    "finish",
    "gaps",
    "http_server",
    "kill",
    "logged_stats",
    "reply",
    "rows_of_pages",
    "start_logged",
    "stats",
    "wait_for_text",
    "wait_until",
    "watch_network",
]
