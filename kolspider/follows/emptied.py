"""The ledger goes by what was loaded; a follows table that was emptied or made anew since then makes it wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.console.wording import counted
from kolspider.db.spans import spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.db.base import Database
    from kolspider.store.kols import Kols
    from kolspider.store.pages import Pages

__all__ = ["emptied", "empty_tables"]


def empty_tables(database: Database, follows: str) -> list[str]:
    """The follows table and the crawls table beside it, as far as they have no row."""
    return [
        table
        for table, _ in spans(follows)
        if not database.query(f"SELECT {database.identifier('kol_user_name')} FROM {database.quoted(table)} LIMIT 1")
    ]


def emptied(empty: Sequence[str], kols: Kols, pages: Pages) -> str:
    """What is wrong and what mends it, when tables are empty that lists were loaded into; else an empty text."""
    lists = kols.count_loaded() if empty else 0
    if not lists:
        return ""
    mend = "-a replay=all` fills it with what the cache holds, without a call"
    if not len(pages):
        mend = "-a refresh=0s` buys the lists anew: the cache holds no page of them"
    return (
        f"{' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty, though {counted(lists, 'list')} "
        f"{'was' if lists == 1 else 'were'} loaded, so what is told of who is new or lost is wrong: "
        f"`scrapy crawl followings {mend}"
    )
