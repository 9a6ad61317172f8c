"""`scrapy crawl followings`: Scrapy's command with checked arguments, a run around it, and an exit code."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from scrapy.commands import ScrapyHelpFormatter
from scrapy.commands.crawl import Command as CrawlCommand
from scrapy.exceptions import UsageError

from kolspider.arguments import HELP, Arguments
from kolspider.config import PROJECT_DIR, Config
from kolspider.db import open_database
from kolspider.errors import StopRun, UserError, WrongUsage
from kolspider.exporters import FORMATS
from kolspider.preflight import preflight
from kolspider.redaction import redact_logs
from kolspider.run import Run
from kolspider.sandbox import SAMPLE_KOLS, Sandbox
from kolspider.summary import Summary

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

    from kolspider.db import Database

_SPIDER = "followings"


class Command(CrawlCommand):
    """Everything that can be wrong is found before the reactor starts, and told in one line."""

    def syntax(self) -> str:
        """Shown by -h."""
        return f"{_SPIDER} [-a NAME=VALUE ...] [-s SETTING=VALUE ...]"

    def short_desc(self) -> str:
        """Shown by `scrapy`."""
        return "Fetch the followings of the KOLs that are not done yet, and upsert them"

    def long_desc(self) -> str:
        """Shown by -h."""
        return self.short_desc()

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """List the spider's arguments under -h."""
        super().add_options(parser)
        parser.formatter_class = _KeepLines
        parser.epilog = f"Arguments of {_SPIDER}:\n{HELP}"

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check everything that needs no database, before Scrapy logs its first line."""
        try:
            try:
                super().process_options(args, opts)
            except UsageError as error:
                raise WrongUsage(str(error)) from None
            self._check_spider(args)
            self._check_feeds()
            settings = self.settings
            assert settings is not None  # noqa: S101 - set by scrapy.cmdline before this is called
            self._arguments = Arguments.parse(opts.spargs, ignore_missing=settings.getbool("HTTPCACHE_IGNORE_MISSING"))
            if self._arguments.sandbox:
                _point_at_sandbox(settings)
            if self._arguments.replay:
                settings.set("HTTPCACHE_IGNORE_MISSING", True, priority="cmdline")
            config = Config.from_settings(settings)
            self._config = replace(config, api_key=self._arguments.api_key or config.api_key)
            self._database = open_database(self._config.db_url, base=PROJECT_DIR)
            if not (self._config.api_key or self._arguments.replay or self._arguments.test):
                raise WrongUsage("KOL_API_KEY is not set; put it into .env, or try -a sandbox=1, which needs none")
            # Scrapy's own JOBDIR files survive only a clean stop (scrapy/scrapy#7978): no part of it gets to see one.
            settings.set("JOBDIR", None, priority="cmdline")
        except UserError as error:
            _refuse(error)
        opts.spargs = {}

    def _check_spider(self, args: list[str]) -> None:
        options = [arg for arg in args if arg.startswith("-")]
        if options:
            raise WrongUsage(f"unknown option {options[0].split('=')[0]}; see `scrapy crawl -h`")
        if args != [_SPIDER]:
            raise WrongUsage(f"the spider is called {_SPIDER}: scrapy crawl {_SPIDER}")

    def _check_feeds(self) -> None:
        assert self.settings is not None  # noqa: S101
        for feed in self.settings.getdict("FEEDS").values():
            if feed.get("format") not in FORMATS:
                raise WrongUsage(f"feeds can be jsonl, json or csv, not {feed.get('format')}")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the crawl, or the checks of test=1."""
        redact_logs(self._config.api_key, *self._database.secrets)
        try:
            if self._arguments.test:
                self.exitcode = preflight(self._arguments, self._config, self._database)
            else:
                self._crawl()
        except UserError as error:
            _refuse(error)

    def _crawl(self) -> None:
        with Sandbox(key=self._config.api_key) if self._arguments.sandbox else nullcontext() as sandbox:
            config = self._config
            if sandbox:
                config = replace(config, api_url=sandbox.url)
                _make_sample_tables(config, self._database)
            run = Run(self._arguments, config, self._database)
            try:
                self.exitcode = self._crawl_with(run)
            finally:
                run.close()

    def _crawl_with(self, run: Run) -> int:
        process = self.crawler_process
        assert process is not None  # noqa: S101 - made by scrapy.cmdline
        crawler = self._create_crawler(_SPIDER)
        process.crawl(crawler, run=run)
        process.start()
        if process.bootstrap_failed:
            return 1
        summary = Summary.of(run, crawler.stats.get_stats())
        print("\n".join(summary.lines()))
        return summary.exit_code


def _point_at_sandbox(settings: BaseSettings) -> None:
    """Nothing of the user's is touched: cache, ledger and database are in a folder of their own."""
    folder = PROJECT_DIR / Path(str(settings["KOL_CACHE_DIR"])).expanduser() / "sandbox"
    for name, value in {
        "KOL_CACHE_DIR": str(folder),
        "KOL_DB_URL": f"sqlite:///{folder / 'sandbox.db'}",
        "KOL_SOURCE_TABLE": "twitter_kol",
        "KOL_TARGET_TABLE": "twitter_kol_all",
        "KOL_API_PROVIDER": "twitterapi_io",
        "KOL_API_URL": "",
        "KOL_API_KEY": "sandbox-key",
    }.items():
        settings.set(name, value, priority="cmdline")


def _make_sample_tables(config: Config, database: Database) -> None:
    config.cache_dir.mkdir(parents=True, exist_ok=True)
    try:
        database.create_tables(config.source_table, config.target_table)
        database.insert_handles(config.source_table, list(SAMPLE_KOLS))
    except database.errors as error:
        raise StopRun(database.explain(error)) from None


class _KeepLines(ScrapyHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The list of arguments keeps its lines."""


def _refuse(error: UserError) -> NoReturn:
    print(f"kolspider: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
