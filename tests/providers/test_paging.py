"""Every list ends, a good one is never cut off, and a cut-off one is never called complete."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolspider.items import State
from kolspider.providers.base import Page
from kolspider.providers.paging import RUN, End, Known, Next, Paging

COMPLETE = End(State.COMPLETE, "")
STALE = End(State.PARTIAL, "3 pages in a row without a new account")


def walk(paging: Paging, answers: Iterable[tuple[Page, list[str]]], kept: int = 0) -> Next | End:
    """Ask for page after page, as the spider does, until the end or the last answer; so many come from the cache."""
    step: Next | End = Next("")
    for number, (page, ids) in enumerate(answers, 1):
        assert isinstance(step, Next)
        step = paging.take(step.cursor, page, ids, kept=number <= kept)
    return step


def chain(*pages: list[str], last: bool = True) -> list[tuple[Page, list[str]]]:
    return [(Page([], str(number), more=not last or number < len(pages)), ids) for number, ids in enumerate(pages, 1)]


def test_a_list_is_complete_when_the_api_says_so() -> None:
    paging = Paging()
    assert walk(paging, chain(["1", "2"], ["2", "3"], ["4"])) == COMPLETE
    assert (paging.pages, paging.users) == (3, 4)


def test_a_list_without_users_is_complete() -> None:
    paging = Paging()
    assert paging.take("", Page([], None, more=False), []) == COMPLETE
    assert (paging.pages, paging.users) == (1, 0)


def test_the_next_cursor_is_asked_for() -> None:
    assert Paging().take("", Page([], "1|2", more=True), ["1"]) == Next("1|2")


def test_more_without_a_cursor_is_partial() -> None:
    assert Paging().take("", Page([], None, more=True), ["1"]) == End(State.PARTIAL, "has_next_page without a cursor")


@pytest.mark.parametrize("repeated", ["1", "2"])
def test_a_cursor_that_was_asked_for_is_partial(repeated: str) -> None:
    paging = Paging()
    answers = [
        (Page([], "1", more=True), ["1"]),
        (Page([], "2", more=True), ["2"]),
        (Page([], repeated, more=True), ["3"]),
    ]
    assert walk(paging, answers) == End(State.PARTIAL, "repeated cursor")


def endless(pages: int) -> list[tuple[Page, list[str]]]:
    return chain(*([str(number)] for number in range(pages)), last=False)


@pytest.mark.parametrize(("longest", "most"), [(0, 500), (50, 500), (51, 510), (4000, 40_000)])
def test_a_list_that_never_ends_is_partial_after_ten_times_the_longest_one(longest: int, most: int) -> None:
    paging = Paging(longest=longest)
    assert isinstance(walk(paging, endless(most - 1)), Next)
    assert paging.take("last", Page([], "more", more=True), ["-1"]) == End(
        State.PARTIAL, f"no end after {most:,} pages; -a retry=partial reads on"
    )


def test_pages_of_an_earlier_run_leave_as_many_to_buy() -> None:
    assert isinstance(walk(Paging(), endless(500 + 499), kept=500), Next)
    assert isinstance(walk(Paging(), endless(500 + 500), kept=500), End)


def test_three_pages_without_a_new_account_are_partial() -> None:
    assert walk(Paging(), chain(["1"], ["1"], [], ["1"], last=False)) == STALE
    assert walk(Paging(), chain([], [], [], last=False)) == STALE


def test_two_pages_without_a_new_account_are_not() -> None:
    paging = Paging()
    answers = chain([], [], ["1"], ["1"], ["1"], ["1", "2"], [], [], ["3"], last=False)
    assert walk(paging, answers) == Next("9")
    assert (paging.pages, paging.users) == (9, 3)


def test_the_last_page_is_complete_even_when_it_is_the_third_stale_one() -> None:
    assert walk(Paging(), chain(["1"], [], [], [])) == COMPLETE
    paging = Paging()
    assert paging.take("", Page([], "", more=False), []) == COMPLETE


READ = [[str(number)] for number in range(5)]
"""Five pages that an earlier run read."""


@pytest.mark.parametrize("new", [[], [["91"], ["92"]]])
def test_a_list_that_grew_by_all_that_was_read_before_the_interruption_is_not_cut_off(new: list[list[str]]) -> None:
    answers = chain(*READ, *new, *READ, ["6"], *READ, last=False)
    assert walk(Paging(), answers[:-1], kept=5) == Next(str(len(answers) - 1))
    # and the same list read in one go was in a loop
    assert walk(Paging(), chain(*READ, *READ[:3], last=False)) == STALE


def test_stale_pages_from_the_cache_end_nothing_but_count() -> None:
    answers = chain(*READ, *READ, *READ, last=False)
    assert walk(Paging(), answers, kept=15) == Next("15")
    assert walk(Paging(), answers[:10], kept=8) == Next("10")
    assert walk(Paging(), answers[:11], kept=8) == End(State.PARTIAL, "6 pages in a row without a new account")


def test_an_endless_loop_ends_however_often_its_reading_is_interrupted() -> None:
    answers, kept = chain(*READ, *[[]] * 50, last=False), 0
    while isinstance(walk(Paging(), answers[: kept + 1], kept=kept), Next):  # each run buys one page
        kept += 1
    assert kept == 5 + 5


cursors = st.none() | st.sampled_from("abcdef") | st.integers().map(str)
pages = st.tuples(
    st.builds(lambda cursor, more: Page([], cursor, more), cursors, st.booleans() | st.just(value=True)),
    st.lists(st.integers(1, 10).map(str), max_size=5),
)


@given(st.lists(pages, min_size=1), st.integers(0, 20))
@settings(deadline=None)
def test_an_endless_list_over_finite_accounts_ends(script: list[tuple[Page, list[str]]], kept: int) -> None:
    paging = Paging()
    step: Next | End = Next("")
    seen: set[str] = set()
    for number in itertools.count(1):
        assert isinstance(step, Next)
        page, ids = script[(number - 1) % len(script)]
        if number > len(script) and page.more:  # an API that never runs out of fresh cursors
            page = Page([], f"fresh {number}", more=True)
        seen |= set(ids)
        step = paging.take(step.cursor, page, ids, kept=number <= kept)
        assert (paging.pages, paging.users) == (number, len(seen))
        if isinstance(step, End):
            assert step.state == (State.PARTIAL if page.more else State.COMPLETE)
            assert bool(step.reason) == (step.state == State.PARTIAL)
            break
        assert number <= kept + max(3, min(kept, 10) + 1) * (10 + 1), "so many stale pages before each new account"


KNOWN = End(State.COMPLETE, "", full=False)


ANY_ORDER = Known(frozenset({1, 2, 3}))


@pytest.mark.parametrize(
    ("pages", "stop", "end"),
    [
        ((["1", "2"],), 1, KNOWN),
        ((["8", "1"], ["2"]), 1, KNOWN),
        ((["1"], ["8"], ["2"], ["3"]), 2, KNOWN),
        ((["1"], [], ["2"]), 2, KNOWN),  # an empty page says nothing
        ((["8"], ["8", "1"], ["2"]), 1, KNOWN),  # nor whom this reading brought
        ((["8"], ["1"]), 1, KNOWN),
        ((["8"], ["9"]), 1, None),
    ],
)
@pytest.mark.parametrize("known", [ANY_ORDER, Known.newest_first([1, 2, 3])])
def test_pages_of_known_accounts_end_a_list_that_goes_on(
    pages: tuple[list[str], ...], stop: int, end: End | None, known: Known
) -> None:
    outcome = walk(Paging(known, known_stop=stop), chain(*pages, last=False))
    assert outcome == end if end else isinstance(outcome, Next)


@pytest.mark.parametrize("known", [ANY_ORDER, Known.newest_first([1, 2, 3])])
def test_a_small_page_of_known_accounts_without_a_run_ends_nothing(known: Known) -> None:
    assert isinstance(walk(Paging(known, small_pages=True), chain(["1", "2"], ["3"], last=False)), Next)


def texts(*numbers: range | int) -> list[str]:
    return [str(n) for part in numbers for n in (part if isinstance(part, range) else [part])]


@pytest.mark.parametrize(
    ("pages", "stop", "ends"),
    [
        ([texts(900, range(RUN))], 1, True),
        ([texts(900, range(RUN - 1))], 1, False),
        ([texts(900, range(0, 3 * RUN, 3))], 1, True),  # unfollowed ones are missing
        ([texts(range(RUN), 900)], 1, False),  # not at the end
        ([texts(range(5), 50, range(5, 12))], 1, False),  # 50 was followed again
        ([texts(50, range(RUN))], 1, True),  # here, too, before the known part
        ([texts(900, range(6)), texts(range(6, 10))], 1, True),  # over two pages
        ([texts(900, range(6)), texts(range(3, 10))], 1, True),  # the list has shifted
        ([texts(900, range(6)), texts(range(6))], 1, False),
        ([texts(900, *reversed(range(30)))], 1, False),
        ([texts(900, range(RUN)), texts(901, 40)], 2, False),
        ([texts(900, range(RUN)), texts(901, range(40, 50))], 2, True),
    ],
)
def test_a_run_of_known_accounts_in_their_order_ends_a_list(pages: list[list[str]], stop: int, *, ends: bool) -> None:
    paging = Paging(Known.newest_first(range(100)), known_stop=stop, small_pages=True)
    assert (walk(paging, chain(*pages, last=False)) == KNOWN) is ends


def test_a_list_that_ends_is_whole_whoever_is_known() -> None:
    paging = Paging(Known(frozenset({1, 2})))
    assert walk(paging, chain(["8", "1"], ["2"])) == COMPLETE
    assert (paging.users, paging.new) == (3, 1)
