"""How large the pages of an incremental reading are: as small as pays. Pure.

A small page costs less, and shows the known part if the new accounts and a run of known ones fit into it. If they
don't, the reading goes on in pages of the same size, because nobody promises that the cursor of a small page is good
for a larger one. Once the small pages have cost as much as a full one, the reading begins again at full size, from page
1: that costs about as much as to go on in full pages, and leaves no gap.

How many accounts are new is taken for geometrically distributed: whoever has followed many is likely to have followed
even more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.providers.paging import RUN

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IncrementPages", "follows_a_day"]

_UNLIKELY = 1e-3
"""Pages that are needed less often than this cost nothing."""
_MANY = 10_000.0
"""With so many new accounts, the list itself is the limit."""


def follows_a_day(new: int, days: float, before: float, *, weight: float = 1) -> float:
    """Estimate how many accounts are followed in a day, by how many were new in so many days.

    `before` is the estimate without that history. It counts as much as if `weight` accounts had been new at that rate.
    """
    return (new + weight) / (max(days, 0) + weight / before)


class IncrementPages:
    """The sizes of pages by a provider's price list."""

    def __init__(self, price: Callable[[int], int], sizes: range) -> None:
        """Take the credits of a page by its number of users, and the sizes that can be asked for."""
        self._price = price
        self.full = sizes[-1]
        """The largest size."""
        least, worth = price(self.full), [self.full]
        for size in reversed(sizes[:-1]):
            if price(size) < least:
                least = price(size)
                worth.append(size)
        self._worth = worth[::-1]
        """The sizes that cost less than any larger one."""
        self._best: dict[float, int] = {}
        self._costs: dict[tuple[int, float, int], tuple[float, float]] = {}

    def asked_for(self, users: int) -> int:
        """Return the size of the pages of a reading whose first page is stored and has so many users.

        It may have been asked for with a larger size, and come short: what is smaller leaves no gap.
        """
        return next((size for size in self._worth if size >= users), self.full)

    def most(self, size: int) -> int:
        """Return the number of pages of this size that cost as much as a full one; 0 for full ones themselves."""
        return 0 if size == self.full else -(-self._price(self.full) // max(self._price(size), 1))

    def best(self, new: float) -> int:
        """Return the size of the pages that cost least when so many new accounts are expected."""
        new = _rounded(new)
        if new not in self._best:
            self._best[new] = min(self._worth, key=lambda size: self.cost(size, new)[1])
        return self._best[new]

    def cost(self, size: int, new: float, run: int = RUN) -> tuple[float, float]:
        """Estimate the calls and credits of a reading in pages of this size, when so many new accounts are expected.

        `run` is the number of known accounts behind them that end it.
        """
        key = (size, _rounded(new), run)
        if key not in self._costs:
            self._costs[key] = self._cost(*key)
        return self._costs[key]

    def _cost(self, size: int, new: float, run: int) -> tuple[float, float]:
        one_more = new / (1 + new)

        def goes_on(read: int) -> float:
            """Return the probability that so many accounts don't show the known part."""
            return one_more ** max(read - run + 1, 0)

        small = self.most(size)
        calls = sum(goes_on(page * size) for page in range(small))
        credits_ = calls * self._price(size)
        begins_again, pages = goes_on(small * size), 0
        while (likely := min(begins_again, goes_on(pages * self.full))) > _UNLIKELY:
            calls += likely
            credits_ += likely * self._price(self.full)
            pages += 1
        return calls, credits_


def _rounded(new: float) -> float:
    """Return the number with few digits, so that few have to be computed."""
    return min(round(new, 1) if new < 10 else round(new), _MANY)
