"""`scrapy crawl followings`: Scrapy's command with checked arguments, a run around it, and an exit code."""

from __future__ import annotations

import gc
import logging
import resource
import signal
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from scrapy import signals
from scrapy.commands.crawl import Command as CrawlCommand
from scrapy.exceptions import UsageError
from scrapy.settings import default_settings

from kolspider.command import OLD_FILES, KeepLines, of_a_file
from kolspider.console.output import print_error, standard_output
from kolspider.crawl.crawler import RunCrawler
from kolspider.db.check import check_names
from kolspider.db.url import open_database
from kolspider.errors import NotAsked, StopRun, UserError, WrongUsage
from kolspider.files import make_directory, write_atomically
from kolspider.options.arguments import HELP, Arguments, Replay
from kolspider.options.config import PROJECT_DIR, SECRETS, Config, boolean, point_at_sandbox
from kolspider.options.feeds import check_feeds, check_writable, passwords
from kolspider.options.proxy import proxy_of
from kolspider.options.secrets import passwords_of, redact_logs, redacted, without_password
from kolspider.run.balance import ask_after
from kolspider.run.estimate import estimate
from kolspider.run.job import Job, JobFile
from kolspider.run.opening import open_run, target_label
from kolspider.run.preflight import preflight
from kolspider.watch.summary import Summary

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from scrapy.crawler import CrawlerProcessBase
    from scrapy.settings import BaseSettings, Settings

    from kolspider.db.base import Database
    from kolspider.run.run import Run
    from kolspider.sandbox import Sandbox

logger = logging.getLogger(__name__)

_SPIDER = "followings"
_OLD_FLAGS = {
    "--test": "-a test=1",
    "--dry-run": "-a dry_run=1",
    "--limit": "-a limit=50",
    "--api-key": "KOL_API_KEY in .env",
    "--resume": "-a replay=pending",
    "--cache-status": "`scrapy cache status`",
    "--clear-cache": "`scrapy cache clear`",
}
"""The options of the script before kolspider, and what replaces them."""
_SETTINGS_HELP = """\
  -s JOBDIR=jobs/a            a named job: its first run fixes the KOLs, later runs finish them
  -s HTTPCACHE_IGNORE_MISSING=True
                              the same as -a replay=all: load all cached pages, no API call, no key
  -s DOWNLOAD_DELAY=2         seconds between API requests; by default the provider's
  -s KOL_SUMMARY_FILE=s.json  the closing table as JSON"""

_FILES = 128
"""Files open at once, at most: connections, the database, modules that are imported late."""


