"""The rows that answer each question, from the database and from the ledger's readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.console.columns import plain
from kolspider.console.wording import counted
from kolspider.errors import StopRun
from kolspider.follows.losses import FollowLost, dated, explained, losses
from kolspider.follows.queries import Edge, Follows, FollowSeen, Shared
from kolspider.follows.question import What

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator

    from kolspider.db.base import Database
    from kolspider.follows.question import Question
    from kolspider.store.ledger import Ledger

__all__ = ["Row", "Sources", "answer", "fields"]

Row = FollowSeen | FollowLost | Edge | Shared
_KOLS_AT_ONCE = 20
"""KOLs in a query for edges, none of which then holds up a run's writes or meets a server's limit of time."""
_NAMED = 5
"""Accounts of one handle that a message names."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from."""

    database: Database
    table: str
    """The follows table."""
    target: str
    ledger: Ledger | None
    """None if it can't be read."""
    gone: Callable[[Iterable[str]], set[str]]
    """Returns those of some KOLs that left the source table."""

    def follows(self, without: Collection[str] = ()) -> Follows:
        """Return the tables; `without` are KOLs that do not count."""
        return Follows(self.database, self.table, self.target, without)


def fields(question: Question) -> tuple[str, ...]:
    """Name what a program gets of each row."""
    own, _ = _ANSWERS[question.what]
    return (*own, *(("missed_since",) if question.lost else ()), *(("why", "new_name") if question.why else ()))


def answer(question: Question, sources: Sources) -> Generator[Row, None, None]:
    """Yield the rows in order; the database is busy until the generator is exhausted or closed. Raises StopRun."""
    follows, ledger = sources.follows(), sources.ledger
    for kol in question.kols:
        with sources.database.explained_errors():
            is_known = follows.knows(kol)
        if not is_known and (ledger is None or ledger.kols.find(kol) is None):
            raise StopRun(
                f"no such KOL in {sources.table}: {kol}; `scrapy crawl followings -a kols={kol}` buys its list"
            )
    rows = _asked(question, sources)
    if not question.lost:
        yield from rows
        return
    readings = ledger.readings.of_kol if ledger else lambda _: ()
    if question.what is What.LOST:
        lost = [row for row in rows if isinstance(row, FollowSeen)]
        with sources.database.explained_errors():
            last_whole = follows.last_whole()
        found = losses(lost, last_whole, readings, question.since)
        yield from explained(found, ledger.lost) if question.why and ledger else found
    else:
        yield from dated((row for row in rows if isinstance(row, Edge)), readings)


def _asked(question: Question, sources: Sources) -> Iterator[Row]:
    """Yield what the database says. Raises StopRun."""
    _, ask = _ANSWERS[question.what]
    with sources.database.explained_errors():
        yield from ask(question, sources)


def _new(question: Question, sources: Sources) -> Iterator[FollowSeen]:
    follows = sources.follows()
    if len(question.kols) < 2:
        yield from follows.new(since=question.since, kol="".join(question.kols) or None, limit=question.limit)
        return
    rows = [row for kol in question.kols for row in follows.new(since=question.since, kol=kol, limit=question.limit)]
    rows.sort(key=lambda row: (row.kol, row.user_id))
    yield from sorted(rows, key=lambda row: row.first_seen, reverse=True)


def _lost(question: Question, sources: Sources) -> Iterator[FollowSeen]:
    for kol in question.kols or (None,):
        yield from sources.follows().lost(since=question.since, kol=kol)


def _top(question: Question, sources: Sources) -> Iterator[Shared]:
    follows, least, since = sources.follows(), question.least, question.new_since
    if not question.gone_count:
        follows = sources.follows(sources.gone(follows.kols()))
    if limit := question.limit or (question.cut or -1) + 1:
        yield from follows.top(least=least, new_since=since, limit=limit)
    else:
        yield from follows.shared(least=least, new_since=since)


def _who(question: Question, sources: Sources) -> Iterator[Edge]:
    account = question.account
    if account.startswith("@"):
        found = sources.follows().accounts(account[1:])
        if not found:
            raise StopRun(
                f"no account in {sources.target} has the handle {account}, so no list that is loaded has it: check "
                "its spelling, or give the account's id if it was renamed"
            )
        if len(found) > 1:
            named = ", ".join(f"{id_} ({plain(name)})" for id_, name in found[:_NAMED])
            raise StopRun(
                f"{counted(len(found), 'account')} in {sources.target} had the handle {account} when last seen, which "
                f"was: {named}; give the id, such as `scrapy follows who {found[0][0]}`"
            )
        ((account, _),) = found
    rows = list(sources.follows().who(account, lost=question.lost))
    gone = set() if question.gone_count else sources.gone(row.kol for row in rows)
    yield from (row for row in rows if row.kol not in gone)


def _of(question: Question, sources: Sources) -> Iterator[Edge]:
    for kol in question.kols:
        yield from sources.follows().of(kol, lost=question.lost)


def _edges(question: Question, sources: Sources) -> Iterator[Edge]:
    follows = sources.follows()
    kols = follows.kols()
    if not question.gone_count:
        gone = sources.gone(kols)
        kols = [kol for kol in kols if kol not in gone]
    for first in range(0, len(kols), _KOLS_AT_ONCE):
        yield from follows.edges(kols[first : first + _KOLS_AT_ONCE], lost=question.lost)


_ANSWERS: dict[What, tuple[tuple[str, ...], Callable[[Question, Sources], Iterator[Row]]]] = {
    What.NEW: (FollowSeen._fields, _new),
    What.LOST: (FollowSeen._fields, _lost),
    What.TOP: (Shared._fields, _top),
    What.WHO: (FollowSeen._fields, _who),
    What.OF: (FollowSeen._fields, _of),
    What.EDGES: (("kol", "user_id", "user_name", "first_seen", "last_seen"), _edges),
}
"""Of each question what a program gets of its rows, and what asks the database."""
