"""The history of runs: what each was asked, what it did and cost, and how it ended.

It decides nothing: a run that was killed leaves what it noted last, and no exit code.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kolspider.items import State
from kolspider.store.database import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

__all__ = ["Counters", "RunRecord", "Runs", "Sample"]

_SAMPLES = 240
"""A run's samples: with one more, every second one goes."""
_RUNS_SAMPLED = 100
"""Older runs keep their row and lose their samples."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a run has done so far."""

    calls: int = 0
    pages: int = 0
    """Bought."""
    cache_hits: int = 0
    users: int = 0
    rows: int = 0
    """Sent to the table; an account that several KOLs follow is sent more than once."""
    rejects: int = 0
    credits: int = 0
    dollars: float = 0.0
    db_retries: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    """How many of the API's answers were which kind of error."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the history tells it. Times are unix seconds."""

    id: int
    provider: str
    target: str
    mode: str
    asked: str
    started_at: float
    updated_at: float
    """When it last gave a sign of life."""
    finished_at: float | None
    exit_code: int | None
    """None while it runs, and for ever when it was killed."""
    stopped: str
    unbegun: int | None
    """KOLs of the source table that no run had begun; None when that was not read."""
    selected: int
    states: Mapping[State, int]
    done: Counters


@dataclass(frozen=True, slots=True)
class Sample:
    """A run's counters at one moment."""

    run: int
    at: float
    calls: int
    pages: int
    users: int
    rows: int
    credits: int


_TOLD = (
    "id", "provider", "target", "mode", "asked", "started_at", "updated_at", "finished_at", "exit_code", "stopped",
    "unbegun", "selected",
)  # fmt: skip
_COUNTERS = ("calls", "pages", "cache_hits", "users", "rows", "rejects", "credits", "dollars", "db_retries")


