"""`scrapy initdb`: create the two tables where they are missing, and say whether those that exist will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.command import ProjectCommand
from kolspider.db.check import check_source, check_target, warnings
from kolspider.errors import StopRun, WrongUsage

if TYPE_CHECKING:
    import argparse

    from kolspider.config import Config
    from kolspider.db import Database


class Command(ProjectCommand):
    """Harmless when run again: what exists is checked and left as it is."""

    examples = """
  scrapy initdb            create the table of KOLs and the table of followed accounts in the database of KOL_DB_URL
  scrapy initdb --sample   and put a few KOLs into the table of KOLs
"""

    def syntax(self) -> str:
        return "[--sample]"

    def short_desc(self) -> str:
        return "Create both tables where missing"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--sample", action="store_true", help="put a few KOLs into the table of KOLs")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise WrongUsage(f"initdb takes no arguments, not {' '.join(args)}")
        try:
            _create(database, config.source_table, config.target_table)
            if opts.sample:
                _add_sample(database, config.source_table)
        except database.errors as error:
            raise StopRun(database.explain(error)) from None


def _create(database: Database, source: str, target: str) -> None:
    created = database.create_tables(source, target)
    print(database.label)
    for table in (source, target):
        print(f"  {table}: {'created' if table in created else 'already there'}")
    check_source(database, source)
    for warning in warnings(check_target(database, target)):
        print(f"  note: {warning}")


def _add_sample(database: Database, source: str) -> None:
    from kolspider.sandbox import SAMPLE_KOLS  # noqa: PLC0415 - the sandbox's server is not needed otherwise

    added = database.insert_handles(source, list(SAMPLE_KOLS))
    print(f"  {source}: {added} sample KOLs added, {len(SAMPLE_KOLS) - added} already there")
