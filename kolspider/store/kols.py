"""The ledger: each KOL's list, its state and generation, and whether all of it is in the target."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from kolspider.items import State
from kolspider.store.part import Part
from kolspider.store.readings import Kind, state_of
from kolspider.store.selection import NOT_REACHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kolspider.items import Kol
    from kolspider.providers.base import Provider
    from kolspider.store.connection import Connection
    from kolspider.store.pages import Pages
    from kolspider.store.readings import Readings
    from kolspider.store.refusals import Refusals

__all__ = ["KolRecord", "Kols", "Reason"]

_REASONS = 500
"""Limit on different reasons that are read; they name the number of the page, so there can be many."""


class KolRecord(Struct, frozen=True):
    """A KOL as the ledger has it. Times are unix seconds."""

    handle: str
    user_name: str
    state: State
    """COMPLETE for a list that was fetched and is all in this target."""
    reason: str
    generation: int
    pages: int
    """Pages that the list fills as it is known: its last full reading, and what incremental ones added since."""
    users: int
    """Users in the list as it is known: its last full reading, and what incremental ones added since."""
    calls: int
    started_at: float | None
    finished_at: float | None
    loaded_at: float | None
    """When all of the list was last found to be in this target."""
    refused: int = 0
    """Rows of the list that the target's database refused."""
    refusal: str = ""
    """The database's words about the first of them."""
    has_earlier: bool = False
    """Whether the list is being read again, and this target has it as its last full reading left it."""


class Reason(Struct, frozen=True):
    """Why some KOLs are in a state."""

    state: State
    reason: str
    kols: int
    last_at: float | None
    """When the last of them ended, in unix seconds."""


