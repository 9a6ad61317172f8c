"""`scrapy follows`: who follows whom, who is new, who is lost, and whom most KOLs follow."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

from kolspider.command import ProjectCommand
from kolspider.console.columns import in_columns, plain
from kolspider.console.output import csv_lines, json_lines, spooled
from kolspider.console.wording import counted, dollars
from kolspider.db.check import check_accounts, check_follows_to_read
from kolspider.errors import StopRun, WrongUsage
from kolspider.follows.answers import Sources, answer, fields
from kolspider.follows.emptied import emptied, empty_tables
from kolspider.follows.losses import unexplained
from kolspider.follows.queries import Follows
from kolspider.follows.question import LEAST, TOP, Question
from kolspider.providers.base import cost_of_profiles
from kolspider.run.opening import read_ledger
from kolspider.run.source import gone_from_source

if TYPE_CHECKING:
    import argparse
    import io
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kolspider.db.base import Database
    from kolspider.follows.losses import FollowLost
    from kolspider.options.config import Config
    from kolspider.store.ledger import Ledger

_ANSWER_SECS = 600
_HEADS = {
    "kol": "KOL",
    "kols": "KOLs",
    "user_name": "account",
    "followers": "followers",
    "first_seen": "first seen (UTC)",
    "newest": "first seen (UTC)",
    "last_seen": "last seen (UTC)",
    "missed_since": "missed since (UTC)",
    "why": "why",
    "new_name": "is now",
    "name": "name",
}
"""What the table shows of a row, in this order; wide characters come last, since they move what is behind them."""


class Command(ProjectCommand):
    """Asks the database, and the ledger for when lists were read. Safe during a run."""

    examples = """
  scrapy follows new                    whom KOLs began to follow after their
                                        lists were first read whole
  scrapy follows new --since 7d --kol BTC       one KOL, the last 7 days
                                        (units: s, m, h, d, w)
  scrapy follows new --since 2026-11-24 since that day, or in UTC since
                                        '2026-11-24 08:00:00'
  scrapy follows lost                   whom KOLs no longer follow, by the last
                                        whole reading of their lists
  scrapy follows lost --since 1w --why  first missed in the last week, and why
  scrapy follows top --min 3            accounts that at least 3 KOLs of the
                                        source table follow, most KOLs first
  scrapy follows top --new-in 7d        accounts that most KOLs began to follow
  scrapy follows who VitalikButerin     which KOLs of the source table follow an
                                        account (a handle, or its id)
  scrapy follows of BTC --lost          whom a KOL follows, and no longer does
  scrapy follows edges --csv > e.csv    every follow, for other programs
  scrapy follows new --csv > new.csv    as CSV, or --json; times are UTC
