"""Looks into the store beside a run, for the commands that only tell."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from kolspider.errors import StopRun
from kolspider.store.database import connect_to_read, empty_in_memory
from kolspider.store.kols import Kols
from kolspider.store.overview import Overview
from kolspider.store.pages import Pages
from kolspider.store.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kolspider.db.base import Database
    from kolspider.options.config import Config

__all__ = ["Store", "open_store", "open_to_read", "opened", "target_label"]


def target_label(config: Config, database: Database) -> str:
    """What names a target: dialect, host, database and tables, without credentials.

    With the follows table: pages that were loaded without it are loaded again, from the cache, once it is kept.
    """
    follows = f" + {config.follows_table}" if config.follows_table else ""
    return f"{database.label} {config.target_table}{follows}"


@contextmanager
def open_to_read(config: Config, database: Database) -> Iterator[tuple[Kols, Pages]]:
    """The ledger and the pages as they are, seen from this target; both empty when there is no store yet."""
    with opened(config, database) as (connection, target):
        pages = Pages(connection, config.provider.name, target)
        yield Kols(connection, config.provider.name, target, pages), pages


class Store(NamedTuple):
    """All that can be read of a store."""

    kols: Kols
    pages: Pages
    overview: Overview
    runs: Runs


@contextmanager
def open_store(config: Config, database: Database) -> Iterator[Store]:
    """Everything, as it is at one moment: a run beside may go on writing. Empty when there is no store yet."""
    with opened(config, database) as (connection, target):
        name = config.provider.name
        pages = Pages(connection, name, target)
        connection.execute("BEGIN")
        yield Store(
            Kols(connection, name, target, pages),
            pages,
            Overview(connection, name, target),
            Runs(connection, name, target),
        )


@contextmanager
def opened(config: Config, database: Database) -> Iterator[tuple[sqlite3.Connection, int]]:
    """The store's file and the number of the target; an empty store in memory when there is none yet."""
    connection = connect_to_read(config.cache_dir) or empty_in_memory()
    try:
        found = connection.execute(
            "SELECT id FROM target WHERE label = ?", (target_label(config, database),)
        ).fetchone()
        yield connection, found[0] if found else -1
    except sqlite3.Error as error:
        raise StopRun(f"the ledger in {config.cache_dir} can't be read: {error}") from None
    finally:
        connection.close()
