"""Looks into the store beside a run, for the commands that only tell."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kolspider.errors import StopRun
from kolspider.store.database import connect_to_read, empty_in_memory
from kolspider.store.kols import Kols
from kolspider.store.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kolspider.config import Config
    from kolspider.db import Database

__all__ = ["open_to_read", "target_label"]


def target_label(config: Config, database: Database) -> str:
    """What names a target: dialect, host, database and table, without credentials."""
    return f"{database.label} {config.target_table}"


@contextmanager
def open_to_read(config: Config, database: Database) -> Iterator[tuple[Kols, Pages]]:
    """The ledger and the pages as they are, seen from this target; both empty when there is no store yet."""
    connection = connect_to_read(config.cache_dir) or empty_in_memory()
    try:
        found = connection.execute(
            "SELECT id FROM target WHERE label = ?", (target_label(config, database),)
        ).fetchone()
        target = found[0] if found else -1
        pages = Pages(connection, config.provider.name, target)
        yield Kols(connection, config.provider.name, target, pages), pages
    except sqlite3.Error as error:
        raise StopRun(f"the ledger in {config.cache_dir} can't be read: {error}") from None
    finally:
        connection.close()