class Runs:
    """Tables run and sample. New runs are of one provider and one target; all runs are read."""

    def __init__(self, connection: sqlite3.Connection, provider: str, target: int) -> None:
        self._db = connection
        self._provider = provider
        self._target = target

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM run").fetchone()[0])

    def begin(self, mode: str, asked: str) -> int:
        """A run begins now. Returns its number."""
        now = time.time()
        with transaction(self._db):
            done = self._db.execute(
                "INSERT INTO run (provider, target, mode, asked, started_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
                (self._provider, self._target, mode, asked, now, now),
            )
            run = int(done.lastrowid or 0)
            self._db.execute("DELETE FROM sample WHERE run <= ?", (run - _RUNS_SAMPLED,))
        return run

    def note(self, run: int, done: Counters) -> None:
        """The run is alive, and has done this so far."""
        with transaction(self._db):
            self._note(run, done)

    def note_states(self, run: int, states: Mapping[State, int], unbegun: int | None) -> None:
        """Where the run's KOLs stand now."""
        with transaction(self._db):
            self._note_states(run, states, unbegun)

    def sample(self, run: int, done: Counters) -> bool:
        """Keep the counters of this moment. True when there were so many that half of them were dropped."""
        with transaction(self._db):
            self._sample(run, done)
            (kept,) = self._db.execute("SELECT count(*) FROM sample WHERE run = ?", (run,)).fetchone()
            if kept <= _SAMPLES:
                return False
            self._db.execute(
                "DELETE FROM sample WHERE run = ? AND at IN (SELECT at FROM "
                "(SELECT at, row_number() OVER (ORDER BY at) AS n FROM sample WHERE run = ?) WHERE n % 2)",
                (run, run),
            )
            return True

    def end(
        self, run: int, done: Counters, states: Mapping[State, int], unbegun: int | None, exit_code: int, stopped: str
    ) -> None:
        """The run is over."""
        with transaction(self._db):
            self._note(run, done)
            self._note_states(run, states, unbegun)
            self._sample(run, done)
            self._db.execute(
                "UPDATE run SET finished_at = updated_at, exit_code = ?, stopped = ? WHERE id = ?",
                (exit_code, stopped, run),
            )

    def _note(self, run: int, done: Counters) -> None:
        self._db.execute(
            f"UPDATE run SET updated_at = ?, errors = ?, {', '.join(f'{name} = ?' for name in _COUNTERS)} WHERE id = ?",
            (time.time(), json.dumps(done.errors), *(getattr(done, name) for name in _COUNTERS), run),
        )

    def _note_states(self, run: int, states: Mapping[State, int], unbegun: int | None) -> None:
        self._db.execute(
            "UPDATE run SET selected = ?, states = ?, unbegun = ? WHERE id = ?",
            (sum(states.values()), json.dumps(states), unbegun, run),
        )

    def _sample(self, run: int, done: Counters) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO sample (run, at, calls, pages, users, rows, credits) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run, time.time(), done.calls, done.pages, done.users, done.rows, done.credits),
        )

    def latest(self, limit: int) -> list[RunRecord]:
        """The latest runs, the last one first."""
        rows = self._db.execute(
            "SELECT r.id, r.provider, coalesce(t.label, '?'), mode, asked, started_at, updated_at, finished_at, "
            f"exit_code, stopped, unbegun, selected, states, errors, {', '.join(_COUNTERS)} "
            "FROM run r LEFT JOIN target t ON t.id = r.target ORDER BY r.id DESC LIMIT ?",
            (limit,),
        )
        return [_record(row) for row in rows]

    def total(self) -> Counters:
        """What all runs have done."""
        sums = self._db.execute(
            f"SELECT {', '.join(f'coalesce(sum({name}), 0)' for name in _COUNTERS)} FROM run"
        ).fetchone()
        errors = self._db.execute(
            "SELECT e.key, sum(e.value) AS times FROM run, json_each(errors) e GROUP BY e.key ORDER BY times DESC"
        )
        return Counters(**dict(zip(_COUNTERS, sums, strict=True)), errors=dict(errors.fetchall()))

    def began_at(self) -> float | None:
        """When the first run of the history began."""
        found = self._db.execute("SELECT min(started_at) FROM run").fetchone()
        return None if found[0] is None else float(found[0])

    def unbegun(self) -> int | None:
        """KOLs of the source table that no run had begun when a run last read it; None when none did."""
        found = self._db.execute(
            "SELECT unbegun FROM run WHERE unbegun IS NOT NULL AND provider = ? ORDER BY id DESC LIMIT 1",
            (self._provider,),
        ).fetchone()
        return None if found is None else int(found[0])

    def samples(self, run: int) -> list[Sample]:
        """A run's samples, in the order of time."""
        rows = self._db.execute(
            "SELECT run, at, calls, pages, users, rows, credits FROM sample WHERE run = ? ORDER BY at", (run,)
        )
        return [Sample(*row) for row in rows]

    def spending(self) -> Iterator[tuple[float, float, int]]:
        """When how many dollars were spent on how many bought pages: between two samples, or in a whole run."""
        yield from self._db.execute(
            """
            WITH point AS (
              SELECT s.run, s.at, r.dollars * s.credits / max(r.credits, 1) AS dollars, s.pages
              FROM sample s JOIN run r ON r.id = s.run
              UNION ALL SELECT id, updated_at, dollars, pages FROM run
            )
            SELECT at, dollars - lag(dollars, 1, 0) OVER run_so_far, pages - lag(pages, 1, 0) OVER run_so_far
            FROM point WINDOW run_so_far AS (PARTITION BY run ORDER BY at, dollars)
            """
        )


def _record(row: tuple[Any, ...]) -> RunRecord:
    told, states, errors = dict(zip(_TOLD, row, strict=False)), json.loads(row[12]), json.loads(row[13])
    return RunRecord(
        **told,
        states={state: states[state] for state in State if state in states},
        done=Counters(**dict(zip(_COUNTERS, row[14:], strict=True)), errors=errors),
    )
