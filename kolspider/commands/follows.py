"""`scrapy follows new | lost | top`: who is new, who is lost, and whom most KOLs follow."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from tempfile import SpooledTemporaryFile
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from kolspider.command import ProjectCommand
from kolspider.console.columns import in_columns, plain, spreadsheet_cell
from kolspider.console.output import json_lines
from kolspider.console.wording import counted
from kolspider.db.check import check_accounts, check_follows_to_read
from kolspider.errors import StopRun, WrongUsage
from kolspider.follows.emptied import emptied, empty_tables
from kolspider.follows.losses import FollowLost, losses
from kolspider.follows.queries import Follows, FollowSeen, Shared
from kolspider.follows.question import LEAST, TOP, Question
from kolspider.run.opening import read_ledger
from kolspider.run.source import gone_from_source

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kolspider.db.base import Database
    from kolspider.options.config import Config
    from kolspider.store.ledger import Ledger

_ANSWER_SECS = 600
_IN_MEMORY = 1_000_000
"""Largest answer kept in memory, in characters; a larger one goes to a temporary file."""


class Command(ProjectCommand):
    """Asks the database, and the ledger for when lists were read. Safe during a run."""

    examples = """
  scrapy follows new                      whom KOLs began to follow after their lists were first read whole
  scrapy follows new --since 7d --kol BTC the same for one KOL in the last 7 days (units: s, m, h, d, w)
  scrapy follows new --since 2026-11-24   the same since that day; '2026-11-24 08:00:00' works too, in UTC
  scrapy follows lost                     whom KOLs no longer follow, by the last whole reading of their lists
  scrapy follows lost --since 1w          the same, first missed in the last week
  scrapy follows top --min 3              accounts that at least 3 KOLs of the source table follow, most KOLs first
  scrapy follows top --new-in 7d          accounts that most KOLs began to follow in the last 7 days
  scrapy follows new --csv > new.csv      all columns as CSV, or --json; times are UTC
"""

    def syntax(self) -> str:
        return (
            "new | lost | top [--since AGE] [--kol KOLS] [--min N] [--new-in AGE] [--all] [--limit N] "
            "[--json | --csv] [--raw]"
        )

    def short_desc(self) -> str:
        return "Show new and lost follows, and the accounts that most KOLs follow"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since", metavar="AGE", help="new: first seen since then; lost: first missed since then (7d, 2026-11-24)"
        )
        parser.add_argument(
            "--kol", metavar="KOLS", action="append", help="new, lost: only these KOLs (BTC,ethereum); repeatable"
        )
        parser.add_argument("--min", metavar="N", help=f"top: at least N KOLs (default: {LEAST})")
        parser.add_argument("--new-in", metavar="AGE", help="top: count only new follows since then (7d, 2026-11-24)")
        parser.add_argument("--all", action="store_true", help="top: count KOLs that left the source table, too")
        parser.add_argument(
            "--limit", metavar="N", help=f"at most N rows (default: {TOP} in the table of top, otherwise all)"
        )
        parser.add_argument("--json", action="store_true", help="a JSON array")
        parser.add_argument("--csv", action="store_true", help="CSV with a header line, safe for spreadsheets")
        parser.add_argument("--raw", action="store_true", help="with --csv: all texts as they are, formulas too")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        if args not in (["new"], ["lost"], ["top"]):
            raise WrongUsage(f"scrapy follows takes {self.syntax()}")
        if opts.raw and not opts.csv:
            raise WrongUsage("--raw goes with --csv")
        question = Question.of(args[0], opts)
        if not config.follows_table:
            raise WrongUsage(
                "KOL_FOLLOWS_TABLE is not set: create the table with `scrapy initdb --follows` and put "
                "KOL_FOLLOWS_TABLE=twitter_kol_follows into .env; the next run fills it from the cache, without a call"
            )
        with _ledger(config, database) as ledger:
            if ledger:
                question = replace(question, kols=tuple(map(ledger.accounts.key_of, question.kols)))
            answer = _ask(question, config, database, ledger)
            self._spellings = ledger.kols.spellings() if ledger else {}
            note = emptied(answer.empty, ledger.kols) if ledger else ""
            found = _found(question, answer, config, database, ledger)
        note = note or _note(question, answer, found, config.follows_table)
        rows = islice(found, question.limit or question.cut)
        if opts.json:
            lines = json_lines(row._asdict() for row in rows)
        elif opts.csv:
            lines = _csv(_FIELDS[question.what], rows, raw=opts.raw)
        else:
            lines = _table(question.what, map(self._spelled, rows), "" if note else question.nothing)
        with database.explained_errors():
            written = _spooled(lines)
            if isinstance(answer.rows, Generator):
                answer.rows.close()  # a limit leaves the query open
        if note:
            print(f"kolspider: {note}", file=sys.stderr)
        with written:
            shutil.copyfileobj(written, sys.stdout)

    def _spelled(self, row: FollowSeen | FollowLost | Shared) -> FollowSeen | FollowLost | Shared:
        """Return the row with its KOL as the source table spells it; programs get the handle that the table has."""
        return row if isinstance(row, Shared) else row._replace(kol=self._spellings.get(row.kol, row.kol))


_FIELDS = {"new": FollowSeen._fields, "lost": FollowLost._fields, "top": Shared._fields}


class _Answer(NamedTuple):
    """What the database says."""

    rows: Iterable[FollowSeen | Shared]
    """A list, or a generator that keeps the database busy until it is exhausted or closed."""
    follows: Follows
    unknown: Sequence[str]
    """KOLs of --kol that have no row."""
    doubtful: int
    """Number of KOLs whose last whole reading was in the future."""
    empty: Sequence[str]
    """Which of the follows table and the crawls table have no row."""


def _ask(question: Question, config: Config, database: Database, ledger: Ledger | None) -> _Answer:
    database.answer_secs = _ANSWER_SECS
    table = config.follows_table
    with database.explained_errors():
        database.connect()
        check_accounts(database, config.target_table)
        check_follows_to_read(database, table)
        follows = Follows(database, table, config.target_table)
        rows: Iterable[FollowSeen | Shared]
        if question.what == "top" and not question.gone_count:
            renamed = ledger.accounts.renamed() if ledger else {}
            known = [*follows.last_whole(), *(ledger.kols.handles() if ledger else ())]
            follows = Follows(database, table, config.target_table, gone_from_source(config, database, known, renamed))
        if question.what == "top":
            least, since, limit = question.least, question.new_since, question.limit
            if limit or question.cut:
                rows = follows.top(least=least, new_since=since, limit=limit or (question.cut or 0) + 1)
            else:
                rows = follows.shared(least=least, new_since=since)
        else:
            ask = partial(follows.new, limit=question.limit) if question.what == "new" else follows.lost
            rows = (row for kol in question.kols or (None,) for row in ask(since=question.since, kol=kol))
        return _Answer(
            rows,
            follows,
            [kol for kol in question.kols if not follows.knows(kol)],
            follows.count_doubtful() if question.what == "lost" else 0,
            empty_tables(database, table),
        )


def _note(question: Question, answer: _Answer, found: Iterable[object], table: str) -> str:
    """Return what a reader has to know of the answer beside its rows."""
    if table in answer.empty:
        return f"{table} is empty: `scrapy crawl followings` fills it"
    if answer.doubtful:
        return (
            f"a clock was wrong when the lists of {counted(answer.doubtful, 'KOL')} were read whole: none of their "
            "follows counts as lost until they are read whole again"
        )
    if question.cut and isinstance(found, list) and len(found) > question.cut:
        return f"only the first {question.cut:,} are shown: --limit 1000 shows 1,000"
    return ""


@contextmanager
def _ledger(config: Config, database: Database) -> Iterator[Ledger | None]:
    """The ledger, or None if it can't be read."""
    with ExitStack() as stack:
        ledger = None
        try:
            ledger = stack.enter_context(read_ledger(config, database))
        except StopRun as error:
            print(f"kolspider: without the ledger: {error}", file=sys.stderr)
        yield ledger


