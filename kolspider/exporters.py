"""Feeds: an item is a page, a line is a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.exporters import CsvItemExporter, JsonItemExporter, JsonLinesItemExporter

from kolspider.items import MappedPage

if TYPE_CHECKING:
    from scrapy.exporters import BaseItemExporter

    _Exporter = BaseItemExporter
else:
    _Exporter = object

__all__ = ["FORMATS", "CsvRows", "JsonLinesRows", "JsonRows"]

FORMATS = ("jsonl", "jsonlines", "jl", "json", "csv")


class _Rows(_Exporter):
    """Unrolls a page; itemadapter reads the fields of its rows."""

    def export_item(self, item: Any) -> None:
        rows = item.rows if isinstance(item, MappedPage) else [item]
        for row in rows:
            super().export_item(row)  # type: ignore[safe-super]  # the exporter it is mixed into


class JsonLinesRows(_Rows, JsonLinesItemExporter):
    """`-o users.jsonl`"""


class JsonRows(_Rows, JsonItemExporter):
    """`-o users.json`"""


class CsvRows(_Rows, CsvItemExporter):
    """`-o users.csv`"""
