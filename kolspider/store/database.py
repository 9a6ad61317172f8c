"""Opens the SQLite file of the cache directory: its tables, and commits that survive a power cut."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kolspider.errors import StopRun, WrongUsage
from kolspider.files import sync_directory
from kolspider.store.damage import looks_damaged, mark_damaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "FILE_NAME",
    "OLD_FILES",
    "connect",
    "connect_to_read",
    "create",
    "empty",
    "empty_in_memory",
    "name_waiting_pages",
    "shrink",
    "target_id",
    "transaction",
]

FILE_NAME = "kolspider.sqlite3"
OLD_FILES = (
    "{directory} holds files of the old script (progress.json and one JSON file a KOL): they are not read and "
    "not touched; what they list is fetched anew"
)
"""Said when progress.json is there."""
MENDS = "if it is damaged, `scrapy crawl followings` keeps what can be read of it, and buys the rest anew"
"""What to do about a file that only was to be looked at."""
_VERSION = 4

_LEDGER = """
CREATE TABLE kol (                  -- the ledger: what is known of each KOL's list
  provider TEXT NOT NULL, handle TEXT NOT NULL, user_name TEXT NOT NULL,
  generation INTEGER NOT NULL DEFAULT 0,    -- raised by a refresh, a retry, a refused cursor
  state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
  pages INTEGER NOT NULL DEFAULT 0, users INTEGER NOT NULL DEFAULT 0, calls INTEGER NOT NULL DEFAULT 0,
  restarts INTEGER NOT NULL DEFAULT 0,      -- after a refused cursor: 1 is allowed, 2 is one refused again
  started_at REAL, finished_at REAL,        -- unix seconds
  PRIMARY KEY (provider, handle)
) WITHOUT ROWID;
CREATE TABLE page (                 -- the response cache: whole good pages only
  seq INTEGER PRIMARY KEY AUTOINCREMENT,    -- the order of fetching
  provider TEXT NOT NULL, handle TEXT NOT NULL, generation INTEGER NOT NULL, cursor TEXT NOT NULL,
  number INTEGER NOT NULL, users INTEGER NOT NULL, fetched_at REAL NOT NULL,
  rejects_written INTEGER NOT NULL DEFAULT 0,
  body BLOB NOT NULL,                       -- zstd, with a checksum
  UNIQUE (provider, handle, generation, cursor)
);
CREATE TABLE target (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE);
CREATE TABLE page_load (            -- pages whose rows are committed in a target
  seq INTEGER NOT NULL, target INTEGER NOT NULL,
  again INTEGER NOT NULL DEFAULT 0,         -- to be written once more, behind an older page that came late
  PRIMARY KEY (seq, target)
) WITHOUT ROWID;
CREATE TABLE kol_load (             -- lists that are wholly in a target
  target INTEGER NOT NULL, provider TEXT NOT NULL, handle TEXT NOT NULL,
  generation INTEGER NOT NULL, loaded_at REAL NOT NULL,
  PRIMARY KEY (target, provider, handle)
) WITHOUT ROWID;
CREATE TABLE note (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_HISTORY = """
CREATE TABLE run (                  -- the history: one row a run; it decides nothing, and outlives pages and progress
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  provider TEXT NOT NULL, target INTEGER NOT NULL,
  mode TEXT NOT NULL,                       -- buy, dry run, replay
  asked TEXT NOT NULL,                      -- the command as typed, without secrets
  started_at REAL NOT NULL, updated_at REAL NOT NULL, finished_at REAL,     -- unix seconds
  exit_code INTEGER, stopped TEXT NOT NULL DEFAULT '',      -- NULL while it runs, and for ever when it was killed
  unbegun INTEGER,                          -- KOLs of the source table that no run has begun; NULL when it is not read
  selected INTEGER NOT NULL DEFAULT 0, states TEXT NOT NULL DEFAULT '{}',   -- JSON: how many of those in which state
  calls INTEGER NOT NULL DEFAULT 0, pages INTEGER NOT NULL DEFAULT 0, cache_hits INTEGER NOT NULL DEFAULT 0,
  users INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0, rejects INTEGER NOT NULL DEFAULT 0,
  credits INTEGER NOT NULL DEFAULT 0, dollars REAL NOT NULL DEFAULT 0, db_retries INTEGER NOT NULL DEFAULT 0,
  errors TEXT NOT NULL DEFAULT '{}'         -- JSON: how many of the API's answers were which kind of error
);
CREATE TABLE sample (               -- a run's counters over time, for plots
  run INTEGER NOT NULL, at REAL NOT NULL, calls INTEGER NOT NULL, pages INTEGER NOT NULL, users INTEGER NOT NULL,
  rows INTEGER NOT NULL, credits INTEGER NOT NULL,
  PRIMARY KEY (run, at)
) WITHOUT ROWID;
"""
_CRAWLS = """
CREATE TABLE crawl (                -- every reading of a KOL's list
  provider TEXT NOT NULL, handle TEXT NOT NULL, generation INTEGER NOT NULL,
  kind TEXT NOT NULL,                       -- full, or incremental: it ends where everybody is known
  state TEXT NOT NULL DEFAULT 'fetching',
  started_at REAL NOT NULL, ended_at REAL,  -- unix seconds
  pages INTEGER NOT NULL DEFAULT 0, users INTEGER NOT NULL DEFAULT 0, calls INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (provider, handle, generation)
) WITHOUT ROWID;
"""
_INCREMENTS = """
CREATE TABLE increment (            -- what an incremental crawl found that its KOL was not known to follow
  provider TEXT NOT NULL, handle TEXT NOT NULL, generation INTEGER NOT NULL, new INTEGER NOT NULL,
  PRIMARY KEY (provider, handle, generation)
) WITHOUT ROWID;
"""
_SCHEMA = _LEDGER + _HISTORY + _CRAWLS + _INCREMENTS
_UPGRADES = {
    1: _HISTORY,
    2: f"""{_CRAWLS}
    INSERT INTO crawl SELECT provider, handle, generation, 'full', state, coalesce(started_at, 0), finished_at,
      pages, users, calls FROM kol WHERE state <> 'new';
    """,
    3: _INCREMENTS,
}
"""What makes the next format out of each older one."""


def connect(directory: Path) -> sqlite3.Connection:
    """Open the file to change it, making it when missing. The caller holds the directory's lock.

    Raises StopRun when the file can't be used, WrongUsage when a newer kolspider wrote it.
    """
    path = directory / FILE_NAME
    if path.exists() and looks_damaged(path):
        mark_damaged(path)
        raise StopRun(f"{path} is damaged; {MENDS}")
    try:
        connection = sqlite3.connect(path, isolation_level=None)
    except sqlite3.Error as error:
        raise StopRun(f"{path} can't be opened: {error}") from None
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit is on disk before it is reported
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            create(connection)
            sync_directory(directory)
        while version in _UPGRADES:
            connection.executescript(f"BEGIN; {_UPGRADES[version]} PRAGMA user_version = {version + 1}; COMMIT;")
            version += 1
        if version not in {0, _VERSION}:
            raise WrongUsage(f"{path} was written by another version of kolspider (format {version})")
    except (sqlite3.Error, OSError) as error:
        connection.close()
        raise StopRun(
            f"{path} can't be used: {error}; make room or mend the permissions, or move the file away "
            "(the pages in it would be bought again)"
        ) from None
    except WrongUsage:
        connection.close()
        raise
    return connection


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, all or none."""
    connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")


def connect_to_read(directory: Path) -> sqlite3.Connection | None:
    """Open the file to look into it beside a run; None when there is none yet."""
    path = directory / FILE_NAME
    if not path.exists():
        return None
    if looks_damaged(path):
        mark_damaged(path)
        raise StopRun(f"{path} is damaged; {MENDS}")
    try:
        try:
            connection = _connect_to_read(path, "mode=ro")
        except sqlite3.OperationalError:  # WAL wants to write beside the file even for a reader
            connection = _connect_to_read(path, "immutable=1")
    except sqlite3.Error as error:
        raise StopRun(f"{path} can't be read: {error}") from None
    return connection


def _connect_to_read(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM target").fetchone()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        while version in _UPGRADES:  # who only looks can't upgrade it
            script = _UPGRADES[version].replace("CREATE TABLE", "CREATE TEMP TABLE")
            connection.executescript(script.replace("INSERT INTO crawl", "INSERT INTO temp.crawl"))
            version += 1
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def empty_in_memory() -> sqlite3.Connection:
    """The same tables with nothing in them, for who only looks and finds no file."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_SCHEMA)
    return connection


def name_waiting_pages(connection: sqlite3.Connection, provider: str, target: int) -> None:
    """Create the temporary view `waiting_page`: a provider's pages whose rows are not, or not for good, in a target."""
    connection.execute(
        "CREATE TEMP VIEW IF NOT EXISTS waiting_page AS SELECT seq, handle, generation FROM page p "
        f"WHERE provider = '{provider}' AND NOT EXISTS "
        f"(SELECT 1 FROM page_load l WHERE l.seq = p.seq AND l.target = {int(target)} AND NOT l.again)"
    )


def empty(connection: sqlite3.Connection, *, keep_progress: bool) -> None:
    """Delete all pages, and with them, unless kept, all that is known of the KOLs.

    Kept progress is that of lists which are in a table: the others have lost what they consisted of. The history of
    runs is kept in any case: what was spent stays spent.
    """
    with transaction(connection):
        progress = () if keep_progress else ("kol_load", "kol", "crawl", "increment")
        for table in ("page_load", "page", *progress):
            connection.execute(f"DELETE FROM {table}")
        connection.execute(
            "UPDATE kol SET state = 'fetching', reason = '', pages = 0, users = 0, finished_at = NULL "
            "WHERE state IN ('fetched', 'partial') AND NOT EXISTS (SELECT 1 FROM kol_load l "
            "WHERE l.provider = kol.provider AND l.handle = kol.handle AND l.generation = kol.generation)"
        )
        connection.execute(
            "UPDATE crawl SET state = 'fetching', kind = 'full', ended_at = NULL WHERE state = 'fetched' AND EXISTS "
            "(SELECT 1 FROM kol k WHERE k.provider = crawl.provider AND k.handle = crawl.handle "
            " AND k.generation = crawl.generation AND k.state = 'fetching')"
        )


def shrink(connection: sqlite3.Connection) -> None:
    """Give deleted room back to the disk. For that it needs room itself: a full disk leaves the file as it is."""
    with suppress(sqlite3.OperationalError):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def transaction(connection: sqlite3.Connection, *, synced: bool = True) -> Iterator[None]:
    """All or nothing, on disk when the block is left.

    Not synced: on disk with the next one that is, as the journal is written in order. For what a power cut may take
    back, a count of calls say: a sync takes some milliseconds.
    """
    if not synced:
        connection.execute("PRAGMA synchronous = NORMAL")
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk rolls back by itself
                connection.execute("ROLLBACK")
            raise
    finally:
        if not synced:
            connection.execute("PRAGMA synchronous = FULL")


def target_id(connection: sqlite3.Connection, label: str) -> int:
    """The number of a target in the load tables, given out when the target is new."""
    with transaction(connection):
        connection.execute("INSERT INTO target (label) VALUES (?) ON CONFLICT (label) DO NOTHING", (label,))
        row = connection.execute("SELECT id FROM target WHERE label = ?", (label,)).fetchone()
    return int(row[0])
