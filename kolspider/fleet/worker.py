"""This process among those that share a ledger: its signs of life, and the end of those that give none."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from kolspider.errors import StartAgain, StopRun
from kolspider.fleet.tables import BEAT_SECS, LEASE_SECS
from kolspider.store.connection import LedgerAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.store.postgres import PostgresConnection

__all__ = ["Heartbeat", "Worker", "bury"]


LATE = (
    "SELECT id FROM worker WHERE NOT dead AND seen_at < clock_timestamp() - make_interval(secs => ?) "
    "AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => ?)"
)
"""SQL: the workers whose lease is over, once the server has been up for longer than that."""


class Worker:
    """A process that takes part. Its number is fresh each time: what an earlier one of its name held is not its own."""

    def __init__(self, connection: PostgresConnection) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.id = connection.insert("INSERT INTO worker (name) VALUES (?)", (self.name,), "id")

    def check(self, connection: PostgresConnection) -> None:
        """Raise StartAgain if this worker was taken for dead. Inside a transaction it stays alive until its end."""
        alive = "SELECT 1 FROM worker WHERE id = ? AND NOT dead FOR KEY SHARE"
        if not connection.execute(alive, (self.id,)).fetchone():
            raise self.taken_over()

    def taken_over(self) -> StartAgain:
        """Return the error that ends a worker that was taken for dead."""
        return StartAgain(
            f"this worker ({self.name}) gave no sign of life for {LEASE_SECS} s, so others have taken over its KOLs; "
            "it has stopped, and what it bought is stored: start it again"
        )

    def leave(self, connection: PostgresConnection) -> None:
        """Give back at once what this worker holds."""
        with connection.transaction(fenced=False):
            connection.execute("UPDATE worker SET dead = TRUE, seen_at = clock_timestamp() WHERE id = ?", (self.id,))
            _free(connection)


class Heartbeat(threading.Thread):
    """Gives signs of life by a connection of its own, and buries others that give none.

    Nobody is buried right after an outage: the server must have been up, and this thread been in touch with it, for
    longer than the lease, so that everybody else had the time to come back.
    """

    def __init__(self, worker: Worker, connection: PostgresConnection, on_death: Callable[[], object]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._worker = worker
        self._connection = connection
        self._on_death = on_death
        self._end = threading.Event()
        self._in_touch_since = self._last = time.monotonic()

    def run(self) -> None:
        """Go on until `stop`, or until somebody has taken this worker for dead."""
        while not self._end.wait(BEAT_SECS):
            try:
                if not self._beat():
                    self._on_death()
                    return
            except LedgerAway:
                with suppress(LedgerAway, StopRun):
                    self._connection.reconnect()
                self._in_touch_since = time.monotonic()

    def stop(self) -> None:
        """Give no further sign of life."""
        self._end.set()
        self.join()
        self._connection.close()

    def _beat(self) -> bool:
        beat = "UPDATE worker SET seen_at = clock_timestamp() WHERE id = ? AND NOT dead"
        if not self._connection.execute(beat, (self._worker.id,)).rowcount:
            return False
        now = time.monotonic()
        if now - self._last > LEASE_SECS:  # this machine was asleep: perhaps all of them were
            self._in_touch_since = now
        self._last = now
        if now - self._in_touch_since > LEASE_SECS:
            bury(self._connection)
        return True


def bury(connection: PostgresConnection) -> None:
    """Take workers for dead that gave no sign of life during the lease, and free what they hold, all at once.

    A write of such a worker that is on its way holds its row (`Worker.check`): it ends before the row can be locked.
    """
    lease = (LEASE_SECS, LEASE_SECS)
    if not connection.execute(LATE, lease).fetchone():
        return
    with connection.transaction(fenced=False):
        dead = connection.execute(f"{LATE} ORDER BY id FOR UPDATE", lease).fetchall()
        connection.executemany("UPDATE worker SET dead = TRUE WHERE id = ?", dead)
        _free(connection)


def _free(connection: PostgresConnection) -> None:
    """Free what the dead hold. Inside a transaction."""
    connection.execute(
        "UPDATE job_kol SET worker = NULL WHERE NOT done AND worker IN (SELECT id FROM worker WHERE dead)"
    )
    connection.execute("DELETE FROM loader WHERE worker IN (SELECT id FROM worker WHERE dead)")
