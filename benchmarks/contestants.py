"""The contestants, ours and the peers: command, settings and starting state of each."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.databases import DorisTarget, MariaDB, SqliteFile
from benchmarks.measure import Cost, RunError, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.databases import Target
    from benchmarks.inputs import Input

__all__ = ["LIVE", "REPLAY", "ROOT", "SETTINGS", "Contestant", "Stage", "contestants", "ours"]

ROOT = Path(__file__).resolve().parents[1]
KEY = "0123456789abcdef0123456789abcdef"
"""As long as a real one, so no other text is taken for it."""
PEERS = ROOT / "benchmarks" / "peers"
SETTINGS = {"PYTHONPATH": str(ROOT), "SCRAPY_SETTINGS_MODULE": "kolspider.settings", "KOL_API_KEY": KEY}
DLT = {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": "dlt-data"}
LIVE = ("-m", "scrapy", "crawl", "followings", "-s", "DOWNLOAD_DELAY=0")
REPLAY = ("-m", "scrapy", "crawl", "followings", "-s", "HTTPCACHE_IGNORE_MISSING=True")


@dataclass
class Stage:
    """What all contestants share: input, API and databases."""

    folder: Path
    input: Input
    api_url: str
    server: MariaDB | None = None
    """None where all is written into SQLite."""
    doris: DorisTarget | None = None

    @property
    def mariadb(self) -> MariaDB:
        """The server. Raises AssertionError where there is none."""
        assert self.server
        return self.server

    def cache(self, target_name: str) -> Path:
        """Our cache as a live run into this target left it."""
        return self.folder / f"cache-{target_name}"


@dataclass
class Contestant:
    """A command to measure. `name` says who reads what into what; `prepare` fills an empty folder before a run."""

    name: str
    words: tuple[str, ...]
    """The command after `python`."""
    target: Target
    environment: dict[str, str]
    prepare: Callable[[Path], None] = field(default=lambda _: None)
    own_table: bool = False
    """Whether it creates the target table itself."""

    def run(self, stage: Stage) -> Cost:
        """Empty the target, run the command, check every column of every row."""
        folder = stage.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.prepare(folder)
        self.target.empty(stage.input.kols)
        if self.own_table:
            stage.mariadb.drop_target()
        cost = measure([sys.executable, *self.words], folder, self.environment)
        _compare(self.target.rows(), stage.input.rows)
        return cost


def _compare(found: dict[str, tuple[object, ...]], expected: dict[str, tuple[object, ...]]) -> None:
    if found != expected:
        wrong = [(found.get(id_), row) for id_, row in expected.items() if found.get(id_) != row]
        raise RunError(f"{len(found)} rows of {len(expected)}, {len(wrong)} missing or wrong, such as {wrong[:1]}")


def contestants(stage: Stage) -> list[Contestant]:
    """All contestants; those to compare are next to each other."""
    sqlite = SqliteFile(stage.folder / "target.db")
    doris = []
    if stage.doris:
        by_http = {"KOL_DORIS_LOAD": "stream_load", "KOL_DORIS_HTTP": stage.doris.http}
        doris = [
            *ours(stage, "Doris double, INSERT", stage.doris),
            *ours(stage, "Doris double, Stream Load", stage.doris, by_http),
        ]
    return [*ours(stage, "MariaDB", stage.mariadb), *_peers(stage), *ours(stage, "SQLite", sqlite), *doris]


def ours(
    stage: Stage, target_name: str, target: Target, settings: Mapping[str, str] | None = None, checkout: Path = ROOT
) -> list[Contestant]:
    """Our live run and our replay into a target."""
    cache = stage.cache(target_name)
    environment = {
        **(settings or {}),
        **SETTINGS,
        "PYTHONPATH": str(checkout),
        "KOL_API_URL": stage.api_url,
        "KOL_DB_URL": target.url,
        "KOL_CACHE_DIR": str(stage.folder / "run" / "cache"),
    }
    live = Contestant(f"ours live {target_name}", LIVE, target, environment)
    replay = Contestant(f"ours replay {target_name}", REPLAY, target, environment)

    def from_cache(folder: Path) -> None:
        if not cache.exists():  # made by a live run
            live.run(stage)
            (folder / "cache").rename(cache)
        folder.mkdir(exist_ok=True)
        shutil.copytree(cache, folder / "cache")

    replay.prepare = from_cache
    return [live, replay]


def _peers(stage: Stage) -> list[Contestant]:
    mariadb = stage.mariadb
    environment = {**mariadb.environment, "API_URL": stage.api_url, "API_KEY": KEY}
    script = str(PEERS / "script.py")
    plain = {**environment, "PYTHONPATH": str(PEERS / "plain_scrapy"), "SCRAPY_SETTINGS_MODULE": "plain.settings"}
    plain_live = Contestant(
        "plain Scrapy live", LIVE, mariadb, {**plain, "HTTPCACHE_DIR": str(stage.folder / "run" / "httpcache")}
    )
    httpcache = stage.folder / "httpcache"

    def cached(folder: Path) -> None:
        if not httpcache.exists():
            plain_live.run(stage)
            (folder / "httpcache").rename(httpcache)

    def bare(name: str, *options: str) -> Contestant:
        words = (str(PEERS / "bare.py"), str(stage.input.folder), *options)
        return Contestant(f"no framework {name}", words, mariadb, environment)

    return [
        Contestant("script live", (script, "--delay", "0"), mariadb, environment),
        Contestant("script from its files", (script, "--resume"), mariadb, environment, _script_files(stage.input)),
        plain_live,
        Contestant("plain Scrapy replay", REPLAY, mariadb, {**plain, "HTTPCACHE_DIR": str(httpcache)}, cached),
        Contestant("dlt live", (str(PEERS / "dlt_pipeline.py"),), mariadb, {**environment, **DLT}, own_table=True),
        bare("executemany", "--write", "executemany"),
        bare("executemany, strptime", "--write", "executemany", "--dates", "strptime"),
        bare("LOAD DATA", "--write", "load-data"),
    ]


def _script_files(given: Input) -> Callable[[Path], None]:
    """The files that the script leaves if the database is down: a list of users for each KOL."""

    def prepare(folder: Path) -> None:
        cache = folder / ".kol_cache"
        cache.mkdir()
        users: dict[str, list[object]] = {}
        for kol, _, file in json.loads((given.folder / "index.json").read_text()):
            users.setdefault(kol, []).extend(json.loads((given.folder / file).read_bytes())["followings"])
        for kol, followed in users.items():
            (cache / f"{kol}.json").write_text(json.dumps(followed, ensure_ascii=False), encoding="utf-8")

    return prepare
