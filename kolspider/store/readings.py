"""The ledger of readings: what each crawl of a KOL's list was, and which whole list an incremental one stands on.

An incremental crawl ends where everybody is known, so its pages are additions to the last whole list, the base. They
are in generations of their own above it, and the next whole list drops them all. So a list as it is known is its base
and what was new in the increments that met it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

__all__ = ["IS_INCREMENTAL", "LACKS_BASE", "MAY_BE_INCREMENTAL", "Kind", "ReadingRecord", "Readings", "added", "grown"]


class Kind(StrEnum):
    """What a crawl was meant to be; one that came to the end of the list is full, whatever it was meant to be."""

    FULL = "full"
    INCREMENTAL = "incremental"


@dataclass(frozen=True, slots=True)
class ReadingRecord:
    """A crawl as the ledger tells it. Times are unix seconds."""

    kind: Kind
    state: str
    started_at: float
    ended_at: float | None
    pages: int
    users: int
    calls: int
    new: int | None
    """Of an incremental crawl: how many of the users were not known. None: nobody counted them."""


_BASE = (
    "(SELECT max(b.generation) FROM crawl b WHERE b.provider = {k}.provider AND b.handle = {k}.handle "
    "AND b.kind = 'full' AND b.state = 'fetched')"
)
_IS_CACHED = (
    "c.pages = (SELECT count(*) FROM page p WHERE p.provider = c.provider AND p.handle = c.handle "
    "AND p.generation = c.generation)"
)
MAY_BE_INCREMENTAL = f"""
EXISTS (SELECT 1 FROM crawl c WHERE c.provider = k.provider AND c.handle = k.handle
  AND c.generation = {_BASE.format(k="k")}
  AND ((:follows AND l.generation >= c.generation) OR {_IS_CACHED})
  AND (:full_before IS NULL OR c.ended_at >= :full_before))
"""
"""SQL: whether it is known whom a KOL (k, and l of kol_load) follows, by the cache or by the follows table."""

IS_INCREMENTAL = (
    "EXISTS (SELECT 1 FROM crawl c WHERE c.provider = k.provider AND c.handle = k.handle "
    "AND c.generation = k.generation AND c.kind = 'incremental')"
)
"""SQL: whether the current crawl of a KOL (k) ends where everybody is known."""

LACKS_BASE = f"""
({IS_INCREMENTAL} AND NOT EXISTS (SELECT 1 FROM crawl c WHERE c.provider = k.provider AND c.handle = k.handle
  AND c.generation = {_BASE.format(k="k")} AND (l.generation >= c.generation OR {_IS_CACHED})))
