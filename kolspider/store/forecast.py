"""What the ledger and the cache tell of the lists to come: how many calls they will take, and what for.

A list that was read before is as long as it was then, with what increments have found since; one that was not is as
long as lists are on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING

from kolspider.store.readings import added, grown

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from kolspider.providers.base import Provider

__all__ = ["Average", "Expected", "Forecast", "Total", "rest_of_list"]

_ENOUGH = 20
"""Whole lists in the ledger, or increments, whose average is better than the usual one."""
_USUAL_INCREMENT = 2
"""Pages, of a list that changed: the one with the new ones, and one without."""
_USUAL_SPREAD = 2.0
"""Standard deviation of the users of a list, in averages: an average of 1,900 with one list in ten above 6,000."""

_LISTS = f"""
SELECT handle,
  why = 'begun' AND state <> 'fetching' AND NOT lacks_base AS whole,   -- its cached pages are loaded, nothing is bought
  CASE
    WHEN state = 'not_found' THEN 1                         -- asked for once more
    WHEN incremental THEN min(:increment, pages)
    WHEN why = 'refresh' THEN pages
    WHEN older_pages > kept THEN older_pages
  END AS pages,
  CASE
    WHEN state = 'not_found' THEN 0
    WHEN incremental OR why = 'refresh' THEN users
    ELSE older_users
  END AS users,
  new,
  CASE
    WHEN why = 'refresh' OR state = 'not_found' THEN 0
    WHEN why = 'retry' AND state = 'failed' AND restarts = 2 THEN 0     -- begun anew
    WHEN why = 'retry' AND state = 'partial' THEN max(kept - 1, 0)      -- all but the page that broke it
    ELSE kept
  END AS cached
FROM (
  SELECT s.handle, s.why, s.incremental, s.lacks_base, coalesce(k.state, 'new') AS state, k.pages, k.users, k.restarts,
    b.pages AS older_pages, b.users AS older_users, {added("b", "k.generation + 1")} AS new,
    CASE WHEN s.lacks_base THEN 0 ELSE
      (SELECT count(*) FROM page p WHERE p.provider = k.provider AND p.handle = k.handle
       AND p.generation = k.generation)
    END AS kept
  FROM temp.selected s LEFT JOIN kol k ON k.provider = :provider AND k.handle = s.handle
  LEFT JOIN crawl b ON b.provider = k.provider AND b.handle = k.handle AND b.generation =
    CASE
    WHEN s.why = 'refresh' OR k.state = 'not_found' THEN NULL
    WHEN s.lacks_base OR (k.state IN ('fetching', 'failed') AND NOT s.incremental) THEN     -- perhaps a refresh
      (SELECT max(generation) FROM crawl c WHERE c.provider = k.provider AND c.handle = k.handle
       AND c.generation < k.generation AND c.kind = 'full' AND c.state = 'fetched')
    END
  WHERE s.why IS NOT NULL
) list
"""


@dataclass(frozen=True, slots=True)
class Average:
    """Of whole lists. lists: how many are known; 0 when these are the provider's usual numbers."""

    lists: int
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
    """Of the whole list, when it was read before."""


@dataclass(slots=True)
class Total:
    """What the selected KOLs will take."""

    kols_known: int = 0
    """KOLs whose list was read before, and what they take."""
    calls_known: float = 0.0
    credits_known: float = 0.0
    kols_average: int = 0
    """KOLs whose list is of unknown length."""
    calls_average: float = 0.0
    credits_average: float = 0.0
    kols_whole: int = 0
    """KOLs whose list is whole in the cache."""
    cached: int = 0
    """Pages in the cache that need not be bought."""

    @property
    def calls(self) -> float:
        """Retries not counted."""
        return self.calls_known + self.calls_average

    @property
    def credits(self) -> float:
        """Retries not counted."""
        return self.credits_known + self.credits_average


def rest_of_list(average: float, read: int) -> float:
    """How many pages a list of unknown length still has: one that is long already is likely to be longer still."""
    return max(average - read, average / 2, 1)


class Forecast:
    """For one provider and the KOLs that were selected; writes nothing."""

    def __init__(self, connection: sqlite3.Connection, provider: Provider) -> None:
        self._db = connection
        self._provider = provider

    def of(self, handle: str) -> Expected:
        """A selected KOL's list, which is yet to begin."""
        ((whole, pages, _, cached, _),) = self._groups("WHERE handle = :handle", handle=handle)
        if whole:
            return Expected(0.0, cached)
        return Expected(self._calls(pages, cached), pages)

    def total(self) -> Total:
        """All of them."""
        total = Total()
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
                left = max(users - cached * self._provider.page_size, 0)
                total.kols_known += kols
                total.calls_known += calls * kols
                total.credits_known += self.cost(int(calls), left) * kols
        return total

    def _groups(self, which: str = "", **values: object) -> Iterator[tuple[bool, int | None, int, int, int]]:
        """Whether it is whole in the cache, pages, users and cached pages, and how many lists are like that."""
        rows = self._db.execute(
            "SELECT whole, pages, coalesce(users, 0), new, cached, count(*) "
            f"FROM ({_LISTS}) {which} GROUP BY 1, 2, 3, 4, 5",
            self._values | values,
        )
        for whole, pages, users, new, cached, kols in rows:
            size = (pages, users) if pages is None else grown(pages, users, new, self._provider.page_size)
            yield whole, *size, cached, kols

    @cached_property
    def _values(self) -> dict[str, object]:
        """Of the statement: an incremental crawl is expected to be as long as they are on average, but never longer
        than the list."""
        crawls, pages = self._db.execute(
            "SELECT count(*), avg(pages) FROM crawl WHERE provider = ? AND kind = 'incremental' AND state = 'fetched'",
            (self._provider.name,),
        ).fetchone()
        increment = max(round(pages), 1) if crawls >= _ENOUGH else _USUAL_INCREMENT
        return {"provider": self._provider.name, "increment": increment}

    def _calls(self, pages: int | None, cached: int) -> float:
        """At least one: a list is only known to have ended when a page says so."""
        return rest_of_list(self.average.pages, cached) if pages is None else max(pages - cached, 1)

    @cached_property
    def average(self) -> Average:
        """Of the whole lists that the ledger knows, if they are enough; else the provider's usual one."""
        known = self._db.execute(
            "SELECT pages, users, count(*) FROM kol WHERE provider = ? AND state = 'fetched' AND pages > 0 "
            "GROUP BY pages, users",
            (self._provider.name,),
        ).fetchall()
        lists = sum(count for _, _, count in known)
        if lists < _ENOUGH:
            users, size = self._provider.usual_users, self._provider.page_size
            pages = users / size + 0.5  # the last page is half full, on average
            return Average(0, users, pages, self.cost(round(pages), users), _USUAL_SPREAD * users)
        costs = [(self.cost(pages, users), count) for pages, users, count in known]
        credits_ = sum(cost * count for cost, count in costs) / lists
        return Average(
            lists,
            sum(users * count for _, users, count in known) / lists,
            sum(pages * count for pages, _, count in known) / lists,
            credits_,
            sqrt(sum((cost - credits_) ** 2 * count for cost, count in costs) / (lists - 1)),
        )

    def cost(self, pages: int, users: int) -> int:
        """What a list of so many pages costs: full ones, one with the rest, empty ones."""
        size, price = self._provider.page_size, self._provider.price
        full = min(users // size, pages)
        rest = min(users - full * size, size) if full < pages else 0
        return full * price(size, size) + max(pages - full, 0) * price(0, size) + (price(rest, size) - price(0, size))
