"""Estimates how many calls the selected lists will take, from the ledger and the cache.

A list that was read before is expected to be as long as it is known to be; any other, as long as lists are on average.
An incremental reading is expected to find as many new accounts as the KOL has followed in the time since its last one.
"""

from __future__ import annotations

import time
from functools import cached_property
from math import exp, sqrt
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from kolspider.providers.base import cost_of_profiles
from kolspider.providers.increment import IncrementPages, follows_a_day
from kolspider.providers.paging import RUN
from kolspider.store.part import Part
from kolspider.store.readings import size_with_new
from kolspider.store.views import BASE_IS_CACHED, JOIN_BASE, NEW_SINCE_BASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Average", "Expected", "Forecast", "Total", "rest_of_list"]

_ENOUGH = 20
"""With this many full lists in the ledger, their average is better than the usual one."""
_USUAL_FOLLOWS = 1.0
"""Accounts that a KOL follows in a day; it counts as much as this many that were found in incremental readings:"""
_WEIGHT = 20
_SAMPLE = 5_000
"""Incremental readings that the average is made of: those of the first KOLs by name, which is no bias."""
_MOVES = 1.35
"""How often the number of accounts that a KOL follows moves, for each new follow: unfollows move it, too."""
_RECHECKS = 1 / 7
"""How often in a day a list is read whose number did not move, by KOL_WATCH_RECHECK."""
_DAY = 86_400
_USUAL_SPREAD = 2.0
"""Standard deviation of the users of a list, in averages: an average of 1,900 with one list in ten above 6,000."""

_LISTS = f"""
SELECT handle,
  why IN ('begun', 'refused') AND state <> 'fetching' AND NOT base_is_missing AS whole,   -- loads pages, buys none
  CASE
    WHEN state = 'not_found' THEN 0                         -- asked for again, and probably still gone
    WHEN incremental OR why = 'refresh' THEN pages
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
  END AS cached,
  incremental AND state <> 'not_found' AS incremental,
  CASE WHEN incremental THEN round((met_at - base_at) / {_DAY}, 2) END AS days,     -- in which `new` were found
  CASE WHEN incremental THEN round((:now - met_at) / {_DAY}, 2) END AS since,
  CASE WHEN incremental AND why <> 'refresh' THEN first_page END AS first_page,
  in_order,
  in_order AND met = CASE why WHEN 'refresh' THEN generation ELSE generation - 1 END AS may_be_small,
  round(promise, 1) AS promise,
  CASE WHEN to_look_at AND why = 'refresh' THEN round((:now - looked_at) / {_DAY}, 1) END AS unseen    -- days
FROM (
  SELECT s.handle, s.why, s.to_look_at,
    coalesce((SELECT promise FROM account WHERE handle = s.handle), 0) AS promise,
    (SELECT read_at FROM account WHERE handle = s.handle) AS looked_at, s.incremental,
    s.base_is_missing, coalesce(k.state, 'new') AS state, k.generation,
    nullif(k.pages, 0) AS pages, k.users,               -- 0: the list was not kept, its length is not known
    k.restarts, b.pages AS base_pages, b.users AS base_users, {NEW_SINCE_BASE} AS new,
    CASE WHEN s.base_is_missing THEN 0 ELSE
      (SELECT count(*) FROM page p WHERE p.provider = k.provider AND p.handle = k.handle
       AND p.generation = k.generation)
    END AS kept,
    (SELECT max(users) FROM kol e WHERE e.provider IN ({{others}})
     AND e.handle = s.handle AND e.state = 'fetched') AS elsewhere,     -- bought from another provider
    b.started_at AS base_at, m.started_at AS met_at, m.generation AS met,       -- met: the last that ended properly
    s.incremental AND {BASE_IS_CACHED} AS in_order,             -- so it is known in which order the users stand
    (SELECT p.users FROM page p WHERE p.provider = k.provider AND p.handle = k.handle
     AND p.generation = k.generation AND p.cursor = '') AS first_page
  FROM temp.selected s LEFT JOIN kol k ON k.provider = :provider AND k.handle = s.handle
  {JOIN_BASE} AND (s.incremental OR (s.why <> 'refresh' AND k.state <> 'not_found'
    AND (s.base_is_missing OR k.state IN ('fetching', 'failed'))))              -- perhaps a refresh
  LEFT JOIN crawl m ON s.incremental AND m.provider = k.provider AND m.handle = k.handle AND m.generation =
    (SELECT max(generation) FROM crawl WHERE provider = k.provider AND handle = k.handle AND state = 'fetched')
  WHERE s.why IS NOT NULL
) list
"""


