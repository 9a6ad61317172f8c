"""The item pipelines: users of a page become rows, and rows are upserted in batches."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from kolspider.db.base import Form
from kolspider.items import FollowingsPage, MappedPage, Row, as_item
from kolspider.load.fitting import Fitter
from kolspider.load.follow_rows import mapped_follows, whole_reading
from kolspider.load.mapping import Mapper, as_in_lists
from kolspider.load.repeats import fingerprint
from kolspider.options.arguments import Feed
from kolspider.providers.users import Users, ids_of
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from typing import Any

    from scrapy.crawler import Crawler

    from kolspider.alerts.sender import Sender
    from kolspider.db.base import Column, Table
    from kolspider.items import Reject
    from kolspider.live.tally import Tally
    from kolspider.load.remarks import Remarks
    from kolspider.load.repeats import Repeats
    from kolspider.load.writer import Writer
    from kolspider.providers.base import Provider

__all__ = ["MapPipeline", "UpsertPipeline"]

LONGEST_TEXT = 65_535
"""Bytes of a text, at most, in every column: as many as a TEXT of MySQL holds. A row of longer ones might never fit
into a packet, and no profile has any."""


class MapPipeline:
    """Turns each user of a page into a row of the target table, or sets the user aside with a reason."""

    def __init__(
        self,
        provider: Provider,
        table: Table,
        tally: Tally,
        repeats: Repeats | None,
        remarks: Remarks,
        *,
        keeps_follows: bool,
        has_feed: bool = False,
    ) -> None:
        self._followed_user = provider.followed_user
        self._account_id = provider.account_id
        self._mapper = Mapper()
        self._fitter = Fitter({name: _bounded(column) for name, column in table.columns.items()})
        self._tally = tally
        self._repeats = repeats
        self._remarks = remarks
        self._keeps_follows = keeps_follows
        self._has_feed = has_feed

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> MapPipeline:
        """Take the parts of the run that it needs. A feed of follows gets every user of every page."""
        run = run_of(crawler)
        repeats = None if run.arguments.feed is Feed.FOLLOWS else run.repeats
        follows = bool(run.config.follows_table)
        return cls(
            run.config.provider,
            run.table,
            run.tally,
            repeats,
            run.commits.remarks,
            keeps_follows=follows,
            has_feed=bool(crawler.settings.getdict("FEEDS")),
        )

    def process_item(self, item: Any) -> MappedPage:
        """Map one page: a FollowingsPage, or any item with its fields. A user that can't be mapped is set aside."""
        page = as_item(FollowingsPage, item)
        mapped = MappedPage(replace(page, users=[]))  # later stages don't need raw users, and may hold many pages
        ids = ids_of(page.users, self._account_id)
        plain = page.users.plain if isinstance(page.users, Users) else [None] * len(ids)
        raw = {place: page.users[place] for place, one in enumerate(plain) if one is None}
        users = {place: self._followed_user(one) for place, one in raw.items()}
        seen = [hash(one) if one else fingerprint(users[place]) for place, one in enumerate(plain)]
        if self._has_feed and not page.is_selected:
            seen = [math.nan] * len(ids)  # which no page repeats: one of a selected KOL still brings them to the feed
        only, rows = page.only_rows, []
        if self._repeats:
            fresh = self._repeats.fresh(ids, seen, only)
        else:
            fresh = [place for place, id_ in enumerate(ids) if only is None or id_ in only]
        for place in fresh:
            one = plain[place]
            row = self._mapper.map_plain(one) if one else self._mapper.map_user(users[place], raw[place])
            if isinstance(row, Row):
                rows.append(row if page.is_list else as_in_lists(row))
            else:
                mapped.rejects.append(row)
        mapped.rows.extend(self._fitter.fit(rows))
        if self._keeps_follows and page.is_list:
            mapped = replace(mapped, follows=mapped_follows(page, self._account_id), whole=whole_reading(page))
        self._count(page, mapped.rejects, len(ids) - len(fresh))
        return mapped

    def _count(self, page: FollowingsPage, rejects: list[Reject], repeated: int) -> None:
        """Count the users that come to no row, also of a page that was loaded before, and the values cut or dropped."""
        tally = self._tally
        tally.users_read += len(page.users)
        tally.rows_repeated += repeated
        tally.rows_rejected.update(reject.reason for reject in rejects)
        tally.rows_out_of_range.update(self._mapper.out_of_range)
        self._mapper.out_of_range.clear()
        self._remarks.cut(page.kol, self._fitter.clipped.total())
        tally.rows_clipped.update(self._fitter.clipped)
        self._fitter.clipped.clear()
        self._remarks.set_aside(page.kol, len(rejects))


def _bounded(column: Column) -> Column:
    """Return a column of text with a limit on its bytes, however wide it is."""
    if Form.TEXT not in column.takes:
        return column
    most = LONGEST_TEXT if column.max_bytes is None else min(column.max_bytes, LONGEST_TEXT)
    return replace(column, max_bytes=most)


class UpsertPipeline:
    """Passes pages to the writer, and lets the sender send what they tell; a dry run has neither."""

    def __init__(self, writer: Writer | None, sender: Sender | None, remarks: Remarks) -> None:
        self._writer = writer
        self._sender = sender
        self._remarks = remarks

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> UpsertPipeline:
        """Take the run's writer and sender."""
        run = run_of(crawler)
        return cls(run.writer, run.sender, run.commits.remarks)

    async def open_spider(self) -> None:
        """Start both, in the crawl's event loop."""
        if self._writer is not None:
            self._writer.start()
        if self._sender is not None:
            await self._sender.start()

    async def process_item(self, item: Any) -> Any:
        """Pass the page to the writer at once, then hold up its KOL while the database is behind."""
        if self._writer is not None:
            self._writer.add(as_item(MappedPage, item))
            await self._writer.room()
        return item

    async def close_spider(self) -> None:
        """Commit the pages that have arrived, and send what is left to tell."""
        if self._writer is not None:
            await self._writer.close()
        self._remarks.end()
        if self._sender is not None:
            await self._sender.close()
