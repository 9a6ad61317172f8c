"""`-a test=1`: everything that can be checked without an API call or a write."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from kolspider.db.check import check_follows, check_source, check_target, warnings
from kolspider.errors import StopRun, UserError
from kolspider.follows.emptied import emptied, empty_tables
from kolspider.items import Row
from kolspider.load.fitting import Fitter
from kolspider.load.mapping import Mapper
from kolspider.run.opening import read_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from kolspider.db.base import Database, Table
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config

__all__ = ["preflight"]

_SAMPLE_USERS = 200
_KOLS_SHOWN = 3


def preflight(arguments: Arguments, config: Config, database: Database) -> int:
    """Print what was checked and what is wrong. Returns the exit code: 1 when something is."""
    faults = 0
    what = "database"
    table: Table | None = None
    key = "set" if config.api_key else "NOT SET: put KOL_API_KEY into .env"
    faults += not config.api_key
    _say(bool(config.api_key), "settings", f"{config.provider.name} at {config.api_url}, KOL_API_KEY {key}")
    faults += _check_cache(config.cache_dir)
    try:
        try:
            database.connect()
            _say(True, "database", database.label)
            what = "source"
            source = check_source(database, config.source_table)
            _say(True, "source", f"{source.name}: {database.count(source.name):,} rows")
            what = "target"
            table = check_target(database, config.target_table)
            _say(True, "target", f"{table.name}: {database.count(table.name):,} rows")
            for warning in warnings(table):
                _say(True, "note", warning)
            _say(True, "mapping", _map_samples(config, table))
            if config.follows_table:
                what = "follows"
                check_follows(database, config.follows_table)
                _say(True, "follows", f"{config.follows_table}: {database.count(config.follows_table):,} rows")
                empty = empty_tables(database, config.follows_table)
                what = "cache"
                with read_ledger(config, database) as ledger:
                    if warning := emptied(empty, ledger.kols, ledger.pages):
                        _say(True, "note", warning)
            what = "next"
            for line in _next_kols(arguments, config, database):
                _say(True, "next", line)
        except database.errors as error:
            raise StopRun(database.explain(error)) from None
        finally:
            database.close()
    except UserError as error:
        faults += 1
        _say(False, what, str(error))
    print("all is well: try -a dry_run=1 -a limit=1 next" if not faults else f"{faults} to mend")
    return 1 if faults else 0


def _say(good: bool, what: str, text: str) -> None:
    print(f"{'ok  ' if good else 'FAIL'}  {what:<9} {text}")


def _check_cache(directory: Path) -> bool:
    """Whether a run would find no room for its pages."""
    there = next(path for path in (directory, *directory.parents) if path.exists())
    good = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    _say(good, "cache", str(directory) + ("" if good else f": {there} can't be written (KOL_CACHE_DIR)"))
    return not good


def _map_samples(config: Config, table: Table) -> str:
    """Map users as ugly as real profiles are, and fit them to the columns."""
    from kolspider.sandbox import entry  # noqa: PLC0415 - its HTTP server takes a quarter of a second to import

    mapper, fitter = Mapper(), Fitter(table.columns)
    rows = 0
    for index in range(_SAMPLE_USERS):
        raw = entry(index, 0)
        row = mapper.map_user(config.provider.followed_user(raw), raw)
        if isinstance(row, Row):
            fitter.fit(row)
            rows += 1
    clipped = ", ".join(f"{column} in {times} rows" for column, times in fitter.clipped.items())
    return f"{rows} of {_SAMPLE_USERS} sample users give a row" + (f"; clipped: {clipped}" if clipped else "")


def _next_kols(arguments: Arguments, config: Config, database: Database) -> list[str]:
    """The KOLs that a run would begin with, by the ledger as it is."""
    with read_ledger(config, database) as ledger:
        selection = ledger.selection
        selection.read(database.handles(config.source_table))
        limit = arguments.limit or _KOLS_SHOWN
        selection.choose_due(now=time.time(), refresh=None, retry=(), limit=limit, keep_done=False)
        lines = [f"{due.kol.user_name} ({due.why})" for due in selection.due()]
    return lines or [f"no KOL is due: all of {config.source_table} are done, or it names none"]
