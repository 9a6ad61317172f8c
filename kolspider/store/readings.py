"""The readings of each KOL's list, and which full reading an incremental one adds to.

An incremental reading ends where every account is known, so its pages add to the last full reading: its base. Each has
a generation of its own above the base, and the next full reading replaces them all. The list as it is known is
therefore the base and what was new in the incremental readings since, except those that broke off.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from kolspider.items import State
from kolspider.store.pages import unpack
from kolspider.store.part import Part
from kolspider.store.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Gone", "Kind", "ReadingRecord", "Readings", "size_with_new", "state_of"]


_MOST_OF_IT = 0.9
"""Part of the accounts by the profile that a whole list has: it lacks those that are suspended."""
_FEW = 20
"""A list that lost fewer accounts than this is not much shorter."""


class ReadingRecord(Struct, frozen=True):
    """A reading as the ledger has it. Times are unix seconds."""

    kind: Kind
    state: State
    started_at: float
    ended_at: float | None
    pages: int
    users: int
    calls: int
    new: int | None
    """How many users of an incremental reading were not known before; None if they were not counted."""
    short: bool = False
    """Whether it came much shorter than the profile says: it does not show who is lost."""


class Gone(NamedTuple):
    """A KOL that the API no longer knows. Times are unix seconds."""

    handle: str
    at: float
    """When the API said so for the first time."""
    last_read_at: float
    reason: str


def state_of(text: object) -> State:
    """Return the state that a row of the store names. Raises sqlite3.DatabaseError if it names none."""
    try:
        return State(text)  # type: ignore[arg-type]
    except ValueError:
        raise sqlite3.DatabaseError(f"a KOL is in state {text!r}") from None


def size_with_new(pages: int, users: int, new: int, page_size: int) -> tuple[int, int]:
    """Return the pages and users of a list of this size after new users joined it."""

    def full(number: int) -> int:
        return max(-(-number // page_size), 1)

    return pages + full(users + new) - full(users), users + new


def is_much_shorter(users: int, following: int | None) -> bool:
    """Tell whether a list has much fewer users than its KOL follows by the profile; None: the profile is not known."""
    return following is not None and users < _MOST_OF_IT * following and following - users >= _FEW


class Readings(Part):
    """Tables crawl and increment. A KOL's current reading is that of its current generation."""

    def begin(self, handle: str, kind: Kind, now: float) -> None:
        """Begin or continue the KOL's current reading. Inside a transaction."""
        self._db.execute(
            "INSERT INTO crawl (provider, handle, generation, kind, started_at) "
            "SELECT provider, handle, generation, ?, ? FROM kol WHERE provider = ? AND handle = ? "
            "ON CONFLICT (provider, handle, generation) DO UPDATE SET state = 'fetching', ended_at = NULL "
            "WHERE crawl.state <> 'fetching'",
            (kind, now, self._provider, handle),
        )

    def end(
        self, handle: str, state: State, pages: int, users: int, now: float, *, bought: bool, new: int | None
    ) -> None:
        """Record the end of the current reading; `bought=False` keeps an earlier time. Inside a transaction.

        `new` is set for a reading that reached known accounts: how many of its users were not known. Without it, a
        fetched list was read in full.
        """
        self._update(
            handle,
            "state = ?, pages = ?, users = ?, ended_at = CASE WHEN ? OR ended_at IS NULL THEN ? ELSE ended_at END, "
            "kind = CASE WHEN ? THEN 'full' ELSE kind END",
            *(state, pages, users, bought, now, new is None and state is State.FETCHED),
        )
        if new is not None:
            self._db.execute(
                "INSERT INTO increment (provider, handle, generation, new) "
                "SELECT provider, handle, generation, ? FROM kol WHERE provider = ? AND handle = ? "
                "ON CONFLICT (provider, handle, generation) DO UPDATE SET new = excluded.new",
                (new, self._provider, handle),
            )

    def give_up(self, handle: str, now: float) -> None:
        """Record that the current reading failed, before another generation begins. Inside a transaction."""
        self._update(
            handle,
            "state = 'failed', ended_at = ?, (pages, users) = (SELECT count(*), coalesce(sum(users), 0) FROM page "
            "WHERE provider = crawl.provider AND handle = crawl.handle AND generation = crawl.generation)",
            now,
        )

    def add_calls(self, handle: str, calls: int) -> None:
        """Count API calls for the current reading. Inside a transaction."""
        self._update(handle, "calls = calls + ?", calls)

    def _update(self, handle: str, changes: str, *values: object) -> None:
        """Change the KOL's current reading."""
        self._db.execute(
            f"UPDATE crawl SET {changes} WHERE (provider, handle, generation) = "
            "(SELECT provider, handle, generation FROM kol WHERE provider = ? AND handle = ?)",
            (*values, self._provider, handle),
        )

    def of_kol(self, handle: str, *, before: int | None = None) -> list[ReadingRecord]:
        """Return the readings of the KOL's list, the first one first; before: only those before that of this page."""
        rows = self._db.execute(
            "SELECT kind, state, started_at, ended_at, pages, users, calls, "
            "CASE kind WHEN 'incremental' THEN new END, following IS NOT NULL "
            "FROM crawl LEFT JOIN increment USING (provider, handle, generation) "
            "LEFT JOIN short_reading USING (provider, handle, generation) "
            "WHERE provider = ?1 AND handle = ?2 "
            "AND (?3 IS NULL OR generation < (SELECT generation FROM page WHERE seq = ?3)) ORDER BY generation",
            (self._provider, handle, before),
        )
        return [ReadingRecord(Kind(kind), state_of(state), *rest) for kind, state, *rest in rows]

    def gone(self) -> list[Gone]:
        """Return the KOLs that the API no longer knows, whose lists it gave before."""
        rows = self._db.execute(
            "SELECT k.handle, coalesce(min(c.ended_at), k.finished_at), r.ended_at, k.reason FROM kol k "
            "JOIN (SELECT provider, handle, max(generation) AS generation, max(ended_at) AS ended_at FROM crawl "
            " WHERE state = 'fetched' GROUP BY provider, handle) r USING (provider, handle) "
            "LEFT JOIN crawl c ON c.provider = k.provider AND c.handle = k.handle AND c.generation > r.generation "
            "AND c.state = 'not_found' WHERE k.provider = ? AND k.state = 'not_found' "
            "GROUP BY k.handle, k.finished_at, r.ended_at, k.reason",
            (self._provider,),
        )
        return [Gone(*row) for row in rows]

    def kind(self, handle: str) -> Kind:
        """Return the kind of the current reading."""
        return Kind(self._value("SELECT kind FROM temp.reading_here WHERE handle = ?", handle) or Kind.FULL)

    def base_is_missing(self, handle: str) -> bool:
        """Tell whether the current reading adds to a base that is neither in this target nor in the cache."""
        return bool(self._value("SELECT base_is_missing FROM temp.reading_here WHERE handle = ?", handle))

    def size(self, handle: str) -> tuple[int, int] | None:
        """Return the pages and users of the list as it is known; None if it was never read in full."""
        row = self._db.execute(
            "SELECT base_pages, base_users, new_since_base FROM temp.reading_here WHERE handle = ?", (handle,)
        ).fetchone()
        if row is None or row[0] is None:
            return None
        pages, users, new = row
        return size_with_new(pages, users, new, self._api.page_size)

    def longest(self) -> int:
        """Return the number of pages of the longest list that was read in full."""
        return self._count(
            "SELECT coalesce(max(pages), 0) FROM crawl WHERE provider = ? AND kind = 'full' AND state = 'fetched'",
            self._provider,
        )

    def known_before(self, handle: str, generation: int) -> int:
        """Return the number of users in the list as it was known before a reading; 0 if it was not."""
        users = self._value(
            "SELECT b.users + (SELECT coalesce(sum(new), 0) FROM increment i JOIN crawl c USING "
            " (provider, handle, generation) WHERE i.provider = b.provider AND i.handle = b.handle "
            " AND i.generation > b.generation AND i.generation < ?3 AND c.state = 'fetched') "
            "FROM crawl b WHERE provider = ?1 AND handle = ?2 AND kind = 'full' AND state = 'fetched' "
            "AND generation < ?3 ORDER BY generation DESC LIMIT 1",
            *(self._provider, handle, generation),
        )
        return int(users or 0)

    def is_doubtful(self, handle: str, generation: int) -> bool:
        """Tell whether a reading that came to an end is empty or much shorter than the list was, and not accepted.

        What is accepted is fetched. A doubtful reading that has ended is partial.
        """
        state, users = self._db.execute(
            "SELECT (SELECT state FROM crawl WHERE provider = ?1 AND handle = ?2 AND generation = ?3), "
            "(SELECT coalesce(sum(users), 0) FROM page WHERE provider = ?1 AND handle = ?2 AND generation = ?3)",
            (self._provider, handle, generation),
        ).fetchone()
        known = self.known_before(handle, generation)
        shrunk = known > 0 and (users == 0 or (users * 2 < known and known - users >= _FEW))
        return state != State.FETCHED and (state == State.PARTIAL or shrunk)

    def doubted(self, handle: str, generation: int) -> bool:
        """Tell whether this reading of a list that was known before ended as doubtful."""
        state = self._value(
            "SELECT state FROM crawl WHERE provider = ? AND handle = ? AND generation = ?",
            *(self._provider, handle, generation),
        )
        return state == State.PARTIAL and self.known_before(handle, generation) > 0

    def note_length(self, handle: str, generation: int, users: int, following: int | None) -> bool:
        """Record whether a full reading with so many users came much shorter than the profile says, and tell it."""
        key, short = (self._provider, handle, generation), is_much_shorter(users, following)
        with self._db.transaction():
            if short:
                self._db.execute(
                    "INSERT INTO short_reading VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (provider, handle, generation) DO UPDATE SET following = excluded.following",
                    (*key, following),
                )
            else:
                self._db.execute("DELETE FROM short_reading WHERE provider = ? AND handle = ?", key[:2])
        return short

    def is_short(self, handle: str, generation: int) -> bool:
        """Tell whether this reading came much shorter than the profile said."""
        sql = "SELECT 1 FROM short_reading WHERE provider = ? AND handle = ? AND generation = ?"
        return bool(self._value(sql, self._provider, handle, generation))

    def known_pages(self, handle: str) -> Iterator[tuple[str, bytes]] | None:
        """Return cursors and bodies of the pages that tell whom the KOL followed before the current reading.

        They are the pages of the base, and of the incremental readings since that ended properly: one that broke off
        left a gap after it, so what it brought does not count as known. The newest reading comes first, its pages in
        their order. Damaged pages are left out. None if the base is not in the cache.
        """
        base = self._value("SELECT base FROM temp.reading_here WHERE handle = ? AND base_is_cached", handle)
        if base is None:
            return None
        pages = self._db.execute(
            "SELECT p.cursor, p.body FROM page p JOIN crawl c USING (provider, handle, generation) "
            "JOIN kol k USING (provider, handle) WHERE provider = ? AND handle = ? AND p.generation >= ? "
            "AND p.generation < k.generation AND c.state = 'fetched' ORDER BY p.generation DESC, p.number",
            (self._provider, handle, base),
        )
        return ((cursor, body) for cursor, packed in pages if (body := unpack(packed)) is not None)

    def users_bought(self, handle: str) -> list[int]:
        """Return the number of users of each stored page of the current reading, and of those before it that broke off
        since the last one that ended properly.
        """
        pages = self._db.execute(
            "SELECT p.users FROM page p JOIN kol k USING (provider, handle) WHERE provider = ?1 AND handle = ?2 "
            "AND p.generation <= k.generation AND p.generation > (SELECT coalesce(max(c.generation), -1) FROM crawl c "
            " WHERE c.provider = ?1 AND c.handle = ?2 AND c.state = 'fetched' AND c.generation < k.generation)",
            (self._provider, handle),
        )
        return [users for (users,) in pages]

    def known_until(self, handle: str) -> float:
        """Return a time in unix seconds: accounts that were first seen then or later do not count as known.

        It is the beginning of the first reading, before the current one, that follows the last one that ended properly:
        an incremental reading that broke off left a gap after what it brought.
        """
        before = self._value(
            "SELECT min(c.started_at) FROM crawl c WHERE c.provider = ?1 AND c.handle = ?2 AND c.generation > "
            "(SELECT max(d.generation) FROM crawl d JOIN kol k USING (provider, handle) WHERE d.provider = ?1 "
            " AND d.handle = ?2 AND d.generation < k.generation AND d.state = 'fetched')",
            *(self._provider, handle),
        )
        return float(before or 0)
