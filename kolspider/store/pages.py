"""The pages that were paid for: stored whole, compressed and durable; and which of them are in the target."""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.store.database import transaction

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kolspider.items import Kol

__all__ = ["CachedPage", "PageCount", "PageRecord", "Pages", "unpack"]

_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 6,
    zstd.CompressionParameter.checksum_flag: 1,
}


@dataclass(frozen=True, slots=True)
class CachedPage:
    """A page of the cache. `body` is None when it is damaged: then it counts as never fetched."""

    seq: int
    handle: str
    user_name: str
    generation: int
    number: int
    cursor: str
    body: bytes | None
    fetched_at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class PageRecord:
    """A page as the cache tells it. fetched_at is unix seconds, size is bytes on disk."""

    number: int
    generation: int
    cursor: str
    users: int
    fetched_at: float
    size: int
    loaded: bool


@dataclass(frozen=True, slots=True)
class PageCount:
    """The cache in numbers. size is bytes on disk."""

    pages: int
    kols: int
    users: int
    size: int
    waiting: int
    waiting_kols: int


class Pages:
    """Tables page and page_load, for one provider and one target."""

    def __init__(self, connection: sqlite3.Connection, provider: str, target: int) -> None:
        self._db = connection
        self._provider = provider
        self._target = target
        self.coming = 0
        """How many pages this run loads from the cache; 0 before it has looked."""

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM page").fetchone()[0])

    def get(self, handle: str, generation: int, cursor: str) -> tuple[int, bytes] | None:
        """A page's place in the order of fetching and its body; None when it is missing or damaged."""
        key = (handle, generation, cursor)
        row = self._db.execute(
            "SELECT p.seq, p.body, p.handle, p.generation, p.cursor FROM page i JOIN page p NOT INDEXED USING (seq) "
            "WHERE i.provider = ? AND i.handle = ? AND i.generation = ? AND i.cursor = ?",
            (self._provider, *key),
        ).fetchone()
        if row and row[2:] != key:
            raise sqlite3.DatabaseError(f"the index of pages leads from {handle!r} to another page")
        body = unpack(row[1]) if row else None
        return None if body is None else (row[0], body)

    def put(
        self, kol: Kol, generation: int, cursor: str, number: int, users: int, body: bytes, *, fetched_at: float
    ) -> int:
        """Store a page durably, in place of a damaged one. Returns its place in the order of fetching."""
        packed = zstd.compress(body, options=_OPTIONS)
        key = (self._provider, kol.handle, generation, cursor)
        with transaction(self._db):
            self._forget("provider = ? AND handle = ? AND generation = ? AND cursor = ?", key)
            done = self._db.execute(
                "INSERT INTO page (provider, handle, generation, cursor, number, users, fetched_at, body) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, number, users, fetched_at, packed),
            )
        return int(done.lastrowid or 0)

    def waiting(self) -> Iterator[CachedPage]:
        """Pages of the selected KOLs that are not in the target, in the order of fetching."""
        return self._from_the_first(
            "SELECT min(seq) FROM temp.waiting_page WHERE handle IN (SELECT handle FROM temp.selected)"
        )

    def of_selected(self) -> Iterator[CachedPage]:
        """Every page of the selected KOLs, in the order of fetching."""
        return self._from_the_first(
            "SELECT min(seq) FROM page WHERE provider = ? AND handle IN (SELECT handle FROM temp.selected)",
            self._provider,
        )

    def is_coming(self, seq: int) -> bool:
        """Whether the page is one of those that this run loads from the cache."""
        return self._db.execute("SELECT 1 FROM temp.coming WHERE seq = ?", (seq,)).fetchone() is not None

    def _from_the_first(self, first_sql: str, *values: str) -> Iterator[CachedPage]:
        """The pages to load, from the first one on, and with them all that were loaded and fetched after it.

        An older page written late must not leave its older profile of an account on top of a newer one, and that
        must hold when the process dies half-way: so what is to be written again is marked first.
        """
        with transaction(self._db):
            (first,) = self._db.execute(first_sql, values).fetchone()
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS coming (seq INTEGER PRIMARY KEY)")
            if first is not None:
                self._db.execute(
                    "INSERT INTO temp.coming SELECT seq FROM page p WHERE seq >= ? AND +provider = ? "
                    "AND (handle IN (SELECT handle FROM temp.selected) OR EXISTS "
                    "     (SELECT 1 FROM page_load l WHERE l.seq = p.seq AND l.target = ?))",
                    (first, self._provider, self._target),
                )
                if self._db.execute(
                    "SELECT 1 FROM temp.waiting_page w "
                    "WHERE NOT EXISTS (SELECT 1 FROM page p NOT INDEXED WHERE p.seq = w.seq)"
                ).fetchone():
                    raise sqlite3.DatabaseError("the index of pages leads to a page that is not there")
                self._db.execute(
                    "UPDATE page_load SET again = 1 WHERE target = ? AND seq IN (SELECT seq FROM temp.coming)",
                    (self._target,),
                )
        (self.coming,) = self._db.execute("SELECT count(*) FROM temp.coming").fetchone()
        seq = 0
        # One page at a time: the run writes to the same file between two of them.
        while row := self._db.execute(
            "SELECT p.seq, p.handle, coalesce(k.user_name, p.handle), p.generation, p.number, p.cursor, p.body, "
            "p.fetched_at FROM temp.coming c JOIN page p ON p.seq = c.seq "
            "LEFT JOIN kol k ON k.provider = p.provider AND k.handle = p.handle "
            "WHERE c.seq > ? ORDER BY c.seq LIMIT 1",
            (seq,),
        ).fetchone():
            seq, handle, user_name, generation, number, cursor, packed, fetched_at = row
            yield CachedPage(seq, handle, user_name, generation, number, cursor, unpack(packed), fetched_at)

    def whole_since(self, handle: str, generation: int) -> float | None:
        """When the first page of a list was fetched, of which the last one is there: unix seconds.

        None when a page is missing, or when they hold no user.
        """
        pages, last, users, since = self._db.execute(
            "SELECT count(*), max(number), sum(users), min(fetched_at) FROM page "
            "WHERE provider = ? AND handle = ? AND generation = ?",
            (self._provider, handle, generation),
        ).fetchone()
        return since if pages == last and users else None

    def drop(self, seq: int) -> None:
        """Delete a page that nothing can be made of."""
        with transaction(self._db):
            self._forget("seq = ?", (seq,))

    def mark_loaded(self, seqs: Iterable[int]) -> None:
        """These pages are committed in the target and their rejects are on disk. Inside a transaction."""
        loaded = [(self._target, seq) for seq in seqs]
        self._db.executemany("INSERT OR REPLACE INTO page_load (target, seq) VALUES (?, ?)", loaded)
        self._db.executemany("UPDATE page SET rejects_written = 1 WHERE seq = ?", [(seq,) for _, seq in loaded])

    def is_loaded(self, seq: int) -> bool:
        """Whether the page was ever committed in this target: what it refused is in rejects.jsonl by now."""
        found = self._db.execute("SELECT 1 FROM page_load WHERE target = ? AND seq = ?", (self._target, seq))
        return found.fetchone() is not None

    def rejects_written(self, seq: int) -> bool:
        """Whether the users of this page that can't be mapped are in rejects.jsonl already."""
        found = self._db.execute("SELECT rejects_written FROM page WHERE seq = ?", (seq,)).fetchone()
        return bool(found and found[0])

    def are_waiting(self, handle: str, generation: int) -> bool:
        """Whether the KOL's list, from this generation on, has a page that is not in the target."""
        found = self._db.execute(
            "SELECT 1 FROM temp.waiting_page WHERE handle = ? AND generation >= ? LIMIT 1", (handle, generation)
        )
        return found.fetchone() is not None

    def of_kol(self, handle: str) -> list[PageRecord]:
        """The KOL's pages, in the order of fetching."""
        rows = self._db.execute(
            "SELECT number, generation, cursor, users, fetched_at, length(body), "
            "NOT EXISTS (SELECT 1 FROM temp.waiting_page w WHERE w.seq = p.seq) "
            "FROM page p WHERE provider = ? AND handle = ? ORDER BY seq",
            (self._provider, handle),
        )
        return [PageRecord(*row) for row in rows]

    def count(self) -> PageCount:
        """How much there is, and how much of it waits to be loaded."""
        pages, kols, users, size = self._db.execute(
            "SELECT count(*), count(DISTINCT provider || ' ' || handle), coalesce(sum(users), 0), "
            "coalesce(sum(length(body)), 0) FROM page"
        ).fetchone()
        waiting, waiting_kols = self._db.execute(
            "SELECT count(*), count(DISTINCT handle) FROM temp.waiting_page"
        ).fetchone()
        return PageCount(pages, kols, users, size, waiting, waiting_kols)

    def sizes(self) -> list[tuple[int, int]]:
        """How many pages (second) have how many users (first): what they cost follows from it."""
        return self._db.execute("SELECT users, count(*) FROM page GROUP BY users").fetchall()

    def delete_loaded(self) -> int:
        """Delete the pages of KOLs whose whole list is in the target. Returns how many. Inside a transaction.

        A list with a page fetched after one that still waits is kept: it is written again behind that one.
        """
        (first_waiting,) = self._db.execute("SELECT min(seq) FROM temp.waiting_page").fetchone()
        return self._forget(
            "provider = ? AND EXISTS (SELECT 1 FROM kol_load l JOIN kol k USING (provider, handle) "
            "  WHERE l.target = ? AND l.provider = ? AND l.handle = page.handle "
            "  AND l.generation = k.generation AND k.state = 'fetched') "
            "AND handle NOT IN (SELECT handle FROM page WHERE seq >= ?)",
            (self._provider, self._target, self._provider, 2**62 if first_waiting is None else first_waiting),
        )

    def delete_older(self, handle: str, generation: int) -> None:
        """Delete the pages of a KOL's earlier generations. Inside a transaction."""
        self._forget("provider = ? AND handle = ? AND generation < ?", (self._provider, handle, generation))

    def keep_good(self, handle: str, generation: int) -> None:
        """Move the pages of a broken list into the next generation, all but the one that broke it.

        That one stays with the old generation, so that a replay still has its users. Inside a transaction.
        """
        key = (self._provider, handle, generation)
        self._db.execute(
            "UPDATE page SET generation = generation + 1 WHERE provider = ? AND handle = ? AND generation = ? "
            "AND number < (SELECT max(number) FROM page WHERE provider = ? AND handle = ? AND generation = ?)",
            key + key,
        )

    def _forget(self, which: str, key: tuple[str | int, ...]) -> int:
        seqs = self._db.execute(f"SELECT seq FROM page WHERE {which}", key).fetchall()
        self._db.executemany("DELETE FROM page WHERE seq = ?", seqs)
        self._db.executemany("DELETE FROM page_load WHERE seq = ?", seqs)
        return len(seqs)


def unpack(packed: object) -> bytes | None:
    """A page's body; None when it is damaged, which its checksum tells."""
    try:
        return zstd.decompress(packed) if isinstance(packed, bytes) else None
    except (zstd.ZstdError, MemoryError):
        return None
