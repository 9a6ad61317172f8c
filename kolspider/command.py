"""What the commands beside `crawl` share. Not in commands/, where Scrapy takes every class for a command."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from scrapy.commands import ScrapyCommand, ScrapyHelpFormatter

from kolspider.console.output import standard_output, tell
from kolspider.db.check import check_names
from kolspider.db.url import open_database
from kolspider.errors import UserError, WrongUsage
from kolspider.options.config import PROJECT_DIR, Config, point_at_sandbox
from kolspider.store.damage import is_damage, mark_damaged
from kolspider.store.database import FILE_NAME, REPAIR
from kolspider.store.handles import HandleError, normalise

if TYPE_CHECKING:
    from kolspider.db.base import Database

__all__ = ["OLD_FILES", "KeepLines", "ProjectCommand", "handle_of"]


OLD_FILES = (
    "{directory} holds files of the old script (progress.json and one JSON file for each KOL): they are neither "
    "read nor changed, and the lists in them are bought again"
)
"""What to say when progress.json is in the cache directory."""


class KeepLines(ScrapyHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Examples under -h keep their lines."""


class ProjectCommand(ScrapyCommand):
    """A command that needs the settings and names the database; its errors are one line and an exit code."""

    requires_project = True
    requires_crawler_process = False
    default_settings: ClassVar[dict[str, Any]] = {"LOG_ENABLED": False}
    examples: ClassVar[str]

    def long_desc(self) -> str:
        """Shown by -h."""
        return f"{self.short_desc()}.\n{self.examples}"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Keep the examples' lines."""
        super().add_options(parser)
        parser.formatter_class = KeepLines
        parser.add_argument("--sandbox", action="store_true", help="of what -a sandbox=1 made, not of your own data")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Read the settings, then do the command's work."""
        assert self.settings is not None  # noqa: S101 - set in scrapy.cmdline
        try:
            unknown = [arg for arg in args if arg.startswith("-")]
            if unknown:
                raise WrongUsage(f"unknown option {unknown[0]}; it takes {self.syntax()}")
            if opts.sandbox:
                point_at_sandbox(self.settings)
            config = Config.from_settings(self.settings)
            database = open_database(config.db_url, base=PROJECT_DIR, stream_load=config.stream_load)
            try:
                check_names(database, config.source_table, config.target_table, config.follows_table)
                with standard_output():
                    self.work(config, database, args, opts)
            finally:
                database.close()
        except UserError as error:
            self.exitcode = tell(error)
        except sqlite3.Error as error:
            if is_damage(error):
                mark_damaged(config.cache_dir / FILE_NAME)
            print(f"kolspider: {config.cache_dir / FILE_NAME} can't be used: {error}; {REPAIR}", file=sys.stderr)
            self.exitcode = 1

    @abstractmethod
    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        """Do the command's work. Raises UserError."""


def handle_of(name: str) -> str:
    """The key of a KOL that a person named. Raises WrongUsage."""
    try:
        kol = normalise(name)
    except HandleError:
        kol = None
    if kol is None:
        raise WrongUsage(f"{name!r} is not a Twitter handle")
    return kol.handle
