"""Shows that costs stay flat: with many KOLs, with many users, and for the operations of a growing store.

The stores are filled by SQL in the package's own schema, because buying 100,000 lists would take a day.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from contextlib import closing
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from benchmarks.api import serve
from benchmarks.contestants import LIVE, REPLAY, ROOT, SETTINGS
from benchmarks.databases import SqliteFile
from benchmarks.inputs import build
from benchmarks.measure import measure
from kolspider.db.url import open_database
from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.store.database import FILE_NAME, SqliteConnection, connect
from kolspider.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Many", "Operations", "Reload", "cache_per_user", "many_kols", "operations", "reload_many"]

API = provider("twitterapi_io")
_TIMES = 200
"""How many times each operation is measured; the result is the median."""

Many = SimpleNamespace
Reload = SimpleNamespace
Operations = dict[int, dict[str, float]]


def many_kols(folder: Path, kols: int, done: int) -> Many:
    """Run with many KOLs, most of them done: time to the first request, and the peak memory of the run."""
    shutil.rmtree(folder, ignore_errors=True)
    given = build(folder / "input", 1, 20)
    target = SqliteFile(folder / "target.db")
    names = [f"many_{number:06}" for number in range(kols)]
    target.empty(names)
    body = (
        next(given.folder.glob("[0-9]*.json")).read_bytes().replace(b'"has_next_page": true', b'"has_next_page": false')
    )
    (folder / "any.json").write_bytes(body)
    cache = folder / "cache"
    cache.mkdir()
    label = open_database(target.url, base=ROOT).target_label("twitter_kol_all", "")
    Ledger.open(cache, API, label).close()  # gives the target its number, 1
    with closing(connect(cache)) as connection:
        _fill(connection, Ledger(connection, cache, API, 1), names[:done], body)
    requests = folder / "requests.log"
    with serve(given.folder, "--any", str(folder / "any.json"), "--log", str(requests)) as url:
        environment = {**SETTINGS, "KOL_API_URL": url, "KOL_DB_URL": target.url, "KOL_CACHE_DIR": str(cache)}
        began = time.time()
        cost = measure([sys.executable, *LIVE], folder, environment)
    times = [float(line) for line in requests.read_text().split()]
    if len(times) != kols - done:
        raise AssertionError(f"{len(times)} requests instead of {kols - done}")
    return Many(kols=kols, done=done, first=times[0] - began, peak=cost.peak, wall=cost.wall)


def reload_many(folder: Path, cache: Path, kols: list[str], users: int) -> Reload:
    """Replay many users into a SQLite file: the pages of a live run, copied under other handles."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copytree(cache, folder / "cache")
    with closing(connect(folder / "cache")) as connection:
        _multiply(connection, users)
        (number,) = connection.execute("SELECT sum(users) FROM page").fetchone()
    target = SqliteFile(folder / "target.db")
    target.empty(kols)
    environment = {**SETTINGS, "KOL_DB_URL": target.url, "KOL_CACHE_DIR": str(folder / "cache")}
    cost = measure([sys.executable, *REPLAY], folder, environment)
    return Reload(users=number, wall=cost.wall, cpu=cost.cpu, peak=cost.peak, rows=target.rows())


def operations(folder: Path, sizes: list[int]) -> Operations:
    """Median microseconds of each operation in stores of these sizes, whose KOLs are all done.

    Without fsync: its time depends on the disk and would hide the rest.
    """
    given = build(folder / "input", 1, 20)
    body = next(given.folder.glob("[0-9]*.json")).read_bytes()
    found: Operations = {}
    for size in sizes:
        cache = folder / str(size)
        cache.mkdir(parents=True)
        with closing(connect(cache)) as connection:
            names = [f"many_{number:06}" for number in range(size)]
            _fill(connection, Ledger(connection, cache, API, 1), names, body)
        with closing(connect(cache)) as connection:
            found[size] = _measure(Ledger(cast("Any", _Unsynced(connection)), cache, API, 1), body, names)
        shutil.rmtree(cache)
    return found


