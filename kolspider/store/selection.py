"""Which KOLs a run works on, and in which order: those begun first, then new ones, then failed ones.

The source table is read once, as a stream, into a temporary table of the ledger's SQLite file, so that
100,000 KOLs never sit in memory and blanks, repeats and done ones are sorted out in SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from kolspider.items import Kol
from kolspider.store.handles import HandleError, normalise
from kolspider.store.readings import LACKS_BASE, MAY_BE_INCREMENTAL

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from kolspider.items import State

__all__ = ["Due", "Selection", "Skipped", "Why"]

_AT_ONCE = 500
"""KOLs read from the selection in one query."""


class Why(StrEnum):
    """Why a KOL is due; the order of the members is the order of work."""

    BEGUN = "begun"
    NEW = "new"
    RETRY = "retry"
    REFRESH = "refresh"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Due:
    """A KOL to work on."""

    kol: Kol
    why: Why
    state: str
    """What the ledger held of its list when it was selected; empty for a new KOL."""
    incremental: bool
    """Of a refresh: only up to where everybody is known."""


@dataclass(slots=True)
class Skipped:
    """Rows of the source table that name no KOL, or one that was named before."""

    blank: int = 0
    repeated: int = 0
    invalid: int = 0
    invalid_example: str = ""


_WHY = """
CASE
  WHEN k.handle IS NULL OR k.state = 'new' THEN 'new'
  WHEN k.state = 'failed' AND 'failed' IN (SELECT state FROM temp.retry) AND k.finished_at < :now THEN 'retry'
  WHEN k.state = 'failed' THEN 'failed'
  WHEN k.state = 'fetching' THEN 'begun'
  WHEN k.state IN (SELECT state FROM temp.retry) AND k.finished_at < :now THEN 'retry'
  WHEN k.finished_at < :refresh_before THEN 'refresh'
  WHEN EXISTS (SELECT 1 FROM temp.waiting_page w WHERE w.handle = k.handle) THEN 'begun'
  WHEN k.state IN ('fetched', 'partial') AND l.generation IS NOT k.generation AND EXISTS
       (SELECT 1 FROM page p WHERE p.provider = k.provider AND p.handle = k.handle) THEN 'begun'
END
"""
_INCREMENTAL = """
CASE WHEN why = 'refresh' THEN may_be_incremental
  ELSE kind = 'incremental' AND NOT lacks_base AND NOT (why = 'retry' AND state = 'failed' AND restarts = 2)
