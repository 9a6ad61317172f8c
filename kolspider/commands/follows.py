"""`scrapy follows new | lost | top`: whom the KOLs began to follow, whom no longer, and whom most of them follow."""

from __future__ import annotations

import csv
import re
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kolspider.arguments import age
from kolspider.columns import in_columns, plain
from kolspider.command import ProjectCommand, handle_of
from kolspider.db.follows import Follows, FollowSeen, Shared
from kolspider.db.spans import spans
from kolspider.errors import StopRun, WrongUsage
from kolspider.follows import moment
from kolspider.losses import FollowLost, losses
from kolspider.output import as_json
from kolspider.store.reading import open_to_read

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from kolspider.config import Config
    from kolspider.db import Database
    from kolspider.store.crawls import CrawlRecord

    _Told = FollowSeen | FollowLost | Shared

_ANSWER_SECS = 600
_TOP = 100
"""Accounts in the table, unless --limit says otherwise: for people. Programs get all."""
_ALL = 10**9


class Command(ProjectCommand):
    """Asks the database, and the ledger when a list was read; harmless beside a run."""

    examples = """
  scrapy follows new                      whom the KOLs began to follow since they were first read whole
  scrapy follows new --since 7d --kol BTC in the last 7 days (s, m, h, d), one KOL
  scrapy follows lost                     whom they no longer follow, by their last whole reading
  scrapy follows lost --since 7d          of them, those first missed in the last 7 days
  scrapy follows top --min 3              accounts that at least 3 KOLs follow, most KOLs first
  scrapy follows top --new-in 7d          accounts that most KOLs began to follow in the last 7 days
  scrapy follows new --csv > new.csv      or --json; times are UTC
"""

    def syntax(self) -> str:
        return "new | lost | top [--since AGE] [--kol KOL] [--min N] [--new-in AGE] [--limit N] [--json | --csv]"

    def short_desc(self) -> str:
        return "Tell who follows whom: what is new, what is lost, what most KOLs share"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--since", metavar="AGE", help="new: first seen since; lost: first missed since (7d)")
        parser.add_argument("--kol", metavar="KOL", help="new, lost: only this one")
        parser.add_argument("--min", metavar="N", help="top: at least so many KOLs (default: 2)")
        parser.add_argument("--new-in", metavar="AGE", help="top: count only follows that began since (7d)")
        parser.add_argument("--limit", metavar="N", help=f"at most so many lines (default: {_TOP} of top's table; else all)")
        parser.add_argument("--json", action="store_true", help="a JSON array")
        parser.add_argument("--csv", action="store_true", help="with a line of names; counts and ids as they are")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        if args not in (["new"], ["lost"], ["top"]):
            raise WrongUsage(f"scrapy follows takes {self.syntax()}")
        (what,) = args
        _check_options(what, opts)
        if not config.follows_table:
            raise WrongUsage(
                "KOL_FOLLOWS_TABLE is not set: `scrapy initdb --follows` creates the table, and what the cache holds "
                "is loaded into it without a call"
            )
        since = _moment("--since", opts.since)
        kol = handle_of(opts.kol) if opts.kol else None
        least, limit = _number("--min", opts.min) or 2, _number("--limit", opts.limit)
        cut = _TOP if what == "top" and not (limit or opts.json or opts.csv) else None
        new_since = _moment("--new-in", opts.new_in)
        database.answer_secs = _ANSWER_SECS
        try:
            _check_tables(database, config)
            follows = Follows(database, config.follows_table, config.target_table)
            found: Sequence[_Told]
            if what == "top":
                found = follows.top(least=least, new_since=new_since, limit=limit or (cut + 1 if cut else _ALL))
            elif what == "new":
                found = follows.new(since=since, kol=kol)
            else:
                lost = follows.lost(since=since, kol=kol)
                with _readings(config, database) as crawls:
                    found = losses(lost, follows.last_whole() if lost else {}, crawls, since)
        except database.errors as error:
            raise StopRun(database.explain(error)) from None
        if opts.json:
            print(as_json([row._asdict() for row in found]))
        elif opts.csv:
            _write_csv(_FIELDS[what], found)
        else:
            print("\n".join(_table(what, found[:cut])))
        if cut and len(found) > cut:
            print(f"kolspider: these are the first {cut:,} of more: --limit 1000 shows 1,000", file=sys.stderr)


_FIELDS = {"new": FollowSeen._fields, "lost": FollowLost._fields, "top": Shared._fields}
_OF = {"--since": ("new", "lost"), "--kol": ("new", "lost"), "--min": ("top",), "--new-in": ("top",),
       "--limit": ("top",)}  # fmt: skip


@contextmanager
def _readings(config: Config, database: Database) -> Iterator[Callable[[str], Sequence[CrawlRecord]]]:
    """What the ledger knows of a KOL's readings: nothing, where it can't be read."""
    with ExitStack() as stack:
        try:
            kols, _ = stack.enter_context(open_to_read(config, database))
        except StopRun as error:
            print(f"kolspider: without the ledger, missed since is the last whole reading: {error}", file=sys.stderr)
            yield lambda _: ()
            return
        yield kols.crawls


def _check_options(what: str, opts: argparse.Namespace) -> None:
    if opts.json and opts.csv:
        raise WrongUsage("--json or --csv, not both")
    for option, of in _OF.items():
        if getattr(opts, option.removeprefix("--").replace("-", "_")) is not None and what not in of:
            raise WrongUsage(f"{option} goes with `scrapy follows {' | '.join(of)}`")


def _check_tables(database: Database, config: Config) -> None:
    database.connect()
    for table in (config.target_table, *(table for table, _ in spans(config.follows_table))):
        if database.describe(table) is None:
            raise StopRun(f"{database.label}: there is no table {table}: run `scrapy initdb --follows` to create it")


def _moment(option: str, typed: str | None) -> str | None:
    if typed is None:
        return None
    try:
        return moment(max(time.time() - age(typed), 0))
    except ValueError as error:
        raise WrongUsage(f"{option} {typed} {error}") from None


def _number(option: str, typed: str | None) -> int | None:
    if typed is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", typed) or int(typed) == 0:
        raise WrongUsage(f"{option} {typed} is not a whole number from 1 up")
    return int(typed)


def _write_csv(names: Sequence[str], rows: Sequence[_Told]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def _table(what: str, rows: Sequence[_Told]) -> Iterator[str]:
    if not rows:
        yield _NOTHING[what]
        return
    heads = {
        "new": ("KOL", "account", "followers", "first seen (UTC)", "last seen (UTC)", "name"),
        "lost": ("KOL", "account", "followers", "first seen (UTC)", "last seen (UTC)", "missed since (UTC)", "name"),
        "top": ("KOLs", "account", "followers", "newest follow (UTC)", "name"),
    }[what]
    yield from in_columns(heads, list(map(_cells, rows)), numbers=("KOLs", "followers"))


def _cells(row: _Told) -> tuple[str, ...]:
    followers = "-" if row.followers is None else f"{row.followers:,}"
    account, name = (plain(row.user_name) or row.user_id, followers), plain(row.name)
    match row:
        case Shared():
            return (f"{row.kols:,}", *account, row.newest, name)
        case FollowLost():
            return (row.kol, *account, row.first_seen, row.last_seen, row.missed_since, name)
        case _:
            return (row.kol, *account, row.first_seen, row.last_seen, name)


_NOTHING = {
    "new": "no new follows: nothing was first seen after a KOL's first whole list, or not since then",
    "lost": "no lost follows: the last whole list of each KOL holds all that were seen before",
    "top": "no account is followed by so many KOLs",
}
