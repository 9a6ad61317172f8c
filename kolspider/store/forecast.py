"""Estimates how many calls the selected lists will take, from the ledger and the cache.

A list that was read before is expected to be as long as it is known to be; any other, as long as lists are on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING

from kolspider.store.part import Part
from kolspider.store.readings import size_with_new
from kolspider.store.views import JOIN_BASE, NEW_SINCE_BASE

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Average", "Expected", "Forecast", "Total", "rest_of_list"]

_ENOUGH = 20
"""With this many full lists, or incremental readings, in the ledger, their average is better than the usual one."""
_USUAL_INCREMENT = 2
"""Pages of an incremental reading: one with the new users, and one without any."""
_USUAL_SPREAD = 2.0
"""Standard deviation of the users of a list, in averages: an average of 1,900 with one list in ten above 6,000."""

_LISTS = f"""
SELECT handle,
  why IN ('begun', 'refused') AND state <> 'fetching' AND NOT base_is_missing AS whole,   -- loads pages, buys none
  CASE
    WHEN state = 'not_found' THEN 0                         -- asked for again, and probably still gone
    WHEN incremental THEN min(:increment, pages)
    WHEN why = 'refresh' THEN pages
    WHEN base_pages > kept THEN base_pages
    WHEN max((elsewhere + :size - 1) / :size, 1) > kept THEN max((elsewhere + :size - 1) / :size, 1)
  END AS pages,
  CASE
    WHEN state = 'not_found' THEN 0
    WHEN incremental OR why = 'refresh' THEN users
    ELSE coalesce(base_users, elsewhere)
  END AS users,
  new,
  CASE
    WHEN why = 'refresh' OR state = 'not_found' THEN 0
    WHEN why = 'retry' AND state = 'failed' AND restarts = 2 THEN 0     -- begun again from page 1
    WHEN why = 'retry' AND state = 'partial' THEN max(kept - 1, 0)      -- all but the page that broke it
    ELSE kept
  END AS cached
FROM (
  SELECT s.handle, s.why, s.incremental, s.base_is_missing, coalesce(k.state, 'new') AS state,
    nullif(k.pages, 0) AS pages, k.users,               -- 0: the list was not kept, its length is not known
    k.restarts, b.pages AS base_pages, b.users AS base_users, {NEW_SINCE_BASE} AS new,
    CASE WHEN s.base_is_missing THEN 0 ELSE
      (SELECT count(*) FROM page p WHERE p.provider = k.provider AND p.handle = k.handle
       AND p.generation = k.generation)
    END AS kept,
    (SELECT max(users) FROM kol e WHERE e.provider IN (SELECT DISTINCT provider FROM kol WHERE provider <> :provider)
     AND e.handle = s.handle AND e.state = 'fetched') AS elsewhere      -- bought from another provider
  FROM temp.selected s LEFT JOIN kol k ON k.provider = :provider AND k.handle = s.handle
  {JOIN_BASE} AND s.why <> 'refresh' AND k.state <> 'not_found'
    AND (s.base_is_missing OR (k.state IN ('fetching', 'failed') AND NOT s.incremental))    -- perhaps a refresh
  WHERE s.why IS NOT NULL
) list
"""


@dataclass(frozen=True, slots=True)
class Average:
    """A full list on average."""

    lists: int
    """How many lists it is the average of; 0 for the provider's usual numbers."""
    users: float
    pages: float
    credits: float
    spread: float
    """Standard deviation of the credits."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What one list will take."""

    calls: float
    pages: int | None
    """Pages of the full list if it was read before, else None."""


@dataclass(slots=True)
class Total:
    """What the selected KOLs will take."""

    kols_known: int = 0
    """KOLs whose list was read before."""
    calls_known: float = 0.0
    credits_known: float = 0.0
    kols_average: int = 0
    """KOLs whose list is of unknown length."""
    calls_average: float = 0.0
    credits_average: float = 0.0
    kols_whole: int = 0
    """KOLs with all pages of their list in the cache."""
    cached: int = 0
    """Pages in the cache that need not be bought."""
    kols_without_id: int = 0
    """KOLs whose id must be looked up."""
    lookups: int = 0
    """Calls for that."""
    credits_lookups: int = 0

    @property
    def calls(self) -> float:
        """Calls for ids and for all lists, without retries."""
        return self.calls_known + self.calls_average + self.lookups

    @property
    def credits(self) -> float:
        """Credits for ids and for all lists, without retries."""
        return self.credits_known + self.credits_average + self.credits_lookups

    def share(self, max_calls: int | None, max_credits: float) -> float:
        """Return the share of these calls that the caps of a run allow, 0 to 1."""
        calls = 1.0 if max_calls is None else max_calls / (self.calls or 1)
        return min(calls, max_credits / (self.credits or 1), 1.0)


def rest_of_list(average: float, read: int) -> float:
    """Estimate the pages that a list of unknown length still has: one that is long already is likely to be longer."""
    return max(average - read, average / 2, 1)


