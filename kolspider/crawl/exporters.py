"""Feeds with one line for each row, although an item is a page."""

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
    """Exports each row of a page."""

    def export_item(self, item: Any) -> None:
        for row in ItemAdapter(item)["rows"]:
            super().export_item(row._asdict())  # type: ignore[safe-super]  # the exporter it is mixed into


class JsonLinesRows(_Rows, JsonLinesItemExporter):
    """The format of `-o users.jsonl`."""


class JsonRows(_Rows, JsonItemExporter):
    """The format of `-o users.json`."""


class CsvRows(_Rows, CsvItemExporter):
    """The format of `-o users.csv`."""