class Kols(Part):
    """Tables kol and kol_load."""

    def __init__(
        self,
        connection: Connection,
        provider: Provider,
        target: int,
        pages: Pages,
        readings: Readings,
        refusals: Refusals,
    ) -> None:
        super().__init__(connection, provider, target)
        self._pages = pages
        self._readings = readings
        self._refusals = refusals
        self.ends_from = 0.0
        """The earliest moment, in unix seconds, at which a list counts as finished: a refresh sets it, so that what it
        reads in the second in which it began is not due again."""

    def __iter__(self) -> Iterator[KolRecord]:
        """Iterate over every KOL that was ever begun, by handle."""
        return self._records("ORDER BY handle")

    def find(self, handle: str) -> KolRecord | None:
        """Return one KOL; None if it was never begun."""
        return next(self._records("WHERE handle = ?", handle), None)

    def largest(self, limit: int) -> list[KolRecord]:
        """Return the KOLs with the longest lists, the longest first."""
        return list(self._records("WHERE users > 0 ORDER BY users DESC, handle LIMIT ?", limit))

    def selected_in(self, states: Sequence[State], limit: int) -> list[KolRecord]:
        """Return the first selected KOLs that a run left in these states, in the order of selection."""
        return list(
            self._records(
                f"WHERE state IN ({', '.join('?' * len(states))}) "
                f"AND handle IN (SELECT handle FROM temp.selected WHERE NOT {NOT_REACHED}) "
                "ORDER BY (SELECT place FROM temp.selected s WHERE s.handle = h.handle) LIMIT ?",
                *states,
                limit,
            )
        )

    def unfinished(self) -> Iterator[KolRecord]:
        """Yield the KOLs that any run continues or tries again."""
        return self._records("WHERE state IN ('new', 'fetching', 'fetched', 'failed')")

    def spellings(self) -> dict[str, str]:
        """Return how the source spells the handles that are not in lower case there."""
        rows = self._db.execute(
            "SELECT handle, user_name FROM kol WHERE provider = ? AND handle <> user_name", (self._provider,)
        )
        return dict(rows.fetchall())

    def refused_selected(self, limit: int) -> list[KolRecord]:
        """Return the first selected KOLs with rows that the target's database refused, in the order of selection."""
        return list(
            self._records(
                "WHERE refused > 0 AND handle IN (SELECT handle FROM temp.selected) "
                "ORDER BY (SELECT place FROM temp.selected s WHERE s.handle = h.handle) LIMIT ?",
                limit,
            )
        )

    def _records(self, which: str, *values: object) -> Iterator[KolRecord]:
        rows = self._db.execute(
            "SELECT has_earlier, handle, user_name, state, reason, generation, pages, users, calls, started_at, "
            f"finished_at, loaded_at, refused, coalesce(refusal, '') FROM temp.kol_here h {which}",
            values,
        )
        for has_earlier, handle, user_name, state, *rest in rows:
            found = KolRecord(handle, user_name, state_of(state), *rest)
            yield replace(found, has_earlier=True) if has_earlier else found

    def states(self) -> dict[State, int]:
        """Count the KOLs of the ledger by state."""
        return self._states("SELECT state, count(*) FROM temp.kol_here GROUP BY state")

    def states_of_selected(self) -> dict[State, int]:
        """Count the selected KOLs by state; `new` are those that were never begun.

        Those that the run did not reach are left out (Selection.count_not_reached): how an earlier run left them is no
        outcome of this one.
        """
        return self._states(
            "SELECT coalesce((SELECT state FROM temp.kol_here h WHERE h.handle = s.handle), 'new') AS here, count(*) "
            f"FROM temp.selected s WHERE NOT {NOT_REACHED} GROUP BY here"
        )

    def _states(self, sql: str) -> dict[State, int]:
        return {state_of(state): count for state, count in self._db.execute(sql)}

    def count_read_again(self) -> int:
        """Count the KOLs whose lists are being read again, while this target has them as they were."""
        return self._count("SELECT count(*) FROM temp.kol_here WHERE has_earlier")

    def count_users(self) -> int:
        """Count the users in all lists; of a list that was never whole, those that are in the cache."""
        return self._count("SELECT coalesce(sum(users), 0) FROM temp.kol_here")

    def is_any_known(self) -> bool:
        """Tell whether a list was ever begun or taken over, with any provider."""
        return bool(self._value("SELECT 1 FROM kol LIMIT 1"))

    def count_whole(self) -> int:
        """Count the lists that are whole by this provider, or one of its family."""
        return self._count("SELECT count(*) FROM kol WHERE provider = ? AND state = 'fetched'", self._provider)

    def count_loaded(self, *, cached: bool = False) -> int:
        """Count the full lists that are in this target and have users; with `cached`, those that have pages."""
        return self._count(
            "SELECT count(*) FROM kol_load l JOIN kol k USING (provider, handle) "
            "WHERE l.target = ? AND l.provider = ? AND k.state = 'fetched' AND k.users > 0 AND (NOT ? OR EXISTS "
            "(SELECT 1 FROM page p WHERE p.provider = k.provider AND p.handle = k.handle))",
            *(self._target, self._provider, cached),
        )

    def reasons(self) -> list[Reason]:
        """Return why lists failed or are incomplete, the most common reason first."""
        rows = self._db.execute(
            "SELECT state, reason, count(*) AS kols, max(finished_at) FROM kol WHERE provider = ? "
            "AND state IN ('failed', 'partial', 'not_found') GROUP BY state, reason ORDER BY kols DESC LIMIT ?",
            (self._provider, _REASONS),
        )
        return [Reason(State(state), *rest) for state, *rest in rows]

    def examples(self, state: State, reason: str, limit: int) -> list[str]:
        """Return the names of the KOLs in this state for this reason, the latest first."""
        rows = self._db.execute(
            "SELECT user_name FROM kol WHERE provider = ? AND state = ? AND reason = ? "
            "ORDER BY coalesce(finished_at, 0) DESC LIMIT ?",
            (self._provider, state, reason, limit),
        )
        return [user_name for (user_name,) in rows]

    def began_at(self) -> float | None:
        """Return the earliest time at which a list was begun, in unix seconds."""
        at: float | None = self._value("SELECT min(started_at) FROM kol")
        return at

    def will_buy_again(self, handle: str, generation: int) -> bool:
        """Tell whether a missing page of this generation will be bought again.

        It will not if it belongs to an earlier reading of the list, or the account is gone.
        """
        kol = self.find(handle)
        return kol is None or (kol.generation == generation and kol.state is not State.NOT_FOUND)

    def generation(self, handle: str) -> int:
        """Return the KOL's current generation; 0 before anything is known of it."""
        return int(self._get(handle, "generation") or 0)

    def size(self, handle: str) -> tuple[int, int]:
        """Return the pages and users of the list as it is known."""
        return int(self._get(handle, "pages") or 0), int(self._get(handle, "users") or 0)

    def cursor_refused_twice(self, handle: str) -> bool:
        """Tell whether the list that was begun again after a refused cursor met another refused one."""
        return bool(self._get(handle, "restarts") == 2)

    def begin(self, kol: Kol) -> int:
        """Begin or continue the KOL's list. Returns its generation."""
        first_known = kol.handle.partition("@")[0]
        is_renamed = kol.user_name.lower() != first_known
        with self._db.transaction(synced=False):
            now = time.time()
            self._db.execute(
                "INSERT INTO kol (provider, handle, user_name, state, started_at) VALUES (?, ?, ?, 'fetching', ?) "
                "ON CONFLICT (provider, handle) DO UPDATE SET state = 'fetching', reason = '', "
                "started_at = excluded.started_at, finished_at = NULL WHERE kol.state <> 'fetching'",
                (self._provider, kol.handle, first_known if is_renamed else kol.user_name, now),
            )
            self._readings.begin(kol.handle, Kind.FULL, now)
        return self.generation(kol.handle)

    def begin_generation(self, handle: str, *, incremental: bool = False, keep_good_pages: bool = False) -> int:
        """Begin to read the KOL's list in a new generation, and return it: a refresh, or the retry of a broken list.

        An `incremental` reading ends where every account is known. `keep_good_pages` continues a partial list: it
        stays what it was, full or incremental, and keeps all pages but the one that broke it.
        """
        with self._db.transaction():
            kind = Kind.INCREMENTAL if incremental else Kind.FULL
            if keep_good_pages:
                kind = self._readings.kind(handle)
                self._pages.move_good_pages(handle, self.generation(handle))
            self._raise_generation(handle, 0, kind)
        return self.generation(handle)

    def restart(self, handle: str) -> int | None:
        """Begin the list again from page 1 after a refused cursor. None if that was done before."""
        with self._db.transaction():
            if self._get(handle, "restarts"):
                self._update(handle, "restarts = 2")
                return None
            self._readings.give_up(handle, time.time())
            self._raise_generation(handle, 1, Kind.FULL)
        return self.generation(handle)

    def begin_increment_again(self, handle: str) -> int:
        """Begin an incremental reading again from page 1, and return its generation."""
        with self._db.transaction():
            self._readings.give_up(handle, time.time())
            self._raise_generation(handle, 0, Kind.INCREMENTAL)
        return self.generation(handle)

    def _raise_generation(self, handle: str, restarts: int, kind: Kind) -> None:
        # Until an incremental reading ends, the list is as long as it was.
        now, size = time.time(), "" if kind is Kind.INCREMENTAL else "pages = 0, users = 0, "
        self._update(
            handle,
            f"generation = generation + 1, restarts = ?, state = 'fetching', reason = '', {size}started_at = ?, "
            "finished_at = NULL",
            *(restarts, now),
        )
        self._readings.begin(handle, kind, now)

    def add_calls(self, handle: str, calls: int) -> None:
        """Count API calls that were made for the KOL."""
        with self._db.transaction(synced=False):
            self._update(handle, "calls = calls + ?", calls)
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
        new: int | None = None,
        doubtful: bool = False,
    ) -> None:
        """Record the end of a list: fetched, partial, not_found or failed; `bought=False` keeps an earlier time.

        `new` is set for a reading that reached known accounts: how many of its users were not known. The size of such
        a reading is not that of the list, which grows by the new users. After a `doubtful` reading, which is partial
        itself, the list is as long as it was.
        """
        with self._db.transaction():
            now = max(time.time(), self.ends_from)
            of_reading = State.PARTIAL if doubtful else state
            self._readings.end(handle, of_reading, pages, users, now, bought=bought, new=new)
            if doubtful or self._readings.kind(handle) is Kind.INCREMENTAL:
                pages, users = self._readings.size(handle) or self.size(handle)
            self._update(
                handle,
                "state = ?, reason = ?, pages = ?, users = ?, "
                "finished_at = CASE WHEN ? OR finished_at IS NULL THEN ? ELSE finished_at END",
                *(state, reason, pages, users, bought, now),
            )

    def are_not_missing(self, handles: Sequence[str]) -> None:
        """Turn KOLs that were taken for missing into failed ones, which are asked for again."""
        with self._db.transaction():
            for handle in handles:
                if self._get(handle, "state = 'not_found'"):
                    self._readings.give_up(handle, time.time())
                    self._update(handle, "state = 'failed'")

    def take_over(self, kol: Kol, pages: Sequence[tuple[str, int, bytes]], read_at: float) -> None:
        """Record a full reading that was made elsewhere, by cursor, number of users and body of each page.

        Without pages, its list counts as loaded into this target. Inside a transaction.
        """
        handle, users = kol.handle, sum(count for _, count, _ in pages)
        reason = "" if pages else "loaded before kolspider; its list was not kept"
        self._db.execute(
            "INSERT INTO kol (provider, handle, user_name, state) VALUES (?, ?, ?, 'fetched') ON CONFLICT DO NOTHING",
            (self._provider, handle, kol.user_name),
        )
        self._readings.begin(handle, Kind.FULL, read_at)
        for number, (cursor, count, body) in enumerate(pages, 1):
            self._pages.put(kol, self.generation(handle), cursor, number, count, body, fetched_at=read_at)
        self._readings.end(handle, State.FETCHED, len(pages), users, read_at, bought=True, new=None)
        self._update(
            handle,
            "state = 'fetched', reason = ?, pages = ?, users = ?, started_at = ?, finished_at = ?",
            *(reason, len(pages), users, read_at, read_at),
        )
        if not pages:
            self.settle(handle, evict=False)

    def settle(self, handle: str, *, evict: bool) -> State | None:
        """Finish a list once its reading has ended and all its pages are committed. Returns its state.

        None if a page is still waiting; a list with rows that the database refused is not complete. After a full
        reading the older generations are deleted, unless it is empty, and after an incremental one only those older
        than its base; `evict` also deletes the pages of all loaded lists.
        """
        found = self._db.execute(
            "SELECT state, generation, base, base_users, base_is_missing FROM temp.reading_here WHERE handle = ?",
            (handle,),
        ).fetchone()
        text, generation, base, base_users, base_is_missing = found or (None, 0, None, None, None)
        state = state_of(text)
        oldest = generation if base is None else base
        if self._pages.are_waiting(handle, oldest):
            return None
        if state not in {State.FETCHED, State.PARTIAL} or base is None or base_is_missing:
            return state  # if the base is missing, the next run reads the list in full
        is_refused = self._refusals.are_in(handle, oldest)
        with self._db.transaction(in_turn=evict):
            if not is_refused:
                self._db.execute(
                    "INSERT INTO kol_load (target, provider, handle, generation, loaded_at) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (target, provider, handle) "
                    "DO UPDATE SET generation = excluded.generation, loaded_at = excluded.loaded_at",
                    (self._target, self._provider, handle, generation, time.time()),
                )
            if state is State.FETCHED:
                if base_users:
                    self._pages.delete_older(handle, base)
                self._update(handle, "restarts = 0")
            if evict:
                self._pages.delete_loaded()
        return State.COMPLETE if state is State.FETCHED and not is_refused else state

    def settle_all(self, handles: Iterable[str], *, evict: bool) -> list[State | None]:
        """Settle lists in one transaction: each commit waits for the disk."""
        with self._db.transaction(in_turn=evict):
            return [self.settle(handle, evict=evict) for handle in handles]

    def _get(self, handle: str, column: str) -> int | None:
        value: int | None = self._value(
            f"SELECT {column} FROM kol WHERE provider = ? AND handle = ?", self._provider, handle
        )
        return value

    def _update(self, handle: str, changes: str, *values: object) -> None:
        self._db.execute(
            f"UPDATE kol SET {changes} WHERE provider = ? AND handle = ?", (*values, self._provider, handle)
        )