class Command(CrawlCommand):
    """Finds what is wrong before the reactor starts, and reports it in one line."""

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
        parser.formatter_class = KeepLines
        parser.epilog = f"Arguments of {_SPIDER}:\n{HELP}\n\nSettings worth knowing:\n{_SETTINGS_HELP}"

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check everything that needs no database, before Scrapy logs its first line."""
        try:
            try:
                super().process_options(args, opts)
            except UsageError as error:
                raise WrongUsage(str(error)) from None
            self._check_spider(args)
            settings = self._settings
            if log_file := settings["LOG_FILE"]:
                check_writable(Path(log_file), "LOG_FILE")
                for name in ("LOG_FORMAT", "LOG_DATEFORMAT"):  # a file is read later, and by programs
                    settings.set(name, getattr(default_settings, name), priority="project")
            self._arguments = Arguments.parse(opts.spargs, ignore_missing=boolean(settings, "HTTPCACHE_IGNORE_MISSING"))
            check_feeds(settings, self._arguments.feed)
            if self._arguments.sandbox:
                point_at_sandbox(settings)
            if self._arguments.replay:
                settings.set("HTTPCACHE_IGNORE_MISSING", True, priority="cmdline")
                # No call is made, and to import what makes them takes a seventh of the time in which a run starts.
                none = dict.fromkeys(settings.getdict("DOWNLOAD_HANDLERS"))
                settings.set("DOWNLOAD_HANDLERS", none, priority="cmdline")
            config = Config.from_settings(settings)
            self._config = replace(config, api_key=self._arguments.api_key or config.api_key)
            self._database = open_database(
                config.db_url, base=PROJECT_DIR, stream_load=config.stream_load, headers=config.doris_headers
            )
            check_names(self._database, config.source_table, config.target_table, config.follows_table)
            if config.summary_file:
                check_writable(config.summary_file, "KOL_SUMMARY_FILE", makes_folder=True)
            self._check_api()
            self._check_job()
            # Scrapy's own JOBDIR files survive only a clean stop (scrapy/scrapy#7978), so Scrapy must not see JOBDIR.
            settings.set("JOBDIR", None, priority="cmdline")
            # Without it, every run would buy every page again.
            settings.set("HTTPCACHE_ENABLED", True, priority="cmdline")
        except UserError as error:
            _refuse(error)
        except OSError as error:
            _refuse(of_a_file(error))
        config = self._config
        self._secrets = (config.api_key, *self._database.secrets, *config.notify, *passwords(settings))
        self._secrets += passwords_of(config.shared_url)
        self._typed = ["scrapy", "crawl", _SPIDER, *_typed(opts, self._secrets)]
        opts.spargs = {}

    def _check_job(self) -> None:
        if not self._config.shared_url:
            if self._config.jobdir:
                Job.load(JobFile(self._config.jobdir), self._arguments.of_job())
        elif self._settings.getdict("FEEDS") and self._arguments.replay is not Replay.ALL:
            raise WrongUsage(
                "with KOL_SHARED_URL the pages of a run are loaded by several workers, so no feed (-o) has all of "
                "them; -a replay=all -o FILE by one worker writes it afterwards, without a call"
            )

    def _check_api(self) -> None:
        if self._arguments.needs_no_key:
            return
        if not self._config.api_key:
            raise WrongUsage("KOL_API_KEY is not set; put it into .env, or try -a sandbox=1, which needs no key")
        if not self._arguments.sandbox:
            proxy_of(self._config.api_url)  # refuses one that can't be used

    @property
    def _settings(self) -> BaseSettings:
        return cast("BaseSettings", self.settings)  # scrapy.cmdline sets it before anything is called

    def _check_spider(self, args: list[str]) -> None:
        options = [arg for arg in args if arg.startswith("-")]
        if options:
            name = options[0].split("=")[0]
            hint = f"{name} is now {_OLD_FLAGS[name]}; " if name in _OLD_FLAGS else f"unknown option {name}; "
            raise WrongUsage(f"{hint}see `scrapy crawl -h`")
        if args != [_SPIDER]:
            hints = [f"-a {arg}" for arg in args[1:] if "=" in arg]
            hint = f"; did you mean {' '.join(hints)}?" if hints else ""
            raise WrongUsage(f"the only spider is {_SPIDER}: scrapy crawl {_SPIDER}{hint}")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Run the crawl, the checks of test=1, or the estimate."""
        redact_logs(*self._secrets)
        if self._settings["LOG_LEVEL"] != "DEBUG":
            _quiet_scrapy()
        try:
            if self._arguments.test:
                with standard_output():
                    self.exitcode = preflight(self._arguments, self._config, self._database)
            elif self._arguments.estimate:
                with standard_output():
                    estimate(self._arguments, self._config, self._database, self._typed)
            else:
                self._crawl()
        except UserError as error:
            _refuse(error)
        except OSError as error:
            _refuse(of_a_file(error))
        except KeyboardInterrupt:  # the reactor, which handles it, does not run yet
            print("kolspider: interrupted before the first API call; nothing was bought", file=sys.stderr)
            self.exitcode = 130

    def _crawl(self) -> None:
        _allow_files()
        week, config = self._arguments.sandbox, self._config
        with _sandbox(config.api_key, week) if week else nullcontext() as sandbox:
            if sandbox:
                config = replace(config, api_url=sandbox.url)
                _make_sample_tables(config, self._database)
            with open_run(self._arguments, config, self._database, self._typed) as run:
                if config.key_in_clear and not self._arguments.needs_no_key:
                    logger.warning(config.key_in_clear)
                if (config.cache_dir / "progress.json").exists():
                    logger.warning(OLD_FILES.format(directory=config.cache_dir))
                self.exitcode = self._crawl_with(run)

    def _crawl_with(self, run: Run) -> int:
        if not run.arguments.replay:
            # Its import looks up the source of every function on the stack, three times (scrapy/utils/deprecate.py).
            # Here these are a third as many as below the reactor, where Scrapy would import it.
            import scrapy.core.downloader.contextfactory  # noqa: F401, PLC0415 - as above
        process = cast("CrawlerProcessBase", self.crawler_process)  # scrapy.cmdline has made it
        spider = process.spider_loader.load(_SPIDER)  # a team's own, if SPIDER_MODULES has one of that name
        crawler = RunCrawler(spider, cast("Settings", self._settings), init_reactor=True)
        crawler.signals.connect(self._warn_if_feeds_unused, signal=signals.engine_started)
        crawler.signals.connect(_heed_hangup, signal=signals.engine_started)
        crawler.stop_with(run.stop)
        process.crawl(crawler, run=run)
        gc.freeze()  # nothing of what the start made is garbage, so nobody has to look for it there again and again
        process.start()
        if process.bootstrap_failed:
            return 1
        run.bill.close()
        with suppress(NotAsked), run.store.guard():
            run.ledger.note_found_rate(run.pace.found)
        target, stats = target_label(run.config, self._database), crawler.stats.get_stats()
        if run.tally.calls and stats.get("finish_reason"):  # not after a second Ctrl-C, which is in a hurry
            ask_after(run.statement, run.config)
        summary = Summary(self._typed, run.arguments, target, run.statement, run.ledger, run.tally, run.stop, stats)
        run.history.end(summary)
        feeds_stdout = any(str(feed).startswith(("stdout:", "-")) for feed in crawler.settings.getdict("FEEDS"))
        exit_code = summary.exit_code
        try:
            with standard_output():
                print("\n".join(summary.lines()), file=sys.stderr if feeds_stdout else sys.stdout)
        except UserError as error:
            exit_code = exit_code or print_error(error)  # the exit code of the run comes first
        self._write_summary(run.config.summary_file, summary)
        return exit_code

    def _write_summary(self, path: Path | None, summary: Summary) -> None:
        if path is None:
            return
        try:
            write_atomically(path, summary.as_json())
        except OSError as error:
            raise StopRun(f"KOL_SUMMARY_FILE {path} can't be written: {error.strerror}; the run is done") from None


