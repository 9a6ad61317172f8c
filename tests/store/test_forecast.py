"""What the lists to come are expected to cost: by the last list, by the average, less what is in the cache."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from kolspider.items import Kol, State
from kolspider.providers.base import Profile
from kolspider.store.forecast import Expected, Forecast, rest_of_list
from kolspider.store.selection import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.providers.base import Provider
    from kolspider.store.connection import Connection
    from kolspider.store.ledger import Ledger

API = "twitterapi_io"
DAY = 86_400


class History:
    """What earlier runs have left in the store."""

    def __init__(self, store: Connection, ledger: Ledger) -> None:
        self.store = store
        self.ledger = ledger

    def add_kol(
        self, handle: str, state: str, *, pages: int = 0, users: int = 0, generation: int = 0, restarts: int = 0
    ) -> None:
        """Add a KOL and the last reading of its list; a list that ended is in the target."""
        self.store.execute(
            "INSERT INTO kol (provider, handle, user_name, generation, state, pages, users, restarts, finished_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (API, handle, handle, generation, state, pages, users, restarts),
        )
        self.store.execute("INSERT INTO kol_load VALUES (1, ?, ?, ?, 1)", (API, handle, generation))
        self.add_reading(handle, state, pages, users, generation=generation)

    def add_reading(
        self, handle: str, state: str, pages: int, users: int, *, generation: int = 0, new: int | None = None
    ) -> None:
        """Add a reading of a KOL's list; an incremental one if `new` is set."""
        self.store.execute(
            "INSERT INTO crawl (provider, handle, generation, kind, state, started_at, ended_at, pages, users) "
            "VALUES (?, ?, ?, ?, ?, 1, 1, ?, ?)",
            (API, handle, generation, "full" if new is None else "incremental", state, pages, users),
        )
        if new is not None:
            self.store.execute("INSERT INTO increment VALUES (?, ?, ?, ?)", (API, handle, generation, new))

    def add_pages(self, handle: str, *users: int, generation: int = 0, loaded: bool = True) -> None:
        """Add pages to the cache."""
        for number, count in enumerate(users, 1):
            seq = self.store.insert(
                "INSERT INTO page (provider, handle, generation, cursor, number, users, fetched_at, body) "
                "VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
                (API, handle, generation, str(number), number, count, b""),
                "seq",
            )
            if loaded:
                self.store.execute("INSERT INTO page_load (seq, target) VALUES (?, 1)", (seq,))

    def forecast(self, *names: str, refresh: int | None = None, retry: str = "", incremental: bool = False) -> Forecast:
        """Select these KOLs, and return what they are expected to take."""
        selection = self.ledger.selection
        selection.read(names)
        states = [State(retry)] if retry else []
        selection.choose_due(
            now=100,
            refresh_before=None if refresh is None else 100 - refresh,
            retry=states,
            limit=None,
            keep_done=False,
            incremental=incremental,
            follows=True,
        )
        return self.ledger.forecast


def size(forecast: Forecast, handle: str) -> tuple[float, int | None]:
    """The calls that a list is expected to take, and its pages."""
    expected = forecast.of(handle)
    return expected.calls, expected.pages


@pytest.fixture
def history(store: Connection, ledger: Ledger) -> History:
    return History(store, ledger)


def test_new_kols_are_expected_to_be_average(history: History) -> None:
    expected = history.forecast("a", "b")
    assert size(expected, "a") == (10, None)
    total = expected.total()
    assert (total.kols_average, total.calls, expected.average.lists) == (2, 20, 0)
    # 9 full pages, and the average of what 1 to 200 users cost
    last_page = (20 * 60 + 3 * sum(range(21, 100)) + 2 * sum(range(100, 200)) + 200) / 200
    assert total.credits == pytest.approx(2 * (9 * 200 + last_page))


def test_twenty_lists_are_enough_for_an_average_of_their_own(history: History) -> None:
    for number in range(19):
        history.add_kol(f"k{number}", "fetched", pages=3, users=450)
    history.add_kol("empty", "fetched", pages=1, users=0)
    expected = history.forecast("new")
    assert expected.average.lists == 20
    assert expected.total().calls == pytest.approx((19 * 3 + 1) / 20)
    assert expected.total().credits == pytest.approx((19 * 550 + 60) / 20)  # 200 + 200 + 150 for the last 50
    assert expected.average.spread > 0


