"""`-a test=1`: everything that can be checked without an API call or a write."""

from __future__ import annotations

import os
import time
from operator import attrgetter
from typing import TYPE_CHECKING

from kolspider.alerts.rules import alert_warnings, rules_file, rules_of
from kolspider.console.wording import counted
from kolspider.db.check import check_follows, check_names, check_source, check_target, warnings
from kolspider.errors import StopRun, UserError, WrongUsage
from kolspider.follows.emptied import emptied, empty_tables
from kolspider.items import FollowedUser, Row
from kolspider.load.fitting import Fitter
from kolspider.load.mapping import Mapper
from kolspider.options.proxy import proxy_of
from kolspider.options.secrets import without_password
from kolspider.providers import provider
from kolspider.providers.base import ApiError
from kolspider.run.opening import is_new_beside_rows, read_ledger
from kolspider.run.source import read_source, skipped_rows, source_handles
from kolspider.run.switch import switch
from kolspider.store.ledger import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kolspider.db.base import Column, Database
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config
    from kolspider.providers.base import Provider

__all__ = ["preflight"]

_SAMPLE_USERS = 200
_KOLS_SHOWN = 3


def preflight(arguments: Arguments, config: Config, database: Database) -> int:
    """Print what was checked and what is wrong. Returns the exit code: 1 when something is."""
    checks = _Checks(arguments, config, database)
    # A check of the database needs those before it.
    of_database = (checks.database, checks.source, checks.target, checks.mapping, checks.follows, checks.kols)
    try:
        alone = (checks.settings, checks.cache, checks.alerts)
        passed = [*map(checks.passes, alone), all(map(checks.passes, of_database))]
    finally:
        database.close()
    if faults := passed.count(False):
        print(f"{counted(faults, 'check')} failed: fix that, then run the same command again")
        return 1
    print("all checks passed")
    print("next  scrapy crawl followings -a dry_run=1 -a limit=1   (buys one KOL's list, writes to no table)")
    return 0


