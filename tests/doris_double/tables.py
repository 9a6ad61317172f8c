"""What the double knows of a table, and how Doris shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["INTEGER_BITS", "Column", "Partition", "Table"]

INTEGER_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64, "LARGEINT": 128}
MODELS = {"UNIQUE": "UNI", "DUPLICATE": "DUP", "AGGREGATE": "AGG"}
_BOOLEANS = {True: "true", False: "false"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `type` is upper case and without arguments."""

    name: str
    type: str
    arguments: tuple[int, ...] = ()
    nullable: bool = True
    key: bool = False
    aggregate: str | None = None
    default: str | None = None
    comment: str = ""

    @property
    def max_bytes(self) -> int | None:
        """VARCHAR(M) counts bytes of UTF-8."""
        if self.type in {"VARCHAR", "CHAR"}:
            return self.arguments[0] if self.arguments else 65533 if self.type == "VARCHAR" else 1
        return None

    @property
    def sql_type(self) -> str:
        """As SHOW CREATE TABLE and COLUMN_TYPE write it: a STRING is a `text`."""
        if self.type == "STRING":
            return "text"
        arguments = (self.max_bytes,) if self.max_bytes else self.arguments
        return self.type.lower() + (f"({','.join(map(str, arguments))})" if arguments else "")

    @property
    def needs_value(self) -> bool:
        return not self.nullable and self.default is None

    def ddl(self) -> str:
        words = [f"`{self.name}`", self.sql_type]
        if self.aggregate:
            words.append(self.aggregate)
        words.append("NULL" if self.nullable else "NOT NULL")
        if self.default is not None:
            words.append(f'DEFAULT "{self.default}"')
        if self.comment:
            words.append(f'COMMENT "{self.comment}"')
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Partition:
    """The only partition, a list of the values that a column may have."""

    column: str
    values: tuple[str, ...]


@dataclass(slots=True)
class Table:
    """A table; columns may be added to it."""

    database: str
    name: str
    model: str
    """UNIQUE, DUPLICATE or AGGREGATE."""
    keys: tuple[str, ...]
    columns: list[Column]
    hashed_by: tuple[str, ...]
    """Empty: distributed at random."""
    buckets: str
    properties: dict[str, str] = field(default_factory=dict)
    comment: str = ""
    materialized: bool = False
    """With a synchronous materialized view of it."""
    clustered_by: tuple[str, ...] = ()
    """The columns of CLUSTER BY."""
    partition: Partition | None = None

    @property
    def merge_on_write(self) -> bool:
        return self.model == "UNIQUE" and self.properties.get("enable_unique_key_merge_on_write", "true") == "true"

    def column(self, name: str) -> Column | None:
        """Column names ignore case."""
        return next((column for column in self.columns if column.name.lower() == name.lower()), None)

    @property
    def column_key(self) -> str:
        """COLUMN_KEY of its key columns (FrontendServiceImpl.java: "UNI, AGG, DUP, PRI")."""
        return MODELS[self.model]

    def show_create(self) -> str:
        """As SHOW CREATE TABLE of Doris 2.1 to 4.x prints it.

        Seen in dumps of real tables, e.g. Doris's own issue #32376 and published DDL of 2.1 and 3.0: two spaces
        before a column, the key on a line of its own, properties quoted, one a line, with the defaults filled in.
        """
        columns = ",\n".join(f"  {column.ddl()}" for column in self.columns)
        keys = ", ".join(f"`{key}`" for key in self.keys)
        lines = [f"CREATE TABLE `{self.name}` (\n{columns}\n) ENGINE=OLAP", f"{self.model} KEY({keys})"]
        if self.clustered_by:
            lines.append(f"CLUSTER BY ({', '.join(f'`{name}`' for name in self.clustered_by)})")
        if self.comment:
            lines.append(f"COMMENT '{self.comment}'")
        if self.partition:
            values = ",".join(f'"{value}"' for value in self.partition.values)
            lines.append(f"PARTITION BY LIST (`{self.partition.column}`)\n(PARTITION p VALUES IN ({values}))")
        by = f"HASH({', '.join(f'`{name}`' for name in self.hashed_by)})" if self.hashed_by else "RANDOM"
        lines.append(f"DISTRIBUTED BY {by} BUCKETS {self.buckets}")
        shown = ",\n".join(f'"{name}" = "{value}"' for name, value in self._shown_properties().items())
        lines.append(f"PROPERTIES (\n{shown}\n);")
        return "\n".join(lines)

    def _shown_properties(self) -> dict[str, str]:
        given = self.properties
        shown = {
            "replication_allocation": f"tag.location.default: {given['replication_num']}",
            "min_load_replica_num": "-1",
            "is_being_synced": "false",
            "storage_medium": "hdd",
            "storage_format": "V2",
            "inverted_index_storage_format": "V2",
        }
        if self.model == "UNIQUE":
            shown["enable_unique_key_merge_on_write"] = _BOOLEANS[self.merge_on_write]
        shown["light_schema_change"] = given.get("light_schema_change", "true")
        if given.get("store_row_column") == "true":
            shown |= {"store_row_column": "true", "row_store_page_size": "16384"}
        shown |= {
            "disable_auto_compaction": "false",
            "enable_single_replica_compaction": "false",
            "group_commit_interval_ms": "10000",
            "group_commit_data_bytes": "134217728",
        }
        if self.merge_on_write:
            shown["enable_mow_light_delete"] = "false"
        return shown