@pytest.mark.parametrize(
    ("pages", "users", "credits_"),
    [
        (1, 0, 60),
        (1, 199, 398),
        (1, 200, 200),
        (2, 201, 260),
        (3, 450, 550),
        (5, 1000, 1000),
        (4, 400, 520),
        (2, 900, 400),
    ],
)
def test_a_refresh_costs_what_the_last_list_did(history: History, pages: int, users: int, credits_: int) -> None:
    history.add_kol("a", "fetched", pages=pages, users=users)
    history.add_pages("a", *[200] * pages)  # no help: these are bought again
    expected = history.forecast("a", refresh=0)
    assert size(expected, "a") == (pages, pages)
    total = expected.total()
    assert (total.kols_known, total.calls, total.credits, total.cached) == (1, pages, credits_, 0)


def test_cached_pages_of_an_unfinished_list_are_not_bought(history: History) -> None:
    history.add_kol("a", "fetching")
    history.add_pages("a", 200, 200, 200, 200)
    expected = history.forecast("a")
    assert size(expected, "a") == (6, None)
    total = expected.total()
    assert (total.calls, total.cached) == (6, 4)
    assert total.credits == pytest.approx(expected.average.credits * 0.6)


def test_an_interrupted_refresh_is_as_long_as_the_older_reading(history: History) -> None:
    history.add_kol("a", "fetching", generation=1)
    history.add_reading("a", "fetched", 3, 450)
    history.add_pages("a", 200, 200, 50)
    history.add_pages("a", 200, 200, generation=1)
    expected = history.forecast("a")
    assert size(expected, "a") == (1, 3)
    assert (expected.total().calls, expected.total().credits, expected.total().cached) == (1, 150, 2)


def test_an_interrupted_refresh_has_what_incremental_readings_found(history: History) -> None:
    history.add_kol("a", "fetching", generation=5)
    history.add_reading("a", "fetched", 3, 450, generation=1)  # 900 accounts in generation 0 were gone by then
    history.add_reading("a", "fetched", 5, 900, generation=0)
    history.add_reading("a", "fetched", 2, 400, generation=2, new=160)
    history.add_reading("a", "partial", 1, 200, generation=3, new=200)  # what broke off is not known
    history.add_reading("a", "fetched", 3, 600, generation=4, new=250)
    history.add_pages("a", 200, 200, 50, generation=1)
    history.add_pages("a", 200, 200, 200, generation=4)
    history.add_pages("a", 200, 200, generation=5)
    expected = history.forecast("a")
    assert size(expected, "a") == (3, 5)  # of 860 accounts
    assert expected.total().credits == 200 + 200 + 3 * 60