class _Checks:
    """Each check yields what it finds, and raises UserError or an error of the database when something is wrong."""

    def __init__(self, arguments: Arguments, config: Config, database: Database) -> None:
        self._arguments = arguments
        self._config = config
        self._database = database
        self._columns: dict[str, Column] = {}
        """The columns of the target."""

    def passes(self, check: Callable[[], Iterator[str]]) -> bool:
        """Print what a check finds. Returns whether it passed."""
        try:
            for text in check():
                print(f"ok    {check.__name__:<9} {text}")
        except UserError as error:
            print(f"FAIL  {check.__name__:<9} {error}")
        except self._database.errors as error:
            print(f"FAIL  {check.__name__:<9} {self._database.explain(error)}")
        else:
            return True
        return False

    def settings(self) -> Iterator[str]:
        config = self._config
        if not config.api_key:
            raise WrongUsage("KOL_API_KEY is not set; put it into .env")
        proxy = proxy_of(config.api_url)
        through = f" through {proxy}" if proxy else ""
        yield f"{config.provider.name} at {config.api_url}{through}, KOL_API_KEY is set"
        if config.key_in_clear:
            yield f"note: {config.key_in_clear}"

    def cache(self) -> Iterator[str]:
        if self._config.shared_url:
            postgres().check(self._config.shared_url)
            with read_ledger(self._config, self._database):
                yield f"{without_password(self._config.shared_url)} (KOL_SHARED_URL)"
            return
        directory = self._config.cache_dir
        there = next(path for path in (directory, *directory.parents) if path.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise StopRun(f"{there} can't be written; fix its permissions, or set KOL_CACHE_DIR to another folder")
        yield str(directory)

    def alerts(self) -> Iterator[str]:
        config = self._config
        if rules := rules_of(config):
            sent = f"to {counted(len(config.notify), 'receiver')}"
            yield f"{rules_file(config).name}: {counted(len(rules), 'rule')}, {sent}"
        yield from (f"note: {warning}" for warning in alert_warnings(rules, config))

    def database(self) -> Iterator[str]:
        config, database = self._config, self._database
        database.connect()
        check_names(database, config.source_table, config.target_table, config.follows_table)
        yield database.label

    def source(self) -> Iterator[str]:
        config = self._config
        check_source(self._database, config.source_table, config.source_column, config.source_where)
        yield self._size(config.source_table, config.source_where)

    def target(self) -> Iterator[str]:
        table = check_target(self._database, self._config.target_table)
        yield self._size(table.name)
        yield from (f"note: {warning}" for warning in warnings(table))
        self._columns = table.columns

    def mapping(self) -> Iterator[str]:
        """Map the API's sample answer, and users as ugly as real profiles are, and fit them to the columns."""
        from kolspider.sandbox import entry  # noqa: PLC0415 - its HTTP server takes a quarter of a second to import

        yield _sample(self._config.provider)
        mapper, fitter = Mapper(), Fitter(self._columns)
        raws, api = [entry(index, 0) for index in range(_SAMPLE_USERS)], provider("twitterapi_io")
        mapped = (mapper.map_user(api.followed_user(raw), raw) for raw in raws)
        rows = fitter.fit([row for row in mapped if isinstance(row, Row)])
        cut = ", ".join(f"{column} in {times} rows" for column, times in fitter.clipped.items())
        yield f"{len(rows)} of {_SAMPLE_USERS} sample users give a row" + (f"; cut to fit: {cut}" if cut else "")

    def follows(self) -> Iterator[str]:
        database, table = self._database, self._config.follows_table
        if table:
            check_follows(database, table)
            yield self._size(table)
            empty = empty_tables(database, table)
            with read_ledger(self._config, database) as ledger:
                if warning := emptied(empty, ledger.kols):
                    yield f"note: {warning}"

    def kols(self) -> Iterator[str]:
        """Find the KOLs that a run would begin with, by the ledger as it is."""
        with read_ledger(self._config, self._database) as ledger:
            selection, limit = ledger.selection, self._arguments.limit or _KOLS_SHOWN
            read_source(selection, source_handles(self._config, self._database), self._config)
            selection.choose_due(now=time.time(), refresh_before=None, retry=(), limit=limit, keep_done=False)
            found = [f"{due.kol.user_name} ({due.why})" for due in selection.due()]
            if found and is_new_beside_rows(self._config, self._database, ledger):
                needs = "ledger (`scrapy cache move`)" if self._config.shared_url else "KOL_CACHE_DIR"
                found.append(f"note: a run needs the {needs} of the runs that filled the table, or -a fresh=1")
            if found and (text := switch(self._config, ledger)):
                found.append(f"note: {text}; that needs -a fresh=1")
        if text := skipped_rows(selection, self._config):
            yield f"note: {text}"
        yield from found or [f"none is due: all KOLs of {self._config.source_table} are done"]

    def _size(self, table: str, where: str = "") -> str:
        chosen = f" where {where}" if where else ""
        return f"{table}: {counted(self._database.count(table, where), 'row')}{chosen}"


def _sample(api: Provider) -> str:
    """Say what is found in the sample answer of an API. Raises WrongUsage if a field of it is not."""
    if not api.sample:
        return f"note: {api.name} has no sample answer, so nobody knows whether its paths find anything"
    page = api.parse(200, api.sample, "")
    if isinstance(page, ApiError):
        raise WrongUsage(f"the sample answer of {api.name} is no page: {page.message}")
    users = [user for raw in page.users if (user := api.followed_user(raw))]
    missing = [
        field for field in api.user_paths if field in FollowedUser._fields and not any(map(attrgetter(field), users))
    ]
    if missing or not users:
        told = ", ".join(f"{field} (at {' or '.join(api.user_paths[field])})" for field in missing)
        raise WrongUsage(f"the sample answer of {api.name} has no {told if users else 'user'}")
    if page.more and page.next_cursor is None:
        raise WrongUsage(f"the sample answer of {api.name} has a next page and no cursor")
    return f"{counted(len(users), 'user')} in the sample answer of {api.name}, with every field"
