"""`scrapy initdb`: create the tables that are missing and check those that exist."""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from kolspider.command import ProjectCommand
from kolspider.db.check import check_follows, check_names, check_source, check_target, warnings
from kolspider.db.follow_tables import spans
from kolspider.errors import StopRun, WrongUsage
from kolspider.follows.emptied import emptied, empty_tables
from kolspider.run.opening import read_ledger

if TYPE_CHECKING:
    import argparse

    from kolspider.db.base import Database
    from kolspider.options.config import Config


_FOLLOWS = "twitter_kol_follows"


class Command(ProjectCommand):
    """Safe to run again: existing tables are checked and left as they are."""

    examples = """
  scrapy initdb            create the table of KOLs and the table of followed users in the database of KOL_DB_URL
  scrapy initdb --sandbox --sample   create the tables of the sandbox, with a few KOLs (--sample without --sandbox puts
                           them among your own: runs then buy their lists)
  scrapy initdb --follows  also create the table of who follows whom, KOL_FOLLOWS_TABLE or twitter_kol_follows, and
                           beside it ..._crawls, which keeps when each KOL's list was read whole
  scrapy initdb --replicas 1 --buckets 8   Doris: one copy of each tablet (a single node has no room for three) and
                                           8 tablets per table instead of a number that Doris chooses
"""

    def syntax(self) -> str:
        return "[--sample] [--follows] [--replicas N] [--buckets N]"

    def short_desc(self) -> str:
        return "Create the tables that are missing"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--sample", action="store_true", help="put a few KOLs into the table of KOLs")
        parser.add_argument("--follows", action="store_true", help="also create the table of who follows whom")
        parser.add_argument("--replicas", metavar="N", help="Doris: copies of each tablet; 1 on a single node")
        parser.add_argument("--buckets", metavar="N", help="Doris: tablets per table (default: Doris chooses)")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise WrongUsage(f"initdb takes no arguments, not {' '.join(args)}")
        database.spread(replicas=_number("--replicas", opts.replicas), buckets=_number("--buckets", opts.buckets))
        follows = config.follows_table or (_FOLLOWS if opts.follows else "")
        with suppress(*database.errors):
            database.connect()  # only then is it known whether names of tables may differ in case
        with database.explained_errors():
            check_names(database, config.source_table, config.target_table, follows)
            _create(database, config, follows, create=opts.follows)
            if follows and not config.follows_table:
                print(f"  next: put KOL_FOLLOWS_TABLE={follows} into .env, so that runs write who follows whom into it")
            empty = empty_tables(database, follows)
            if opts.sample:
                _add_sample(database, config)
        if empty:
            _say_what_fills(empty, replace(config, follows_table=follows), database)


def _say_what_fills(empty: list[str], config: Config, database: Database) -> None:
    """Add a note if lists were loaded into empty tables. Without a readable store there is no note."""
    with suppress(StopRun, sqlite3.Error), read_ledger(config, database) as ledger:
        if note := emptied(empty, ledger.kols):
            print(f"  note: {note}")


def _number(option: str, typed: str | None) -> int | None:
    if typed is None:
        return None
    if not re.fullmatch("[0-9]{1,4}", typed) or int(typed) == 0:
        raise WrongUsage(f"{option} {typed} is not a whole number from 1 to 9999")
    return int(typed)


def _create(database: Database, config: Config, follows: str, *, create: bool) -> None:
    source, target = config.source_table, config.target_table
    created = database.create_tables(source, target, follows if create else "", config.source_column)
    print(database.label)
    for table in (source, target, *(table for table, _ in spans(follows if create else ""))):
        print(f"  {table}: {'created' if table in created else 'already there'}")
    check_source(database, source, config.source_column, config.source_where)
    for warning in warnings(check_target(database, target)):
        print(f"  note: {warning}")
    check_follows(database, follows)


def _add_sample(database: Database, config: Config) -> None:
    from kolspider.sandbox import SAMPLE_KOLS  # noqa: PLC0415 - only --sample needs the sandbox

    added = database.insert_handles(config.source_table, list(SAMPLE_KOLS), config.source_column)
    print(f"  {config.source_table}: {added} sample KOLs added, {len(SAMPLE_KOLS) - added} already there")
