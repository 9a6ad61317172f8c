"""The caps of a run: no call is made that could pass one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scrapy.settings import Settings

from kolspider.live.bill import Bill
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.options.arguments import Arguments
from kolspider.options.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable

DEAREST = 398
"""Credits of 199 users."""


def bill(**arguments: str) -> tuple[Bill, Tally]:
    settings, tally = Settings(), Tally()
    settings.setmodule("kolspider.settings")
    return Bill(Arguments.parse(arguments), Config.from_settings(settings), Stop(), tally), tally


def test_a_call_that_is_open_counts_as_the_dearest() -> None:
    of_run, tally = bill(max_usd="0.01")  # 1,000 credits: two of the dearest answers
    of_run.send(DEAREST)
    assert not of_run.reached_cap(DEAREST)
    of_run.send(DEAREST)
    assert "-a max_usd" in of_run.reached_cap(DEAREST)
    of_run.charge(60, DEAREST)
    assert not of_run.reached_cap(DEAREST), "the answer was cheaper"
    assert (tally.calls, tally.credits, of_run.is_open) == (2, 60, True)


@pytest.mark.parametrize(
    ("end", "calls", "credits_"),
    [(lambda it: it.charge(200, DEAREST), 1, 200), (lambda it: it.take_back(DEAREST), 0, 0)],
)
def test_a_call_is_charged_once_or_not_at_all(end: Callable[[Bill], None], calls: int, credits_: int) -> None:
    of_run, tally = bill()
    of_run.send(DEAREST)
    end(of_run)
    assert (tally.calls, tally.credits, of_run.is_open) == (calls, credits_, False)


def test_a_call_that_is_cheap_at_most_fits_where_a_dear_one_does_not() -> None:
    of_run, _ = bill(max_usd="0.0006")  # 60 credits: a page of 20 users
    assert of_run.reached_cap(61)
    assert not of_run.reached_cap(60)
    of_run.send(60)
    assert of_run.reached_cap(1)


def test_what_is_still_open_at_the_end_was_perhaps_charged() -> None:
    of_run, tally = bill()
    for _ in range(3):
        of_run.send(DEAREST)
    of_run.charge(60, DEAREST)
    of_run.close()
    assert (tally.credits, of_run.is_open) == (60 + 2 * DEAREST, False)


@pytest.mark.parametrize(("usd", "calls"), [("0.00397", 0), ("0.00398", 1), ("2.5", 628), ("0", 0)])
def test_the_cap_in_dollars_is_exact(usd: str, calls: int) -> None:
    of_run, tally = bill(max_usd=usd)
    while not of_run.reached_cap(DEAREST):
        of_run.send(DEAREST)
        of_run.charge(DEAREST, DEAREST)
    assert tally.calls == calls
    assert tally.credits * 1e-5 <= float(usd) < (tally.credits + DEAREST) * 1e-5


@pytest.mark.parametrize(("most", "calls"), [("0", 0), ("3", 3)])
def test_the_cap_of_calls_is_exact(most: str, calls: int) -> None:
    of_run, tally = bill(max_calls=most)
    while not of_run.reached_cap(DEAREST):
        of_run.send(DEAREST)
        of_run.charge(60, DEAREST)
    assert tally.calls == calls