"""

    def syntax(self) -> str:
        return (
            "new | lost | top | who ACCOUNT | of KOL | edges [--since AGE] [--kol KOLS] [--min N] [--new-in AGE] "
            "[--why] [--lost] [--all] [--limit N] [--json | --csv] [--raw] [--bom]"
        )

    def short_desc(self) -> str:
        return "Show who follows whom, new and lost follows, and whom most KOLs follow"

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
        parser.add_argument(
            "--why", action="store_true", help="lost: why, as far as it is known, and the price of the rest"
        )
        parser.add_argument("--lost", action="store_true", help="who, of, edges: with lost follows, and since when")
        parser.add_argument(
            "--all", action="store_true", help="top, who, edges: with the KOLs that left the source table"
        )
        parser.add_argument(
            "--limit", metavar="N", help=f"at most N rows (default: {TOP} in the table of top, otherwise all)"
        )
        parser.add_argument("--json", action="store_true", help="a JSON array")
        parser.add_argument("--csv", action="store_true", help="CSV with a header line, safe for spreadsheets")
        parser.add_argument("--raw", action="store_true", help="with --csv: all texts as they are, formulas too")
        parser.add_argument("--bom", action="store_true", help="with --csv: UTF-8 with a byte order mark, for Excel")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        for option in ("raw", "bom"):
            if getattr(opts, option) and not opts.csv:
                raise WrongUsage(f"--{option} goes with --csv")
        question = Question.of(args, opts)
        table = config.follows_table
        if not table:
            raise WrongUsage(
                "KOL_FOLLOWS_TABLE is not set: create the table with `scrapy initdb --follows` and put "
                "KOL_FOLLOWS_TABLE=twitter_kol_follows into .env; the next run fills it from the cache, without a call"
            )
        with _ledger(config, database) as ledger:
            with database.explained_errors():
                empty = _checked(config, database)
                follows = Follows(database, table, config.target_table)
                doubtful = follows.count_doubtful() if question.lost else 0
                renamed = ledger.accounts.renamed() if ledger else {}
                question = replace(question, kols=tuple(renamed.get(kol, kol) for kol in question.kols))
                not_known = (
                    unexplained(follows, ledger, question.since, question.kols) if question.why and ledger else []
                )
            note = (emptied(empty, ledger.kols) if ledger else "") or _note(table, empty, doubtful)
            sandbox = " -a sandbox=1" if opts.sandbox else ""
            note = note or (_price(not_known, question, config, sandbox) if not_known else "")
            gone = partial(gone_from_source, config, database, renamed=renamed)
            found = answer(question, Sources(database, table, config.target_table, ledger, gone))
            with closing(found):
                names = fields(question)
                rows = map(attrgetter(*names), () if table in empty else found)
                shown = islice(rows, question.limit or question.cut)
                if opts.json:
                    lines = json_lines(dict(zip(names, row, strict=True)) for row in shown)
                elif opts.csv:
                    lines = csv_lines(names, shown, raw=opts.raw)
                else:
                    spellings = ledger.kols.spellings() if ledger else {}
                    lines = _table(names, shown, spellings, "" if note else question.nothing)
                written = spooled(lines)
                if question.cut and next(rows, None):
                    note = note or f"only the first {question.cut:,} are shown: --limit 1000 shows 1,000"
        if note:
            print(f"kolspider: {note}", file=sys.stderr)
        if opts.bom:
            cast("io.TextIOWrapper", sys.stdout).reconfigure(encoding="utf-8-sig", errors=sys.stdout.errors)
        with written:
            shutil.copyfileobj(written, sys.stdout)


def _checked(config: Config, database: Database) -> list[str]:
    """Connect, and check the tables; returns those of them that are empty."""
    database.answer_secs = _ANSWER_SECS
    database.connect()
    check_accounts(database, config.target_table)
    check_follows_to_read(database, config.follows_table)
    return empty_tables(database, config.follows_table)


def _note(table: str, empty: Sequence[str], doubtful: int) -> str:
    """Return what a reader has to know of the answer beside its rows; doubtful: KOLs read whole in the future."""
    if table in empty:
        return f"{table} is empty: `scrapy crawl followings` fills it"
    if doubtful:
        return (
            f"a clock was wrong when the lists of {counted(doubtful, 'KOL')} were read whole: none of their "
            "follows counts as lost until they are read whole again"
        )
    return ""


def _price(lost: Sequence[FollowLost], question: Question, config: Config, sandbox: str) -> str:
    """Return what it costs to ask why follows are gone, and the command that asks, in the sandbox if this is there."""
    call, accounts = config.provider.profiles_by_id, counted(len(lost), "account")
    if call is None:
        return f"why {accounts} were lost is not known, and {config.provider.name} tells no profiles by id"
    calls, credits_ = cost_of_profiles(call, len(lost))
    price = f"{counted(calls, 'call')}, about {credits_:,} credits, {dollars(credits_ * config.credit_usd)}"
    since = min(one.missed_since for one in lost).replace(" ", "T")
    kols = f" -a kols={','.join(question.kols)}" if question.kols else ""
    return (
        f"why {accounts} were lost is not known: `scrapy crawl followings -a why={since}{kols}{sandbox}` asks, {price}"
    )


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


def _table(
    names: Sequence[str], found: Iterable[Sequence[object]], spellings: Mapping[str, str], nothing: str
) -> Iterator[str]:
    """Yield the lines of the table; spellings: how the source table spells KOLs."""
    rows = iter(found)
    first = next(rows, None)
    if first is None:
        yield from [nothing] if nothing else []
        return
    shown = [name for name in _HEADS if name in names]

    def cells(values: Sequence[Any]) -> list[str]:
        row = dict(zip(names, values, strict=True))
        row["user_name"] = plain(row["user_name"]) or row["user_id"]
        row["name"] = row.get("name") or ""
        if kol := row.get("kol"):
            row["kol"] = spellings.get(kol, kol)
        return [_cell(row[name]) for name in shown]

    heads = [_HEADS[name] for name in shown]
    yield from in_columns(heads, map(cells, chain([first], rows)), numbers=("KOLs", "followers"))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else plain(str(value))
