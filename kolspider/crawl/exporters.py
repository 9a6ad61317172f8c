"""Feeds: an item is a page, a line is a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy.exporters import CsvItemExporter, JsonItemExporter, JsonLinesItemExporter

if TYPE_CHECKING:
    from scrapy.exporters import BaseItemExporter

    _Exporter = BaseItemExporter
else:
    _Exporter = object

__all__ = ["FORMATS", "CsvRows", "JsonLinesRows", "JsonRows"]

FORMATS = ("jsonl", "jsonlines", "jl", "json", "csv")


class _Rows(_Exporter):
    """Unrolls a page."""

    def export_item(self, item: Any) -> None:
        for row in ItemAdapter(item)["rows"]:
            super().export_item(row._asdict())  # type: ignore[safe-super]  # the exporter it is mixed into


class JsonLinesRows(_Rows, JsonLinesItemExporter):
    """`-o users.jsonl`"""


class JsonRows(_Rows, JsonItemExporter):
    """`-o users.json`"""


class CsvRows(_Rows, CsvItemExporter):
    """`-o users.csv`"""
