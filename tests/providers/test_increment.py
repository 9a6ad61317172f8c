"""How large the pages of an incremental reading are, and what it costs, by price lists of several kinds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from kolspider.providers import provider
from kolspider.providers.increment import IncrementPages, follows_a_day
from kolspider.providers.paging import RUN

if TYPE_CHECKING:
    from collections.abc import Callable

TIERS = provider("twitterapi_io").price
SIZES = range(20, 201)
PAGES = IncrementPages(TIERS, SIZES)


@pytest.mark.parametrize(
    ("new", "size"),
    [(0, 20), (0.4, 20), (1, 20), (3, 20), (7, 20), (20, 20), (30, 20), (45, 20), (50, 200), (200, 200), (1e9, 200)],
)
def test_small_pages_are_asked_for_as_long_as_they_pay(new: float, size: int) -> None:
    assert PAGES.best(new) == size


@pytest.mark.parametrize("new", [0, 0.5, 1, 2, 5, 11, 20, 33, 47, 70, 150, 400])
def test_no_other_size_costs_less(new: float) -> None:
    best = PAGES.cost(PAGES.best(new), new)[1]
    assert best == min(PAGES.cost(size, new)[1] for size in range(20, 67)) or best == PAGES.cost(200, new)[1]
    assert best <= PAGES.cost(200, new)[1]


@pytest.mark.parametrize(
    ("price", "sizes", "best"),
    [
        (lambda _: 1, range(20, 201), 200),  # each call costs the same
        (lambda users: max(users, 1), range(20, 101), 20),  # each user does
        (lambda users: 10 + users, range(20, 101), 20),
        (lambda users: 500 + users, range(20, 101), 20),
        (lambda users: max(users, 50), range(20, 101), 50),  # fewer than 50 cost as much
        (TIERS, range(200, 201), 200),
        (TIERS, range(49, 50), 49),
    ],
)
def test_other_price_lists(price: Callable[[int], int], sizes: range, best: int) -> None:
    assert IncrementPages(price, sizes).best(1) == best


def test_small_pages_that_are_free_are_few_all_the_same() -> None:
    pages = IncrementPages(lambda users: 0 if users < 100 else users, range(20, 201))
    assert (pages.best(1), pages.most(20)) == (99, 200)


def test_where_a_call_is_dear_more_accounts_are_asked_for_in_each() -> None:
    pages = IncrementPages(lambda users: 500 + users, range(20, 1001))
    found = [pages.best(new) for new in (1, 5, 20, 100)]
    assert found == sorted(set(found))


def credits_of(new: int, size: int) -> tuple[int, int]:
    """The calls and credits of a reading that finds exactly so many new accounts."""
    small = {20: 4, 40: 2, 66: 2, 200: 0}[size]
    pages = -(-(new + RUN) // size)
    if pages <= small:
        return pages, pages * TIERS(size)
    full = -(-(new + RUN) // 200)
    return small + full, small * TIERS(size) + full * TIERS(200)


@pytest.mark.parametrize("size", [20, 40, 66, 200])
@pytest.mark.parametrize("new", [0.5, 5, 30, 300])
def test_the_cost_is_the_mean_of_what_readings_with_that_many_new_accounts_on_average_cost(
    size: int, new: float
) -> None:
    chance = random.Random(1)
    drawn = [0] * 20_000
    for nth in range(len(drawn)):
        while chance.random() < new / (1 + new):
            drawn[nth] += 1
    found = [credits_of(count, size) for count in drawn]
    calls, credits_ = PAGES.cost(size, new)
    assert calls == pytest.approx(sum(calls for calls, _ in found) / len(found), rel=0.03)
    assert credits_ == pytest.approx(sum(cost for _, cost in found) / len(found), rel=0.03)


def test_a_reading_that_needs_a_whole_page_of_known_accounts_costs_another_one() -> None:
    assert PAGES.cost(200, 0, run=200) == (1, 200)
    calls, credits_ = PAGES.cost(200, 20, run=200)
    assert calls == pytest.approx(1 + 20 / 21, abs=0.01)
    assert credits_ == pytest.approx(200 * (1 + 20 / 21), abs=1)


@pytest.mark.parametrize(("size", "pages"), [(20, 4), (30, 3), (50, 2), (66, 2), (200, 0)])
def test_small_pages_end_once_they_cost_as_much_as_a_full_one(size: int, pages: int) -> None:
    assert PAGES.most(size) == pages
    assert not pages or (pages - 1) * TIERS(size) < TIERS(200) <= pages * TIERS(size)


@pytest.mark.parametrize(
    ("users", "size"), [(0, 20), (1, 20), (20, 20), (28, 28), (66, 66), (67, 200), (166, 200), (200, 200), (250, 200)]
)
def test_a_reading_goes_on_in_the_size_of_its_first_page(users: int, size: int) -> None:
    assert PAGES.asked_for(users) == size


@pytest.mark.parametrize(
    ("new", "days", "before", "weight", "a_day"),
    [
        (0, 0, 1, 1, 1),  # no history: the average
        (0, 0, 3, 1, 3),
        (10, 10, 1, 1, 1),
        (0, 9, 1, 1, 0.1),
        (99, 9, 1, 1, 10),
        (20, 0.0001, 2, 1, 42),  # two readings within seconds say little
        (980, 980, 1, 20, 1),
        (5, -3, 1, 1, 6),  # a clock was wrong
    ],
)
def test_the_history_outweighs_the_average_bit_by_bit(
    new: int, days: float, before: float, weight: float, a_day: float
) -> None:
    assert follows_a_day(new, days, before, weight=weight) == pytest.approx(a_day, rel=0.01)
