"""The history of runs: the command of each, what it did and cost, and how it ended.

It decides nothing. A run that was killed leaves what it noted last, and no exit code.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from kolspider.items import State
from kolspider.store.part import Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Counters", "RunRecord", "Runs", "Sample"]

_SAMPLES = 240
"""Most samples of a run: with one more, every second one is deleted."""
_RUNS_SAMPLED = 100
"""Number of the latest runs whose samples are kept; older runs keep only their row."""


class Counters(Struct, frozen=True):
    """What a run has done so far."""

    calls: int = 0
    pages: int = 0
    """Bought pages."""
    cache_hits: int = 0
    users: int = 0
    rows: int = 0
    """Rows upserted; an account that several KOLs follow is upserted more than once."""
    rejects: int = 0
    credits: int = 0
    dollars: float = 0.0
    db_retries: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    """How many of the API's answers were each kind of error."""


_COUNTERS = tuple(name for name in Counters.__struct_fields__ if name != "errors")


class RunRecord(Struct, frozen=True):
    """A run as the history has it. Times are unix seconds."""

    id: int
    provider: str
    target: str
    mode: str
    asked: str
    started_at: float
    updated_at: float
    """When it last wrote into the history."""
    finished_at: float | None
    exit_code: int | None
    """None while it runs, and forever if it was killed."""
    stopped: str
    unbegun: int | None
    """Number of KOLs of the source table that no run had begun; None if the table was not read."""
    selected: int
    billed: float | None
    """What the customer's account said that it cost, in US dollars; None if that is not known."""
    states: Mapping[State, int]
    done: Counters


class Sample(Struct, frozen=True):
    """A run's counters at one moment."""

    run: int
    at: float
    calls: int
    pages: int
    users: int
    rows: int
    credits: int


class Runs(Part):
    """Tables run, sample and bill. A new run is of this provider and target; those of all are read."""

    def __len__(self) -> int:
        return self._count("SELECT count(*) FROM run")

    def begin(self, mode: str, asked: str) -> int:
        """Record that a run begins now. Returns its number."""
        now = time.time()
        with self._db.transaction():
            run = self._db.insert(
                "INSERT INTO run (provider, target, mode, asked, started_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
                (self._provider, self._target, mode, asked, now, now),
                "id",
            )
            self._db.execute("DELETE FROM sample WHERE run <= ?", (run - _RUNS_SAMPLED,))
        return run

    def note(self, run: int, done: Counters) -> None:
        """Record that the run is alive and what it has done so far."""
        with self._db.transaction():
            self._db.execute(
                f"UPDATE run SET updated_at = ?, errors = ?, {', '.join(f'{name} = ?' for name in _COUNTERS)} "
                "WHERE id = ?",
                (time.time(), json.dumps(done.errors), *(getattr(done, name) for name in _COUNTERS), run),
            )

    def note_states(self, run: int, states: Mapping[State, int], unbegun: int | None, selected: int) -> None:
        """Record the states of the run's KOLs, without those that it has not reached, and how many KOLs they are."""
        with self._db.transaction():
            self._db.execute(
                "UPDATE run SET selected = ?, states = ?, unbegun = ? WHERE id = ?",
                (selected, json.dumps(states), unbegun, run),
            )

    def sample(self, run: int, done: Counters) -> bool:
        """Keep the counters of this moment. Returns whether half of the run's samples were deleted to make room."""
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO sample (run, at, calls, pages, users, rows, credits) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (run, at) DO UPDATE SET calls = excluded.calls, pages = excluded.pages, "
                "users = excluded.users, rows = excluded.rows, credits = excluded.credits",
                (run, time.time(), done.calls, done.pages, done.users, done.rows, done.credits),
            )
            if self._count("SELECT count(*) FROM sample WHERE run = ?", run) <= _SAMPLES:
                return False
            self._db.execute(
                "DELETE FROM sample WHERE run = ? AND at IN (SELECT at FROM "
                "(SELECT at, row_number() OVER (ORDER BY at) AS n FROM sample WHERE run = ?) s WHERE n % 2 = 1)",
                (run, run),
            )
            return True

    def end(
        self,
        run: int,
        done: Counters,
        states: Mapping[State, int],
        unbegun: int | None,
        selected: int,
        exit_code: int,
        stopped: str,
    ) -> None:
        """Record that the run is over."""
        with self._db.transaction():
            self.note(run, done)
            self.note_states(run, states, unbegun, selected)
            self.sample(run, done)
            self._db.execute(
                "UPDATE run SET finished_at = updated_at, exit_code = ?, stopped = ? WHERE id = ?",
                (exit_code, stopped, run),
            )

    def note_bill(self, run: int, credits_: float, usd: float) -> None:
        """Record what the customer's account said that a run cost."""
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO bill (run, credits, usd) VALUES (?, ?, ?) "
                "ON CONFLICT (run) DO UPDATE SET credits = excluded.credits, usd = excluded.usd",
                (run, credits_, usd),
            )

    def latest(self, limit: int) -> list[RunRecord]:
        """Return the latest runs, the last one first."""
        rows = self._db.execute(
            "SELECT r.id, r.provider, coalesce(t.label, '?'), mode, asked, started_at, updated_at, finished_at, "
            "exit_code, stopped, unbegun, selected, b.usd, states, errors, "
            f"{', '.join(f'r.{name}' for name in _COUNTERS)} "
            "FROM run r LEFT JOIN target t ON t.id = r.target LEFT JOIN bill b ON b.run = r.id "
            "ORDER BY r.id DESC LIMIT ?",
            (limit,),
        )
        return [_record(row) for row in rows]

    def total(self) -> Counters:
        """Return what all runs together have done."""
        sums = self._db.execute(f"SELECT {', '.join(f'coalesce(sum({name}), 0)' for name in _COUNTERS)} FROM run")
        errors = Counter[str]()
        for (counted,) in self._db.execute("SELECT errors FROM run WHERE errors <> '{}'"):
            errors.update(json.loads(counted))
        return Counters(*(*sums.fetchone(), dict(errors.most_common())))

    def has_bought(self) -> bool:
        """Tell whether a run has bought a page."""
        return bool(self._value("SELECT 1 FROM run WHERE pages > 0 LIMIT 1"))

    def began_at(self) -> float | None:
        """Return when the first run of the history began."""
        at: float | None = self._value("SELECT min(started_at) FROM run")
        return at

    def unbegun(self) -> int | None:
        """Return how many KOLs of the source table no run had begun when a run last read it; None if none did."""
        kols: int | None = self._value(
            "SELECT unbegun FROM run WHERE unbegun IS NOT NULL AND provider = ? ORDER BY id DESC LIMIT 1",
            self._provider,
        )
        return kols

    def samples(self, run: int) -> list[Sample]:
        """Return a run's samples, in the order of time."""
        rows = self._db.execute(
            "SELECT run, at, calls, pages, users, rows, credits FROM sample WHERE run = ? ORDER BY at", (run,)
        )
        return [Sample(*row) for row in rows]

    def spending(self) -> Iterator[tuple[float, float, int]]:
        """Yield (time, dollars, pages): what was spent on bought pages between two samples, or in a whole run."""
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
    *columns, states, errors = row[: -len(_COUNTERS)]
    counted = json.loads(states)
    known = {state: counted[state] for state in State if state in counted}
    return RunRecord(*(*columns, known, Counters(*(*row[-len(_COUNTERS) :], json.loads(errors)))))
