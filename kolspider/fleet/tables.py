"""The tables by which workers agree, in the schema of the ledger. They hold nothing that a later job needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kolspider.store.postgres import PostgresConnection

__all__ = ["BEAT_SECS", "LEASE_SECS", "create_tables"]

LEASE_SECS = 5
"""A worker that was silent for so long is taken for dead."""
BEAT_SECS = 1.0
"""Seconds between two signs of life."""

_TABLES = (
    """
    worker (                            -- each process that was ever started
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      name TEXT NOT NULL,                       -- host:process
      job BIGINT,                               -- NULL while it opens its run
      seen_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
      dead BOOLEAN NOT NULL DEFAULT FALSE       -- it has left, or was taken for dead: it holds nothing any more
    )
    """,
    """
    job (                               -- what workers with the same arguments do together
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      key TEXT NOT NULL,                        -- a hash of the arguments
      opener BIGINT NOT NULL,                   -- the worker that selects its KOLs
      facts TEXT,                               -- JSON: what the selection found; NULL until it is done
      looked BOOLEAN NOT NULL DEFAULT FALSE,    -- the profiles of its KOLs were looked at, if they are watched
      replayed BOOLEAN NOT NULL DEFAULT FALSE,  -- all of its pages are marked to be loaded again, if they are replayed
      over_at TIMESTAMPTZ,                      -- NULL until its work is done, or all its workers are gone
      calls BIGINT NOT NULL DEFAULT 0, credits BIGINT NOT NULL DEFAULT 0,       -- only counted under a cap
      reserved BIGINT NOT NULL DEFAULT 0        -- the credits of its open calls
    )
    """,
    """
    job_kol (                           -- the queue: the KOLs of a job, as Selection has them
      job BIGINT NOT NULL, place BIGINT NOT NULL, handle TEXT NOT NULL, user_name TEXT NOT NULL,
      why TEXT, state TEXT NOT NULL, incremental BOOLEAN NOT NULL, base_is_missing BOOLEAN NOT NULL,
      to_look_at BOOLEAN NOT NULL, following BIGINT, reached BOOLEAN NOT NULL,
      worker BIGINT,                            -- who reads its list now
      done BOOLEAN NOT NULL DEFAULT FALSE,
      PRIMARY KEY (job, handle)
    )
    """,
    """
    open_call (                         -- calls whose price is not known yet, or never will be; only under a cap
      worker BIGINT NOT NULL, number BIGINT NOT NULL, job BIGINT NOT NULL, credits BIGINT NOT NULL,
      PRIMARY KEY (worker, number)
    )
    """,
    """
    pace (                              -- the turns that all workers with one key have
      key TEXT PRIMARY KEY,                     -- a hash: the key is a secret
      version BIGINT NOT NULL, holds BIGINT NOT NULL, state TEXT NOT NULL       -- JSON, as live/pace.py has it
    )
    """,
    "loader (target BIGINT PRIMARY KEY, worker BIGINT NOT NULL)         -- who writes into a target",
    "named_job (name TEXT PRIMARY KEY, content TEXT NOT NULL)           -- JSON, as in the file of a JOBDIR",
)
_INDEXES = (
    "UNIQUE INDEX IF NOT EXISTS job_open ON job (key) WHERE over_at IS NULL",
    "INDEX IF NOT EXISTS job_kol_left ON job_kol (job, place) WHERE NOT done",
    "INDEX IF NOT EXISTS job_kol_held ON job_kol (handle) WHERE worker IS NOT NULL AND NOT done",
)


def create_tables(connection: PostgresConnection) -> None:
    """Create those that are missing."""
    with connection.transaction(in_turn=True, fenced=False):
        for table in _TABLES:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        for index in _INDEXES:
            connection.execute(f"CREATE {index}")
