"""A project of its own for a test: tables, cache directory, sandbox API; the real `scrapy` command on top."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from http.client import HTTPConnection
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scrapy.cmdline import execute
from scrapy.settings import Settings

from tests.e2e.fork_server import KEY
from tests.e2e.forks import start
from tests.e2e.processes import PATIENCE, Result, finish, kill
from tests.e2e.store_probe import StoreProbe
from tests.e2e.tables import Tables

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from kolspider.sandbox import Call, Sandbox

__all__ = ["CRAWL", "FAST", "KEY", "ROOT", "SMALL_BATCHES", "Home", "Project", "settings"]

ROOT = Path(__file__).resolve().parents[2]
CRAWL = (sys.executable, "-m", "scrapy", "crawl", "followings")


def settings(**values: object) -> tuple[str, ...]:
    """`-s name=value` for each."""
    return tuple(word for name, value in values.items() for word in ("-s", f"{name}={value}"))


FAST = settings(DOWNLOAD_DELAY=0, CONCURRENT_REQUESTS=8, KOL_RETRY_SECS=0.05)
SMALL_BATCHES = settings(KOL_FLUSH_ROWS=50, KOL_FLUSH_SECS=0.05)


@dataclass(kw_only=True)
class Project(Tables, StoreProbe):
    """Runs commands with every setting in the environment, so that nothing of the developer's own is used."""

    api: Sandbox
    env: dict[str, str] = field(default_factory=dict)
    loading: Mapping[str, str] = field(default_factory=dict)
    """Settings: how rows get into the database."""
    root: Path = ROOT
    """Where scrapy.cfg is, and where commands are run."""

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def shared_url(self) -> str:
        return self.env.get("KOL_SHARED_URL", "")

    # --- commands ---------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        return {
            **_inherited(),
            "KOL_API_KEY": KEY,
            "KOL_API_URL": self.api.url,
            "KOL_CACHE_DIR": str(self.cache),
            **self.database_settings(),
            **self.env,
        }

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
        return start(words, self.root, self.environment() | dict(env or {}))

    def scrapy(self, *words: str, env: Mapping[str, str] | None = None, timeout: float = PATIENCE) -> Result:
        """Run `scrapy <words>` to its end."""
        return finish(self.start(*words, env=env), timeout)

    def look(self, *words: str) -> Result:
        """Run a command beside `crawl` in this process, a hundred times as fast as `scrapy`."""
        scrapy = Settings()
        scrapy.setmodule("kolspider.settings", priority="project")
        for name, value in self.environment().items():
            if name.startswith("KOL_"):
                scrapy.set(name, value, priority="cmdline")
        out, err = StringIO(), StringIO()
        code: object = 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                execute(["scrapy", *words], scrapy)
            except SystemExit as end:
                code = end.code
        return Result(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

    def start_crawl(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `scrapy crawl followings <words>` without delays; the caller ends it."""
        return self.start("crawl", "followings", *FAST, *words, env=env)

    def crawl(self, *words: str, env: Mapping[str, str] | None = None, timeout: float = PATIENCE) -> Result:
        """Run `scrapy crawl followings <words>` without delays to its end."""
        return finish(self.start_crawl(*words, env=env), timeout)

    def start_crawl_and_hold(self, answers: int, *words: str, calls: int = 0) -> subprocess.Popen[str]:
        """Start a crawl whose calls wait for the API after this many answers; return when one does, or when there
        were `calls` of them."""
        before = len(self.api.calls)
        self.api.hold(after=before + answers)
        process = self.start_crawl(*words)
        try:
            self.wait_for_calls(before + (calls or answers + 1))
        except AssertionError as error:
            error.add_note(kill(process).text)
            raise
        return process

    def start_logged(self, *words: str, answers: int, calls: int = 0) -> tuple[subprocess.Popen[str], Path]:
        """Do as start_crawl_and_hold, in small batches and with the log in a file. Returns process and file."""
        log = self.folder / "log"
        words = (*SMALL_BATCHES, *settings(LOG_FILE=log), *words)
        return self.start_crawl_and_hold(answers, *words, calls=calls), log

    def kill_crawl(self, answers: int, *words: str, calls: int = 0) -> Result:
        """Do as start_crawl_and_hold, then `kill -9`."""
        killed = kill(self.start_crawl_and_hold(answers, *words, calls=calls))
        self.api.release()
        return killed

    # --- the API's log of calls -------------------------------------------------------------------------------

    def wait_for_calls(self, number: int) -> None:
        """Wait until the API's log has this many calls."""
        assert self.api.wait_for_calls(number, PATIENCE), f"{len(self.api.calls)} calls, not {number}"

    def calls_for(self, handle: str) -> list[Call]:
        """The calls for one KOL."""
        return [call for call in self.api.calls if call.handle == handle.lower()]

    def bought(self) -> Counter[tuple[str, str]]:
        """How often each page was asked for, by (handle, cursor)."""
        return Counter((call.handle, call.cursor) for call in self.api.calls)

    def in_flight(self, since: int = 0, generation: int = 0) -> list[tuple[str, str]]:
        """The pages that a killed process asked for, from the since-th call on, and did not keep."""
        kept = self.cached(generation)
        asked = [(call.handle, call.cursor) for call in self.calls_of_the_dead()[since:]]
        return [page for page in asked if page not in kept]

    def calls_of_the_dead(self) -> list[Call]:
        """The calls, once all that a killed process sent are among them, however busy this machine is."""
        # Their connections are accepted before one that is made now, and what came in on them is read before what
        # comes on the connection after it.
        for _ in range(2):
            with closing(HTTPConnection(urlsplit(self.api.url).netloc)) as connection:
                connection.request("GET", "/_sandbox/calls")
                connection.getresponse().read()
        return self.api.calls


@dataclass(kw_only=True)
class Home(Project):
    """A project as a user has it: a folder with kolspider/, scrapy.cfg and `.env`, and nothing in the environment."""

    @classmethod
    def of(cls, project: Project, dotenv: Mapping[str, str]) -> Home:
        """A copy of the product beside a project's files, with these settings in its `.env`."""
        root = project.folder / "home"
        shutil.copytree(ROOT / "kolspider", root / "kolspider")  # with what is compiled: it takes as long as a run
        shutil.copy(ROOT / "scrapy.cfg", root)
        (root / ".env").write_text("".join(f"{name}={value}\n" for name, value in dotenv.items()))
        return cls(folder=project.folder, api=project.api, db_url=project.db_url, root=root)

    @property
    def cache(self) -> Path:
        return self.root / ".kol_cache"

    def environment(self) -> dict[str, str]:
        return _inherited() | self.env


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("KOL_", "SCRAPY_"))}
