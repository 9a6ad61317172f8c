"""The ledger and the cache in numbers, for the report: sums and the first few, never every KOL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.items import State
from kolspider.store.kols import PAGES_HERE, STATE_HERE, USERS_HERE

if TYPE_CHECKING:
    import sqlite3

__all__ = ["LargeKol", "Overview", "Reason"]

_TROUBLES = (State.FAILED, State.PARTIAL, State.NOT_FOUND)
_REASONS = 500
"""Different reasons taken in; with the number of the page in them there can be many."""


@dataclass(frozen=True, slots=True)
class LargeKol:
    """A KOL with a long list."""

    user_name: str
    state: State
    users: int
    pages: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some KOLs are in a state."""

    state: State
    reason: str
    kols: int
    last_at: float | None
    """When the last of them ended; unix seconds."""


class Overview:
    """Reads kol and page, for one provider and one target; writes nothing."""

    def __init__(self, connection: sqlite3.Connection, provider: str, target: int) -> None:
        self._db = connection
        self._provider = provider
        self._target = target

    def users(self) -> int:
        """How many users all lists hold; of an unfinished list, those that are in the cache."""
        found = self._db.execute(
            f"SELECT coalesce(sum({USERS_HERE}), 0) FROM kol k WHERE k.provider = ?", (self._provider,)
        ).fetchone()
        return int(found[0])

    def largest(self, limit: int) -> list[LargeKol]:
        """The KOLs with the longest lists, the longest first."""
        rows = self._db.execute(
            f"SELECT k.user_name, {STATE_HERE}, {USERS_HERE} AS here, {PAGES_HERE} FROM kol k "
            "LEFT JOIN kol_load l ON l.target = ? AND l.provider = k.provider AND l.handle = k.handle "
            "WHERE k.provider = ? AND here > 0 ORDER BY here DESC, k.handle LIMIT ?",
            (self._target, self._provider, limit),
        )
        return [LargeKol(user_name, State(state), users, pages) for user_name, state, users, pages in rows]

    def reasons(self) -> list[Reason]:
        """Why lists did not come to a good end, the commonest reason first."""
        rows = self._db.execute(
            "SELECT state, reason, count(*) AS kols, max(finished_at) FROM kol WHERE provider = ? "
            f"AND state IN ({', '.join('?' * len(_TROUBLES))}) GROUP BY state, reason ORDER BY kols DESC LIMIT ?",
            (self._provider, *_TROUBLES, _REASONS),
        )
        return [Reason(State(state), *rest) for state, *rest in rows]

    def examples(self, state: State, reason: str, limit: int) -> list[str]:
        """The names of the KOLs that ended so last."""
        rows = self._db.execute(
            "SELECT user_name FROM kol WHERE provider = ? AND state = ? AND reason = ? "
            "ORDER BY finished_at DESC LIMIT ?",
            (self._provider, state, reason, limit),
        )
        return [user_name for (user_name,) in rows]

    def began_at(self) -> float | None:
        """When the oldest thing that is still known of happened; unix seconds."""
        found = self._db.execute(
            "SELECT min(at) FROM (SELECT min(started_at) AS at FROM kol UNION ALL SELECT min(fetched_at) FROM page)"
        ).fetchone()
        return None if found[0] is None else float(found[0])

    def bought_before(self, time: float) -> list[tuple[int, int, int]]:
        """Pages bought before the history of runs began: a day (unix seconds), users a page, how many such pages."""
        rows = self._db.execute(
            "SELECT CAST(fetched_at / 86400 AS INTEGER) * 86400 AS day, users, count(*) FROM page "
            "WHERE fetched_at < ? GROUP BY day, users",
            (time,),
        )
        return rows.fetchall()
