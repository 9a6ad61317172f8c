"""What the ledger asks of a database, whichever keeps it: the SQLite file of one machine, or PostgreSQL for several.

All SQL is written once, in what both understand: `?` or `:name` for values, `?1` where a value comes twice, and `temp.`
before the tables and views of one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kolspider.errors import StopRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

__all__ = ["Connection", "LedgerAway", "Rows"]


class LedgerAway(StopRun):
    """The ledger can't be asked: its server is away, or has ended the connection. The message is one line.

    What was asked is done in full or not at all, and which of them is not known if it ended a transaction.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason}; check KOL_SHARED_URL, and that its server runs and lets this machine in; then run the same "
            "command again"
        )
        self.reason = reason
        """The message without what to do, for a run that waits."""


class Rows(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """Return the next row as a tuple; None if there is no more."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection to the ledger's database. Each statement outside a transaction is one of its own."""

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = (), /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, values: Iterable[Sequence[Any]], /) -> Rows:
        """Run a statement for each of these values, all or none of them. Its rowcount is that of them all."""

    def insert(self, sql: str, values: Sequence[Any], key: str) -> int:
        """Insert one row, and return the number that its column `key` got."""

    def transaction(
        self, *, synced: bool = True, in_turn: bool = False, fenced: bool = True
    ) -> AbstractContextManager[None]:
        """Commit all changes of the block or none; they are on disk when the block ends.

        A block within another one is part of it. Without `synced` the changes are on disk with the next synced
        transaction: enough for what a power cut may take back, such as a count of calls. A sync takes some
        milliseconds. Of several processes, one at a time is `in_turn`, until its changes are seen by the others; it is
        for what is numbered in the order of commits, and for rows that several of them change. Not `fenced` is what
        a process may still write that was taken for dead.
        """

    def freeze(self) -> None:
        """From now on show the database as it is at this moment."""

    def analyze(self, table: str) -> None:
        """Count what is in a table that was filled, for the plans of queries."""

    def number_on(self, table: str, key: str) -> None:
        """Let the numbers that `insert` gives go on after those that were inserted by hand."""

    def shrink(self) -> None:
        """Give freed space back to the disk."""

    def close(self) -> None:
        """Close the connection."""