class TestIncrement:
    """Incremental readings, of lists that were read in full so many days ago."""

    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("time.time", lambda: 1000.0 * DAY)

    def add(
        self, history: History, handle: str = "a", *, users: int = 1900, days: float, new: tuple[int, ...] = ()
    ) -> None:
        """Add a list that was read in full, and then so many days after each other with so many new accounts."""
        pages = max(-(-users // 200), 1)
        history.add_kol(handle, "fetched", pages=pages, users=users + sum(new))
        history.add_pages(handle, *[200] * pages)
        history.store.execute("UPDATE page SET cursor = '' WHERE number = 1")
        for generation, count in enumerate(new, 1):
            history.add_reading(handle, "fetched", 1, 20, generation=generation, new=count)
        last = len(new)
        history.store.execute("UPDATE kol SET generation = ? WHERE handle = ?", (last, handle))
        history.store.execute(
            "UPDATE crawl SET started_at = (1000 - ? * (? - generation)) * 86400.0 WHERE handle = ?",
            (days, last + 1, handle),
        )

    @pytest.mark.parametrize(
        ("days", "new", "page_size", "credits_"),
        [
            (1, (), 20, 60),  # one a day, as is usual
            (7, (), 20, 75),
            (14, (), 20, 98),
            (60, (), 200, 209),
            (1, (0, 0, 0), 20, 60),
            (1, (40, 40, 40), 20, 181),  # 38
            (1, (90, 90, 90, 90), 200, 226),  # 90
            (30, (0, 0, 0), 20, 60),  # nobody in 90 days
        ],
    )
    def test_costs_what_the_new_accounts_do_that_the_kol_follows_in_the_time_since(
        self, history: History, days: float, new: tuple[int, ...], page_size: int, credits_: int
    ) -> None:
        self.add(history, days=days, new=new)
        expected = history.forecast("a", refresh=0, incremental=True)
        assert (expected.of("a").page_size, round(expected.of("a").credits)) == (page_size, credits_)
        assert expected.total().credits == expected.of("a").credits
        assert expected.total().calls == expected.of("a").calls

    def test_a_kol_without_a_history_is_expected_to_be_average(self, history: History) -> None:
        for number in range(50):
            self.add(history, f"k{number}", days=1, new=(100, 100, 100))
        self.add(history, "new", days=1)
        expected = history.forecast("new", refresh=0, incremental=True)
        assert expected._follows_a_day == pytest.approx((15_000 + 20) / (150 + 20))
        assert expected.of("new").page_size == 200

    @pytest.mark.parametrize(
        ("users", "credits_"), [(0, 60), (1, 60), (20, 60), (66, 75), (67, 75), (150, 75), (1900, 75)]
    )
    def test_costs_no_more_than_the_full_list(self, history: History, users: int, credits_: int) -> None:
        self.add(history, users=users, days=7)
        expected = history.forecast("a", refresh=0, incremental=True)
        assert round(expected.of("a").credits) == credits_
        assert expected.of("a").calls <= -(-users // 200) or expected.of("a").calls < 1.3
        assert expected.of("a").credits <= expected.cost(max(-(-users // 200), 1), users)

    def test_asks_for_full_pages_where_the_order_of_the_known_accounts_is_not_known(self, history: History) -> None:
        self.add(history, days=7)
        history.store.execute("DELETE FROM page WHERE number = 2")
        expected = history.forecast("a", refresh=0, incremental=True)
        assert expected.of("a").page_size == 200
        assert expected.of("a").credits == pytest.approx(200 * (1 + 7 / 8), abs=0.1)  # a page of known ones, and new

    def test_asks_for_full_pages_after_a_reading_that_broke_off(self, history: History) -> None:
        self.add(history, days=1, new=(1, 1))
        history.store.execute("UPDATE crawl SET state = 'partial' WHERE generation = 2")
        assert history.forecast("a", refresh=0, incremental=True).of("a").page_size == 200

    def test_asks_for_full_pages_where_two_of_them_must_be_known(self, history: History) -> None:
        self.add(history, days=1)
        forecast = history.forecast("a", refresh=0, incremental=True)
        forecast.known_stop = 2
        expected = forecast.of("a")
        assert (expected.page_size, round(expected.calls, 3), round(expected.credits)) == (200, 2, 400)

    def interrupt(self, history: History, *users: int, new: int = 5) -> Expected:
        """Begin to read a list again, which had so many new accounts before, and stop after these pages."""
        self.add(history, days=1, new=(new,))
        history.store.execute("UPDATE kol SET generation = 2, state = 'fetching'")
        history.add_reading("a", "fetching", 0, 0, generation=2, new=0)
        history.add_pages("a", *users, generation=2)
        history.store.execute("UPDATE page SET cursor = '' WHERE number = 1")
        return history.forecast("a").of("a")

    @pytest.mark.parametrize(
        ("users", "page_size", "pages"),
        [((), 20, 1), ((20,), 20, 2), ((17,), 20, 2), ((33, 33), 33, 3), ((200,), 200, 2), ((166,), 200, 2)],
    )
    def test_goes_on_in_pages_as_large_as_the_first_one(
        self, history: History, users: tuple[int, ...], page_size: int, pages: int
    ) -> None:
        expected = self.interrupt(history, *users)
        assert (expected.page_size, expected.pages) == (page_size, pages)
        assert expected.calls == pytest.approx(1, abs=0.1)

    @pytest.mark.parametrize("pages", [0, 1, 2])
    def test_takes_the_rest_of_the_pages_that_its_new_accounts_fill(self, history: History, pages: int) -> None:
        expected = self.interrupt(history, *[20] * pages, new=30)
        whole = 2.01  # pages for 22
        assert expected.calls == pytest.approx(max(whole - pages, 1), abs=0.01)
        assert expected.credits == pytest.approx(expected.calls * 63, abs=1)  # some begin again in full pages
        assert expected.pages == max(2, pages + 1)

    def test_time_and_accounts_of_readings_that_broke_off_are_those_of_the_next_one(self, history: History) -> None:
        self.add(history, days=10, new=(7, 9, 13))
        history.store.execute("UPDATE crawl SET state = 'failed' WHERE generation = 2")
        forecast = history.forecast("a", refresh=0, incremental=True)
        assert forecast._follows_a_day == pytest.approx((7 + 13 + 20) / (30 + 20))

    def test_what_came_to_the_end_of_the_list_found_no_new_accounts(self, history: History) -> None:
        """Its first try may have: a damaged page is bought again."""
        self.add(history, days=10, new=(7, 90))
        history.store.execute("UPDATE crawl SET kind = 'full' WHERE generation = 2")
        forecast = history.forecast("a", refresh=0, incremental=True)
        assert forecast._follows_a_day == pytest.approx((7 + 20) / (10 + 20))

    def test_goes_on_in_small_pages_although_the_order_is_no_longer_known(self, history: History) -> None:
        """So its cursor is good. It begins again in full pages if it has to."""
        self.interrupt(history, 20)
        history.store.execute("DELETE FROM page WHERE generation = 0 AND number = 3")
        assert history.ledger.forecast.of("a").page_size == 20

    def test_that_begins_again_asks_for_full_pages(self, history: History) -> None:
        self.interrupt(history, 20, 20, 20, 20)
        history.ledger.kols.begin_increment_again("a")
        history.store.execute("DELETE FROM temp.selected")
        assert history.forecast("a").of("a").page_size == 200


def test_an_older_reading_that_was_shorter_is_not_used(history: History) -> None:
    history.add_kol("a", "fetching", generation=1)
    history.add_pages("a", 200)
    history.add_pages("a", 200, 200, generation=1)
    assert size(history.forecast("a"), "a") == (8, None)


def test_a_list_that_is_all_in_the_cache_is_only_loaded(history: History) -> None:
    history.add_kol("a", "fetched", pages=2, users=201)
    history.add_pages("a", 200, 1, loaded=False)
    expected = history.forecast("a")
    assert expected.of("a").calls == 0
    total = expected.total()
    assert (total.kols_whole, total.calls, total.credits, total.cached) == (1, 0, 0, 2)


def test_an_incremental_reading_whose_base_is_missing_is_not_only_loaded(history: History) -> None:
    history.add_kol("a", "fetched", pages=10, users=1920)
    history.add_kol("b", "fetched", pages=10, users=1920)
    history.store.execute("UPDATE kol SET generation = 1")
    for handle in ("a", "b"):
        history.add_reading(handle, "fetched", 2, 400, generation=1, new=20)
        history.add_pages(handle, 200, 200, generation=1, loaded=False)
    # Only b's full list is in this target; the pages of both lists were deleted.
    history.store.execute("UPDATE kol_load SET target = 2 WHERE handle = 'a'")
    expected = history.forecast("a", "b")
    assert (size(expected, "a"), size(expected, "b")) == ((10, 10), (0, 2))
    total = expected.total()
    assert (total.kols_whole, total.calls, total.credits) == (1, 10, 9 * 200 + 2 * 140)


@pytest.mark.parametrize("state", ["fetching", "failed", "partial", "not_found"])
def test_a_list_whose_incremental_reading_broke_off_and_whose_base_is_missing_is_read_in_full(
    history: History, state: str
) -> None:
    history.add_kol("a", "fetched", pages=10, users=1920)
    history.add_reading("a", "fetched", 3, 600, generation=1, new=250)
    history.add_reading("a", state, 1, 200, generation=2, new=0)
    history.add_pages("a", 200, generation=2)
    ends = state not in {"fetching", "failed"}  # 0 from the beginning of a reading to its end
    history.store.execute(
        "UPDATE kol SET generation = 2, state = ?, pages = ?, users = ?", (state, 11 * ends, 2170 * ends)
    )
    history.store.execute("UPDATE kol_load SET target = 2")
    expected = history.forecast("a", retry="" if state == "fetching" else state)
    whole = ((11, 11), 11, 10 * 200 + 2 * 170)
    assert (size(expected, "a"), expected.total().calls, expected.total().credits) == (
        ((1, 1), 1, 0) if state == "not_found" else whole
    )


def test_a_refresh_of_a_list_whose_base_is_missing_is_as_long_as_the_list(history: History) -> None:
    history.add_kol("a", "fetched", pages=10, users=1940)
    history.add_reading("a", "fetched", 2, 400, generation=1, new=20)
    history.store.execute("UPDATE kol SET generation = 1")
    history.store.execute("UPDATE kol_load SET generation = -1")
    assert history.forecast("a", refresh=0).total().credits == 9 * 200 + 2 * 140


def test_a_kol_who_is_gone_is_expected_to_be_still_gone_at_the_price_of_a_failed_call(history: History) -> None:
    history.add_kol("gone", "not_found")
    total = history.forecast("gone", retry="not_found").total()
    assert (total.calls, total.credits, total.kols_known) == (1, 0, 1)


def test_a_broken_list_keeps_all_but_the_page_that_broke_it(history: History) -> None:
    history.add_kol("a", "partial", pages=3, users=600)
    history.add_pages("a", 200, 200, 200)
    assert size(history.forecast("a", retry="partial"), "a") == (8, None)


@pytest.mark.parametrize(("restarts", "calls"), [(0, 7), (2, 10)])
def test_a_failed_list_goes_on_unless_its_cursor_was_refused_twice(history: History, restarts: int, calls: int) -> None:
    history.add_kol("a", "failed", restarts=restarts)
    history.add_pages("a", 200, 200, 200)
    assert size(history.forecast("a", retry="failed"), "a") == (calls, None)


def test_no_kol_due_costs_nothing(history: History) -> None:
    history.add_kol("a", "fetched", pages=1)
    total = history.forecast("a").total()
    assert (total.calls, total.credits, total.cached) == (0, 0, 0)


@pytest.mark.parametrize(("read", "rest"), [(0, 10), (4, 6), (9, 5), (30, 5)])
def test_a_long_list_is_likely_to_be_longer_still(read: int, rest: int) -> None:
    assert rest_of_list(10, read) == rest
    assert rest_of_list(1, read) == 1


@pytest.mark.parametrize(
    ("pages", "users", "sizes"),
    [
        (0, 0, []),
        (1, 0, [0]),
        (1, 1, [1]),
        (1, 10, [10]),
        (2, 10, [10, 0]),
        (2, 11, [10, 1]),
        (2, 25, [10, 10]),  # more users than these pages can have
        (4, 25, [10, 10, 5, 0]),
    ],
)
def test_a_list_costs_its_full_pages_one_with_the_rest_and_empty_ones(
    store: Connection, pages: int, users: int, sizes: list[int]
) -> None:
    def price(size: int) -> int:
        return 7 + size**2

    api = cast("Provider", SimpleNamespace(name=API, family=API, page_size=10, price=price, usual_users=25))
    forecast = Forecast(store, api, 1)
    assert forecast.cost(pages, users) == sum(map(price, sizes))
    average = forecast.average
    assert (average.lists, average.users, average.pages, average.spread) == (0, 25, 3, 50)
    assert average.credits == 2 * price(10) + sum(map(price, range(1, 11))) / 10


@pytest.fixture
def elsewhere(beside: Callable[..., Ledger]) -> Callable[..., Ledger]:
    """The same store as a provider sees it that sells pages of 50 users and asks by id, with these KOLs selected."""

    def selected(*names: str, watch: Watch | None = None) -> Ledger:
        ledger = beside("socialdata")
        ledger.selection.read(names)
        ledger.selection.watch = watch
        ledger.selection.choose_due(now=100, refresh_before=None, retry=(), limit=None, keep_done=False)
        return ledger

    return selected


def test_a_list_that_another_provider_sold_is_as_long_here(
    store: Connection, ledger: Ledger, elsewhere: Callable[..., Ledger]
) -> None:
    history = History(store, ledger)
    history.add_kol("a", "fetched", pages=3, users=450)
    history.add_kol("b", "fetched", pages=1, users=0)
    history.add_kol("c", "fetching")
    forecast = elsewhere("a", "b").forecast
    assert (forecast.of("a"), forecast.of("b")) == (Expected(9, 450, 9, 50), Expected(1, 0, 1, 50))
    assert (forecast.total().calls_known, forecast.total().credits_known) == (10, 450)


def test_look_ups_are_calls_too(store: Connection, ledger: Ledger, elsewhere: Callable[..., Ledger]) -> None:
    History(store, ledger).add_kol("a", "fetched", pages=1, users=50)
    other = elsewhere("a")
    total, more = other.forecast.total(), other.forecast.total(more=250)
    assert (total.lookups, total.credits_lookups, total.kols_without_id) == (1, 1, 1)
    assert (total.calls, total.credits) == (2, 51)
    assert (more.lookups, more.credits_lookups, more.kols_without_id) == (3, 251, 251)
    other.accounts.note([(Kol("a", "a"), Profile("12", "a", None, None, "", {}))])
    total = other.forecast.total()
    assert (total.lookups, total.credits_lookups, total.calls) == (0, 0, 1)
    assert History(store, ledger).forecast("new").total().lookups == 0, "twitterapi.io asks by name"


def test_ids_that_a_look_finds_are_not_looked_up_again(elsewhere: Callable[..., Ledger]) -> None:
    total = elsewhere("a", watch=Watch(100, 0)).forecast.total()
    assert (total.looks, total.credits_looks, total.lookups, total.calls) == (1, 1, 0, 1 + total.calls_average)


def test_without_profiles_by_name_a_kol_without_an_id_is_not_looked_at(elsewhere: Callable[..., Ledger]) -> None:
    ledger = elsewhere("a", watch=Watch(100, 0))
    ledger.forecast._api = SimpleNamespace(**vars(ledger.forecast._api) | {"profile_by_name": None})  # type: ignore[assignment]
    assert ledger.forecast._looks() == (0, 0)
