"""A project of its own for a test: cache directory, database, sandbox API; the real `scrapy` command on top."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pymysql

from kolspider.db import open_database
from kolspider.items import COLUMNS, Row
from kolspider.mapping import Mapper
from kolspider.providers import provider
from kolspider.sandbox import Sandbox, entry, followings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pymysql.connections import Connection

ROOT = Path(__file__).resolve().parents[2]
KEY = "secret-key-0123456789"
FAST = ("-s", "DOWNLOAD_DELAY=0", "-s", "KOL_RETRY_SECS=0.05")


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

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("KOL_", "SCRAPY_"))}
        return inherited | {
            "KOL_API_KEY": KEY,
            "KOL_API_URL": self.api.url,
            "KOL_DB_URL": self.db_url,
            "KOL_CACHE_DIR": str(self.cache),
            "KOL_SOURCE_TABLE": self.source,
            "KOL_TARGET_TABLE": self.target,
        } | self.env  # fmt: skip

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `scrapy <words>`; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "scrapy", *words],
            cwd=ROOT,
            env=self.environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def scrapy(self, *words: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> Result:
        """Run `scrapy <words>` to its end."""
        return finish(self.start(*words, env=env), timeout)

    def crawl(self, *words: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> Result:
        """Run `scrapy crawl followings <words>` without delays."""
        return self.scrapy("crawl", "followings", *FAST, *words, env=env, timeout=timeout)

    def start_crawl(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return self.start("crawl", "followings", *FAST, *words, env=env)

    def init(self, kols: Iterable[str | None]) -> None:
        """Create both tables and put these handles, as they are, into the source table."""
        database = open_database(self.db_url, base=ROOT)
        try:
            database.create_tables(self.source, self.target)
            database.insert_handles(self.source, [kol for kol in kols if kol is not None])
        finally:
            database.close()

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement in the database, and commit it."""
        if self.db_url.startswith("sqlite:"):
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


def _mysql(url: str) -> Connection:
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "").encode(),  # PyMySQL would encode it as latin-1
        database=parts.path.lstrip("/"),
        charset="utf8mb4",
    )


def expected_rows(kols: Mapping[str, int], revision: int = 0) -> dict[str, Row]:
    """The rows that the lists of these KOLs give, without HTTP and without a database."""
    mapper, adapter = Mapper(), provider("twitterapi_io")
    rows: dict[str, Row] = {}
    for kol, count in kols.items():
        for index in followings(kol, count):
            raw = entry(index, revision)
            row = mapper.map_user(adapter.followed_user(raw), raw)
            if isinstance(row, Row):
                rows[row.id] = row
    return rows


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


__all__ = ["FAST", "KEY", "ROOT", "Project", "Result", "expected_rows", "finish", "kill", "wait_until"]
