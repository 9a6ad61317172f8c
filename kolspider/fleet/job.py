"""A job that several workers do together: its KOLs as a queue, and how far it has come.

The first worker with some arguments opens the job and selects its KOLs; those that start while it is going on join it.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from kolspider.fleet.tables import LEASE_SECS
from kolspider.items import Kol
from kolspider.store.readings import state_of
from kolspider.store.schema import Kind
from kolspider.store.selection import HAS_WORK, Due, Watch, Why

if TYPE_CHECKING:
    from pathlib import Path

    from kolspider.fleet.worker import Worker
    from kolspider.providers.base import Provider
    from kolspider.store.connection import Connection
    from kolspider.store.ledger import Ledger
    from kolspider.store.postgres import PostgresConnection

__all__ = ["NamedJob", "SharedJob"]

logger = logging.getLogger(__name__)

_COLUMNS = "place, handle, user_name, why, state, incremental, base_is_missing, to_look_at, following, reached"
"""The columns of a selection."""
_LEFT = f"SELECT 1 FROM job_kol q WHERE job = :job AND NOT done AND {HAS_WORK}"
"""SQL: the KOLs of a job whose lists have not ended."""
_HELD_ELSEWHERE = (
    "EXISTS (SELECT 1 FROM job_kol o WHERE o.handle = q.handle AND o.job <> q.job AND o.worker IS NOT NULL "
    "AND NOT o.done)"
)
_OVER = "UPDATE job SET over_at = clock_timestamp() WHERE id = ? AND over_at IS NULL"


class NamedJob:
    """Table named_job: what the file of a JOBDIR has on a machine of its own."""

    def __init__(self, connection: Connection, directory: Path) -> None:
        self.directory = directory
        self.path = f"JOBDIR {directory.name} in KOL_SHARED_URL"
        self._db = connection

    def read(self) -> str | None:
        """Return what was written; None if nothing was."""
        if self._db.execute("SELECT to_regclass('named_job')").fetchone()[0] is None:
            return None
        found = self._db.execute("SELECT content FROM named_job WHERE name = ?", (self.directory.name,)).fetchone()
        return found and str(found[0])

    def write(self, text: str) -> None:
        """Write it durably."""
        with self._db.transaction():
            self._db.execute("INSERT INTO named_job (name, content) VALUES (?, ?)", (self.directory.name, text))


class SharedJob:
    """Tables job and job_kol, as one worker sees them, through a connection for the agreement with others."""

    id = 0
    began_at = 0.0
    """When the job was opened, in unix seconds: what is older than a refresh asks for is measured by it."""

    def __init__(self, connection: PostgresConnection, worker: Worker, ledger: Ledger, provider: Provider) -> None:
        self._family = provider.family
        self._given = set[str]()
        """Handles of the KOLs that this worker has in work."""
        self.connection = connection
        self.worker = worker
        self._ledger = ledger

    def open(self, key: str) -> bool:
        """Open the job of this key, or join it. Tells whether this worker opens it, so that it has to `publish` it."""
        has_waited = False
        while (is_opener := self._try_to_open(key)) is None:
            if not has_waited:
                logger.info("waiting for another worker of this job, which selects its KOLs or was killed")
            has_waited = True
            time.sleep(0.2)
        if is_opener and (others := self._others()):
            logger.warning(
                "another job is at work on this ledger (%s), with other arguments or another KOL_DB_URL: each has caps "
                "of its own, and a list that both refresh is bought twice",
                ", ".join(others),
            )
        return is_opener

    def _others(self) -> list[str]:
        """Return the names of the workers of other jobs."""
        rows = self.connection.execute(
            "SELECT name FROM worker WHERE NOT dead AND job <> ? AND seen_at > clock_timestamp() - "
            "make_interval(secs => ?) ORDER BY id",
            (self.id, LEASE_SECS),
        )
        return [name for (name,) in rows]

    def _try_to_open(self, key: str) -> bool | None:
        """Return None while nobody knows whether there is such a job."""
        with self.connection.transaction():
            new = self.connection.execute(
                "INSERT INTO job (key, opener) VALUES (?, ?) ON CONFLICT (key) WHERE over_at IS NULL DO NOTHING "
                "RETURNING id",
                (key, self.worker.id),
            ).fetchone()
            if new:
                self._enter(new[0])
                return True
            found = self.connection.execute(
                "SELECT j.id, facts IS NOT NULL, coalesce(max(seen_at) > clock_timestamp() - make_interval(secs => ?), "
                "FALSE), count(w.id) FROM job j LEFT JOIN worker w ON w.job = j.id AND NOT w.dead "
                "WHERE key = ? AND over_at IS NULL GROUP BY j.id",
                (LEASE_SECS, key),
            ).fetchone()
            if found is None:
                return None  # it was over at this moment
            job, is_ready, is_alive, workers = found
            if not workers:
                self.connection.execute(_OVER, (job,))
            if not (is_ready and is_alive):
                return None
            self._enter(job)
            return False

    def _enter(self, job: int) -> None:
        self.id = job
        self.connection.execute("UPDATE worker SET job = ? WHERE id = ?", (job, self.worker.id))

    # --- by the connection of the ledger, whose selection it is ---

    def publish(self, began_at: float) -> None:
        """Make what was selected the queue of all workers."""
        selection, watch = self._ledger.selection, self._ledger.selection.watch
        self.began_at = began_at
        facts = {
            "began_at": began_at,
            "skipped": selection.skipped,
            "refresh_before": selection.refresh_before,
            "watch": watch and [watch.look_before, watch.read_before],
            "full_before": selection.full_before,
            "left": selection.left,
        }
        with self._ledger.connection.transaction():
            self._store_selection()
            self._ledger.connection.execute("UPDATE job SET facts = ? WHERE id = ?", (json.dumps(facts), self.id))
            self._forget_old_ones()

    def _forget_old_ones(self) -> None:
        """Delete what only tells of jobs that were over a day ago. Inside a transaction."""
        day = "clock_timestamp() - interval '1 day'"
        for table in ("job_kol", "open_call"):
            old = f"SELECT id FROM job WHERE over_at < {day}"
            self._ledger.connection.execute(f"DELETE FROM {table} WHERE job IN ({old})")
        self._ledger.connection.execute(f"DELETE FROM worker WHERE dead AND seen_at < {day}")

    def _store_selection(self) -> None:
        self._ledger.connection.execute("DELETE FROM job_kol WHERE job = ?", (self.id,))
        self._ledger.connection.execute(
            f"INSERT INTO job_kol (job, done, {_COLUMNS}) SELECT ?, why IS NULL, {_COLUMNS} FROM temp.selected",
            (self.id,),
        )

    def join(self) -> None:
        """Take over what the worker that opened the job has selected."""
        (raw,) = self._ledger.connection.execute("SELECT facts FROM job WHERE id = ?", (self.id,)).fetchone()
        facts, selection = json.loads(raw), self._ledger.selection
        self.began_at = facts["began_at"]
        selection.skipped = Counter(facts["skipped"])
        selection.refresh_before = facts["refresh_before"]
        selection.watch = Watch(*facts["watch"]) if facts["watch"] else None
        selection.full_before = facts["full_before"]
        selection.left = facts["left"]
        self.show()

    def show(self) -> None:
        """Bring the selection of this worker up to date."""
        with self._ledger.connection.transaction():
            self._ledger.connection.execute("DELETE FROM temp.selected")
            self._ledger.connection.execute(
                f"INSERT INTO temp.selected ({_COLUMNS}) SELECT {_COLUMNS} FROM job_kol WHERE job = ?", (self.id,)
            )
        self._ledger.connection.analyze("temp.selected")

    def looked(self) -> None:
        """Record that the profiles were looked at, and which lists are read now."""
        with self._ledger.connection.transaction():
            self._store_selection()
            self._ledger.connection.execute("UPDATE job SET looked = TRUE WHERE id = ?", (self.id,))

    def ended(self, handle: str) -> None:
        """Record that the list of a KOL has ended."""
        self.note(handle, "done = TRUE, worker = NULL")
        self._given.discard(handle)

    def note(self, handle: str, change: str) -> None:
        """Change the row of a KOL."""
        with self._ledger.connection.transaction():
            self._ledger.connection.execute(
                f"UPDATE job_kol SET {change} WHERE job = ? AND handle = ?", (self.id, handle)
            )

    # --- by the connection for the agreement with others ---

    def claim(self) -> Due | None:
        """Take the next KOL of the queue, or one that a dead worker had in work. None if there is none now."""
        with self.connection.transaction(in_turn=True):
            row = self.connection.execute(
                "SELECT q.handle, q.user_name, q.why, q.state, q.incremental, q.reached, k.state, c.kind "
                "FROM job_kol q LEFT JOIN kol k ON k.provider = :provider AND k.handle = q.handle LEFT JOIN crawl c ON "
                "c.provider = k.provider AND c.handle = k.handle AND c.generation = k.generation "
                f"WHERE job = :job AND NOT done AND {HAS_WORK} AND NOT {_HELD_ELSEWHERE} "
                # A claim that was made when the connection broke is made again.
                "AND (worker IS NULL OR worker = :worker AND NOT q.handle = ANY(:given)) ORDER BY q.place LIMIT 1",
                {
                    "job": self.id,
                    "provider": self._family,
                    "worker": self.worker.id,
                    "given": list(self._given),
                },
            ).fetchone()
            if row is None:
                return None
            handle, user_name, why, selected_as, incremental, reached, state, kind = row
            self.connection.execute(
                "UPDATE job_kol SET worker = ? WHERE job = ? AND handle = ?", (self.worker.id, self.id, handle)
            )
        self._given.add(handle)
        kol = Kol(handle, user_name)
        if reached and state:  # by a worker that died: go on where it stopped
            return Due(kol, Why.BEGUN, state_of(state), kind == Kind.INCREMENTAL)
        return Due(kol, Why(why), state_of(selected_as), incremental)

    def lead(self) -> bool:
        """Take the role of the one that loads, if nobody has it. Tells whether this worker has it."""
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO loader (target, worker) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (self._ledger.target, self.worker.id),
            )
            (worker,) = self.connection.execute(
                "SELECT worker FROM loader WHERE target = ?", (self._ledger.target,)
            ).fetchone()
        return bool(worker == self.worker.id)

    def is_over(self) -> bool:
        """Tell whether the work of the job is done."""
        return self._is("over_at IS NOT NULL")

    def is_looked(self) -> bool:
        """Tell whether the profiles were looked at, or need not be."""
        return self._ledger.selection.watch is None or self._is("looked")

    def is_replayed(self) -> bool:
        """Tell whether all pages of its KOLs were loaded once in this job."""
        return self._is("replayed")

    def is_all_read(self) -> bool:
        """Tell whether no list is left to be read, by any worker."""
        return self.is_looked() and self.connection.execute(f"{_LEFT} LIMIT 1", {"job": self.id}).fetchone() is None

    def replayed(self) -> None:
        """Record that all pages of its KOLs were loaded."""
        self.connection.execute("UPDATE job SET replayed = TRUE WHERE id = ?", (self.id,))

    def finish(self) -> None:
        """Record that the work of the job is done."""
        with self.connection.transaction():
            self.connection.execute(_OVER, (self.id,))

    def _is(self, column: str) -> bool:
        return bool(self.connection.execute(f"SELECT {column} FROM job WHERE id = ?", (self.id,)).fetchone()[0])