def cache_per_user(cache: Path) -> float:
    """The size of the store's file in bytes for each cached user."""
    with closing(sqlite3.connect(cache / FILE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (users,) = connection.execute("SELECT sum(users) FROM page").fetchone()
    return (cache / FILE_NAME).stat().st_size / float(users)


class _Unsynced:
    """A connection that never waits for the disk, although the store turns fsync on again after some transactions."""

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection
        connection.execute("PRAGMA synchronous = OFF")

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute("SELECT 1" if sql.startswith("PRAGMA synchronous") else sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _measure(ledger: Ledger, body: bytes, names: list[str]) -> dict[str, float]:
    pages, kols = ledger.pages, ledger.kols
    took: dict[str, list[float]] = {}

    def timed(name: str, call: Callable[..., Any], *values: Any, **more: Any) -> Any:
        began = time.perf_counter()
        result = call(*values, **more)
        took.setdefault(name, []).append((time.perf_counter() - began) * 1e6)
        return result

    for number in range(_TIMES):
        kol = Kol(f"fresh_{number}", f"fresh_{number}")
        one_of_all = names[number * len(names) // _TIMES]
        timed("begin a KOL", kols.begin, kol)
        seq = timed("store a page", pages.put, kol, 0, "", 1, 20, body, fetched_at=0.0)
        timed("note it loaded", ledger.note_loaded, [seq], None)
        timed("end its list", kols.end, kol.handle, State.FETCHED, "", 1, 20, bought=True)
        timed("settle it", kols.settle_all, [kol.handle], evict=False)
        timed("find a page", pages.get, one_of_all, 0, "")
        timed("find a KOL", kols.find, one_of_all)
    return {name: median(times) for name, times in took.items()}


def _fill(connection: SqliteConnection, ledger: Ledger, names: list[str], body: bytes) -> None:
    """KOLs that are done: one page each, and all of it in the target."""
    pages, kols = ledger.pages, ledger.kols
    model = Kol("model", "model")
    kols.begin(model)
    seq = pages.put(model, 0, "", 1, 20, body, fetched_at=0.0)
    ledger.note_loaded([seq], None)
    kols.end("model", State.FETCHED, "", 1, 20, bought=True)
    kols.settle("model", evict=False)
    with connection.transaction():
        connection.execute("CREATE TEMP TABLE name (seq INTEGER PRIMARY KEY, handle TEXT)")
        connection.executemany("INSERT INTO name VALUES (?, ?)", enumerate(names, seq + 1))
        _copy(connection, "kol", {"handle": "n.handle", "user_name": "n.handle"}, "WHERE t.handle = 'model'")
        _copy(connection, "page", {"seq": "n.seq", "handle": "n.handle"}, "WHERE t.handle = 'model'")
        _copy(connection, "page_load", {"seq": "n.seq"}, f"WHERE t.seq = {seq}")
        _copy(connection, "kol_load", {"handle": "n.handle"}, "WHERE t.handle = 'model'")
        connection.execute("DROP TABLE name")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy(connection: SqliteConnection, table: str, changed: dict[str, str], which: str) -> None:
    """Copy a row of a table for each name, whatever columns the table has."""
    columns = [column[1] for column in connection.execute(f"PRAGMA main.table_info({table})")]
    values = ", ".join(changed.get(column, f"t.{column}") for column in columns)
    connection.execute(
        f"INSERT INTO main.{table} ({', '.join(columns)}) SELECT {values} FROM temp.name n, main.{table} t {which}"
    )


def _multiply(connection: SqliteConnection, users: int) -> None:
    """Copy the lists under other handles until there are this many users."""
    (have, last) = connection.execute("SELECT sum(users), max(seq) FROM page").fetchone()
    with connection.transaction():
        for copy in range(1, -(-users // have)):
            handle = f"handle || '_{copy}'"
            _again(connection, "kol", {"handle": handle, "user_name": handle}, "length(handle) = 8")
            _again(connection, "page", {"seq": f"seq + {copy * last}", "handle": handle}, f"seq <= {last}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _again(connection: SqliteConnection, table: str, changed: dict[str, str], which: str) -> None:
    columns = [column[1] for column in connection.execute(f"PRAGMA main.table_info({table})")]
    values = ", ".join(changed.get(column, column) for column in columns)
    connection.execute(f"INSERT INTO main.{table} ({', '.join(columns)}) SELECT {values} FROM {table} WHERE {which}")