class _Group(NamedTuple):
    """Lists that are alike, as the query has them. Days are since the base, since the last reading, and since a look
    that is due again before it is known whether the list is read.
    """

    whole: bool
    pages: int | None
    users: int
    new: int
    cached: int
    incremental: bool
    days: float | None
    since: float | None
    first_page: int | None
    in_order: bool
    may_be_small: bool
    promise: float
    unseen: float | None
    kols: int


class Average(Struct, frozen=True):
    """A full list on average."""

    lists: int
    """How many lists it is the average of; 0 for the provider's usual numbers."""
    users: float
    pages: float
    credits: float
    spread: float
    """Standard deviation of the credits."""


class Expected(Struct, frozen=True):
    """What one list will take."""

    calls: float
    credits: float
    pages: int | None
    """Pages of the reading if the list was read before, else None."""
    page_size: int
    """Number of users to ask for in a page."""


class Total(Struct):
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
    looks: int = 0
    """Calls for profiles, to find whose list has news."""
    credits_looks: int = 0
    questions: int = 0
    """Calls for profiles of lost accounts."""
    credits_questions: int = 0

    @property
    def calls(self) -> float:
        """Calls for profiles, ids and all lists, without retries."""
        return self.calls_known + self.calls_average + self.lookups + self.looks + self.questions

    @property
    def credits(self) -> float:
        """Credits for profiles, ids and all lists, without retries."""
        profiles = self.credits_lookups + self.credits_looks + self.credits_questions
        return self.credits_known + self.credits_average + profiles

    def share(self, max_calls: int | None, max_credits: float) -> float:
        """Return the share of these calls that the caps of a run allow, 0 to 1."""
        calls = 1.0 if max_calls is None else max_calls / (self.calls or 1)
        return min(calls, max_credits / (self.credits or 1), 1.0)


def rest_of_list(average: float, read: int) -> float:
    """Estimate the pages that a list of unknown length still has: one that is long already is likely to be longer."""
    return max(average - read, average / 2, 1)


