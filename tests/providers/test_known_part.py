"""No new account is missed by a reading that stops at the known part, in a model of lists as they really change.

Accounts come at the front and leave anywhere; one that was unfollowed and followed again moves to the front.
"""

from __future__ import annotations

import random
from itertools import chain
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolspider.items import State
from kolspider.providers.base import Page
from kolspider.providers.paging import RUN, End, Known, Next, Paging

Cursors = Literal["position", "time"]
MET = End(State.COMPLETE, "", full=False)
FULL = 200


class Kol:
    """A KOL's list, newest follow first, and the readings of it."""

    def __init__(self, follows: int, cursors: Cursors) -> None:
        self.cursors = cursors
        self.list = list(range(follows, 0, -1))
        self.ever = follows
        self.readings: list[list[int]] = []
        """The accounts that each reading brought, the newest reading first."""
        self.read(FULL)

    def follow(self, count: int = 1) -> None:
        self.list[:0] = range(self.ever + count, self.ever, -1)
        self.ever += count

    def unfollow(self, place: int) -> None:
        if self.list:
            self.list.pop(place % len(self.list))

    def refollow(self, place: int) -> None:
        if self.list:
            self.list.insert(0, self.list.pop(place % len(self.list)))

    def read(self, size: int, follows_between: tuple[int, ...] = (), *, shuffled: random.Random | None = None) -> int:
        """Read the list up to its known part, and check that nobody is missed. Returns the number of pages."""
        wanted, between = set(self.list), iter(follows_between)
        known = Known.newest_first(chain.from_iterable(self.readings))
        paging = Paging(known if self.readings else Known(()), small_pages=size < FULL)
        read: list[int] = []
        outcome: Next | End = Next("")
        while isinstance(outcome, Next):
            start = self._start(read, size * paging.pages)
            page = self.list[start : start + size]
            read += page
            more = start + size < len(self.list)
            order = shuffled.sample(page, len(page)) if shuffled else page
            outcome = paging.take(outcome.cursor, Page([], f"after {len(read)}", more=more), map(str, order))
            self.follow(next(between, 0))
        if outcome.state is State.PARTIAL:
            return paging.pages  # the list shifted by more than a page, three times: it is told, and counts for nothing
        assert outcome in (MET, End(State.COMPLETE, ""))
        assert wanted <= set(read).union(*self.readings), "an account that was never seen before"
        self.readings.insert(0, read)
        return paging.pages

    def _start(self, read: list[int], read_before: int) -> int:
        """Where the next page starts: behind as many accounts as were read, or behind the last one that is left."""
        if self.cursors == "position":
            return read_before
        return next((self.list.index(id_) + 1 for id_ in reversed(read) if id_ in self.list), 0)


places = st.integers(0, 10**6)
changes = st.lists(
    st.tuples(st.just("follow"), st.integers(1, 60))
    | st.tuples(st.just("unfollow"), places)
    | st.tuples(st.just("refollow"), st.integers(0, 5) | places),
    max_size=30,
)


@given(
    follows=st.integers(0, 500),
    cursors=st.sampled_from(["position", "time"]),
    rounds=st.lists(
        st.tuples(changes, st.sampled_from([20, 21, 50, FULL]), st.lists(st.integers(0, 50), max_size=4)), max_size=6
    ),
)
@settings(deadline=None)
def test_nobody_is_missed_while_fewer_were_followed_again_than_a_run_is_long(
    follows: int, cursors: Cursors, rounds: list[tuple[list[tuple[str, int]], int, list[int]]]
) -> None:
    kol = Kol(follows, cursors)
    for what_changed, size, between in rounds:
        refollows = 0
        for what, number in what_changed:
            refollows += what == "refollow"
            if what != "refollow" or refollows < RUN:
                getattr(kol, what)(number)
        kol.read(size, tuple(between))


@pytest.mark.parametrize("cursors", ["position", "time"])
@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_missed_however_many_were_followed_again_in_any_order(seed: int, cursors: Cursors) -> None:
    chance = random.Random(seed)
    kol = Kol(chance.randint(100, 800), cursors)
    for _ in range(30):
        for _ in range(chance.randint(0, 4)):
            kol.follow(chance.randint(0, 3))
            for _ in range(chance.choice([0, 1, 5, 40])):
                kol.refollow(chance.randrange(chance.choice([30, 10**6])))
            for _ in range(chance.choice([0, 1, 30])):
                kol.unfollow(chance.randrange(10**6))
        kol.read(20, tuple(chance.choices([0, 0, 1, 15], k=3)))


@pytest.mark.parametrize("refollows", [1, 5, RUN - 1])
def test_accounts_followed_again_in_their_old_order_prove_nothing_while_they_are_few(refollows: int) -> None:
    kol = Kol(300, "time")
    kol.follow(1)
    for _ in range(refollows):
        kol.refollow(refollows)  # the last of them first, so that they stand as before
    assert kol.read(20) == 1


def test_as_many_as_a_run_in_exactly_their_old_order_are_believed() -> None:
    kol = Kol(300, "time")
    kol.follow(1)
    for _ in range(20):
        kol.refollow(20)
    with pytest.raises(AssertionError, match="never seen before"):
        kol.read(20)


@pytest.mark.parametrize(("new", "pages"), [(0, 1), (1, 1), (10, 1), (11, 2), (20, 2), (30, 2), (31, 3)])
def test_a_reading_ends_at_the_first_page_with_room_for_the_new_ones_and_a_run(new: int, pages: int) -> None:
    kol = Kol(1900, "time")
    kol.follow(new)
    for place in range(new, 900, 3):
        kol.unfollow(place)  # gaps in the known order are no end of a run
    assert kol.read(20) == pages
    assert kol.read(20) == 1


def test_a_run_may_begin_on_the_page_before() -> None:
    kol = Kol(1900, "position")
    kol.follow(15)
    assert kol.read(20, (3,)) == 2  # 5 known ones on page 1; page 2 begins with 3 accounts of page 1
    assert kol.read(20) == 1


def test_a_page_in_no_order_proves_something_only_when_it_is_a_full_one() -> None:
    kol, chance = Kol(1900, "time"), random.Random(1)
    kol.follow(1)
    assert kol.read(FULL, shuffled=chance) == 2
    kol.follow(1)
    assert kol.read(20, shuffled=chance) == 96


def test_two_pages_that_the_list_shifted_into_know_an_account_by_its_newest_place() -> None:
    assert Known.newest_first([5, 4, 4, 3, 5, 1]).places == {5: 0, 4: 1, 3: 2, 1: 3}
