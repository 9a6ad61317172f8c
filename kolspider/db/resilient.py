"""Writes a batch whatever happens to the database: waits for one that is away, finds refused rows by halving."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from kolspider.db.base import DbErrorKind
from kolspider.errors import StopRun
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from kolspider.db.base import Database, Table
    from kolspider.db.follow_tables import Span
    from kolspider.items import Row

__all__ = ["Refused", "Upserter"]

logger = logging.getLogger(__name__)

_LONGEST_WAIT = 10.0
_ALL_REFUSED = 20
"""When a batch of at least this many rows is refused entirely, the fault is the table's, not the rows'."""

Refused = tuple["Row", str]
"""A row that the database refuses, and why."""
_Row = TypeVar("_Row", bound="tuple[Any, ...]")
_Answer = TypeVar("_Answer")


class Upserter:
    """Blocks the one thread that uses it. give_up ends every wait early."""

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
        self.receipts: list[str] = []
        """The database's receipts for the last batch."""

    def upsert(self, rows: Sequence[Row]) -> list[Refused]:
        """Commit rows of distinct ids; returns those that the database refuses.

        Raises StopRun when the database is away for longer than retry_secs, refuses every row, or refuses rows because
        the table was altered: the next run fits them to the new columns, so none is to blame.
        """
        self.receipts = []
        refused = self._write(rows, partial(self._database.upsert, self._table), self._table, self._named)
        if refused and self._was_altered():
            raise StopRun(
                f"the columns of {self._table} were altered during the run ({refused[0][1]}); "
                "run the same command again: it fits rows to them as they are now"
            )
        if len(refused) == len(rows) >= _ALL_REFUSED:
            raise StopRun(f"{self._table} refuses every row: {refused[0][1]}")
        return refused

    def widen(self, table: str, span: Span, rows: Sequence[tuple[str, ...]]) -> list[tuple[tuple[str, ...], str]]:
        """Commit rows of distinct keys to a table of spans; returns those that the database refuses."""
        refused = self._write(rows, partial(self._database.widen, table, span), table, lambda _error, _rows: {})
        if len(refused) == len(rows) >= _ALL_REFUSED:
            raise StopRun(f"{table} refuses every row: {refused[0][1]}")
        return refused

    def ask(self, question: Callable[[Database], _Answer]) -> _Answer:
        """Call the question with the database, again after an outage, and return its answer."""
        answers: list[_Answer] = []
        error = self._keep_trying(lambda: answers.append(question(self._database)), self._table)
        if error is not None:
            raise StopRun(self._message(error, DbErrorKind.FATAL, self._table)) from error
        return answers[-1]

    def _write(
        self,
        rows: Sequence[_Row],
        write: Callable[[Sequence[_Row]], str],
        table: str,
        named: Callable[[Exception, Sequence[_Row]], Mapping[_Row, str]],
    ) -> list[tuple[_Row, str]]:
        error = self._keep_trying(lambda: self.receipts.append(write(rows)), table)
        if error is None:
            return []
        if len(rows) == 1:
            return [(rows[0], self._database.explain(error))]
        if reasons := named(error, rows):
            refused = [(row, reasons[row]) for row in rows if row in reasons]
            rest = [row for row in rows if row not in reasons]
            return refused + (self._write(rest, write, table, named) if rest else [])
        half = len(rows) // 2
        return self._write(rows[:half], write, table, named) + self._write(rows[half:], write, table, named)

    def _named(self, error: Exception, rows: Sequence[Row]) -> dict[Row, str]:
        named = self._database.named_rows(error)
        return {row: named[row.id] for row in rows if row.id in named}

    def _was_altered(self) -> bool:
        found = self.ask(lambda database: database.describe(self._table))
        columns = found.columns if found else {}
        return any(columns.get(name) != self._columns[name] for name in COLUMNS)

    def _keep_trying(self, work: Callable[[], None], table: str) -> Exception | None:
        """Repeat work, which can be repeated, until it succeeds. Returns the error when data is refused."""
        give_up_at = time.monotonic() + self._retry_secs
        wait = 0.5
        while True:
            try:
                self._database.connect()
                work()
            except Exception as error:
                kind = self._database.error_kind(error)
                if kind is DbErrorKind.REFUSED:
                    return error
                give_up_at = max(give_up_at, time.monotonic() + self._database.patience())
                if kind is DbErrorKind.FATAL or time.monotonic() >= give_up_at or self._give_up.is_set():
                    raise StopRun(self._message(error, kind, table)) from error
                logger.warning("the database is away (%s); trying again", self._database.explain(error))
                self._on_retry()
                self._database.close()  # a primary that became read-only may have a successor under the same name
            else:
                return None
            self._give_up.wait(min(wait, max(give_up_at - time.monotonic(), 0)))
            wait = min(wait * 2, _LONGEST_WAIT)

    def _message(self, error: Exception, kind: DbErrorKind, table: str) -> str:
        reason = self._database.explain(error)
        if kind is DbErrorKind.FATAL:
            return f"table {table} can't be used: {reason}; fix that, then run the same command again"
        waited = "" if self._give_up.is_set() else f" for {self._retry_secs:g} s (KOL_DB_RETRY_SECS)"
        return f"the database was away{waited}: {reason}; nothing is lost: run the same command again when it is back"
