"""The base of all commands but `crawl`. Not in commands/, where Scrapy takes every class for a command."""

from __future__ import annotations

import argparse
import re
import sqlite3
import sys
from abc import abstractmethod
from textwrap import fill
from typing import TYPE_CHECKING, Any, ClassVar, cast

from scrapy.commands import ScrapyCommand, ScrapyHelpFormatter

from kolspider.console.output import print_error, standard_output
from kolspider.db.check import check_names
from kolspider.db.url import open_database
from kolspider.errors import StopRun, UserError, WrongUsage, out_of_memory
from kolspider.options.config import PROJECT_DIR, Config, point_at_sandbox
from kolspider.store.damage import is_damage, mark_damaged
from kolspider.store.database import FILE_NAME, REPAIR, locked_by_another

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

    from kolspider.db.base import Database

__all__ = ["OLD_FILES", "KeepLines", "NotHere", "ProjectCommand", "of_a_file"]


OLD_FILES = (
    "{directory} has files of the old script (progress.json and one JSON file for each KOL), which a run neither reads "
    "nor changes; before the first run, `scrapy cache import {directory}` takes their lists over, at no cost"
)
"""The message when progress.json is in the cache directory."""


class KeepLines(ScrapyHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of examples under -h, and breaks a long line of usage between its parts."""

    def _format_usage(self, *args: Any) -> str:
        parts = re.sub(r"\[[^]]*\]", lambda part: part[0].replace(" ", "\0"), super()._format_usage(*args).strip())
        return fill(parts, 80, subsequent_indent="  ", break_on_hyphens=False).replace("\0", " ") + "\n\n"


class ProjectCommand(ScrapyCommand):
    """A command that needs the settings and the database. Its errors are one line and an exit code."""

    requires_project = True
    requires_crawler_process = False
    default_settings: ClassVar[dict[str, Any]] = {"LOG_ENABLED": False}
    examples: ClassVar[str]

    def long_desc(self) -> str:
        """Shown by -h."""
        return f"{self.short_desc()}.\n{self.examples}"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Keep the lines of the examples, and add --sandbox."""
        super().add_options(parser)
        parser.formatter_class = KeepLines
        parser.add_argument("--sandbox", action="store_true", help="use the data of -a sandbox=1 instead of your own")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Read the settings, then do the command's work."""
        settings = cast("BaseSettings", self.settings)  # scrapy.cmdline has set it
        try:
            unknown = [arg for arg in args if arg.startswith("-")]
            if unknown:
                raise WrongUsage(f"unknown option {unknown[0]}; the command takes {self.syntax()}")
            if opts.sandbox:
                point_at_sandbox(settings)
            config = Config.from_settings(settings)
            database = open_database(
                config.db_url, base=PROJECT_DIR, stream_load=config.stream_load, headers=config.doris_headers
            )
            try:
                check_names(database, config.source_table, config.target_table, config.follows_table)
                with standard_output():
                    self.work(config, database, args, opts)
            finally:
                database.close()
        except UserError as error:
            self.exitcode = print_error(error)
        except MemoryError:
            self.exitcode = print_error(out_of_memory())
        except sqlite3.Error as error:
            if is_damage(error):
                mark_damaged(config.cache_dir / FILE_NAME)
            path = config.cache_dir / FILE_NAME
            reason = locked_by_another(path, error) or f"{path} can't be used: {error}; if it is damaged, {REPAIR}"
            print(f"kolspider: {reason}", file=sys.stderr)
            self.exitcode = 1
        except OSError as error:
            self.exitcode = print_error(of_a_file(error))

    @abstractmethod
    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        """Do the command's work. Raises UserError."""


def of_a_file(error: OSError) -> StopRun:
    """Return the error of a file that nobody has put into words yet. Raises the error itself if it is of no file."""
    if error.filename is None:
        raise error
    return StopRun(f"{error.filename} can't be used: {error.strerror}")


class NotHere(ScrapyCommand):
    """A command of Scrapy's that would send requests outside of a run, which has the cap, the pace and the cache."""

    requires_crawler_process = False

    def short_desc(self) -> str:
        """Shown by `scrapy`."""
        return "Not available in kolspider"

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Refuse, whatever was typed."""
        name = type(self).__module__.rpartition(".")[-1]
        sys.exit(print_error(WrongUsage(f"scrapy {name} is not available in kolspider; use `scrapy crawl followings`")))

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Do nothing: `process_options` refuses."""
