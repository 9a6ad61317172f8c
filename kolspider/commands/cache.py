"""`scrapy cache`: shows what was paid for, copies or deletes it on request, and takes over the old script's cache."""

from __future__ import annotations

import sys
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from kolspider.command import OLD_FILES, ProjectCommand
from kolspider.console.columns import plain
from kolspider.console.wording import counted, moment, size
from kolspider.errors import StopRun, WrongUsage
from kolspider.fleet.overview import workers
from kolspider.items import State
from kolspider.options.arguments import handle_of
from kolspider.options.secrets import without_password
from kolspider.run.old_cache import OF_PROVIDER, import_old_cache
from kolspider.run.opening import read_ledger, target_label
from kolspider.store.backup import back_up
from kolspider.store.database import FILE_NAME
from kolspider.store.ledger import Ledger
from kolspider.store.lock import DirectoryLock
from kolspider.store.move import move_into_directory, move_to_server

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from kolspider.db.base import Database
    from kolspider.options.config import Config
    from kolspider.store.pages import PageRecord


class Command(ProjectCommand):
    """status, show and backup are safe during a run; prune, clear, import and move need its lock."""

    examples = """
  scrapy cache status                  directory, pages, size, KOLs loaded, pages not in the table yet
  scrapy cache show BTC                the pages of one KOL
  scrapy cache backup /mnt/kol.sqlite3 copy pages and progress into one file, also during a run
  scrapy cache prune                   delete the pages of KOLs that are loaded; asks first
  scrapy cache clear                   delete all pages and the progress; asks first
  scrapy cache clear --keep-progress   delete only pages: finished KOLs stay finished
  scrapy cache move --to postgresql://kol:pass@host/db
                                       move all of it into PostgreSQL, for several machines; or back, from
                                       KOL_SHARED_URL into a directory
  scrapy cache import old/.kol_cache   take over the lists and the progress of the script before kolspider
"""

    def syntax(self) -> str:
        return (
            "status | show KOL | backup FILE [--yes] | prune [--yes] | clear [--keep-progress] [--yes] | "
            "move --to URL|DIR | import DIR"
        )

    def short_desc(self) -> str:
        return "Show the response cache, copy it, or delete from it"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--keep-progress", action="store_true", help="clear: delete only pages")
        parser.add_argument("--yes", action="store_true", help="prune, clear: do not ask; backup: replace the file")
        parser.add_argument("--to", metavar="URL|DIR", help="move: where to, PostgreSQL or a directory")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        _check_options(args, opts)
        match args:
            case ["status"]:
                _status(config, database)
            case ["show", name]:
                _show(config, database, name)
            case ["backup", file]:
                _back_up(config, Path(file), replace=opts.yes)
            case ["prune"]:
                _prune(config, database, yes=opts.yes)
            case ["move"]:
                _move(config, opts.to)
            case ["import", directory]:
                _import(config, database, Path(directory))
            case ["clear"]:
                _clear(config, database, keep_progress=opts.keep_progress, yes=opts.yes)
            case _:
                raise WrongUsage(f"the command is scrapy cache {self.syntax()}")


def _check_options(args: list[str], opts: argparse.Namespace) -> None:
    if opts.keep_progress and args != ["clear"]:
        raise WrongUsage("--keep-progress only goes with `scrapy cache clear`")
    if opts.yes and args[:1] not in (["backup"], ["prune"], ["clear"]):
        raise WrongUsage("--yes only goes with `scrapy cache backup`, `prune` and `clear`")
    if bool(opts.to) != (args == ["move"]):
        raise WrongUsage("--to goes with `scrapy cache move`, which needs it")


