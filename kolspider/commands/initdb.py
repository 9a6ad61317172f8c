"""`scrapy initdb`: create the two tables where they are missing, and say whether those that exist will do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

import kolspider
from kolspider.db import open_database
from kolspider.db.check import check_source, check_target, warnings
from kolspider.errors import StopRun, UserError

if TYPE_CHECKING:
    import argparse

    from kolspider.db import Database


class Command(ScrapyCommand):
    """Harmless when run again: what exists is checked and left as it is."""

    requires_project = True
    requires_crawler_process = False
    default_settings: ClassVar[dict[str, Any]] = {"LOG_ENABLED": False}

    def syntax(self) -> str:
        return "[--sample]"

    def short_desc(self) -> str:
        return "Create both tables where missing"

    def long_desc(self) -> str:
        return (
            "Create the table of KOLs and the table of the accounts they follow, where missing, in the "
            "database that KOL_DB_URL names. Tables that exist are checked and left as they are."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--sample", action="store_true", help="put a few KOLs into the table of KOLs")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise UsageError(f"initdb takes no arguments, not {' '.join(args)}", print_help=False)
        try:
            self._init(sample=opts.sample)
        except UserError as error:
            print(error, file=sys.stderr)
            self.exitcode = error.exit_code

    def _init(self, *, sample: bool) -> None:
        assert self.settings is not None  # noqa: S101  # set in scrapy.cmdline
        url, source, target = (
            str(self.settings[name] or "") for name in ("KOL_DB_URL", "KOL_SOURCE_TABLE", "KOL_TARGET_TABLE")
        )
        db = open_database(url, base=Path(kolspider.__file__).parents[1])
        try:
            _create(db, source, target)
            if sample:
                _add_sample(db, source)
        except db.errors as exc:
            raise StopRun(db.explain(exc)) from exc
        finally:
            db.close()


def _create(db: Database, source: str, target: str) -> None:
    created = db.create_tables(source, target)
    print(db.label)
    for table in (source, target):
        print(f"  {table}: {'created' if table in created else 'already there'}")
    check_source(db, source)
    for warning in warnings(check_target(db, target)):
        print(f"  note: {warning}")


def _add_sample(db: Database, source: str) -> None:
    from kolspider.sandbox import SAMPLE_KOLS  # noqa: PLC0415  # the sandbox's server is not needed otherwise

    added = db.insert_handles(source, list(SAMPLE_KOLS))
    print(f"  {source}: {added} sample KOLs added, {len(SAMPLE_KOLS) - added} already there")
