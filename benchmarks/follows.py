"""Times of `scrapy follows`, of backtests and of the report on a large follows table, and of writing a page into it."""

from __future__ import annotations

import hashlib
import random
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contestants import SETTINGS
from benchmarks.crowd import FOLLOWS, build, into_mariadb, into_sqlite, kol_name
from benchmarks.databases import TARGET, MariaDB
from benchmarks.measure import measure
from kolspider.console.wording import moment
from kolspider.db.follow_tables import SPAN_FOLLOWS
from kolspider.db.url import open_database
from kolspider.follows.queries import Follows
from kolspider.report.follows import FollowFacts

if TYPE_CHECKING:
    from kolspider.db.base import Database

__all__ = ["POOL", "Asked", "FollowsFound", "follows"]

POOL = "1G"
"""MariaDB's innodb_buffer_pool_size: a third of the size of the tables; the default is 128M."""
_COMMANDS = [
    "follows new --since 7d",
    f"follows new --since 7d --kol {kol_name(7)}",
    f"follows new --kol {kol_name(7)}",
    "follows lost --since 7d",
    f"follows lost --kol {kol_name(7)}",
    "follows top --new-in 7d --limit 100",
    "follows lost",
    "follows new",
    "follows top --limit 100",
    "follows top --min 3 --limit 1000",
    f"follows of {kol_name(7)}",
    "follows who user_7",
    "follows edges",
    "alerts backtest new --since 90d",
    "alerts backtest small --since 90d",
    "alerts backtest shared --since 90d",
    "alerts backtest lost --since 90d",
]
_RULES = """
[[rule]]
name = "new"
event = "new_follow"
[[rule]]
name = "small"
event = "new_follow"
followers = [0, 50]
[[rule]]
name = "shared"
event = "shared_follow"
min = 3
within = "48h"
[[rule]]
name = "lost"
event = "lost_follow"
"""
_BATCH_PAGES, _PAGE = 5, 200
_WRITES = 30


@dataclass(frozen=True)
class Asked:
    """A command's best run on one database."""

    lines: int
    wall: float
    peak: float
    digest: str
    """A digest of the output, which must be the same on both databases."""


@dataclass(frozen=True)
class FollowsFound:
    """The measurements, by the name of the database."""

    total: int
    kols: int
    accounts: int
    asked: dict[str, dict[str, Asked]]
    """The runs of each command."""
    report: dict[str, float]
    """Seconds for the report's queries."""
    again: dict[str, float]
    """Milliseconds to write a page of known follows."""
    new: dict[str, float]
    """Milliseconds to write a page of new follows."""


def follows(folder: Path, rounds: int, *, quick: bool) -> FollowsFound:
    """Fill both databases, run the same commands on each, then write into them."""
    kols, accounts = (100, 40_000) if quick else (5_000, 2_000_000)
    found = FollowsFound(build(folder / "crowd", kols, accounts, 2_350), kols, accounts, {}, {}, {}, {})
    with MariaDB(POOL) as mariadb:
        into_mariadb(folder / "crowd", mariadb.url, mariadb.root())
        into_sqlite(folder / "crowd", folder / "follows.db")
        for name, url in {"SQLite": f"sqlite:///{folder / 'follows.db'}", "MariaDB": mariadb.url}.items():
            for command in _COMMANDS:
                asked = found.asked.setdefault(command, {})
                asked[name] = min((_ask(command, url, folder) for _ in range(rounds)), key=lambda one: one.wall)
                print(f"{name:8} {command:40} {asked[name].wall:6.2f} s {asked[name].peak:4.0f} MB", flush=True)
                if len({one.digest for one in asked.values()}) != 1:
                    raise AssertionError(f"{command}: the databases give different answers")
            with closing(open_database(url, base=Path.cwd())) as database:
                database.answer_secs = 600
                found.report[name] = min(_report(database) for _ in range(rounds))
                found.again[name], found.new[name] = _writes(database, kols)
    return found


def _ask(command: str, url: str, folder: Path) -> Asked:
    (folder / "alerts.toml").write_text(_RULES)
    environment = {**SETTINGS, "KOL_DB_URL": url, "KOL_FOLLOWS_TABLE": FOLLOWS, "KOL_TARGET_TABLE": TARGET}
    environment["KOL_ALERTS_FILE"] = str(folder / "alerts.toml")
    cost = measure([sys.executable, "-m", "scrapy", *command.split(), "--csv"], folder, environment)
    printed = (folder / "run.log").read_bytes()
    return Asked(printed.count(b"\n") - 1, cost.wall, cost.peak, hashlib.sha256(printed).hexdigest())


def _report(database: Database) -> float:
    began = time.perf_counter()
    FollowFacts.gather(Follows(database, FOLLOWS, TARGET), time.time())
    return time.perf_counter() - began


def _writes(database: Database, kols: int) -> tuple[float, float]:
    """Median milliseconds to write a page of known and of new follows, five pages of different KOLs per transaction."""
    chance = random.Random(20250111)
    again: list[float] = []
    new: list[float] = []
    for _ in range(_WRITES):
        names = [kol_name(number) for number in chance.sample(range(kols), _BATCH_PAGES)]
        now = moment(time.time())
        known = [
            (name, id_, now, now)
            for name in names
            for (id_,) in database.query(
                f"SELECT user_id FROM {FOLLOWS} WHERE kol_user_name = ? ORDER BY last_seen LIMIT {_PAGE}", (name,)
            )
        ]
        unknown = [(name, str(chance.randrange(2**60)), now, now) for name in names for _ in range(_PAGE)]
        for rows, took in ((known, again), (unknown, new)):
            began = time.perf_counter()
            database.widen(FOLLOWS, SPAN_FOLLOWS, rows)
            took.append((time.perf_counter() - began) * 1e3 / len(rows) * _PAGE)
    return median(again), median(new)
