"""Writes a batch whatever happens to the database: waits out an outage, finds a refused row by halving."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from kolspider.db.base import ErrorKind
from kolspider.errors import StopRun
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from kolspider.db.base import Database, Table
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
        table: Table,
        *,
        retry_secs: float,
        give_up: threading.Event,
        on_retry: Callable[[], None],
    ) -> None:
        self._database = database
        self._table = table.name
        self._columns = table.columns
        self._retry_secs = retry_secs
        self._give_up = give_up
        self._on_retry = on_retry
        self.said: list[str] = []
        """What the database said of the statements that committed the last rows."""

    def upsert(self, rows: Sequence[Row]) -> list[Refused]:
        """Commit the rows, whose ids differ. Returns those that the database refuses.

        Raises StopRun when it is away for longer than retry_secs, or can't take any row at all, or takes other
        rows than it did at the start: those can be fitted, so none is to blame.
        """
        self.said = []
        refused = self._upsert(rows)
        if refused and self._was_altered():
            raise StopRun(
                f"the columns of {self._table} were altered during the run ({refused[0][1]}); "
                "run the same command again: it fits rows to them as they are now"
            )
        if len(refused) == len(rows) >= _ALL_REFUSED:
            raise StopRun(f"{self._table} refuses every row: {refused[0][1]}")
        return refused

    def _upsert(self, rows: Sequence[Row]) -> list[Refused]:
        error = self._keep_trying(lambda: self.said.append(self._database.upsert(self._table, rows)))
        if error is None:
            return []
        if len(rows) == 1:
            return [(rows[0], self._database.explain(error))]
        if named := self._database.named_rows(error):
            refused = [(row, named[row.id]) for row in rows if row.id in named]
            rest = [row for row in rows if row.id not in named]
            return refused + (self._upsert(rest) if rest else [])
        half = len(rows) // 2
        return self._upsert(rows[:half]) + self._upsert(rows[half:])

    def _was_altered(self) -> bool:
        found: list[Table | None] = []
        self._keep_trying(lambda: found.append(self._database.describe(self._table)))
        columns = found[0].columns if found and found[0] else {}
        return any(columns.get(name) != self._columns[name] for name in COLUMNS)

    def _keep_trying(self, work: Callable[[], None]) -> Exception | None:
        """Do all or nothing of it, as often as it takes. Returns the error when data is refused."""
        give_up_at = time.monotonic() + self._retry_secs
        wait = 0.5
        while True:
            try:
                self._database.connect()
                work()
            except Exception as error:
                kind = self._database.error_kind(error)
                if kind is ErrorKind.REFUSED:
                    return error
                if kind is ErrorKind.FATAL or time.monotonic() >= give_up_at or self._give_up.is_set():
                    raise StopRun(self._message(error, kind)) from error
                logger.warning("the database is away (%s); trying again", self._database.explain(error))
                self._on_retry()
                self._database.close()  # a read-only one may have a successor under the same name
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
