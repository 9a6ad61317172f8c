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
    of_run.send()
    assert not of_run.reached_cap()
    of_run.send()
    assert "-a max_usd" in of_run.reached_cap()
    of_run.charge(60)
    assert not of_run.reached_cap(), "the answer was cheaper"
    assert (tally.calls, tally.credits, of_run.is_open) == (2, 60, True)


@pytest.mark.parametrize(
    ("end", "calls", "credits_"),
    [(lambda it: it.charge(200), 1, 200), (Bill.charge_dearest, 1, DEAREST), (Bill.take_back, 0, 0)],
)
def test_a_call_is_charged_once_or_not_at_all(end: Callable[[Bill], None], calls: int, credits_: int) -> None:
    of_run, tally = bill()
    of_run.send()
    end(of_run)
    assert (tally.calls, tally.credits, of_run.is_open) == (calls, credits_, False)


def test_what_is_still_open_at_the_end_was_perhaps_charged() -> None:
    of_run, tally = bill()
    for _ in range(3):
        of_run.send()
    of_run.charge(60)
    of_run.close()
    assert (tally.credits, of_run.is_open) == (60 + 2 * DEAREST, False)


@pytest.mark.parametrize(("usd", "calls"), [("0.00397", 0), ("0.00398", 1), ("2.5", 628), ("0", 0)])
def test_the_cap_in_dollars_is_exact(usd: str, calls: int) -> None:
    of_run, tally = bill(max_usd=usd)
    while not of_run.reached_cap():
        of_run.send()
        of_run.charge_dearest()
    assert tally.calls == calls
    assert tally.credits * 1e-5 <= float(usd) < (tally.credits + DEAREST) * 1e-5


@pytest.mark.parametrize(("most", "calls"), [("0", 0), ("3", 3)])
def test_the_cap_of_calls_is_exact(most: str, calls: int) -> None:
    of_run, tally = bill(max_calls=most)
    while not of_run.reached_cap():
        of_run.send()
        of_run.charge(60)
    assert tally.calls == calls
