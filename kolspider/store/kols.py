"""The ledger: each KOL's list, its state and generation, and whether it is wholly in the target."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolspider.items import State
from kolspider.store.database import transaction
from kolspider.store.pages import unpack
from kolspider.store.readings import IS_INCREMENTAL, LACKS_BASE, Kind, Readings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kolspider.items import Kol
    from kolspider.store.pages import Pages
    from kolspider.store.readings import ReadingRecord

__all__ = ["PAGES_HERE", "STATE_HERE", "USERS_HERE", "KolRecord", "Kols"]


@dataclass(frozen=True, slots=True)
class KolRecord:
    """A KOL as the ledger tells it. Times are unix seconds."""

    handle: str
    user_name: str
    state: State
    reason: str
    generation: int
    pages: int
    """That the list as it is known fills: those of its last whole reading, and more where increments made it longer."""
    users: int
    """In it: of the last whole reading, and those that increments found since."""
    calls: int
    started_at: float | None
    finished_at: float | None
    loaded_at: float | None
    """When the list was last found to be wholly in this target."""


STATE_HERE = """
CASE
  WHEN k.state = 'fetched' AND l.generation = k.generation THEN 'complete'
  ELSE k.state
END
"""
"""The state that people see: a list is complete once it is whole and all of it is in this target."""


def _so_far(cached: str, ended: str) -> str:
    """SQL: what an unfinished list has in the cache, what an ended one came to. While an increment is read, the list
    is what it was before."""
    return (
        f"CASE WHEN k.state = 'fetching' AND NOT {IS_INCREMENTAL} THEN "
        f"(SELECT {cached} FROM page p WHERE p.provider = k.provider "
        f"AND p.handle = k.handle AND p.generation = k.generation) ELSE k.{ended} END"
    )


PAGES_HERE = _so_far("count(*)", "pages")
USERS_HERE = _so_far("coalesce(sum(p.users), 0)", "users")


def _state(text: object) -> State:
    try:
        return State(text)  # type: ignore[arg-type]
    except ValueError:
        raise sqlite3.DatabaseError(f"a KOL is in state {text!r}") from None


class Kols:
    """Tables kol and kol_load, for one provider and one target."""

    def __init__(self, connection: sqlite3.Connection, provider: str, target: int, pages: Pages) -> None:
        self._db = connection
        self._provider = provider
        self._target = target
        self._pages = pages
        self._readings = Readings(connection, provider, target)

    def __iter__(self) -> Iterator[KolRecord]:
        """Every KOL that was ever begun, by handle."""
        return self._records("ORDER BY k.handle")

    def find(self, handle: str) -> KolRecord | None:
        """One KOL; None when it was never begun."""
        return next(self._records("AND k.handle = ?", handle), None)

    def states(self) -> dict[State, int]:
        """How many KOLs of the ledger are in which state."""
        rows = self._db.execute(
            f"SELECT {STATE_HERE} AS here, count(*) FROM kol k LEFT JOIN kol_load l ON l.target = ? "
            "AND l.provider = k.provider AND l.handle = k.handle WHERE k.provider = ? GROUP BY here",
            (self._target, self._provider),
        )
        return {_state(state): count for state, count in rows}

    def count_loaded(self) -> int:
        """How many whole lists that are not empty are in this target."""
        (lists,) = self._db.execute(
            "SELECT count(*) FROM kol_load l JOIN kol k USING (provider, handle) "
            "WHERE l.target = ? AND l.provider = ? AND k.state = 'fetched' AND k.users > 0",
            (self._target, self._provider),
        ).fetchone()
        return int(lists)

    def selected_in(self, states: Sequence[State], limit: int) -> list[KolRecord]:
        """The first selected KOLs in these states, in the order of selection."""
        marks = ", ".join("?" * len(states))
        return list(
            self._records(
                f"AND k.handle IN (SELECT handle FROM temp.selected) AND {STATE_HERE} IN ({marks}) "
                "ORDER BY (SELECT place FROM temp.selected s WHERE s.handle = k.handle) LIMIT ?",
                *states,
                limit,
            )
        )

    def _records(self, which: str, *values: object) -> Iterator[KolRecord]:
        rows = self._db.execute(
            f"SELECT k.handle, k.user_name, {STATE_HERE}, k.reason, k.generation, "
            f"{PAGES_HERE}, {USERS_HERE}, k.calls, "
            "k.started_at, k.finished_at, l.loaded_at FROM kol k "
            "LEFT JOIN kol_load l ON l.target = ? AND l.provider = k.provider AND l.handle = k.handle "
            f"WHERE k.provider = ? {which}",
            (self._target, self._provider, *values),
        )
        for handle, user_name, state, *rest in rows:
            yield KolRecord(handle, user_name, _state(state), *rest)

    def generation(self, handle: str) -> int:
        """The KOL's current generation; 0 before anything is known of it."""
        return int(self._get(handle, "generation") or 0)

    def will_ask_again(self, handle: str, generation: int) -> bool:
        """Whether a missing page of that generation will be bought again: not one of an earlier reading of the
        list, nor of an account that is gone."""
        kol = self.find(handle)
        return kol is None or (kol.generation == generation and kol.state is not State.NOT_FOUND)

    def begin(self, kol: Kol) -> int:
        """The KOL's list is asked for now. Returns its generation."""
        with transaction(self._db, synced=False):
            now = time.time()
            self._db.execute(
                "INSERT INTO kol (provider, handle, user_name, state, started_at) VALUES (?, ?, ?, 'fetching', ?) "
                "ON CONFLICT (provider, handle) DO NOTHING",
                (self._provider, kol.handle, kol.user_name, now),
            )
            self._db.execute(
                "UPDATE kol SET state = 'fetching', reason = '', started_at = ?, finished_at = NULL "
                "WHERE provider = ? AND handle = ? AND state <> 'fetching'",
                (now, self._provider, kol.handle),
            )
            self._readings.begin(kol.handle, Kind.FULL, now)
        return self.generation(kol.handle)

    def begin_anew(self, kol: Kol, *, keep_good_pages: bool, incremental: bool = False) -> int:
        """The KOL's list is asked for in a new generation: a refresh, or a retry that keeps the good pages.

        incremental: up to where everybody is known; a retry goes on as what it was.
        """
        with transaction(self._db):
            kind = Kind.INCREMENTAL if incremental else Kind.FULL
            if keep_good_pages:
                kind = self._readings.kind(kol.handle)
                self._pages.keep_good(kol.handle, self.generation(kol.handle))
            self._raise_generation(kol.handle, restarts=0, kind=kind)
        return self.generation(kol.handle)

    def restart(self, handle: str) -> int | None:
        """Begin again from page 1 after a refused cursor. None when that was done once already."""
        with transaction(self._db):
            if self._get(handle, "restarts"):
                self._db.execute(
                    "UPDATE kol SET restarts = 2 WHERE provider = ? AND handle = ?", (self._provider, handle)
                )
                return None
            self._readings.give_up(handle, time.time())
            self._raise_generation(handle, restarts=1, kind=Kind.FULL)
        return self.generation(handle)

    def cursor_refused_twice(self, handle: str) -> bool:
        """Whether the list that was begun again after a refused cursor met another one."""
        return bool(self._get(handle, "restarts") == 2)

    def _raise_generation(self, handle: str, restarts: int, kind: Kind) -> None:
        now, keep = time.time(), kind is Kind.INCREMENTAL  # until it ends, the list is as it was
        self._db.execute(
            "UPDATE kol SET generation = generation + 1, restarts = ?, state = 'fetching', reason = '', "
            "pages = CASE WHEN ? THEN pages ELSE 0 END, users = CASE WHEN ? THEN users ELSE 0 END, "
            "started_at = ?, finished_at = NULL WHERE provider = ? AND handle = ?",
            (restarts, keep, keep, now, self._provider, handle),
        )
        self._readings.begin(handle, kind, now)

    def readings(self, handle: str) -> list[ReadingRecord]:
        """Every reading of the KOL's list, the first one first."""
        return self._readings.of_kol(handle)

    def is_incremental(self, handle: str) -> bool:
        """Whether the KOL's current crawl ends where everybody is known."""
        return self._readings.kind(handle) is Kind.INCREMENTAL

    def lacks_base(self, handle: str) -> bool:
        """Whether the current crawl adds to a whole list that is neither in this target nor in the cache."""
        found = self._db.execute(
            "SELECT 1 FROM kol k LEFT JOIN kol_load l ON l.target = ? AND l.provider = k.provider "
            f"AND l.handle = k.handle WHERE k.provider = ? AND k.handle = ? AND {LACKS_BASE}",
            (self._target, self._provider, handle),
        )
        return found.fetchone() is not None

    def known_pages(self, handle: str) -> Iterator[tuple[str, bytes]] | None:
        """Cursors and bodies of the pages that tell whom the KOL was known to follow before the current crawl.
        None when the cache no longer holds them; a damaged one is left out."""
        base = self._readings.base(handle, self.generation(handle))
        if base is None or not self._readings.is_cached(handle, base):
            return None
        pages = ((cursor, unpack(packed)) for cursor, packed in self._readings.known_pages(handle, base))
        return ((cursor, body) for cursor, body in pages if body is not None)

    def known_before(self, handle: str) -> float:
        """Unix seconds: who was first seen then or later does not count as known."""
        return self._readings.known_before(handle)

    def size(self, handle: str) -> tuple[int, int]:
        """Pages and users of the list as it is known."""
        return int(self._get(handle, "pages") or 0), int(self._get(handle, "users") or 0)

    def add_calls(self, handle: str, calls: int) -> None:
        """Count API calls that were made for the KOL."""
        with transaction(self._db, synced=False):
            self._db.execute(
                "UPDATE kol SET calls = calls + ? WHERE provider = ? AND handle = ?",
                (calls, self._provider, handle),
            )
            self._readings.add_calls(handle, calls)

    def end(
        self,
        handle: str,
        state: State,
        reason: str,
        pages: int,
        users: int,
        *,
        bought: bool,
        page_size: int,
        new: int | None = None,
    ) -> None:
        """The list ended: fetched, partial, not_found or failed. Not bought: its time of finishing stays.

        new: where everybody is known, and so many of the users were not. Such a crawl's size is not that of the list,
        which grows by the new ones.
        """
        with transaction(self._db):
            now = time.time()
            self._readings.end(handle, state, pages, users, now, bought=bought, new=new)
            if self.is_incremental(handle):
                pages, users = self._readings.size(handle, page_size) or self.size(handle)
            self._db.execute(
                "UPDATE kol SET state = ?, reason = ?, pages = ?, users = ?, "
                "finished_at = CASE WHEN ? OR finished_at IS NULL THEN ? ELSE finished_at END "
                "WHERE provider = ? AND handle = ?",
                (state, reason, pages, users, bought, now, self._provider, handle),
            )

    def settle(self, handle: str, *, evict: bool) -> State | None:
        """All pages of an ended list are committed. Returns the state now, None when a page is still waiting.

        A whole list makes the older generations needless, an increment only what is older than the whole list that
        it adds to; with evict the pages of loaded lists go too.
        """
        state, generation = _state(self._get(handle, "state")), self.generation(handle)
        base = self._readings.base(handle, generation)
        if self._pages.are_waiting(handle, generation if base is None else base):
            return None
        if state not in {State.FETCHED, State.PARTIAL}:
            return state
        if base is None or (base < generation and not self._readings.is_here(handle, base)):
            return state  # the next run buys the whole list: lacks_base
        with transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO kol_load (target, provider, handle, generation, loaded_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (self._target, self._provider, handle, generation, time.time()),
            )
            if state is State.FETCHED:
                self._pages.delete_older(handle, base)
                self._db.execute(
                    "UPDATE kol SET restarts = 0 WHERE provider = ? AND handle = ?", (self._provider, handle)
                )
            if evict:
                self._pages.delete_loaded()
        return State.COMPLETE if state is State.FETCHED else state

    def states_of_selected(self) -> dict[State, int]:
        """How many of the selected KOLs are in which state; `new` are those never begun."""
        rows = self._db.execute(
            f"SELECT coalesce({STATE_HERE}, 'new') AS here, count(*) FROM temp.selected s "
            "LEFT JOIN kol k ON k.provider = ? AND k.handle = s.handle "
            "LEFT JOIN kol_load l ON l.target = ? AND l.provider = k.provider AND l.handle = k.handle "
            "GROUP BY here",
            (self._provider, self._target),
        )
        return {_state(state): count for state, count in rows}

    def _get(self, handle: str, column: str) -> Any:
        row = self._db.execute(
            f"SELECT {column} FROM kol WHERE provider = ? AND handle = ?", (self._provider, handle)
        ).fetchone()
        return row[0] if row else None
