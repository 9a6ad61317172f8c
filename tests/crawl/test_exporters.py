"""Feeds have a line for each row, whatever kind of item brings the rows."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

import pytest

from kolspider.crawl.exporters import CsvRows, JsonLinesRows, JsonRows
from kolspider.items import COLUMNS, FollowingsPage, Kol, MappedPage, Row

ROWS = [Row("1", "名字", "a", None, None, None, None, 1, 2, 3), Row("2", None, "b", None, "x,y", None, None, 0, 0, 0)]


@dataclass
class OfATeam:
    """An item of a pipeline that is not ours."""

    rows: list[Row]


ITEMS = [
    MappedPage(FollowingsPage(Kol("btc", "BTC"), 1, "", [], last=True), ROWS),
    {"rows": ROWS},
    OfATeam(ROWS),
]


def exported(exporter: type[Any], item: object) -> str:
    file = io.BytesIO()
    one = exporter(file)
    one.start_exporting()
    one.export_item(item)
    one.finish_exporting()
    return file.getvalue().decode()


@pytest.mark.parametrize("item", ITEMS)
def test_each_row_is_a_line(item: object) -> None:
    wanted = [row._asdict() for row in ROWS]
    assert [json.loads(line) for line in exported(JsonLinesRows, item).splitlines()] == wanted
    assert json.loads(exported(JsonRows, item)) == wanted
    table = list(csv.reader(io.StringIO(exported(CsvRows, item))))
    assert table[0] == list(COLUMNS)
    assert [row[0] for row in table[1:]] == ["1", "2"]
