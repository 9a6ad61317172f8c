"""Stores the pages that were paid for, compressed and durable, and which of them are in the target."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING

from msgspec import Struct

from kolspider.clock import latest
from kolspider.store.part import Part

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kolspider.items import Kol

__all__ = ["CachedPage", "PageCount", "PageRecord", "Pages", "unpack"]

_LEVEL = 1
"""Level 6 takes a thirtieth less room, and six times as long: a tenth of all work for a page that is bought."""
_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: _LEVEL,
    zstd.CompressionParameter.checksum_flag: True,
}
_LARGEST = 64 * 1024 * 1024
"""Bytes of a page: none that was ever stored is larger."""


_IS_LOADED = """
provider = ? AND EXISTS (SELECT 1 FROM temp.kol_here WHERE handle = page.handle AND state = 'complete')
AND handle NOT IN (SELECT handle FROM page WHERE seq >= (SELECT min(seq) FROM temp.waiting_page))
"""
"""SQL: whether a page can be deleted, because the full list of its KOL is in the target."""


class CachedPage(Struct, frozen=True):
    """A page of the cache. A `body` of None is damaged: the page counts as never fetched."""

    seq: int
    handle: str
    user_name: str
    generation: int
    number: int
    cursor: str
    body: bytes | None
    fetched_at: float
    """Unix seconds."""
    only_refused: bool
    """Whether the page is in the target but for the rows that its database refused: only these are tried again."""
    is_selected: bool
    """Whether its KOL is selected; else it is loaded again only because it was fetched after a page of one that is."""


class PageRecord(Struct, frozen=True):
    """What the cache knows of a page."""

    number: int
    generation: int
    cursor: str
    users: int
    fetched_at: float
    """Unix seconds."""
    size: int
    """Bytes on disk."""
    loaded: bool
    refused: int
    """Rows of it that the target's database refused."""


class PageCount(Struct, frozen=True):
    """The cache in numbers."""

    pages: int
    kols: int
    users: int
    size: int
    """Bytes on disk."""
    waiting: int
    waiting_kols: int