def _found(
    question: Question, answer: _Answer, config: Config, database: Database, ledger: Ledger | None
) -> Iterable[FollowSeen | FollowLost | Shared]:
    """Return the rows in order. Raises StopRun for a KOL that neither the database nor the ledger has."""
    for kol in () if config.follows_table in answer.empty else answer.unknown:
        if ledger is None or ledger.kols.find(kol) is None:
            raise StopRun(f"no such KOL in {config.follows_table}: {kol}")
    if question.what == "top" or (question.what == "new" and len(question.kols) < 2):
        return answer.rows
    with database.explained_errors():
        seen = [row for row in answer.rows if isinstance(row, FollowSeen)]
        last_whole = answer.follows.last_whole() if question.what == "lost" else {}
    if question.what == "lost":
        return losses(seen, last_whole, ledger.readings.of_kol if ledger else lambda _: (), question.since)
    seen.sort(key=lambda row: (row.kol, row.user_id))
    seen.sort(key=lambda row: row.first_seen, reverse=True)
    return seen


def _spooled(lines: Iterable[str]) -> IO[str]:
    """Collect the whole answer first: a slow reader must not keep the database waiting, nor get half an answer."""
    written = SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", errors="surrogatepass", newline="")  # noqa: SIM115 - the caller closes it
    try:
        for line in lines:
            _kept(written.write, f"{line}\n")  # writelines would check the size only at its end
        _kept(written.seek, 0)
    except BaseException:
        written.close()
        raise
    return written


def _kept(work: Callable[[Any], object], what: Any) -> None:
    try:
        work(what)
    except OSError as error:
        raise StopRun(f"the answer needs room for temporary files (TMPDIR): {error.strerror}") from None


def _csv(names: Sequence[str], rows: Iterable[FollowSeen | FollowLost | Shared], *, raw: bool = False) -> Iterator[str]:
    lines: list[str] = []
    write = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n").writerow  # so that it quotes both
    for row in chain([names], rows):
        write(row if raw else map(spreadsheet_cell, row))
        yield lines.pop().removesuffix("\r\n")


def _table(what: str, found: Iterable[FollowSeen | FollowLost | Shared], nothing: str) -> Iterator[str]:
    rows = iter(found)
    first = next(rows, None)
    if first is None:
        yield from [nothing] if nothing else []
        return
    heads = {
        "new": ("KOL", "account", "followers", "first seen (UTC)", "last seen (UTC)", "name"),
        "lost": ("KOL", "account", "followers", "first seen (UTC)", "last seen (UTC)", "missed since (UTC)", "name"),
        "top": ("KOLs", "account", "followers", "first seen (UTC)", "name"),
    }[what]
    yield from in_columns(heads, map(_cells, chain([first], rows)), numbers=("KOLs", "followers"))


def _cells(row: FollowSeen | FollowLost | Shared) -> tuple[str, ...]:
    followers = "-" if row.followers is None else f"{row.followers:,}"
    account, name = (plain(row.user_name) or row.user_id, followers), plain(row.name)
    match row:
        case Shared():
            return (f"{row.kols:,}", *account, row.newest, name)
        case FollowLost():
            return (plain(row.kol), *account, row.first_seen, row.last_seen, row.missed_since, name)
        case _:
            return (plain(row.kol), *account, row.first_seen, row.last_seen, name)