class Forecast(Part):
    """Estimates for the selected KOLs; writes nothing."""

    known_stop = 1
    """KOL_KNOWN_STOP: how many pages in a row must meet the known part of a list."""
    lost = 0
    """Lost accounts that are to be asked for."""

    def of(self, handle: str) -> Expected:
        """Estimate one selected KOL's list, before it begins."""
        (group,) = self._groups("WHERE handle = :handle", handle=handle)
        return self._expected(group)

    def total(self, more: int = 0) -> Total:
        """Estimate all selected lists together, and `more` lists that were never begun."""
        total = Total(0, 0.0, 0.0, more, self._calls(None, 0) * more, self.average.credits * more)
        if (call := self._api.profile_by_name) and self._api.needs_id:
            total.kols_without_id = self._count_without_id() + more
            batches, rest = divmod(total.kols_without_id, call.most)
            total.lookups = batches + bool(rest)
            total.credits_lookups = batches * call.price(call.most) + (call.price(rest) if rest else 0)
        total.looks, total.credits_looks = self._looks()
        if by_id := self._api.profiles_by_id:
            total.questions, total.credits_questions = cost_of_profiles(by_id, self.lost)
        for group in self._groups():
            kols, expected = group.kols, self._expected(group)
            total.cached += group.cached * kols
            if group.whole:
                total.kols_whole += kols
            elif expected.pages is None:
                total.kols_average += kols
                total.calls_average += expected.calls * kols
                total.credits_average += expected.credits * kols
            else:
                total.kols_known += kols
                total.calls_known += expected.calls * kols
                total.credits_known += expected.credits * kols
        return total

    def _count_without_id(self) -> int:
        """Count the selected KOLs whose list is bought by an id that is not known yet, and that no look will find."""
        ((kols,),) = self._db.execute(
            f"SELECT count(*) FROM ({self._lists}) l WHERE NOT whole "
            "AND handle NOT IN (SELECT handle FROM account WHERE id <> '') "
            "AND handle NOT IN (SELECT handle FROM temp.selected WHERE to_look_at)",
            self._values,
        )
        return int(kols)

    def _looks(self) -> tuple[int, int]:
        """Return the calls and credits of a look at the profiles of selected KOLs, as spiders/sweep.py makes them."""
        if (by_id := self._api.profiles_by_id) is None:
            return 0, 0
        by_name, has_id = self._api.profile_by_name, "handle IN (SELECT handle FROM account WHERE id <> '')"
        known, others = (
            self._count(f"SELECT count(*) FROM temp.selected WHERE to_look_at AND {which} {has_id}")
            for which in ("", "NOT")
        )
        calls, credits_ = cost_of_profiles(by_id, known)
        named = others if by_name else 0
        return calls + named, credits_ + (named * by_name.price(1) if by_name else 0)

    @cached_property
    def _lists(self) -> str:
        """SQL: the selected lists. It names the other providers of the ledger, who are few, so that they are not looked
        for with each list.
        """
        others = self._db.execute("SELECT DISTINCT provider FROM kol WHERE provider <> ?", (self._provider,))
        return _LISTS.format(others=", ".join(f"'{name}'" for (name,) in others) or "''")

    @property
    def _values(self) -> dict[str, object]:
        return {"provider": self._provider, "now": time.time(), "size": self._api.page_size}

    def _groups(self, which: str = "", **values: object) -> Iterator[_Group]:
        columns = "whole, pages, coalesce(users, 0), new, cached, incremental, days, since, first_page"
        rows = self._db.execute(
            f"SELECT {columns}, in_order, may_be_small, promise, unseen, count(*) FROM ({self._lists}) l {which} "
            "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13",
            self._values | values,
        )
        return map(_Group._make, rows)

    def _expected(self, group: _Group) -> Expected:
        full, cached = self._api.page_size, group.cached
        if group.whole:
            return Expected(0.0, 0.0, cached, full)
        if group.incremental:
            return self._increment(group)
        if group.pages is None:
            calls = self._calls(None, cached)
            return Expected(calls, self.average.credits * calls / self.average.pages, None, full)
        if not group.pages:
            return Expected(1.0, self._api.failed_call_price, 1, full)
        pages, users = size_with_new(group.pages, group.users, group.new, full)
        calls = self._calls(pages, cached)
        return Expected(calls, self.cost(int(calls), max(users - cached * full, 0)), pages, full)

    def _increment(self, group: _Group) -> Expected:
        """Estimate an incremental reading; it is never longer than the list.

        Its pages are as large as the first one, if that is stored. They are full ones after a reading that broke off,
        for KOL_KNOWN_STOP=2, and where the order of the known accounts is not known: there it takes a page of them.
        """
        a_day = follows_a_day(group.new, group.days or 0, self._follows_a_day)
        new, sizes = group.promise or a_day * max(group.since or 0, 0), self._increments
        size = sizes.full
        if group.first_page is not None:
            size = sizes.asked_for(group.first_page)
        elif group.may_be_small and self.known_stop == 1:
            size = sizes.best(new)
        calls, credits_ = sizes.cost(size, new, RUN if group.in_order else sizes.full)
        further = self.known_stop - 1
        calls, credits_ = calls + further, credits_ + further * self._api.price(size)
        if group.pages is not None:
            calls, credits_ = min(calls, group.pages), min(credits_, self.cost(group.pages, group.users))
        left = max(calls - group.cached, 1)
        if group.unseen is not None and not group.promise:
            left *= 1 - exp(-max(group.unseen, 0) * (a_day * _MOVES + _RECHECKS))
        return Expected(left, credits_ * left / calls, max(round(calls), group.cached + 1), size)

    @cached_property
    def _increments(self) -> IncrementPages:
        return IncrementPages(self._api.price, self._api.page_sizes)

    @cached_property
    def _follows_a_day(self) -> float:
        """Return how many accounts a KOL follows in a day on average."""
        new, days = self._db.execute(
            "SELECT coalesce(sum(new), 0), coalesce(sum(seconds), 0) / ? FROM (SELECT i.new, c.started_at - (SELECT "
            "max(p.started_at) FROM crawl p WHERE p.provider = c.provider AND p.handle = c.handle "
            "AND p.generation < c.generation AND p.state = 'fetched') AS seconds "
            "FROM increment i JOIN crawl c USING (provider, handle, generation) "
            "WHERE i.provider = ? AND c.kind = 'incremental' AND c.state = 'fetched' LIMIT ?) l",
            (float(_DAY), self._provider, _SAMPLE),
        ).fetchone()
        return follows_a_day(new, days, _USUAL_FOLLOWS, weight=_WEIGHT)

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

    def price(self, pages: Iterable[int]) -> int:
        """Return the credits of pages with so many users each."""
        return sum(map(self._api.price, pages))

    def cost(self, pages: int, users: int) -> int:
        """Return the credits that a list costs: its full pages, one with the rest of the users, and empty ones."""
        size, price = self._api.page_size, self._api.price
        full = min(users // size, pages)
        rest = min(users - full * size, size) if full < pages else 0
        return full * price(size) + max(pages - full, 0) * price(0) + (price(rest) - price(0))