class Pages(Part):
    """Tables page and page_load."""

    to_load = 0
    """Number of pages that this run loads from the cache; 0 until they were chosen."""

    def __len__(self) -> int:
        return self._count("SELECT count(*) FROM page")

    def get(self, handle: str, generation: int, cursor: str) -> tuple[int, bytes] | None:
        """Return a page's place in the order of fetching and its body; None if it is missing or damaged."""
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
        """Store a page durably, in place of a damaged one. Returns its place in the order of fetching.

        A good page that is there stays: this may be repeated when the ledger was away, and a worker that was frozen may
        come late with a page that another one has bought meanwhile, and whose profiles are newer.
        """
        packed = zstd.compress(body, options=_OPTIONS)
        key = (self._provider, kol.handle, generation, cursor)
        which = "provider = ? AND handle = ? AND generation = ? AND cursor = ?"
        with self._db.transaction(in_turn=True, fenced=False):
            there = self._db.execute(f"SELECT seq, body FROM page WHERE {which}", key).fetchone()
            if there and unpack(there[1]) is not None:
                return int(there[0])
            self._forget(which, key)
            return self._db.insert(
                "INSERT INTO page (provider, handle, generation, cursor, number, users, fetched_at, body) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, number, users, fetched_at, packed),
                "seq",
            )

    def choose_waiting(self, *, refused: bool = True, behind: int = 0) -> None:
        """Choose the pages of the selected KOLs that are not in the target for `next_to_load`; with `refused`, those
        that are not there with all rows, too. `behind` is the last page that was chosen before: none up to it waits.
        """
        which = "SELECT min(seq) FROM temp.waiting_page WHERE seq > ? AND handle IN (SELECT handle FROM temp.selected)"
        self._choose_from(which, behind, refused=refused, checks=not behind)

    def choose_all(self) -> None:
        """Choose every page of the selected KOLs for `next_to_load`."""
        which = "SELECT min(seq) FROM page WHERE provider = ? AND handle IN (SELECT handle FROM temp.selected)"
        self._choose_from(which, self._provider, refused=True, checks=True)

    def will_load(self, seq: int) -> bool:
        """Tell whether the page is one of those that this run loads from the cache."""
        return bool(self._value("SELECT 1 FROM temp.to_load WHERE seq = ?", seq))

    def _choose_from(self, first_sql: str, *values: str | int, refused: bool, checks: bool) -> None:
        """Choose pages, from the first one on, and with them all loaded pages that were fetched after it; `checks`
        whether each page that waits is there.

        An older page that is written late must not leave its older profile of an account on top of a newer one, even
        if the process dies half-way: so the pages to be written again are marked first.
        """
        with self._db.transaction():
            first = self._value(first_sql, *values)
            self._db.execute(
                "CREATE TEMP TABLE IF NOT EXISTS to_load "
                "(seq INTEGER PRIMARY KEY, only_refused BOOLEAN NOT NULL DEFAULT FALSE)"
            )
            self._db.execute("DELETE FROM temp.to_load")
            if first is not None:
                self._db.execute(
                    "INSERT INTO temp.to_load (seq) SELECT seq FROM page p WHERE seq >= ? AND provider || '' = ? "
                    "AND (handle IN (SELECT handle FROM temp.selected) OR EXISTS "
                    "     (SELECT 1 FROM page_load l WHERE l.seq = p.seq AND l.target = ?))",
                    (first, self._provider, self._target),
                )
                missing = "NOT EXISTS (SELECT 1 FROM page p NOT INDEXED WHERE p.seq = w.seq)"
                if checks and self._db.execute(f"SELECT 1 FROM temp.waiting_page w WHERE {missing}").fetchone():
                    raise sqlite3.DatabaseError("the index of pages leads to a page that is not there")
                self._db.execute(
                    "UPDATE page_load SET again = TRUE WHERE target = ? AND seq IN (SELECT seq FROM temp.to_load)",
                    (self._target,),
                )
            # No page has to follow these: a newer row of the same account in the target would have ended the refusal.
            self._db.execute(
                "INSERT INTO temp.to_load (seq, only_refused) SELECT DISTINCT seq, TRUE FROM refused WHERE target = ? "
                "AND provider = ? AND handle IN (SELECT handle FROM temp.selected) AND ? ON CONFLICT DO NOTHING",
                (self._target, self._provider, refused),
            )
        self._db.analyze("temp.to_load")
        self.to_load = self._count("SELECT count(*) FROM temp.to_load")

    def next_to_load(self, seq: int) -> CachedPage | None:
        """Return the first page to load behind this one, in the order of fetching."""
        row = self._db.execute(
            "SELECT p.seq, p.handle, coalesce(k.user_name, p.handle), p.generation, p.number, p.cursor, p.body, "
            "p.fetched_at, t.only_refused, EXISTS (SELECT 1 FROM temp.selected s WHERE s.handle = p.handle) "
            "FROM temp.to_load t JOIN page p ON p.seq = t.seq "
            "LEFT JOIN kol k ON k.provider = p.provider AND k.handle = p.handle "
            "WHERE t.seq > ? ORDER BY t.seq LIMIT 1",
            (seq,),
        ).fetchone()
        if row is None:
            return None
        seq, handle, user_name, generation, number, cursor, packed, fetched_at, *which = row
        only_refused, is_selected = map(bool, which)
        body = unpack(packed)
        return CachedPage(
            seq, handle, user_name, generation, number, cursor, body, fetched_at, only_refused, is_selected
        )

    def full_reading_began(self, handle: str, generation: int) -> float | None:
        """Return the unix second in which the first page of a list was fetched, once its last page is stored.

        None if a page is missing, if no page has a user, or if a clock was wrong: a page was fetched in the future.
        """
        pages, last, users, since, until = self._db.execute(
            "SELECT count(*), max(number), sum(users), min(fetched_at), max(fetched_at) FROM page "
            "WHERE provider = ? AND handle = ? AND generation = ?",
            (self._provider, handle, generation),
        ).fetchone()
        return since if pages == last and users and until <= latest() else None

    def drop(self, seq: int) -> None:
        """Delete a page that can't be used."""
        with self._db.transaction():
            self._forget("seq = ?", (seq,))

    def mark_loaded(self, seqs: Iterable[int]) -> None:
        """Record that these pages are committed in the target, their rejects on disk. Inside a transaction."""
        loaded = [(self._target, seq) for seq in seqs]
        self._db.executemany(
            "INSERT INTO page_load (target, seq) VALUES (?, ?) ON CONFLICT (seq, target) DO UPDATE SET again = FALSE",
            loaded,
        )
        self._db.executemany("UPDATE page SET rejects_written = TRUE WHERE seq = ?", [(seq,) for _, seq in loaded])

    def rejects_written(self, seq: int) -> bool:
        """Tell whether the users of this page that can't be mapped are in rejects.jsonl already."""
        return bool(self._value("SELECT rejects_written FROM page WHERE seq = ?", seq))

    def are_waiting(self, handle: str, generation: int) -> bool:
        """Tell whether the KOL has a page of this generation or a later one that is not in the target."""
        which = "handle = ? AND generation >= ?"
        return bool(self._value(f"SELECT 1 FROM temp.waiting_page WHERE {which} LIMIT 1", handle, generation))

    def of_kol(self, handle: str) -> list[PageRecord]:
        """Return the KOL's pages, in the order of fetching."""
        rows = self._db.execute(
            "SELECT number, generation, cursor, users, fetched_at, length(body), "
            "NOT EXISTS (SELECT 1 FROM temp.waiting_page w WHERE w.seq = p.seq), "
            "(SELECT count(*) FROM refused WHERE target = ? AND provider = p.provider AND handle = p.handle "
            " AND seq = p.seq) FROM page p WHERE provider = ? AND handle = ? ORDER BY seq",
            (self._target, self._provider, handle),
        )
        return [PageRecord(*row) for row in rows]

    def count(self) -> PageCount:
        """Count what is in the cache, and how much of it waits to be loaded."""
        pages, kols, users, size = self._db.execute(
            "SELECT count(*), count(DISTINCT provider || ' ' || handle), coalesce(sum(users), 0), "
            "coalesce(sum(length(body)), 0) FROM page"
        ).fetchone()
        waiting, waiting_kols = self._db.execute(
            "SELECT count(*), count(DISTINCT handle) FROM temp.waiting_page"
        ).fetchone()
        return PageCount(pages, kols, users, size, waiting, waiting_kols)

    def sizes(self) -> list[tuple[int, int]]:
        """Count the pages by their number of users, which determines their price: (users, pages)."""
        return self._db.execute("SELECT users, count(*) FROM page GROUP BY users").fetchall()

    def began_at(self) -> float | None:
        """Return the earliest time at which a page was fetched, in unix seconds."""
        at: float | None = self._value("SELECT min(fetched_at) FROM page")
        return at

    def bought_before(self, time: float) -> list[tuple[int, int, int]]:
        """Count the pages bought before this time by day (unix seconds) and number of users: (day, users, pages)."""
        return self._db.execute(
            "SELECT CAST(fetched_at / 86400 AS INTEGER) * 86400 AS day, users, count(*) FROM page "
            "WHERE fetched_at < ? GROUP BY day, users ORDER BY day, users",
            (time,),
        ).fetchall()

    def count_loaded(self) -> tuple[int, list[tuple[int, int]]]:
        """Count the KOLs whose pages `delete_loaded` deletes, and these pages by number of users: (users, pages)."""
        kols = self._count(f"SELECT count(DISTINCT handle) FROM page WHERE {_IS_LOADED}", self._provider)
        sizes = self._db.execute(
            f"SELECT users, count(*) FROM page WHERE {_IS_LOADED} GROUP BY users", (self._provider,)
        )
        return kols, sizes.fetchall()

    def delete_loaded(self) -> int:
        """Delete the pages of KOLs whose full list is in the target. Returns how many. Inside a transaction.

        A list with a page that was fetched after a waiting one is kept: it is written again after that one.
        """
        return self._forget(_IS_LOADED, (self._provider,))

    def delete_older(self, handle: str, generation: int) -> None:
        """Delete the pages of a KOL's earlier generations. Inside a transaction."""
        self._forget("provider = ? AND handle = ? AND generation < ?", (self._provider, handle, generation))

    def move_good_pages(self, handle: str, generation: int) -> None:
        """Move the pages of a broken list to the next generation, all but the one that broke it.

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
        if seqs:
            self._db.execute("DELETE FROM refused WHERE NOT EXISTS (SELECT 1 FROM page WHERE seq = refused.seq)")
        return len(seqs)


def unpack(packed: object) -> bytes | None:
    """Return a page's body; None if its checksum, or the size in its head, says that it is damaged.

    Raises MemoryError if there is no room for it, which says nothing about the page.
    """
    if not isinstance(packed, bytes):
        return None
    try:
        size = zstd.get_frame_info(packed).decompressed_size
        return None if size is None or size > _LARGEST else zstd.decompress(packed)
    except zstd.ZstdError as error:
        if "not enough memory" in str(error):
            raise MemoryError from None
        return None
