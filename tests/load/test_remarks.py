"""At most one line a KOL for what was set aside or cut, however much that is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kolspider.items import Kol
from kolspider.load.remarks import Remarks

if TYPE_CHECKING:
    import pytest

BTC, LENA, FINE = Kol("btc", "BTC"), Kol("layer2_lena_eth", "Layer2_Lena_Eth"), Kol("fine", "fine")


def test_a_kol_has_one_line_however_many_rows_are_refused_and_values_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    remarks = Remarks()
    for number in range(937):
        remarks.refused(LENA, f"account {number}", "not this one")
        remarks.cut(BTC, 3)
    remarks.set_aside(LENA, 3)
    remarks.set_aside(FINE, 0)
    remarks.cut(FINE, 0)
    for _ in range(2):
        remarks.list_is_through(FINE)
        remarks.list_is_through(LENA)
    remarks.set_aside(LENA, 1)
    remarks.cut(LENA, 1)
    for _ in range(2):
        remarks.end()

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "the database refuses account 0: not this one"),  # once a run: what it says of the first row
        ("WARNING", "KOL Layer2_Lena_Eth: 940 users set aside, see rejects.jsonl"),
        ("INFO", "KOL BTC: 2,811 values cut to fit"),
        ("WARNING", "KOL Layer2_Lena_Eth: 1 user set aside, 1 value cut to fit"),
    ]
