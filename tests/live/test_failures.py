"""Which failures stop the run, and which are a KOL's own."""

from __future__ import annotations

import time

import pytest

from kolspider.live.failures import Failures
from kolspider.live.stop import Stop
from kolspider.providers.base import ApiErrorKind

OF_THE_RUN = [
    (ApiErrorKind.FORBIDDEN, "the API refuses the key (why)"),
    (ApiErrorKind.BLOCKED, "something in front of the API refuses the calls (why)"),
    (ApiErrorKind.NO_CREDIT, "the API account has no credit left (why)"),
    (ApiErrorKind.WRONG_PATH, "there is no followings API at https://api (why)"),
    (ApiErrorKind.REDIRECTED, "there is no followings API at https://api (why)"),
]
OWN_AFTER_A_PAGE = [kind for kind, _ in OF_THE_RUN if kind is not ApiErrorKind.NO_CREDIT]


def failures(stop_after: int = 3) -> tuple[Failures, Stop]:
    stop = Stop()
    return Failures(stop, stop_after, "https://api"), stop


@pytest.mark.parametrize(("kind", "line"), OF_THE_RUN)
def test_before_any_page_a_second_kol_is_tried(kind: ApiErrorKind, line: str) -> None:
    found, stop = failures()
    found.note_failed("one", kind, "why")
    assert stop.error is None
    found.note_failed("two", kind, "why")
    assert str(stop.error).startswith(line)


@pytest.mark.parametrize(("kind", "line"), OF_THE_RUN)
def test_if_there_is_no_second_kol_the_run_ends_with_the_line(kind: ApiErrorKind, line: str) -> None:
    found, stop = failures()
    found.note_failed("one", kind, "why")
    found.note_end()
    assert str(stop.error).startswith(line)


@pytest.mark.parametrize("kind", OWN_AFTER_A_PAGE)
def test_after_a_page_it_is_the_kols_own_until_too_many_fail_in_a_row(kind: ApiErrorKind) -> None:
    found, stop = failures(stop_after=3)
    found.note_page(time.monotonic())
    assert not found.note_failed("one", kind, "why")
    assert not found.note_failed("two", kind, "why")
    found.note_end()
    assert stop.error is None
    assert found.note_failed("three", kind, "why")
    assert "3 KOLs in a row failed in the same way (why)" in str(stop.error)
    assert found.in_a_row == ["one", "two", "three"]


def test_the_balance_is_empty_if_two_kols_say_so_without_a_page_in_between() -> None:
    found, stop = failures()
    for _ in range(5):
        found.note_page(time.monotonic())
        found.note_failed("odd", ApiErrorKind.NO_CREDIT, "why")
    found.note_end()
    assert stop.error is None
    found.note_page(sent_at=0)  # it was on its way when the balance ran out
    found.note_failed("other", ApiErrorKind.NO_CREDIT, "why")
    assert "no credit left" in str(stop.error)


@pytest.mark.parametrize("in_between", ["good list", "empty list", "other failure"])
def test_only_failures_of_one_kind_one_after_the_other_count(in_between: str) -> None:
    found, stop = failures(stop_after=2)
    for name in "abcdef":
        found.note_failed(name, "network", "why")
        if in_between == "other failure":
            found.note_failed(f"{name}2", ApiErrorKind.TRANSIENT, "why")
        else:
            found.note_good(200 if in_between == "good list" else 0)
    assert stop.error is None


def test_pages_of_lists_that_fail_in_the_end_do_not_count() -> None:
    found, stop = failures(stop_after=2)
    for name in "ab":
        found.note_page(time.monotonic())
        found.note_failed(name, "network", "why")
    assert stop.error is not None


def test_zero_never_stops_the_run() -> None:
    found, stop = failures(stop_after=0)
    found.note_page(time.monotonic())
    assert not any(found.note_failed(str(n), "network", "why") for n in range(1000))
    assert stop.error is None


def test_only_a_list_with_accounts_shows_that_the_api_works() -> None:
    found, _ = failures()
    found.note_good(0)
    assert not found.some_list_is_good
    found.note_good(1)
    found.note_good(0)
    assert found.some_list_is_good
