"""The counters of a run, each declared once: its name, its Scrapy stat and its meaning."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, get_type_hints

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy.statscollectors import StatsCollector

__all__ = ["STATS", "Tally"]


class Tally(Struct):
    """The counters of one run; everything that counts runs in the event loop."""

    calls: Annotated[int, "api/calls", "API requests sent, retries included"] = 0
    pages: Annotated[int, "api/pages", "Pages bought"] = 0
    profiles: Annotated[int, "api/profiles", "Answers with profiles"] = 0
    credits: Annotated[int, "api/credits_estimated", "Credits that the calls cost, by the provider's price list"] = 0
    errors: Annotated[Counter[str], "api/errors/<kind>", "Answers that were neither"] = field(default_factory=Counter)
    cache_hits: Annotated[int, "cache/hits", "Pages read from the cache"] = 0
    cache_damaged: Annotated[int, "cache/damaged", "Cached pages whose content is damaged"] = 0
    skipped: Annotated[
        Counter[str], "skipped/<why>", "Rows of the source table that name no KOL, or one named before"
    ] = field(default_factory=Counter)
    users_read: Annotated[int, "users/read", "Followed users in the pages read"] = 0
    rows_upserted: Annotated[int, "rows/upserted", "Rows committed in the target"] = 0
    rows_repeated: Annotated[int, "rows/repeated", "Unchanged duplicates that were not written again"] = 0
    rows_rejected: Annotated[
        Counter[str], "rows/rejected/<reason>", "Users set aside, also those that an earlier run set aside"
    ] = field(default_factory=Counter)
    rows_clipped: Annotated[Counter[str], "rows/clipped/<column>", "Values cut to fit their column"] = field(
        default_factory=Counter
    )
    rows_out_of_range: Annotated[
        Counter[str], "rows/out_of_range/<column>", "Counts that were negative or above 64 bits, written as NULL"
    ] = field(default_factory=Counter)
    follows_upserted: Annotated[int, "follows/upserted", "Rows committed in the follows table"] = 0
    follows_refused: Annotated[int, "follows/refused", "Rows that either of the two tables refused"] = 0
    follows_whole: Annotated[int, "follows/whole", "Rows committed in the table of full readings beside it"] = 0
    batches: Annotated[int, "db/batches", "Batches committed"] = 0
    db_retries: Annotated[int, "db/retries", "Attempts repeated because the database was away"] = 0
    looks: Annotated[int, "watch/looked_at", "KOLs whose profiles were looked at"] = 0
    unchanged: Annotated[
        int, "watch/without_news", "Lists that were not read, because the profile promised no news"
    ] = 0
    short_lists: Annotated[int, "lists/short", "Full lists that came much shorter than the profile says"] = 0
    lost: Annotated[Counter[str], "lost/<why>", "Lost accounts that were asked for, by what their profiles say"] = (
        field(default_factory=Counter)
    )
    incremental_lists: Annotated[int, "incremental/lists", "Lists read only as far as they changed"] = 0
    calls_saved: Annotated[
        int, "incremental/calls_saved", "Calls that reading these lists in full would have added"
    ] = 0
    credits_saved: Annotated[
        int, "incremental/credits_saved", "Credits that reading these lists in full would have added"
    ] = 0
    alerts_raised: Annotated[int, "alerts/raised", "Alerts that the rules raised"] = 0
    alerts_sent: Annotated[int, "alerts/sent", "Alerts delivered, counted for each receiver"] = 0
    alerts_pending: Annotated[int, "alerts/pending", "Alerts that a receiver had not got when the run ended"] = 0
    bugs: Annotated[int, "bugs", "Pages that failed in one of our pipelines: each is a bug"] = 0

    def stats(self) -> Iterator[tuple[str, int]]:
        """Yield the name of each stat, such as `kol/api/errors/network`, with its value, unless that is 0."""
        for attribute, (stat, _) in STATS.items():
            value = getattr(self, attribute)
            if isinstance(value, Counter):
                yield from ((stat[: stat.index("<")] + key, count) for key, count in sorted(value.items()))
            elif value:
                yield stat, value

    def write_to(self, stats: StatsCollector) -> None:
        """Show the counters as stats of the crawl."""
        for name, value in self.stats():
            stats.set_value(name, value)


STATS: dict[str, tuple[str, str]] = {
    attribute: (f"kol/{hint.__metadata__[0]}", hint.__metadata__[1])
    for attribute, hint in get_type_hints(Tally, include_extras=True).items()
}
"""The stat and the meaning of each counter; docs/reference.md lists them."""
