"""The readings of one KOL are not those of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State

if TYPE_CHECKING:
    from kolspider.store.connection import Connection
    from kolspider.store.ledger import Ledger

BTC, ETH = Kol("btc", "BTC"), Kol("eth", "ETH")


@pytest.mark.usefixtures("alone")
def test_a_reading_of_one_kol_says_nothing_of_another(ledger: Ledger, store: Connection) -> None:
    # Given two lists that were read in full, one of 1,000 users and one of 300
    for kol, users in ((BTC, 1000), (ETH, 300)):
        ledger.kols.begin(kol)
        ledger.pages.put(kol, 0, "", 1, users, b"{}", fetched_at=1.0)
        ledger.kols.end(kol.handle, State.FETCHED, "", 1, users, bought=True)
    # when the first one is read again as far as it is new
    ledger.kols.begin_generation("btc", incremental=True)
    ledger.kols.end("btc", State.FETCHED, "", 1, 40, bought=True, new=40)
    # then that is noted for it alone
    assert store.execute("SELECT handle, generation, new FROM increment").fetchall() == [("btc", 1, 40)]
    assert ledger.readings.known_before("btc", 2) == 1040
    assert ledger.readings.known_before("eth", 2) == 300
    # and while both are read in full again, each is judged by its own state and pages
    for kol in (BTC, ETH):
        ledger.kols.begin_generation(kol.handle)
    generation = ledger.kols.generation("eth")
    assert ledger.readings.is_doubtful("eth", generation), "the other one's is fetched, but not this one"
    ledger.kols.end("eth", State.FETCHED, "", 1, 0, bought=True)
    assert not ledger.readings.is_doubtful("eth", generation), "it was accepted"
    assert ledger.readings.is_doubtful("btc", ledger.kols.generation("btc"))


def test_the_increment_of_a_base_that_was_replaced_does_not_count(ledger: Ledger) -> None:
    # Given an incremental reading that a full one in the same generation took over, as a salvage can leave it
    ledger.kols.begin(BTC)
    ledger.kols.end("btc", State.FETCHED, "", 1, 40, bought=True, new=40)
    ledger.kols.end("btc", State.FETCHED, "", 5, 1000, bought=True)
    assert ledger.readings.known_before("btc", 1) == 1000
