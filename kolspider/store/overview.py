"""Numbers of the ledger and the cache, for the report: sums and the first few, never every KOL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.items import State
from kolspider.store.part import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Overview", "Reason"]

_TROUBLES = (State.FAILED, State.PARTIAL, State.NOT_FOUND)
_REASONS = 500
"""Limit on different reasons that are read; they name the number of the page, so there can be many."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some KOLs are in a state."""

    state: State
    reason: str
    kols: int
    last_at: float | None
    """When the last of them ended, in unix seconds."""


class Overview(Part):
    """Reads tables kol and page, and writes nothing."""

    def reasons(self) -> list[Reason]:
        """Return why lists failed or are incomplete, the most common reason first."""
        rows = self._db.execute(
            "SELECT state, reason, count(*) AS kols, max(finished_at) FROM kol WHERE provider = ? "
            f"AND state IN ({', '.join('?' * len(_TROUBLES))}) GROUP BY state, reason ORDER BY kols DESC LIMIT ?",
            (self._provider, *_TROUBLES, _REASONS),
        )
        return [Reason(State(state), *rest) for state, *rest in rows]

    def examples(self, state: State, reason: str, limit: int) -> list[str]:
        """Return the names of the KOLs in this state for this reason, the latest first."""
        rows = self._db.execute(
            "SELECT user_name FROM kol WHERE provider = ? AND state = ? AND reason = ? "
            "ORDER BY finished_at DESC LIMIT ?",
            (self._provider, state, reason, limit),
        )
        return [user_name for (user_name,) in rows]

    def began_at(self) -> float | None:
        """Return the earliest time in the ledger and the cache, in unix seconds."""
        at: float | None = self._value(
            "SELECT min(at) FROM (SELECT min(started_at) AS at FROM kol UNION ALL SELECT min(fetched_at) FROM page)"
        )
        return at

    def bought_before(self, time: float) -> Sequence[tuple[int, int, int]]:
        """Count the pages bought before this time by day (unix seconds) and number of users: (day, users, pages)."""
        return self._db.execute(
            "SELECT CAST(fetched_at / 86400 AS INTEGER) * 86400 AS day, users, count(*) FROM page "
            "WHERE fetched_at < ? GROUP BY day, users",
            (time,),
        ).fetchall()
