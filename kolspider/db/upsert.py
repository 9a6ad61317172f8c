"""Writes a batch whatever happens to the database: waits out an outage, finds a refused row by halving."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from kolspider.db.base import ErrorKind
from kolspider.errors import StopRun

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from kolspider.db.base import Database
    from kolspider.items import Row

__all__ = ["Refused", "Upserter"]

logger = logging.getLogger(__name__)

_LONGEST_WAIT = 10.0
_ALL_REFUSED = 20
"""A batch of at least this many rows that are refused one and all is a matter of the table, not of the rows."""

Refused = tuple["Row", str]
"""A row that the database refuses, and what it says."""


class Upserter:
    """Used by one thread, which it blocks. give_up ends every wait early."""

    def __init__(
        self,
        database: Database,
        table: str,
        *,
        retry_secs: float,
        give_up: threading.Event,
        on_retry: Callable[[], None],
    ) -> None:
        self._database = database
        self._table = table
        self._retry_secs = retry_secs
        self._give_up = give_up
        self._on_retry = on_retry

    def upsert(self, rows: Sequence[Row]) -> list[Refused]:
        """Commit the rows, whose ids differ. Returns those that the database refuses.

        Raises StopRun when it is away for longer than retry_secs, or can't take any row at all.
        """
        refused = self._upsert(rows)
        if len(refused) == len(rows) >= _ALL_REFUSED:
            raise StopRun(f"{self._table} refuses every row: {refused[0][1]}")
        return refused

    def _upsert(self, rows: Sequence[Row]) -> list[Refused]:
        error = self._try(rows)
        if error is None:
            return []
        if len(rows) == 1:
            return [(rows[0], self._database.explain(error))]
        half = len(rows) // 2
        return self._upsert(rows[:half]) + self._upsert(rows[half:])

    def _try(self, rows: Sequence[Row]) -> Exception | None:
        """Commit all or nothing. Returns the error when the data is refused."""
        give_up_at = time.monotonic() + self._retry_secs
        wait = 0.5
        while True:
            try:
                self._database.connect()
                self._database.upsert(self._table, rows)
            except Exception as error:
                kind = self._database.error_kind(error)
                if kind is ErrorKind.REFUSED:
                    return error
                if kind is ErrorKind.FATAL or time.monotonic() >= give_up_at or self._give_up.is_set():
                    raise StopRun(self._message(error, kind)) from error
                logger.warning("the database is away (%s); trying again", self._database.explain(error))
                self._on_retry()
            else:
                return None
            self._give_up.wait(min(wait, max(give_up_at - time.monotonic(), 0)))
            wait = min(wait * 2, _LONGEST_WAIT)

    def _message(self, error: Exception, kind: ErrorKind) -> str:
        said = self._database.explain(error)
        if kind is ErrorKind.FATAL:
            return f"the database can't take {self._table}: {said}; mend it, then run the same command again"
        return (
            f"the database was away for {self._retry_secs:g} s (KOL_DB_RETRY_SECS): {said}; nothing is lost: "
            "run the same command again when it is back"
        )
