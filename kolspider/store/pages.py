"""The pages that were paid for: stored whole, compressed and durable; and which of them are in the target."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.store.database import transaction

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from kolspider.items import Kol

__all__ = ["CachedPage", "PageCount", "PageRecord", "Pages"]

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
    number: int
    cursor: str
    body: bytes | None


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

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM page").fetchone()[0])

    def get(self, handle: str, generation: int, cursor: str) -> tuple[int, bytes] | None:
        """A page's place in the order of fetching and its body; None when it is missing or damaged."""
        row = self._db.execute(
            "SELECT seq, body FROM page WHERE provider = ? AND handle = ? AND generation = ? AND cursor = ?",
            (self._provider, handle, generation, cursor),
        ).fetchone()
        body = _unpack(row[1]) if row else None
        return None if body is None else (row[0], body)

    def put(self, kol: Kol, generation: int, cursor: str, number: int, users: int, body: bytes) -> int:
        """Store a page durably, in place of a damaged one. Returns its place in the order of fetching."""
        packed = zstd.compress(body, options=_OPTIONS)
        key = (self._provider, kol.handle, generation, cursor)
        with transaction(self._db):
            self._forget("provider = ? AND handle = ? AND generation = ? AND cursor = ?", key)
            done = self._db.execute(
                "INSERT INTO page (provider, handle, generation, cursor, number, users, fetched_at, body) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, number, users, time.time(), packed),
            )
        return int(done.lastrowid or 0)

    def waiting(self) -> Iterator[CachedPage]:
        """Pages of the selected KOLs that are not in the target, in the order of fetching.

        Pages fetched after the first of them come along even when they are in the target already: an older
        page written late must not leave its older profile of an account on top of a newer one.
        """
        return self._from_the_first("AND NOT EXISTS (SELECT 1 FROM page_load l WHERE l.target = ? AND l.seq = p.seq)")

    def of_selected(self) -> Iterator[CachedPage]:
        """Every page of the selected KOLs, in the order of fetching, with those loaded after them as above."""
        return self._from_the_first("AND ? IS NOT NULL")

    def _from_the_first(self, which: str) -> Iterator[CachedPage]:
        """One page at a time: the run writes to the same file between two of them."""
        first = self._db.execute(
            "SELECT min(p.seq) FROM page p WHERE p.provider = ? AND p.handle IN (SELECT handle FROM temp.selected) "
            f"{which}",
            (self._provider, self._target),
        ).fetchone()[0]
        if first is None:
            return
        seq = first - 1
        while row := self._db.execute(
            "SELECT p.seq, p.handle, coalesce(k.user_name, p.handle), p.number, p.cursor, p.body FROM page p "
            "LEFT JOIN kol k ON k.provider = p.provider AND k.handle = p.handle "
            "WHERE p.seq > ? AND p.provider = ? AND (p.handle IN (SELECT handle FROM temp.selected) "
            "OR EXISTS (SELECT 1 FROM page_load l WHERE l.target = ? AND l.seq = p.seq)) ORDER BY p.seq LIMIT 1",
            (seq, self._provider, self._target),
        ).fetchone():
            seq, handle, user_name, number, cursor, packed = row
            yield CachedPage(seq, handle, user_name, number, cursor, _unpack(packed))

    def mark_loaded(self, seqs: Iterable[int]) -> None:
        """These pages are committed in the target and their rejects are on disk. Inside a transaction."""
        loaded = [(self._target, seq) for seq in seqs]
        self._db.executemany("INSERT OR IGNORE INTO page_load (target, seq) VALUES (?, ?)", loaded)
        self._db.executemany("UPDATE page SET rejects_written = 1 WHERE seq = ?", [(seq,) for _, seq in loaded])

    def is_loaded(self, seq: int) -> bool:
        """Whether the page was committed in this target before."""
        found = self._db.execute("SELECT 1 FROM page_load WHERE target = ? AND seq = ?", (self._target, seq))
        return found.fetchone() is not None

    def rejects_written(self, seq: int) -> bool:
        """Whether the users of this page that can't be mapped are in rejects.jsonl already."""
        found = self._db.execute("SELECT rejects_written FROM page WHERE seq = ?", (seq,)).fetchone()
        return bool(found and found[0])

    def are_waiting(self, handle: str) -> bool:
        """Whether the KOL has a page that is not in the target."""
        found = self._db.execute(
            "SELECT 1 FROM page p WHERE p.provider = ? AND p.handle = ? AND NOT EXISTS "
            "(SELECT 1 FROM page_load l WHERE l.target = ? AND l.seq = p.seq) LIMIT 1",
            (self._provider, handle, self._target),
        )
        return found.fetchone() is not None

    def of_kol(self, handle: str) -> list[PageRecord]:
        """The KOL's pages, in the order of fetching."""
        rows = self._db.execute(
            "SELECT number, generation, cursor, users, fetched_at, length(body), EXISTS "
            "(SELECT 1 FROM page_load l WHERE l.target = ? AND l.seq = p.seq) "
            "FROM page p WHERE provider = ? AND handle = ? ORDER BY seq",
            (self._target, self._provider, handle),
        )
        return [PageRecord(*row) for row in rows]

    def count(self) -> PageCount:
        """How much there is, and how much of it waits to be loaded."""
        pages, kols, users, size = self._db.execute(
            "SELECT count(*), count(DISTINCT provider || ' ' || handle), coalesce(sum(users), 0), "
            "coalesce(sum(length(body)), 0) FROM page"
        ).fetchone()
        waiting, waiting_kols = self._db.execute(
            "SELECT count(*), count(DISTINCT handle) FROM page p WHERE provider = ? AND NOT EXISTS "
            "(SELECT 1 FROM page_load l WHERE l.target = ? AND l.seq = p.seq)",
            (self._provider, self._target),
        ).fetchone()
        return PageCount(pages, kols, users, size, waiting, waiting_kols)

    def sizes(self) -> list[tuple[int, int]]:
        """How many pages (second) have how many users (first): what they cost follows from it."""
        return self._db.execute("SELECT users, count(*) FROM page GROUP BY users").fetchall()

    def delete_loaded(self) -> int:
        """Delete the pages of KOLs whose list is wholly in the target. Returns how many. Inside a transaction.

        Pages fetched after one that still waits are kept: they are loaded again behind it (see waiting).
        """
        loaded = (
            "provider = ? AND handle IN (SELECT l.handle FROM kol_load l JOIN kol k USING (provider, handle) "
            "WHERE l.target = ? AND l.provider = page.provider AND l.generation = k.generation) "
            "AND handle NOT IN (SELECT p.handle FROM page p WHERE p.provider = page.provider AND NOT EXISTS "
            "(SELECT 1 FROM page_load d WHERE d.target = ? AND d.seq = p.seq)) "
            "AND seq < coalesce((SELECT min(seq) FROM page w WHERE NOT EXISTS "
            "(SELECT 1 FROM page_load d WHERE d.target = ? AND d.seq = w.seq)), seq + 1)"
        )
        return self._forget(loaded, (self._provider, self._target, self._target, self._target))

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


def _unpack(packed: object) -> bytes | None:
    try:
        return zstd.decompress(packed) if isinstance(packed, bytes) else None
    except (zstd.ZstdError, MemoryError):
        return None
