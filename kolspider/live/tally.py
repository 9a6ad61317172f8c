"""What a run has counted so far. Each counter is declared once: its name here, its Scrapy stat, its meaning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy.statscollectors import StatsCollector

__all__ = ["Tally"]

PREFIX = "kol/"


def _one(stat: str, meaning: str) -> Any:
    return field(default=0, metadata={"stat": stat, "meaning": meaning})


def _by(what: str, stat: str, meaning: str) -> Any:
    """A counter for each value of something, such as a column; `what` names it in the documentation."""
    return field(default_factory=Counter, metadata={"stat": stat, "meaning": meaning, "by": what})


@dataclass(slots=True)
class Tally:
    """The counters of one run. The database thread changes `db_retries`, the event loop everything else."""

    calls: int = _one("api/calls", "API requests sent, retries included")
    pages: int = _one("api/pages", "Pages bought")
    credits: int = _one("api/credits_estimated", "Credits that the calls cost, by the provider's price list")
    errors: Counter[str] = _by("kind", "api/errors", "Answers that were not a page, by kind of error")
    cache_hits: int = _one("cache/hits", "Pages read from the cache")
    cache_damaged: int = _one("cache/damaged", "Cached pages whose content is damaged")
    skipped: Counter[str] = _by("why", "skipped", "Rows of the source table that name no KOL, or one named before")
    users_read: int = _one("users/read", "Followed users in the pages read")
    rows_upserted: int = _one("rows/upserted", "Rows committed in the target")
    rows_repeated: int = _one("rows/repeated", "Unchanged duplicates that were not written again")
    rows_rejected: Counter[str] = _by("reason", "rows/rejected", "Users set aside in rejects.jsonl, by reason")
    rows_clipped: Counter[str] = _by("column", "rows/clipped", "Values cut to fit their column, by column")
    rows_out_of_range: Counter[str] = _by(
        "column", "rows/out_of_range", "Counts that were negative or above 64 bits, written as NULL, by column"
    )
    follows_upserted: int = _one("follows/upserted", "Rows committed in the follows table")
    follows_whole: int = _one("follows/whole", "Rows committed in the table of full readings beside it")
    batches: int = _one("db/batches", "Batches committed")
    db_retries: int = _one("db/retries", "Attempts repeated because the database was away")
    incremental_lists: int = _one("incremental/lists", "Lists read only as far as they changed")
    calls_saved: int = _one("incremental/calls_saved", "Calls that reading these lists in full would have added")
    credits_saved: int = _one("incremental/credits_saved", "Credits that reading these lists in full would have added")
    bugs: int = _one("bugs", "Pages that failed in one of our pipelines: each is a bug")

    def stats(self) -> Iterator[tuple[str, int]]:
        """Yield the name of each Scrapy stat, such as `kol/api/errors/network`, with its value, unless it is 0."""
        for counter in fields(self):
            stat, value = PREFIX + counter.metadata["stat"], getattr(self, counter.name)
            if isinstance(value, Counter):
                yield from ((f"{stat}/{key}", count) for key, count in sorted(value.items()))
            elif value:
                yield stat, value

    def write_to(self, stats: StatsCollector) -> None:
        """Show the counters as stats of the crawl."""
        for name, value in self.stats():
            stats.set_value(name, value)
