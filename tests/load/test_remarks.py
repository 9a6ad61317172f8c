"""At most one line a KOL for what was set aside or cut, however much that is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kolspider.items import Kol
from kolspider.load.remarks import Remarks

if TYPE_CHECKING:
    import pytest

BTC, LENA, FINE = Kol("btc", "BTC"), Kol("layer2_lena_eth", "Layer2_Lena_Eth"), Kol("fine", "fine")


def test_a_kol_has_one_line_however_many_users_are_set_aside_and_values_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    remarks = Remarks()
    for _ in range(937):
        remarks.set_aside(LENA, 1)
        remarks.cut(BTC, 3)
    remarks.set_aside(LENA, 3)
    remarks.set_aside(FINE, 0)
    remarks.cut(FINE, 0)
    for _ in range(2):
        remarks.list_is_through(FINE)
        remarks.list_is_through(LENA)
    remarks.set_aside(LENA, 1)
    remarks.cut(BTC, 1)
    for _ in range(2):
        remarks.end()

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "KOL Layer2_Lena_Eth: 940 users set aside, see rejects.jsonl"),
        ("INFO", "KOL BTC: 2,812 values cut to fit"),
    ]


def test_a_dry_run_names_no_file_that_it_does_not_write(caplog: pytest.LogCaptureFixture) -> None:
    remarks = Remarks(dry_run=True)
    remarks.set_aside(LENA, 3)
    remarks.set_aside(BTC, 3)
    remarks.cut(BTC, 1)
    remarks.end()
    assert caplog.messages == [
        "KOL Layer2_Lena_Eth: 3 users set aside",
        "KOL BTC: 3 users set aside, 1 value cut to fit",
    ]


def test_a_replay_has_one_line_for_all_readings_of_a_list(caplog: pytest.LogCaptureFixture) -> None:
    remarks = Remarks(replay=True)
    for users in (17, 2):
        remarks.set_aside(LENA, users)
        remarks.list_is_through(LENA)
    remarks.end()
    assert caplog.messages == ["KOL Layer2_Lena_Eth: 19 users set aside, see rejects.jsonl"]
