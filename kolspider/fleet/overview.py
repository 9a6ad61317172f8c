"""Who works on the shared ledger, for `scrapy cache status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kolspider.fleet.tables import LEASE_SECS

if TYPE_CHECKING:
    from kolspider.store.connection import Connection

__all__ = ["WorkerRecord", "workers"]


class WorkerRecord(NamedTuple):
    """A worker that is alive, as far as is known."""

    name: str
    lists: int
    """Lists that it reads now."""
    loads: bool
    seen: float
    """Seconds since its last sign of life."""

    @property
    def is_silent(self) -> bool:
        """Whether others may take over what it holds."""
        return self.seen > LEASE_SECS


def workers(connection: Connection) -> list[WorkerRecord]:
    """Return the workers that have not left, and were not taken for dead."""
    if connection.execute("SELECT to_regclass('worker')").fetchone()[0] is None:
        return []
    rows = connection.execute(
        "SELECT name, (SELECT count(*) FROM job_kol k WHERE k.worker = w.id AND NOT k.done), "
        "EXISTS (SELECT 1 FROM loader l WHERE l.worker = w.id), "
        "CAST(extract(epoch FROM clock_timestamp() - seen_at) AS float8) FROM worker w WHERE NOT dead ORDER BY id"
    )
    return [WorkerRecord(*row) for row in rows]
