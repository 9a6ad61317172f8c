"""`scrapy cache`: shows what was paid for, deletes it on request, and takes over the old script's cache."""

from __future__ import annotations

import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kolspider.command import OLD_FILES, ProjectCommand, handle_of
from kolspider.console.columns import plain
from kolspider.console.wording import counted, moment, size
from kolspider.errors import StopRun, WrongUsage
from kolspider.items import State
from kolspider.providers.twitterapi_io import TwitterApiIo
from kolspider.run.old_cache import import_old_cache
from kolspider.run.opening import read_ledger, target_label
from kolspider.store.database import FILE_NAME
from kolspider.store.ledger import Ledger
from kolspider.store.lock import DirectoryLock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from kolspider.db.base import Database
    from kolspider.options.config import Config
    from kolspider.store.pages import PageRecord


class Command(ProjectCommand):
    """status and show are safe during a run; prune, clear and import need its lock."""

    examples = """
  scrapy cache status                  directory, pages, size, KOLs loaded, pages not in the table yet
  scrapy cache show BTC                the pages of one KOL
  scrapy cache prune                   delete the pages of KOLs that are loaded
  scrapy cache clear                   delete all pages and the progress; asks first
  scrapy cache clear --keep-progress   delete only pages: finished KOLs stay finished
  scrapy cache import old/.kol_cache   take over the lists and the progress of the script before kolspider
"""

    def syntax(self) -> str:
        return "status | show KOL | prune | clear [--keep-progress] [--yes] | import DIR"

    def short_desc(self) -> str:
        return "Show the response cache, or delete from it"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--keep-progress", action="store_true", help="clear: delete only pages")
        parser.add_argument("--yes", action="store_true", help="clear: do not ask")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        if args != ["clear"] and (opts.yes or opts.keep_progress):
            raise WrongUsage("--yes and --keep-progress only go with `scrapy cache clear`")
        match args:
            case ["status"]:
                _status(config, database)
            case ["show", name]:
                _show(config, database, name)
            case ["prune"]:
                _prune(config, database)
            case ["import", directory]:
                _import(config, database, Path(directory))
            case ["clear"]:
                _clear(config, database, keep_progress=opts.keep_progress, yes=opts.yes)
            case _:
                raise WrongUsage(f"the command is scrapy cache {self.syntax()}")


def _status(config: Config, database: Database) -> None:
    directory = config.cache_dir
    with read_ledger(config, database) as ledger:
        count, states, (rows, kols) = ledger.pages.count(), ledger.kols.states(), ledger.refusals.count()
    loaded = states.pop(State.COMPLETE, 0)
    print(f"directory     {directory}")
    print(f"pages         {count.pages:,} of {counted(count.kols, 'KOL')}, {count.users:,} users")
    print(f"size          {size(_bytes_on_disk(directory))} on disk, of which {size(count.size)} are pages")
    print(f"KOLs loaded   {loaded:,} into {target_label(config, database)}")
    if states:
        print(f"other KOLs    {', '.join(f'{states[state]:,} {state}' for state in State if state in states)}")
    if count.waiting:
        print(
            f"waiting       {counted(count.waiting, 'page')} of {counted(count.waiting_kols, 'KOL')} not in the table"
        )
        print("next          scrapy crawl followings -a replay=pending   (loads them, no API call)")
    elif not rows:
        print("waiting       none: every page is in the table")
    if rows:
        print(f"refused       {counted(rows, 'row')} of {counted(kols, 'KOL')} by the database")
        print("next          scrapy crawl followings -a replay=pending   (after the table is changed; no API call)")
    if (directory / "progress.json").exists():
        print(f"note          {OLD_FILES.format(directory=directory)}")


def _show(config: Config, database: Database, name: str) -> None:
    handle = handle_of(name)
    with read_ledger(config, database) as ledger:
        kol, found = ledger.kols.find(handle), ledger.pages.of_kol(handle)
    if kol is None and not found:
        raise StopRun(f"KOL {name}: not begun yet; `scrapy crawl followings -a kols={handle}` begins it")
    if kol is not None:
        print(f"{kol.user_name}: {kol.state}{f', {plain(kol.reason)}' if kol.reason else ''}")
    print(f"{'page':>5} {'gen.':>5} {'users':>6} {'bytes':>9}  {'fetched (UTC)':<19}  in table  cursor")
    for page in found:
        print(
            f"{page.number:>5} {page.generation:>5} {page.users:>6} {page.size:>9,}  {moment(page.fetched_at):<19}  "
            f"{_in_table(page):<8}  {plain(page.cursor) or '(first page)'}"
        )


def _in_table(page: PageRecord) -> str:
    """Say whether a page is in the table, or how many of its rows are not because the database refuses them."""
    return "no" if not page.loaded else f"but {page.refused:,}" if page.refused else "yes"


@contextmanager
def _ledger(config: Config, database: Database) -> Iterator[Ledger]:
    """Open the ledger for changes; no run can begin in the meantime."""
    label = target_label(config, database)
    with (
        DirectoryLock(config.cache_dir),
        closing(Ledger.open(config.cache_dir, config.provider, label)) as ledger,
    ):
        yield ledger


def _prune(config: Config, database: Database) -> None:
    with _ledger(config, database) as ledger:
        before = _bytes_on_disk(config.cache_dir)
        deleted = ledger.prune()
        freed = max(before - _bytes_on_disk(config.cache_dir), 0)
    print(f"{deleted:,} pages of loaded KOLs deleted, {size(freed)} freed")


def _import(config: Config, database: Database, directory: Path) -> None:
    if config.provider.name != TwitterApiIo.name:
        raise WrongUsage(f"the old script's lists are those of KOL_API_PROVIDER={TwitterApiIo.name}")
    with _ledger(config, database) as ledger:
        found = import_old_cache(ledger, directory)
    print(f"{counted(found.lists, 'list')} with {counted(found.users, 'user')} imported")
    print(f"{counted(found.done, 'KOL')} of progress.json taken as loaded into {target_label(config, database)}")
    if found.known:
        print(f"{counted(found.known, 'list')} left out: they are here already")
    if found.empty:
        print(f"{counted(found.empty, 'list')} left out: without a user, so the next run asks for them")
    if found.lists:
        print("next  scrapy crawl followings -a replay=pending   (loads them, no API call)")


def _clear(config: Config, database: Database, *, keep_progress: bool, yes: bool) -> None:
    provider = config.provider
    with _ledger(config, database) as ledger:
        count, sizes = ledger.pages.count(), ledger.pages.sizes()
        dollars = sum(n * provider.price(users) for users, n in sizes) * config.credit_usd
        kols = sum(ledger.kols.states().values())
        progress = "" if keep_progress else f" and the progress of {counted(kols, 'KOL')}"
        bought = f"{counted(count.pages, 'page')} with {counted(count.users, 'user')} (bought for about ${dollars:.2f})"
        print(f"This deletes {bought}{progress}.")
        if count.waiting:
            print(f"{count.waiting:,} of these pages are not in the table yet.")
        if not yes and not _confirmed():
            print("Nothing deleted.")
            return
        ledger.clear(keep_progress=keep_progress)
    print("Pages deleted, progress kept." if keep_progress else "Pages and progress deleted.")


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise WrongUsage("there is no terminal to ask on; add --yes to delete without asking")
    try:
        return input("Go on? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _bytes_on_disk(directory: Path) -> int:
    files = (directory / f"{FILE_NAME}{suffix}" for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