class Forecast(Part):
    """Estimates for the selected KOLs; writes nothing."""

    def of(self, handle: str) -> Expected:
        """Estimate one selected KOL's list, before it begins."""
        ((whole, pages, _, cached, _),) = self._groups("WHERE handle = :handle", handle=handle)
        if whole:
            return Expected(0.0, cached)
        return Expected(self._calls(pages, cached), pages if pages is None else max(pages, 1))

    def total(self, more: int = 0) -> Total:
        """Estimate all selected lists together, and `more` lists that were never begun."""
        total = Total(0, 0.0, 0.0, more, self._calls(None, 0) * more, self.average.credits * more)
        if (call := self._api.profile_by_name) and self._api.needs_id:
            total.kols_without_id = self._count_without_id() + more
            batches, rest = divmod(total.kols_without_id, call.most)
            total.lookups = batches + bool(rest)
            total.credits_lookups = batches * call.price(call.most) + (call.price(rest) if rest else 0)
        for whole, pages, users, cached, kols in self._groups():
            total.cached += cached * kols
            if whole:
                total.kols_whole += kols
                continue
            calls = self._calls(pages, cached)
            if pages is None:
                total.kols_average += kols
                total.calls_average += calls * kols
                total.credits_average += self.average.credits * calls / self.average.pages * kols
            else:
                left = max(users - cached * self._api.page_size, 0)
                total.kols_known += kols
                total.calls_known += calls * kols
                total.credits_known += (self.cost(int(calls), left) if pages else self._api.failed_call_price) * kols
        return total

    def _count_without_id(self) -> int:
        """Count the selected KOLs whose list is bought by an id that is not known yet."""
        ((kols,),) = self._db.execute(
            f"SELECT count(*) FROM ({_LISTS}) WHERE NOT whole "
            "AND handle NOT IN (SELECT handle FROM account WHERE id <> '')",
            self._values,
        )
        return int(kols)

    def _groups(self, which: str = "", **values: object) -> Iterator[tuple[bool, int | None, int, int, int]]:
        """Yield groups of like lists: if all pages are cached, pages, users, cached pages, and the number of lists."""
        rows = self._db.execute(
            "SELECT whole, pages, coalesce(users, 0), new, cached, count(*) "
            f"FROM ({_LISTS}) {which} GROUP BY 1, 2, 3, 4, 5",
            self._values | values,
        )
        for whole, pages, users, new, cached, kols in rows:
            size = (pages, users) if pages is None else size_with_new(pages, users, new, self._api.page_size)
            yield whole, *size, cached, kols

    @cached_property
    def _values(self) -> dict[str, object]:
        """Return the parameters of the SQL.

        An incremental reading is expected to be as long as they are on average, but never longer than the list.
        """
        readings, pages = self._db.execute(
            "SELECT count(*), avg(pages) FROM crawl WHERE provider = ? AND kind = 'incremental' AND state = 'fetched'",
            (self._provider,),
        ).fetchone()
        increment = max(round(pages), 1) if readings >= _ENOUGH else _USUAL_INCREMENT
        return {"provider": self._provider, "increment": increment, "size": self._api.page_size}

    def _calls(self, pages: int | None, cached: int) -> float:
        """Estimate the calls for a list; at least one, because only a page can say that the list has ended."""
        return rest_of_list(self.average.pages, cached) if pages is None else max(pages - cached, 1)

    @cached_property
    def average(self) -> Average:
        """Return the average of the full lists in the ledger, or the provider's usual one if they are too few."""
        known = self._db.execute(
            "SELECT pages, users, count(*) FROM kol WHERE provider = ? AND state = 'fetched' AND pages > 0 "
            "GROUP BY pages, users",
            (self._provider,),
        ).fetchall()
        lists = sum(count for _, _, count in known)
        if lists < _ENOUGH:
            return self._usual
        costs = [(self.cost(pages, users), count) for pages, users, count in known]
        credits_ = sum(cost * count for cost, count in costs) / lists
        return Average(
            lists,
            sum(users * count for _, users, count in known) / lists,
            sum(pages * count for pages, _, count in known) / lists,
            credits_,
            sqrt(sum((cost - credits_) ** 2 * count for cost, count in costs) / (lists - 1)),
        )

    @property
    def _usual(self) -> Average:
        """Return the provider's usual list: full pages, and a last one that is half full on average.

        The price of that last page is the average over all sizes: a page with fewer users can cost more.
        """
        users, size, price = self._api.usual_users, self._api.page_size, self._api.price
        full = users / size - 0.5
        last_price = sum(map(price, range(1, size + 1))) / size
        return Average(0, users, full + 1, full * price(size) + last_price, _USUAL_SPREAD * users)

    def cost(self, pages: int, users: int) -> int:
        """Return the credits that a list costs: its full pages, one with the rest of the users, and empty ones."""
        size, price = self._api.page_size, self._api.price
        full = min(users // size, pages)
        rest = min(users - full * size, size) if full < pages else 0
        return full * price(size) + max(pages - full, 0) * price(0) + (price(rest) - price(0))
