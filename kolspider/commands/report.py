"""`scrapy report`: everything that the store knows, on one HTML page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from kolspider.command import ProjectCommand
from kolspider.errors import StopRun, WrongUsage
from kolspider.files import write_atomically
from kolspider.report.facts import Facts
from kolspider.report.page import page
from kolspider.store.reading import open_store, target_label

if TYPE_CHECKING:
    import argparse

    from kolspider.config import Config
    from kolspider.db import Database


class Command(ProjectCommand):
    """Reads beside a run; asks neither the API nor the database."""

    examples = """
  scrapy report                     report.html in this folder: runs, states, spend, pace, failures, cache, rejects
  scrapy report -o /srv/www/kol.html
"""

    def syntax(self) -> str:
        return "[-o report.html]"

    def short_desc(self) -> str:
        return "Write one HTML page about all runs: states, spend, pace, failures, cache, rejects"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("-o", "--output", metavar="FILE", default="report.html", help="default: report.html")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise WrongUsage(f"scrapy report takes {self.syntax()}")
        path = Path(opts.output)
        if path.is_dir() or not opts.output:
            raise WrongUsage(f"-o {opts.output} is a folder; name a file")
        with open_store(config, database) as store:
            facts = Facts.gather(store, config, target_label(config, database), time.time())
        try:
            write_atomically(path, page(facts))
        except OSError as error:
            raise StopRun(f"{path} can't be written: {error.strerror}") from None
        print(path.absolute())
