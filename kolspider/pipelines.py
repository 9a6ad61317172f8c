"""A page's way into the table: map its users to rows, then upsert the rows in batches."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from kolspider.console.wording import counted
from kolspider.items import FollowingsPage, MappedPage, Reject, Row
from kolspider.load.fitting import Fitter
from kolspider.load.follow_rows import mapped_follows, whole_reading
from kolspider.load.mapping import Mapper, usable_id
from kolspider.load.writer import Writer
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from kolspider.load.repeats import Repeats
    from kolspider.run.run import Run

__all__ = ["MapPipeline", "UpsertPipeline"]

logger = logging.getLogger(__name__)


class MapPipeline:
    """Turns each user of a page into a row of the target table, or sets it aside with a reason."""

    def __init__(self, run: Run, repeats: Repeats | None) -> None:
        self._run = run
        self._followed_user = run.config.provider.followed_user
        self._account_id = run.config.provider.account_id
        self._mapper = Mapper()
        self._fitter = Fitter(run.table.columns)
        self._repeats = repeats
        self._keeps_follows = bool(run.config.follows_table)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> MapPipeline:
        """Wire it to the run. A feed has a row for each user of each page, so none is left out then."""
        run = run_of(crawler)
        return cls(run, None if crawler.settings.getdict("FEEDS") else run.repeats)

    def process_item(self, item: FollowingsPage) -> MappedPage:
        """Map one page; the users that can't be mapped do not hold up the others."""
        mapped = MappedPage(replace(item, users=[]))  # what is behind has no use for them, and may wait long
        repeats = self._repeats
        for raw in item.users:
            user = self._followed_user(raw)
            if repeats and user and (id_ := usable_id(user.id)) and repeats.is_one(id_, user):
                continue
            row = self._mapper.map_user(user, raw)
            if isinstance(row, Row):
                mapped.rows.append(self._fitter.fit(row))
            else:
                mapped.rejects.append(row)
        if self._keeps_follows:
            mapped = replace(mapped, follows=mapped_follows(item, self._account_id), whole=whole_reading(item))
        self._count(item, mapped.rejects, len(item.users) - len(mapped.rows) - len(mapped.rejects))
        return mapped

    def _count(self, page: FollowingsPage, rejects: list[Reject], repeated: int) -> None:
        """Count and tell what was lost of the page's users, or set aside."""
        count, where = self._run.count, f"KOL {page.kol.user_name}: page {page.number}"
        count("users/read", len(page.users))
        count("rows/repeated", repeated)
        for column, times in self._mapper.out_of_range.items():
            count(f"rows/out_of_range/{column}", times)
        self._mapper.out_of_range.clear()
        for column, times in self._fitter.clipped.items():
            count(f"rows/clipped/{column}", times)
            logger.info("%s: %s cut to fit its column in %s", where, column, counted(times, "row"))
        self._fitter.clipped.clear()
        if rejects:
            reasons = ", ".join(sorted({reject.reason for reject in rejects}))
            logger.warning("%s: %s set aside (%s), see rejects.jsonl", where, counted(len(rejects), "user"), reasons)


class UpsertPipeline:
    """Hands pages to the writer; a dry run has none."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._writer: Writer | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> UpsertPipeline:
        """Wire it to the run."""
        return cls(run_of(crawler))

    def open_spider(self) -> None:
        """Start the writer, in the crawl's event loop."""
        if not self._run.arguments.dry_run:
            self._writer = self._run.writer = Writer(self._run)

    async def process_item(self, item: MappedPage) -> MappedPage:
        """Take the page at once, then hold its KOL back while the database is behind."""
        if self._writer is not None:
            self._writer.add(item)
            await self._writer.room()
        return item

    async def close_spider(self) -> None:
        """Commit what has arrived."""
        if self._writer is not None:
            await self._writer.close()
