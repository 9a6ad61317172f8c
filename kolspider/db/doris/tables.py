"""Doris's tables: the DDL of ours, and whether one that is there will do, with the DDL that mends it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import pymysql

from kolspider.db.base import name_parts
from kolspider.db.doris.facts import Layout
from kolspider.db.mysql import MysqlDatabase
from kolspider.errors import StopRun

if TYPE_CHECKING:
    from kolspider.db.base import Table
    from kolspider.db.mysql import Server
    from kolspider.db.spans import Span

__all__ = ["DorisTables"]


class DorisTables(MysqlDatabase):
    """What doris.py begins with."""

    types: ClassVar[dict[str, str]] = {**MysqlDatabase.types, "description": "STRING"}

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._replicas: int | None = None
        self._buckets: int | None = None
        self._allocation: dict[str, str] = {}
        """How each table that was looked at is replicated: a table in its stead should be too."""

    def spread(self, *, replicas: int | None, buckets: int | None) -> None:
        self._replicas, self._buckets = replicas, buckets

    def refusal(self, table: Table) -> str | None:
        return self._reason(table.name, self._layout(table.name))

    def source_ddl(self, table: str) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n  `user_name` VARCHAR(128) NOT NULL\n) "
            f"{self._stored('user_name')}"
        )

    def target_ddl(self, table: str) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n{self._column_definitions()}\n) "
            f"{self._stored('id', store_row_column=True)}"
        )

    def unique_key_ddl(self, table: str) -> str:
        """A table's key and model can't be changed, so: the table anew, and a replay fills it without a call."""
        *_, name = name_parts(table)
        ddl = f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n{self._column_definitions()}\n) " + self._stored(
            "id", store_row_column=True, allocation=self._allocation.get(table, "")
        )
        return f"ALTER TABLE {self.quoted(table)} RENAME {self.identifier(name + '_old')}; {' '.join(ddl.split())}"

    def span_ddls(self, table: str, span: Span) -> list[str]:
        """AGGREGATE KEY with MIN and MAX: a plain INSERT is the upsert."""
        return [
            (
                f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n"
                f"{self._span_definitions(span, ('MIN', 'MAX'))}\n) "
                f"{self._stored(span.spread_by, aggregated_by=span.keys)}"
            )
        ]

    def span_refusal(self, table: Table, span: Span) -> str | None:
        layout = self._layout(table.name)
        if layout.model != "AGGREGATE" or layout.keys != span.keys:
            return f"its model is not AGGREGATE KEY({', '.join(map(self.identifier, span.keys))})"
        for name, function in ((span.least, "MIN"), (span.most, "MAX")):
            if not re.search(rf"\b{function}\b", layout.columns[name], re.IGNORECASE):
                return f"its column {name} is not aggregated by {function}"
        return None

    def create_tables(self, source: str, target: str, follows: str = "") -> list[str]:
        try:
            return super().create_tables(source, target, follows)
        except pymysql.err.Error as exc:
            if "replica" not in str(exc):
                raise
            raise StopRun(f"{self.explain(exc)}; on a single node: scrapy initdb --replicas 1") from exc

    def _reason(self, table: str, layout: Layout) -> str | None:
        """Why rows can't be written without loss, if they can't."""
        if not layout.is_keyed_by_id:
            return "its model is not UNIQUE KEY(`id`)"
        if layout.sequence:
            return f"it keeps of an id the row with the largest sequence ({layout.sequence}), not the one written last"
        if not layout.others or layout.merge_on_write:
            return None
        return (
            f"its columns {', '.join(layout.others)} are not ours, and without merge-on-write an INSERT would empty "
            f"them; mend it with: {self._merge_on_write_ddl(table, layout)}"
        )

    def _merge_on_write_ddl(self, table: str, layout: Layout) -> str:
        """The table anew, with all of its columns and rows: the property can't be changed."""
        *schema, name = name_parts(table)
        new = ".".join(map(self.identifier, [*schema, f"{name}_new"]))
        columns = ", ".join(f"{self.identifier(column)} {sql}" for column, sql in layout.columns.items())
        stored = " ".join(self._stored("id", store_row_column=True, allocation=self._allocation[table]).split())
        return (
            f"CREATE TABLE {new} ({columns}) {stored}; INSERT INTO {new} SELECT * FROM {self.quoted(table)}; "
            f"ALTER TABLE {self.quoted(table)} REPLACE WITH TABLE {self.identifier(name + '_new')}"
        )

    def _layout(self, table: str) -> Layout:
        ((_, ddl, *_),) = self._select(f"SHOW CREATE TABLE {self.quoted(table)}")
        layout = Layout.of(ddl)
        self._allocation[table] = layout.properties.get("replication_allocation", "")
        return layout

    def _stored(
        self,
        spread_by: str,
        *,
        store_row_column: bool = False,
        allocation: str = "",
        aggregated_by: tuple[str, ...] = (),
    ) -> str:
        """How a table is laid out. The replicas are Doris's default of 3, which fails on a single node."""
        properties = {} if aggregated_by else {"enable_unique_key_merge_on_write": "true"}
        properties["light_schema_change"] = "true"
        if store_row_column:  # reading the other columns of a row at once is what a partial update does
            properties["store_row_column"] = "true"
        if self._replicas or allocation:
            given = f"tag.location.default: {self._replicas}"
            properties["replication_allocation"] = given if self._replicas else allocation
        listed = ", ".join(f'"{name}" = "{value}"' for name, value in properties.items())
        name = self.identifier(spread_by)
        key = f"AGGREGATE KEY({self._column_list(aggregated_by)})" if aggregated_by else f"UNIQUE KEY({name})"
        return f"ENGINE=OLAP {key} DISTRIBUTED BY HASH({name}) BUCKETS {self._buckets or 'AUTO'}\nPROPERTIES ({listed})"
