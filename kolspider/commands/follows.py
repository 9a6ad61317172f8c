"""`scrapy follows new | lost | top`: whom the KOLs began to follow, whom no longer, and whom most of them follow."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
import time
from itertools import chain
from tempfile import SpooledTemporaryFile
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING

from kolspider.arguments import age
from kolspider.command import ProjectCommand, handle_of
from kolspider.db.follows import Follows, FollowSeen, Shared
from kolspider.db.spans import spans
from kolspider.errors import StopRun, WrongUsage
from kolspider.follows import moment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from kolspider.config import Config
    from kolspider.db import Database

_ANSWER_SECS = 600
_TOP = 100
_IN_MEMORY = 1_000_000
"""Characters of the answer; more of them are in a temporary file."""


class Command(ProjectCommand):
    """Asks the database alone; harmless beside a run."""

    examples = """
  scrapy follows new                      whom the KOLs began to follow since they were first read whole
  scrapy follows new --since 7d --kol BTC in the last 7 days (s, m, h, d), one KOL
  scrapy follows lost                     whom they no longer follow, by their last whole reading
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
        parser.add_argument("--since", metavar="AGE", help="new: first seen since; lost: last seen since (7d)")
        parser.add_argument("--kol", metavar="KOL", help="new, lost: only this one")
        parser.add_argument("--min", metavar="N", help="top: at least so many KOLs (default: 2)")
        parser.add_argument("--new-in", metavar="AGE", help="top: count only follows that began since (7d)")
        parser.add_argument("--limit", metavar="N", help=f"top: at most so many accounts (default: {_TOP})")
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
        least, limit = _number("--min", opts.min, 2), _number("--limit", opts.limit, _TOP)
        new_since = _moment("--new-in", opts.new_in)
        database.answer_secs = _ANSWER_SECS
        try:
            _check_tables(database, config)
            follows = Follows(database, config.follows_table, config.target_table)
            found: Iterable[FollowSeen | Shared]
            if what == "top":
                found = follows.top(least=least, new_since=new_since, limit=limit)
            else:
                found = (follows.new if what == "new" else follows.lost)(since=since, kol=kol)
            if opts.json:
                lines = _json(found)
            elif opts.csv:
                lines = _csv((Shared if what == "top" else FollowSeen)._fields, found)
            else:
                lines = _table(what, found)
            written = _spooled(lines)
        except database.errors as error:
            raise StopRun(database.explain(error)) from None
        with written:
            shutil.copyfileobj(written, sys.stdout)


_OF = {"--since": ("new", "lost"), "--kol": ("new", "lost"), "--min": ("top",), "--new-in": ("top",),
       "--limit": ("top",)}  # fmt: skip


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


def _number(option: str, typed: str | None, default: int) -> int:
    if typed is None:
        return default
    if not re.fullmatch("[0-9]{1,9}", typed) or int(typed) == 0:
        raise WrongUsage(f"{option} {typed} is not a whole number from 1 up")
    return int(typed)


def _spooled(lines: Iterable[str]) -> IO[str]:
    """All of it, for a reader who may be slow and must not keep the database waiting, nor get the half of it."""
    written = SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", newline="")  # noqa: SIM115 - the caller closes it
    try:
        for line in lines:  # writelines would look at the size at its end
            written.write(f"{line}\n")
        written.seek(0)
    except BaseException:
        written.close()
        raise
    return written


def _json(rows: Iterable[FollowSeen | Shared]) -> Iterator[str]:
    """What json.dumps would make of the whole list."""
    before = ""
    for row in rows:
        yield before or "["
        before = "  " + json.dumps(row._asdict(), indent=2, ensure_ascii=False).replace("\n", "\n  ") + ","
    yield f"{before.removesuffix(',')}\n]" if before else "[]"


def _csv(names: Sequence[str], rows: Iterable[FollowSeen | Shared]) -> Iterator[str]:
    lines: list[str] = []
    write = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\n").writerow
    for row in chain([names], rows):
        write(row)
        yield lines.pop().removesuffix("\n")


def _table(what: str, found: Iterable[FollowSeen | Shared]) -> Iterator[str]:
    rows = iter(found)
    first = next(rows, None)
    if first is None:
        yield _NOTHING[what]
        return
    if what == "top":
        yield f"{'KOLs':>6}  {'account':<20} {'followers':>14}  {'newest follow (UTC)':<19}  name"
    else:
        yield f"{'KOL':<16} {'account':<20} {'followers':>14}  {'first seen (UTC)':<19}  {'last seen (UTC)':<19}  name"
    for row in chain([first], rows):
        account = f"{_plain(row.user_name) or row.user_id:<20} {_count(row.followers)}"
        if isinstance(row, Shared):
            yield f"{row.kols:>6,}  {account}  {row.newest}  {_plain(row.name)}".rstrip()
        else:
            yield f"{row.kol:<16} {account}  {row.first_seen}  {row.last_seen}  {_plain(row.name)}".rstrip()


_NOTHING = {
    "new": "no new follows: nothing was first seen after a KOL's first whole list, or not since then",
    "lost": "no lost follows: the last whole list of each KOL holds all that were seen before",
    "top": "no account is followed by so many KOLs",
}


def _count(number: int | None) -> str:
    return f"{'-' if number is None else format(number, ','):>14}"


def _plain(text: str | None) -> str:
    """On one line, and without what a terminal would take for a command."""
    return "".join(char if char.isprintable() else " " for char in text or "").strip()
