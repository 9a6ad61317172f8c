"""`scrapy report`: everything that the store knows, on one HTML page."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kolspider.command import ProjectCommand
from kolspider.errors import StopRun, UserError, WrongUsage
from kolspider.files import write_atomically
from kolspider.follows.queries import Follows
from kolspider.options.feeds import check_writable
from kolspider.report.facts import Facts
from kolspider.report.follows import FollowFacts
from kolspider.run.opening import read_ledger, target_label
from kolspider.run.source import gone_from_source

if TYPE_CHECKING:
    import argparse

    from kolspider.db.base import Database
    from kolspider.options.config import Config


_ANSWER_SECS = 120


class Command(ProjectCommand):
    """Safe during a run: it never calls the API, and queries the database only for who follows whom."""

    examples = """
  scrapy report                     report.html in this folder: runs, states, spend, pace, failures, cache, rejects
  scrapy report -o /srv/www/kol.html
  scrapy report --sandbox           report-sandbox.html: the same of the runs with -a sandbox=1
"""

    def syntax(self) -> str:
        return "[-o report.html]"

    def short_desc(self) -> str:
        return "Write one HTML page about all runs: states, spend, pace, failures, cache, rejects"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "-o", "--output", metavar="FILE", help="default: report.html; with --sandbox report-sandbox.html"
        )

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        from kolspider.report.page import page  # noqa: PLC0415 - every command would wait for jinja2

        if args:
            raise WrongUsage(f"the command is scrapy report {self.syntax()}")
        output = opts.output
        if output is None:
            output = "report-sandbox.html" if opts.sandbox else "report.html"
        if not output:
            raise WrongUsage("-o needs the name of a file")
        path = Path(output)
        if not path.absolute().parent.exists():
            raise WrongUsage(f"-o {output}: there is no folder {path.absolute().parent}; create it first")
        check_writable(path, "-o")
        with read_ledger(config, database) as ledger:
            follows = _follows(config, database)
            ledger.freeze()
            facts = Facts.gather(ledger, config, target_label(config, database), time.time(), follows, _command(opts))
        try:
            write_atomically(path, page(facts))
        except OSError as error:
            raise StopRun(f"{path} can't be written: {error.strerror}") from None
        print(path.absolute())


def _command(opts: argparse.Namespace) -> str:
    """Return what was typed."""
    output = [] if opts.output is None else ["-o", opts.output]
    return shlex.join(["scrapy", "report", *output, *(["--sandbox"] if opts.sandbox else [])])


def _follows(config: Config, database: Database) -> FollowFacts | None:
    """Return who follows whom among the KOLs of the source table.

    None if no such table is kept, or if the database can't be queried.
    """
    if not config.follows_table:
        return None
    database.answer_secs = _ANSWER_SECS
    tables = (config.follows_table, config.target_table)
    try:
        database.connect()
        gone = gone_from_source(config, database, Follows(database, *tables).kols())
        return FollowFacts.gather(Follows(database, *tables, gone), time.time())
    except UserError as error:
        reason = str(error)
    except database.errors as error:
        reason = database.explain(error)
    print(f"kolspider: the report leaves out who follows whom: {reason}", file=sys.stderr)
    return None