def _status(config: Config, database: Database) -> None:
    directory = config.cache_dir
    with read_ledger(config, database) as ledger:
        count, states, (rows, kols) = ledger.pages.count(), ledger.kols.states(), ledger.refusals.count()
        at_work = workers(ledger.connection) if ledger.shared else []
    loaded = states.pop(State.COMPLETE, 0)
    print(f"ledger        {without_password(config.shared_url)}" if config.shared_url else f"directory     {directory}")
    print(f"pages         {count.pages:,} of {counted(count.kols, 'KOL')}, {count.users:,} users")
    on_disk = "" if config.shared_url else f"{size(_bytes_on_disk(directory))} on disk, of which "
    print(f"size          {on_disk}{size(count.size)} {'are' if on_disk else 'of'} pages")
    print(f"KOLs loaded   {loaded:,} into {target_label(config, database)}")
    if states:
        print(f"other KOLs    {', '.join(f'{states[state]:,} {state}' for state in State if state in states)}")
    if count.waiting:
        print(
            f"waiting       {counted(count.waiting, 'page')} of {counted(count.waiting_kols, 'KOL')} not in the table"
        )
        if all(one.is_silent for one in at_work):
            print("next          scrapy crawl followings -a replay=pending   (loads them, no API call)")
    elif not rows:
        print("waiting       none: every page is in the table")
    if rows:
        print(f"refused       {counted(rows, 'row')} of {counted(kols, 'KOL')} by the database")
        print("next          scrapy crawl followings -a replay=pending   (after the table is changed; no API call)")
    for one in at_work:
        loads = ", loads" if one.loads else ""
        seen = f"{one.seen:.0f} s ago" + ("; silent: others take over" if one.is_silent else "")
        print(f"worker        {one.name}: {counted(one.lists, 'list')} in work{loads}, seen {seen}")
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
    if not found:
        print("no page of this list is in the cache")
        return
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
    label, url = target_label(config, database), config.shared_url
    with (
        nullcontext() if url else DirectoryLock(config.cache_dir),
        closing(Ledger.open(config.cache_dir, config.provider, label, shared_url=url)) as ledger,
    ):
        busy = [one.name for one in workers(ledger.connection) if not one.is_silent] if ledger.shared else []
        if busy:
            raise WrongUsage(f"a run is going on on the shared ledger ({', '.join(busy)}); wait for it")
        yield ledger


def _back_up(config: Config, file: Path, *, replace: bool) -> None:
    if config.shared_url:
        raise WrongUsage("the ledger is in PostgreSQL (KOL_SHARED_URL): copy it with pg_dump, also during a run")
    back_up(config.cache_dir, file, replace=replace)
    print(f"{file.absolute()}: {size(file.stat().st_size)}, the whole store as it was when the copy began")


def _move(config: Config, to: str) -> None:
    if to.startswith(("postgresql://", "postgres://")):
        moved = move_to_server(config.cache_dir, to)
        after = "set KOL_SHARED_URL to it on every machine; rejects.jsonl stays here, new ones go into its table reject"
    elif config.shared_url:
        moved = move_into_directory(config.shared_url, Path(to).absolute())
        after = f"take KOL_SHARED_URL out of the settings, and set KOL_CACHE_DIR={to}"
    else:
        raise WrongUsage("--to a directory moves the ledger from KOL_SHARED_URL, which is not set")
    print(f"{counted(moved.kols, 'KOL')} and {counted(moved.pages, 'page')} moved, with all that is known of them")
    print(f"aside the old ledger is now {moved.aside}; delete it when the new one works")
    print(f"next  {after}")


def _prune(config: Config, database: Database, *, yes: bool) -> None:
    with _ledger(config, database) as ledger:
        kols, sizes = ledger.pages.count_loaded()
        if not kols:
            print("Nothing to delete: no KOL that is loaded has pages in the cache.")
            return
        print(f"This deletes {_bought(config, sizes)}.")
        print(f"Their rows are in {target_label(config, database)}, all of {counted(kols, 'KOL')}.")
        print("Rows and progress stay. To fill a feed, another table or KOL_FOLLOWS_TABLE, they are bought again.")
        if not yes and not _confirmed():
            print("Nothing deleted.")
            return
        before = _bytes_on_disk(config.cache_dir)
        deleted = ledger.prune()
        freed = max(before - _bytes_on_disk(config.cache_dir), 0)
    print(f"{deleted:,} pages of loaded KOLs deleted, {size(freed)} freed")


def _import(config: Config, database: Database, directory: Path) -> None:
    if config.provider.family != OF_PROVIDER:
        raise WrongUsage(f"the old script's lists are those of KOL_API_PROVIDER={OF_PROVIDER}")
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
    with _ledger(config, database) as ledger:
        count, sizes = ledger.pages.count(), ledger.pages.sizes()
        kols = sum(ledger.kols.states().values())
        if not count.pages and (keep_progress or not kols):
            print(f"Nothing to delete: no page is in the cache{'' if keep_progress else ', and no KOL was begun'}.")
            return
        progress = "" if keep_progress else f" and the progress of {counted(kols, 'KOL')}"
        print(f"This deletes {_bought(config, sizes)}{progress}.")
        if count.waiting:
            print(f"{count.waiting:,} of these pages are not in the table yet.")
        if not yes and not _confirmed():
            print("Nothing deleted.")
            return
        ledger.clear(keep_progress=keep_progress)
    print("Pages deleted, progress kept." if keep_progress else "Pages and progress deleted.")


def _bought(config: Config, sizes: list[tuple[int, int]]) -> str:
    """Name pages, by (users, pages), and what they cost."""
    provider = config.provider
    dollars = sum(n * provider.price(users) for users, n in sizes) * config.credit_usd
    pages, users = sum(n for _, n in sizes), sum(users * n for users, n in sizes)
    return f"{counted(pages, 'page')} with {counted(users, 'user')} (bought for about ${dollars:.2f})"


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