END
"""


class Selection:
    """The KOLs of a run, in the temporary table `selected` of the ledger's connection."""

    def __init__(self, connection: sqlite3.Connection, provider: str, target: int) -> None:
        self._db = connection
        self._provider = provider
        self._target = target
        self.skipped = Skipped()
        self.left = 0
        """KOLs that are due, too, but beyond the limit: for the next run."""
        self.is_the_source = False
        """Whether what was taken in is the whole source table."""
        connection.execute("CREATE TEMP TABLE source (handle TEXT PRIMARY KEY, user_name TEXT, position INTEGER)")
        connection.execute(
            "CREATE TEMP TABLE selected (place INTEGER PRIMARY KEY, handle TEXT UNIQUE, user_name TEXT, "
            "why TEXT, state TEXT, incremental INTEGER NOT NULL DEFAULT 0, lacks_base INTEGER NOT NULL DEFAULT 0)"
        )
        connection.execute("CREATE TEMP TABLE retry (state TEXT)")

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM temp.selected").fetchone()[0])

    def read(self, user_names: Iterable[str | None]) -> None:
        """Take in the handles of the source table."""
        self._db.execute("SAVEPOINT source")  # as a transaction a hundred times as fast, also within another
        for position, raw in enumerate(user_names):
            try:
                kol = normalise(raw)
            except HandleError:
                self.skipped.invalid += 1
                self.skipped.invalid_example = self.skipped.invalid_example or str(raw)[:60]
                continue
            if kol is None:
                self.skipped.blank += 1
                continue
            added = self._db.execute(
                "INSERT OR IGNORE INTO temp.source VALUES (?, ?, ?)", (kol.handle, kol.user_name, position)
            )
            self.skipped.repeated += 1 - added.rowcount
        self._db.execute("RELEASE source")

    def read_cached(self, *, waiting_only: bool) -> None:
        """Take in the KOLs that the cache holds pages of; waiting_only: pages that are not in the target."""
        self._db.execute(
            "INSERT INTO temp.source SELECT p.handle, coalesce(k.user_name, p.handle), min(p.seq) FROM page p "
            "LEFT JOIN kol k ON k.provider = p.provider AND k.handle = p.handle "
            "WHERE p.provider = ? AND (NOT ? OR p.seq IN (SELECT seq FROM temp.waiting_page)) GROUP BY p.handle",
            (self._provider, waiting_only),
        )

    def keep_only(self, handles: Iterable[str]) -> None:
        """Forget all KOLs but these."""
        self._db.execute("CREATE TEMP TABLE wanted (handle TEXT PRIMARY KEY)")
        self._db.executemany("INSERT OR IGNORE INTO temp.wanted VALUES (?)", [(handle,) for handle in handles])
        self._db.execute("DELETE FROM temp.source WHERE handle NOT IN (SELECT handle FROM temp.wanted)")

    def choose_all(self, limit: int | None) -> None:
        """Select every KOL taken in, in order: for a replay."""
        self._db.execute(
            "INSERT INTO temp.selected (handle, user_name, why, state) "
            "SELECT handle, user_name, 'begun', '' FROM temp.source ORDER BY position LIMIT ?",
            (-1 if limit is None else limit,),
        )

    def choose_due(
        self,
        *,
        now: float,
        refresh: int | None,
        retry: Iterable[State],
        limit: int | None,
        keep_done: bool,
        incremental: bool = False,
        full_every: int | None = None,
        follows: bool = False,
    ) -> None:
        """Select the KOLs that are due. now: when the job (or run) began, unix seconds; refresh: age in seconds.

        keep_done keeps the others too, as KOLs without work: those of a job count in its outcome. incremental: read
        lists of which it is known who is in them only as far as they changed, unless they were last read whole longer
        than full_every seconds ago; follows: whether the target has a table that tells who is in them.
        """
        self._db.executemany("INSERT INTO temp.retry VALUES (?)", [(state,) for state in retry])
        incremental_sql = _INCREMENTAL.replace("why", "j.why")
        order = ", ".join(f"('{why}', {rank})" for rank, why in enumerate(Why))
        self._db.execute(
            f"""
            WITH rank(why, rank) AS (VALUES {order}), judged AS (
              SELECT s.handle, s.user_name, s.position, k.state, k.started_at, k.finished_at, k.restarts, {_WHY} AS why,
                :incremental AND {MAY_BE_INCREMENTAL} AS may_be_incremental, {LACKS_BASE} AS lacks_base,
                (SELECT kind FROM crawl c WHERE c.provider = k.provider AND c.handle = k.handle
                 AND c.generation = k.generation) AS kind
              FROM temp.source s
              LEFT JOIN kol k ON k.provider = :provider AND k.handle = s.handle
              LEFT JOIN kol_load l ON l.target = :target AND l.provider = k.provider AND l.handle = k.handle
            )
            INSERT INTO temp.selected (handle, user_name, why, state, incremental, lacks_base)
            SELECT handle, user_name, j.why, coalesce(state, ''), coalesce({incremental_sql}, 0), lacks_base
            FROM judged j LEFT JOIN rank r ON r.why = j.why
            WHERE j.why IS NOT NULL OR :keep_done
            ORDER BY coalesce(r.rank, 99),
              CASE j.why WHEN 'begun' THEN started_at WHEN 'new' THEN position ELSE finished_at END, position
            """,
            {
                "provider": self._provider,
                "target": self._target,
                "now": now,
                "refresh_before": None if refresh is None else now - refresh,
                "keep_done": keep_done,
                "incremental": incremental,
                "full_before": None if full_every is None else now - full_every,
                "follows": follows,
            },
        )
        if limit is not None:
            cut = self._db.execute("DELETE FROM temp.selected WHERE place > ?", (limit,))
            self.left = cut.rowcount

    def count_unbegun(self) -> int | None:
        """How many KOLs of the source table were never begun; None when it was not read."""
        if not self.is_the_source:
            return None
        counted = self._db.execute(
            "SELECT count(*) FROM temp.source s WHERE NOT EXISTS "
            "(SELECT 1 FROM kol k WHERE k.provider = ? AND k.handle = s.handle)",
            (self._provider,),
        ).fetchone()
        return int(counted[0])

    def count_gone(self) -> int:
        """How many KOLs of the source have a whole list that is in another table only, and its pages deleted."""
        counted = self._db.execute(
            "SELECT count(*) FROM temp.source s JOIN kol k ON k.provider = ? AND k.handle = s.handle "
            "WHERE k.state IN ('fetched', 'partial') "
            "AND NOT EXISTS (SELECT 1 FROM kol_load l WHERE l.target = ? AND l.provider = k.provider "
            "                AND l.handle = k.handle AND l.generation = k.generation) "
            "AND NOT EXISTS (SELECT 1 FROM page p WHERE p.provider = k.provider AND p.handle = k.handle)",
            (self._provider, self._target),
        ).fetchone()
        return int(counted[0])

    def count_by_why(self) -> dict[Why, int]:
        """How many of the selected KOLs are due for which reason."""
        rows = self._db.execute("SELECT why, count(*) FROM temp.selected WHERE why IS NOT NULL GROUP BY why")
        counts = dict(rows)
        return {why: counts[why] for why in Why if why in counts}

    def count_waiting(self) -> int:
        """How many selected KOLs have cached pages that are not in the target."""
        counted = self._db.execute(
            "SELECT count(DISTINCT handle) FROM temp.waiting_page WHERE handle IN (SELECT handle FROM temp.selected)"
        ).fetchone()
        return int(counted[0])

    def handles(self) -> Iterator[str]:
        """The spelled handles of all selected KOLs, in order."""
        for due in self._read("1"):
            yield due.kol.user_name

    def due(self) -> Iterator[Due]:
        """The selected KOLs that have work, in order; read as they are asked for."""
        yield from self._read("why IS NOT NULL")

    def _read(self, which: str) -> Iterator[Due]:
        place = 0
        while rows := self._db.execute(
            f"SELECT place, handle, user_name, why, state, incremental FROM temp.selected WHERE place > ? AND {which} "
            "ORDER BY place LIMIT ?",
            (place, _AT_ONCE),
        ).fetchall():
            for place, handle, user_name, why, state, incremental in rows:  # noqa: B007 - the next query starts behind the last
                yield Due(Kol(handle, user_name), Why(why or Why.BEGUN), state, bool(incremental))