def _heed_hangup() -> None:
    """Take the end of the terminal for a SIGTERM, with which the run ends in order; `nohup` has it ignored."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))


def _allow_files() -> None:
    """Raise the limit of open files if it is too low, so the run can't reach it halfway. Raises StopRun."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        if most < _FILES:
            raise StopRun(f"this process may open {most} files at once and needs {_FILES}: raise `ulimit -n`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, hard))


def _quiet_scrapy() -> None:
    """Silence the lists of middlewares and settings that Scrapy logs first."""
    for name in ("scrapy.addons", "scrapy.middleware"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("scrapy.crawler").addFilter(lambda record: not str(record.msg).startswith("Overridden settings"))


def _typed(opts: argparse.Namespace, secrets: tuple[str, ...]) -> Iterator[str]:
    """Yield the arguments and settings as typed, without secrets; of KOL_DB_URL only the password is left out."""
    for name, value in opts.spargs.items():
        if name != "api_key":
            yield from ("-a", f"{name}={value}")
    for setting in opts.set:
        name = setting.partition("=")[0]
        if name in {"KOL_DB_URL", "KOL_SHARED_URL"} or name not in SECRETS:
            yield from ("-s", redacted(without_password(setting), secrets))


def _sandbox(key: str, week: int) -> Sandbox:
    from kolspider.sandbox import Sandbox  # noqa: PLC0415 - its HTTP server takes a quarter of a second to import

    sandbox = Sandbox(key=key, people="plausible")
    sandbox.let_weeks_pass(week - 1)
    return sandbox


def _make_sample_tables(config: Config, database: Database) -> None:
    from kolspider.sandbox import SAMPLE_KOLS  # noqa: PLC0415 - as above

    with database.explained_errors():
        make_directory(config.cache_dir)
        database.create_tables(config.source_table, config.target_table, config.follows_table)
        database.insert_handles(config.source_table, list(SAMPLE_KOLS))


def _refuse(error: UserError) -> NoReturn:
    sys.exit(print_error(error))