"""
"""SQL: whether the current crawl of a KOL (k, and l of kol_load) adds to a whole list that is neither in the target nor
in the cache: then it is read whole."""


def added(base: str, below: str) -> str:
    """SQL: how many were new in the increments on top of a whole list, a row of crawl, below a generation."""
    return (
        f"(SELECT coalesce(sum(i.new), 0) FROM increment i JOIN crawl c USING (provider, handle, generation) "
        f"WHERE i.provider = {base}.provider AND i.handle = {base}.handle AND i.generation > {base}.generation "
        f"AND i.generation < {below} AND c.state = 'fetched')"
    )


def grown(pages: int, users: int, new: int, page_size: int) -> tuple[int, int]:
    """Pages and users of a list that had so many, with the new ones on top."""

    def full(number: int) -> int:
        return max(-(-number // page_size), 1)

    return pages + full(users + new) - full(users), users + new


class Readings:
    """Tables crawl and increment, for one provider and one target."""

    def __init__(self, connection: sqlite3.Connection, provider: str, target: int) -> None:
        self._db = connection
        self._provider = provider
        self._target = target

    def begin(self, handle: str, kind: Kind, now: float) -> None:
        """The KOL's current generation is begun, or gone on with. Inside a transaction."""
        self._db.execute(
            "INSERT INTO crawl (provider, handle, generation, kind, started_at) "
            "SELECT provider, handle, generation, ?, ? FROM kol WHERE provider = ? AND handle = ? "
            "ON CONFLICT (provider, handle, generation) DO UPDATE SET state = 'fetching', ended_at = NULL "
            "WHERE state <> 'fetching'",
            (kind, now, self._provider, handle),
        )

    def end(
        self, handle: str, state: str, pages: int, users: int, now: float, *, bought: bool, new: int | None
    ) -> None:
        """It ended. Not bought: the time stays. Inside a transaction.

        new: where everybody is known, and so many of the users were not; None: it is whole, if it is fetched.
        """
        self._db.execute(
            "UPDATE crawl SET state = ?, pages = ?, users = ?, "
            "ended_at = CASE WHEN ? OR ended_at IS NULL THEN ? ELSE ended_at END, "
            "kind = CASE WHEN ? THEN 'full' ELSE kind END "
            "WHERE provider = ? AND handle = ? AND generation = "
            "(SELECT generation FROM kol k WHERE k.provider = crawl.provider AND k.handle = crawl.handle)",
            (state, pages, users, bought, now, new is None and state == "fetched", self._provider, handle),
        )
        if new is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO increment (provider, handle, generation, new) "
                "SELECT provider, handle, generation, ? FROM kol WHERE provider = ? AND handle = ?",
                (new, self._provider, handle),
            )

    def give_up(self, handle: str, now: float) -> None:
        """The list is about to be begun again in another generation. Inside a transaction."""
        self._db.execute(
            "UPDATE crawl SET state = 'failed', ended_at = ?, (pages, users) = "
            "(SELECT count(*), coalesce(sum(p.users), 0) FROM page p WHERE p.provider = crawl.provider "
            " AND p.handle = crawl.handle AND p.generation = crawl.generation) "
            "WHERE provider = ? AND handle = ? AND generation = "
            "(SELECT generation FROM kol k WHERE k.provider = crawl.provider AND k.handle = crawl.handle)",
            (now, self._provider, handle),
        )

    def add_calls(self, handle: str, calls: int) -> None:
        """Inside a transaction."""
        self._db.execute(
            "UPDATE crawl SET calls = calls + ? WHERE provider = ? AND handle = ? AND generation = "
            "(SELECT generation FROM kol k WHERE k.provider = crawl.provider AND k.handle = crawl.handle)",
            (calls, self._provider, handle),
        )

    def of_kol(self, handle: str) -> list[ReadingRecord]:
        """The KOL's crawls, the first one first."""
        rows = self._db.execute(
            "SELECT kind, state, started_at, ended_at, pages, users, calls, "
            "CASE kind WHEN 'incremental' THEN new END "
            "FROM crawl LEFT JOIN increment USING (provider, handle, generation) "
            "WHERE provider = ? AND handle = ? ORDER BY generation",
            (self._provider, handle),
        )
        return [ReadingRecord(Kind(kind), *rest) for kind, *rest in rows]

    def kind(self, handle: str) -> Kind:
        """Of the KOL's current generation."""
        row = self._db.execute(
            "SELECT c.kind FROM crawl c JOIN kol k USING (provider, handle, generation) "
            "WHERE c.provider = ? AND c.handle = ?",
            (self._provider, handle),
        ).fetchone()
        return Kind(row[0]) if row else Kind.FULL

    def base(self, handle: str, generation: int) -> int | None:
        """The generation of the whole list that the current one stands on: itself when it is full."""
        if self.kind(handle) is Kind.FULL:
            return generation
        (base,) = self._db.execute(
            f"SELECT {_BASE.format(k='k')} FROM kol k WHERE provider = ? AND handle = ?", (self._provider, handle)
        ).fetchone()
        return None if base is None else int(base)

    def size(self, handle: str, page_size: int) -> tuple[int, int] | None:
        """Pages and users of the list as it is known: what its last whole reading came to, and what was new since.
        None when it was never read whole."""
        row = self._db.execute(
            f"SELECT b.pages, b.users, {added('b', 'k.generation + 1')} "
            "FROM kol k JOIN crawl b USING (provider, handle) "
            f"WHERE k.provider = ? AND k.handle = ? AND b.generation = {_BASE.format(k='k')}",
            (self._provider, handle),
        ).fetchone()
        if row is None:
            return None
        pages, users, new = row
        return grown(pages, users, new, page_size)

    def is_here(self, handle: str, base: int) -> bool:
        """Whether that list is in this target, or on its way there from the cache."""
        found = self._db.execute(
            "SELECT 1 FROM kol_load WHERE target = ? AND provider = ? AND handle = ? AND generation >= ?",
            (self._target, self._provider, handle, base),
        ).fetchone()
        return found is not None or self.is_cached(handle, base)

    def is_cached(self, handle: str, base: int) -> bool:
        """Whether all of its pages are in the cache."""
        found = self._db.execute(
            f"SELECT 1 FROM crawl c WHERE provider = ? AND handle = ? AND generation = ? AND {_IS_CACHED}",
            (self._provider, handle, base),
        )
        return found.fetchone() is not None

    def known_pages(self, handle: str, base: int) -> Iterator[tuple[str, object]]:
        """Cursor and packed body of the pages that tell whom the KOL is known to follow: of the base, and of the
        increments that met it. One that broke off has a gap behind it: what it brought does not count as known."""
        yield from self._db.execute(
            "SELECT p.cursor, p.body FROM page p JOIN crawl c USING (provider, handle, generation) "
            "JOIN kol k USING (provider, handle) WHERE provider = ? AND handle = ? AND p.generation >= ? "
            "AND p.generation < k.generation AND c.state = 'fetched'",
            (self._provider, handle, base),
        )

    def known_before(self, handle: str) -> float:
        """When the first crawl began after the last one that met its end, before the current one; unix seconds.

        Who was first seen since then is not known: an increment that broke off has a gap behind what it brought.
        """
        (before,) = self._db.execute(
            "SELECT min(c.started_at) FROM crawl c WHERE c.provider = ?1 AND c.handle = ?2 AND c.generation > "
            "(SELECT max(d.generation) FROM crawl d JOIN kol k USING (provider, handle) WHERE d.provider = ?1 "
            " AND d.handle = ?2 AND d.generation < k.generation AND d.state = 'fetched')",
            (self._provider, handle),
        ).fetchone()
        return float(before or 0)
