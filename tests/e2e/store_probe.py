"""What the store of a test's project holds, read from outside a run. No other end-to-end test imports the store."""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from kolspider.providers import provider
from kolspider.store.damage import mark_damaged
from kolspider.store.ledger import Ledger
from kolspider.store.pages import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kolspider.db.base import Database
    from kolspider.store.kols import KolRecord

__all__ = ["StoreProbe"]


class StoreProbe(ABC):
    """Reads a cache directory, seen from one target. A subclass says where it is."""

    target: str
    follows: str
    provider: str = "twitterapi_io"
    """KOL_API_PROVIDER."""

    @property
    def shared_url(self) -> str:
        """KOL_SHARED_URL."""
        return ""

    @property
    @abstractmethod
    def cache(self) -> Path: ...

    @abstractmethod
    def database(self) -> Database: ...

    @property
    def store_file(self) -> Path:
        return self.cache / "kolspider.sqlite3"

    @contextmanager
    def store(self) -> Iterator[sqlite3.Connection]:
        """The store's SQLite file, to bring it into a state that is hard to hit; committed at the end."""
        with closing(sqlite3.connect(self.store_file)) as connection, connection:
            yield connection

    def ledger(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the store's SQLite file."""
        with closing(sqlite3.connect(f"{self.store_file.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(statement, values).fetchall()

    def records(self) -> dict[str, KolRecord]:
        """What `scrapy kols` lists, by handle."""
        target = self.database().target_label(self.target, self.follows)
        with Ledger.read(self.cache, provider(self.provider), target, shared_url=self.shared_url) as ledger:
            return {kol.handle: kol for kol in ledger.kols}

    def ended(self) -> dict[str, str]:
        """The state of each KOL, by handle."""
        return {handle: str(record.state) for handle, record in self.records().items()}

    def cached(self, generation: int = 0) -> set[tuple[str, str]]:
        """The pages in the cache, by (handle, cursor)."""
        return set(self.ledger("SELECT handle, cursor FROM page WHERE generation = ?", generation))

    def bodies(self) -> Iterator[tuple[str, str, bytes]]:
        """The pages in the cache, unpacked, in the order of fetching: handle, cursor, body."""
        for handle, cursor, packed in self.ledger("SELECT handle, cursor, body FROM page ORDER BY seq"):
            body = unpack(packed)
            assert body is not None
            yield handle, cursor, body

    def mark_damaged(self) -> None:
        """Let the next run take the store for damaged."""
        mark_damaged(self.store_file)

    def rejects(self) -> list[dict[str, Any]]:
        """The users set aside, line by line."""
        path = self.cache / "rejects.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
