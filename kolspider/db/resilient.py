"""Writes a batch whatever happens to the database: waits for one that is away, finds refused rows by halving."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from kolspider.db.base import DbErrorKind, NotWritten
from kolspider.errors import Fenced, StopRun
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from kolspider.db.base import Database, Table
    from kolspider.db.follow_tables import Span
    from kolspider.items import Row

__all__ = ["Refused", "Upserter"]

logger = logging.getLogger(__name__)

_LONGEST_WAIT = 10.0
_SPEAKS_FOR_ITSELF = 20
"""Rows from which on a batch that is mostly refused needs no other evidence against the table."""
_WILD = 2
"""Refused rows of a run that never count as evidence: one wild user on the only page of a run is no fault of the
table."""

Refused = tuple["Row", str]
"""A row that the database refuses, and why."""
_Row = TypeVar("_Row", bound="tuple[Any, ...]")
_Answer = TypeVar("_Answer")


class _Trial(Struct):
    """Judges whether a table or its rows are to blame when rows are refused, by what it was given in this run."""

    given: int = 0
    refused: int = 0

    def convicts(self, given: int, refused: int) -> bool:
        """Tell whether the table is to blame: it refuses most rows of a batch.

        A small batch must not stop a run for a few wild users. So it counts only if most rows of the run so far were
        refused, too, which is also true of a run that begins with a table that takes nothing.
        """
        if 2 * refused <= given:
            return False
        refused_so_far, given_so_far = self.refused + refused, self.given + given
        return given >= _SPEAKS_FOR_ITSELF or (2 * refused_so_far > given_so_far and refused_so_far > _WILD)


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
        self._trials: dict[str, _Trial] = {}
        self.receipts: list[str] = []
        """The database's receipts for the last batch."""

    def upsert(self, rows: Sequence[Row], again: AbstractSet[Row] = frozenset()) -> list[Refused]:
        """Commit rows of distinct ids; returns those that the database refuses.

        `again` are those that it refused in an earlier run: they are no news about the table. Raises StopRun when the
        database is away for longer than retry_secs, refuses most rows, or refuses rows because the table was altered:
        the next run fits them to the new columns, so none is to blame.
        """
        self.receipts = []
        write = partial(self._database.upsert, self._table)
        return self._judged(rows, again, write, self._table, self._was_altered)

    def widen(
        self,
        table: str,
        span: Span,
        rows: Sequence[tuple[str, ...]],
        again: AbstractSet[tuple[str, ...]] = frozenset(),
    ) -> list[tuple[tuple[str, ...], str]]:
        """Commit rows of distinct keys to a table of spans; returns those that the database refuses.

        `again` are those that it refused in an earlier run. Raises StopRun as upsert does.
        """
        write = partial(self._database.widen, table, span)
        return self._judged(rows, again, write, table, lambda: False)

    def ask(self, question: Callable[[Database], _Answer]) -> _Answer:
        """Call the question with the database, again after an outage, and return its answer."""
        answers: list[_Answer] = []
        error = self._keep_trying(lambda: answers.append(question(self._database)), self._table)
        if error is not None:
            raise StopRun(self._message(error, DbErrorKind.FATAL, self._table)) from error
        return answers[-1]

    def _judged(
        self,
        rows: Sequence[_Row],
        again: AbstractSet[_Row],
        write: Callable[[Sequence[_Row]], str],
        table: str,
        was_altered: Callable[[], bool],
    ) -> list[tuple[_Row, str]]:
        """Commit the rows, and return those that are refused, unless the table is to blame for them."""
        trial = self._trials.setdefault(table, _Trial())
        refused: list[tuple[_Row, str]] = []
        given, news, convicted = len(rows) - len(again), 0, False
        for row, reason in self._refused(rows, write, table):
            refused.append((row, reason))
            news += row not in again
            convicted = trial.convicts(given, news)
            if convicted:
                break  # each of the other rows would cost a statement or two
        if refused and was_altered():
            raise StopRun(
                f"the columns of {table} were altered during the run ({refused[0][1]}); "
                "run the same command again: it fits rows to them as they are now"
            )
        if convicted:
            raise StopRun(
                f"{table} refuses most rows (at least {news:,} of {given:,}): {refused[0][1]}; change the table, then "
                "run the same command again: it loads the pages from the cache"
            )
        trial.given += given
        trial.refused += news
        return refused

    def _refused(
        self, rows: Sequence[_Row], write: Callable[[Sequence[_Row]], str], table: str
    ) -> Iterator[tuple[_Row, str]]:
        """Commit the rows by halves, and yield those that are refused as they are found."""
        parts = [rows]
        while parts:
            part = parts.pop()
            error = self._keep_trying(lambda part=part: self.receipts.append(write(part)), table)  # type: ignore[misc]
            if error is None:
                continue
            if len(part) == 1:
                yield part[0], self._database.explain(error)
            else:
                half = len(part) // 2
                parts += [part[half:], part[:half]]

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
            except Fenced:
                raise
            except Exception as error:
                kind = DbErrorKind.REFUSED if isinstance(error, NotWritten) else self._database.error_kind(error)
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
            self._give_up.wait(min(wait, give_up_at - time.monotonic()))
            wait = min(wait * 2, _LONGEST_WAIT)

    def _message(self, error: Exception, kind: DbErrorKind, table: str) -> str:
        reason = self._database.explain(error)
        if kind is DbErrorKind.FATAL:
            return f"table {table} can't be used: {reason}; fix that, then run the same command again"
        waited = "" if self._give_up.is_set() else f" for {self._retry_secs:g} s (KOL_DB_RETRY_SECS)"
        return f"the database was away{waited}: {reason}; nothing is lost: run the same command again when it is back"
