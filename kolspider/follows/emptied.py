"""The ledger goes by what was loaded; a follows table that was emptied or made anew since then makes it wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.console.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.store.kols import Kols
    from kolspider.store.pages import Pages

__all__ = ["emptied"]


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
