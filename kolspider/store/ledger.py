"""The way into the store: everything it knows, as seen by one provider and one target."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from kolspider.errors import StopRun, WrongUsage
from kolspider.store.accounts import Accounts
from kolspider.store.database import SqliteConnection, closed_on_error, connect, connect_to_read, empty_in_memory
from kolspider.store.forecast import Forecast
from kolspider.store.kols import Kols
from kolspider.store.lost import LostAccounts
from kolspider.store.outbox import Outbox
from kolspider.store.pages import Pages
from kolspider.store.part import NOTE
from kolspider.store.readings import Readings
from kolspider.store.refusals import Refusals
from kolspider.store.rejects import RejectsFile, RejectsTable
from kolspider.store.runs import Runs
from kolspider.store.selection import Selection
from kolspider.store.views import create_views

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType
    from typing import Self

    from kolspider.providers.base import Provider
    from kolspider.store.connection import Connection
    from kolspider.store.outbox import Draft
    from kolspider.store.postgres import PostgresConnection
    from kolspider.store.refusals import Refusal

__all__ = ["REJECTS_SIZE", "Ledger", "postgres"]

REJECTS_SIZE = "rejects_size"
"""Key of the note that holds the size of the rejects file."""


class Ledger:
    """One connection to the store. Its parts are tables with all of their SQL.

    `target` names the database and tables that rows are loaded into: `Database.target_label`.
    """

    def __init__(self, connection: Connection, directory: Path, provider: Provider, target: int) -> None:
        self.connection = connection
        self.target = target
        part = (connection, provider, target)
        self._rate_key = f"calls in 1,000 s, {provider.name}"
        create_views(connection, provider, target)
        self.accounts = Accounts(*part)
        self.lost = LostAccounts(*part)
        self.pages = Pages(*part)
        self.readings = Readings(*part)
        self.refusals = Refusals(*part)
        self.kols = Kols(*part, self.pages, self.readings, self.refusals)
        self.selection = Selection(*part)
        self.forecast = Forecast(*part)
        self.runs = Runs(*part)
        self.outbox = Outbox(*part)
        self.rejects = RejectsTable(connection) if self.shared else RejectsFile(directory / "rejects.jsonl")

    @classmethod
    def open(
        cls, directory: Path, provider: Provider, target: str, *, fresh: bool = False, shared_url: str = ""
    ) -> Self:
        """Open the store for changes, and create it if it is missing: that of the directory, whose lock the caller
        holds, or the one at `shared_url`.

        `fresh` also fills a file that has no tables. Raises StopRun, WrongUsage, sqlite3.Error or OSError.
        """
        with closed_on_error(_connect(directory, shared_url, fresh=fresh)) as connection:
            with connection.transaction():
                connection.execute("INSERT INTO target (label) VALUES (?) ON CONFLICT (label) DO NOTHING", (target,))
            return cls(connection, directory, provider, _target_id(connection, target))

    @classmethod
    @contextmanager
    def read(cls, directory: Path, provider: Provider, target: str, *, shared_url: str = "") -> Iterator[Self]:
        """Open the store to read it, beside a run; it is empty before the first run. Raises StopRun, WrongUsage."""
        connection = _connect_to_read(directory, shared_url) or empty_in_memory()
        try:
            yield cls(connection, directory, provider, _target_id(connection, target))
        except sqlite3.Error as error:
            raise StopRun(f"the ledger in {directory} can't be read: {error}") from None
        finally:
            connection.close()

    @property
    def shared(self) -> PostgresConnection | None:
        """The connection to a ledger that several machines share: it holds the fence, and can be lost and made again.

        None if the ledger is a file.
        """
        return None if isinstance(self.connection, SqliteConnection) else cast("PostgresConnection", self.connection)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def freeze(self) -> None:
        """From now on show the store as it is at this moment, whatever a run beside it writes."""
        self.connection.freeze()

    def drop_unnoted_rejects(self) -> None:
        """Cut off the rejects of a batch whose pages were never marked as loaded; they are written again."""
        if isinstance(self.rejects, RejectsTable):
            return
        noted = self.connection.execute("SELECT value FROM note WHERE key = ?", (REJECTS_SIZE,)).fetchone()
        if noted:
            self.rejects.cut_to(noted[0])
        else:  # a new store beside the rejects of an older one
            self.note_loaded([], self.rejects.size())

    def note_loaded(
        self,
        seqs: Collection[int],
        rejects_size: int | None,
        refused: Iterable[Refusal] = (),
        written: Mapping[str, int] | None = None,
        alerts: Iterable[Draft] = (),
    ) -> int:
        """Record that these pages are committed in the target and their rejects are on disk.

        `rejects_size` is the size of the rejects file in bytes, or None if it has not grown. `refused` are those of
        their rows that are not in the target, `written` the accounts that are, each with its page. `alerts` are what
        the pages tell: they are raised with the mark or not at all. Returns how many of these are new.
        """
        with self.connection.transaction(in_turn=True):
            self.pages.mark_loaded(seqs)
            self.refusals.note(seqs, refused, written or {})
            if rejects_size is not None:
                self.connection.execute(NOTE, (REJECTS_SIZE, rejects_size))
            return self.outbox.put(alerts)

    def unexplained(self) -> list[str]:
        """Return the accounts that alerts wait for and of which nobody knows yet why they are lost, by their ids."""
        waiting = self.outbox.waiting()
        return list(dict.fromkeys(one.account for one in waiting if not self.lost.of(one.account, one.since)))

    def found_rate(self) -> float | None:
        """Return the calls a second that the API was found to allow; None if no run has found out."""
        noted = self.connection.execute("SELECT value FROM note WHERE key = ?", (self._rate_key,)).fetchone()
        return noted[0] / 1000 if noted and noted[0] > 0 else None

    def note_found_rate(self, rate: float | None) -> None:
        """Keep the calls a second that the API was found to allow, for the next run; None changes nothing."""
        if rate is None:
            return
        with self.connection.transaction(synced=False):
            self.connection.execute(NOTE, (self._rate_key, max(round(rate * 1000), 1)))

    @contextmanager
    def taking_over(self) -> Iterator[None]:
        """Take over lists that were bought elsewhere: all of the block or nothing. Raises WrongUsage.

        Pages are loaded in the order in which they were stored, so lists that are older must come first.
        """
        if len(self.pages) or any(kol.calls and kol.pages for kol in self.kols):
            raise WrongUsage(
                "this cache has lists already, and older profiles could be written over theirs: import before the "
                "first run, or into another KOL_CACHE_DIR"
            )
        with self.connection.transaction(in_turn=True):
            yield

    def prune(self) -> int:
        """Delete the pages of KOLs whose full list is in the target. Returns how many pages."""
        with self.connection.transaction(in_turn=True):
            deleted = self.pages.delete_loaded()
        self.connection.shrink()
        return deleted

    def clear(self, *, keep_progress: bool) -> None:
        """Delete all pages and, unless kept, everything known of the KOLs; the history of runs and the alerts stay.

        Progress is kept only for lists that are in a target: the others have lost the pages they consisted of.
        """
        with self.connection.transaction(in_turn=True):
            progress = (
                ()
                if keep_progress
                else ("kol_load", "kol", "crawl", "increment", "short_reading", "account", "account_change")
            )
            for table in ("page_load", "refused", "page", *progress):
                self.connection.execute(f"DELETE FROM {table}")
            self.connection.execute(
                "UPDATE kol SET state = 'fetching', reason = '', pages = 0, users = 0, finished_at = NULL "
                "WHERE state IN ('fetched', 'partial') "
                "AND (provider, handle, generation) NOT IN (SELECT provider, handle, generation FROM kol_load)"
            )
            self.connection.execute(
                "UPDATE crawl SET state = 'fetching', kind = 'full', ended_at = NULL WHERE state = 'fetched' "
                "AND (provider, handle, generation) IN "
                "(SELECT provider, handle, generation FROM kol WHERE state = 'fetching')"
            )
        self.connection.shrink()


def _connect(directory: Path, shared_url: str, *, fresh: bool) -> Connection:
    if not shared_url:
        return connect(directory, fresh=fresh)
    connection: Connection = postgres().connect(shared_url)
    return connection


def _connect_to_read(directory: Path, shared_url: str) -> Connection | None:
    if not shared_url:
        return connect_to_read(directory)
    connection: Connection | None = postgres().connect_to_read(shared_url)
    return connection


def postgres() -> ModuleType:
    """Return the module for PostgreSQL. Raises WrongUsage if psycopg is missing, which only a shared ledger needs."""
    try:
        from kolspider.store import postgres as module  # noqa: PLC0415
    except ImportError as error:
        raise WrongUsage(
            f"KOL_SHARED_URL needs psycopg, which can't be imported ({error}): pip install -r requirements-fleet.txt"
        ) from None
    return module


def _target_id(connection: Connection, label: str) -> int:
    """Return the number of a target in the load tables; -1 if nothing was ever loaded into it."""
    found = connection.execute("SELECT id FROM target WHERE label = ?", (label,)).fetchone()
    return int(found[0]) if found else -1
