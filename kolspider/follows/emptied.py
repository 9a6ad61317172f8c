"""Notices a follows table that was emptied or created again: the ledger takes its lists for loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.console.wording import counted
from kolspider.db.follow_tables import spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.db.base import Database
    from kolspider.store.kols import Kols

__all__ = ["emptied", "empty_tables"]


def empty_tables(database: Database, follows: str) -> list[str]:
    """Name those of the follows table and the crawls table beside it that have no row."""
    return [
        table
        for table, _ in spans(follows)
        if not database.query(f"SELECT {database.identifier('kol_user_name')} FROM {database.quoted(table)} LIMIT 1")
    ]


def emptied(empty: Sequence[str], kols: Kols) -> str:
    """Warn that tables are empty although lists were loaded into them, and say what to do; else an empty text."""
    lists = kols.count_loaded() if empty else 0
    if not lists:
        return ""
    cached = kols.count_loaded(cached=True)
    remedy = "-a replay=all` loads them again from the cache, without a call"
    if not cached:
        remedy = "-a refresh=0s` buys them again: their pages are no longer in the cache"
    elif cached < lists:
        remedy = (
            f"-a replay=all` loads {counted(cached, 'list')} from the cache, without a call; of the others no page is "
            "left, and `-a refresh=0s` buys all lists again"
        )
    return (
        f"{' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty although {counted(lists, 'list')} "
        f"{'was' if lists == 1 else 'were'} loaded, so new and lost follows are wrong: "
        f"`scrapy crawl followings {remedy}"
    )
