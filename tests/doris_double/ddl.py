"""CREATE TABLE and ALTER TABLE of Doris, checked as Doris checks them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.doris_double.errors import refuse
from tests.doris_double.tables import INTEGER_BITS, Column, Partition, Table

if TYPE_CHECKING:
    from tests.doris_double.tokens import Name, Tokens

__all__ = ["changed_columns", "created_table"]

TYPES = "TINYINT SMALLINT INT INTEGER BIGINT LARGEINT DATETIME VARCHAR CHAR STRING TEXT"
ALIASES = {"INTEGER": "INT", "TEXT": "STRING"}
AGGREGATES = ("MIN", "MAX")
MAX_VARCHAR = 65533
PROPERTIES = (
    "replication_num replication_allocation enable_unique_key_merge_on_write light_schema_change store_row_column "
    "row_store_page_size storage_format storage_medium compression disable_auto_compaction bloom_filter_columns "
    "group_commit_interval_ms group_commit_data_bytes group_commit_mode in_memory inverted_index_storage_format "
    "enable_single_replica_compaction min_load_replica_num is_being_synced enable_mow_light_delete "
    "estimate_partition_size compaction_policy"
)


def created_table(tokens: Tokens, name: Name, database: str, backends: int) -> Table:
    """The rest of a CREATE TABLE, from its column list on."""
    tokens.expect("(")
    columns = [_column(tokens)]
    while tokens.expect(",", ")") == ",":
        if tokens.peek().word in {"PRIMARY", "UNIQUE", "KEY", "CONSTRAINT"}:
            tokens.fail(")")
        columns.append(_column(tokens))
    if tokens.accept("ENGINE"):
        tokens.expect("=")
        tokens.identifier()
    model, keys = _model(tokens, columns)
    clustered_by = tuple(tokens.identifiers()) if tokens.phrase("CLUSTER", "BY") else ()
    comment = tokens.string() if tokens.accept("COMMENT") else ""
    partition = _partition(tokens)
    hashed_by, buckets = _distribution(tokens, keys)
    properties = _properties(tokens)
    tokens.expect_end()
    _check_columns(columns, model, keys)
    keys = tuple(column.name for column in columns[: len(keys)])  # as the columns spell them
    columns = [replace(column, key=column.name in keys) for column in columns]
    _check_distribution(hashed_by, keys, model)
    table = Table(
        *(database, name.table, model, keys, columns, hashed_by, buckets, properties, comment),
        clustered_by=clustered_by,
        partition=partition,
    )
    _check_properties(table, backends)
    return table


def changed_columns(tokens: Tokens) -> list[tuple[str, Column]]:
    """The rest of an ALTER TABLE: ADD COLUMN and MODIFY COLUMN, once or more. A key column can't be added here."""
    columns = []
    while True:
        verb = tokens.expect("ADD", "MODIFY")
        tokens.expect("COLUMN")
        columns.append((verb, _column(tokens)))
        if not tokens.accept(","):
            break
    tokens.expect_end()
    return columns


def _column(tokens: Tokens) -> Column:
    name = tokens.identifier()
    kind = tokens.next().word
    if kind not in TYPES.split():
        refuse(f"\nextraneous input, the double knows no type {kind!r}")
    kind = ALIASES.get(kind, kind)
    arguments: tuple[int, ...] = ()
    if tokens.accept("("):
        numbers = [MAX_VARCHAR if tokens.accept("*") else tokens.integer()]
        while tokens.expect(",", ")") == ",":
            numbers.append(tokens.integer())
        # An integer's width says nothing: Doris drops it.
        arguments = () if kind in INTEGER_BITS else tuple(numbers)
    if kind == "VARCHAR" and arguments and not 1 <= arguments[0] <= MAX_VARCHAR:
        refuse(f"Varchar size must be <= {MAX_VARCHAR}: {arguments[0]}")
    tokens.accept("KEY")
    aggregate = tokens.accept(*AGGREGATES) or None
    nullable = True
    if tokens.phrase("NOT", "NULL"):
        nullable = False
    else:
        tokens.accept("NULL")
    default = _default(tokens) if tokens.accept("DEFAULT") else None
    comment = tokens.string() if tokens.accept("COMMENT") else ""
    return Column(name, kind, arguments, nullable, False, aggregate, default, comment)


def _default(tokens: Tokens) -> str | None:
    if tokens.accept("NULL"):
        return None
    return tokens.literal()


def _model(tokens: Tokens, columns: list[Column]) -> tuple[str, tuple[str, ...]]:
    model = tokens.accept("UNIQUE", "DUPLICATE", "AGGREGATE")
    if not model:
        # Without a model: DUPLICATE, sorted by the first columns.
        keys = [column.name for column in columns if column.type != "STRING"][:3]
        return "DUPLICATE", tuple(keys[:1] if len(columns) == 1 else keys)
    tokens.expect("KEY")
    return model, tuple(tokens.identifiers())


def _partition(tokens: Tokens) -> Partition | None:
    """One partition, by a list of values: rows with other values are filtered."""
    if not tokens.phrase("PARTITION", "BY", "LIST"):
        return None
    (column,) = tokens.identifiers()
    tokens.expect("(")
    tokens.expect("PARTITION")
    tokens.identifier()
    tokens.phrase("VALUES", "IN")
    tokens.expect("(")
    values = [tokens.string()]
    while tokens.expect(",", ")") == ",":
        values.append(tokens.string())
    tokens.expect(")")
    return Partition(column, tuple(values))


def _distribution(tokens: Tokens, keys: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    if not tokens.accept("DISTRIBUTED"):
        return keys[:1], "AUTO"
    tokens.expect("BY")
    hashed_by = tuple(tokens.identifiers()) if tokens.expect("HASH", "RANDOM") == "HASH" else ()
    buckets = "AUTO"
    if tokens.accept("BUCKETS") and not tokens.accept("AUTO"):
        buckets = str(tokens.integer())
    return hashed_by, buckets


def _properties(tokens: Tokens) -> dict[str, str]:
    if not tokens.accept("PROPERTIES"):
        return {}
    tokens.expect("(")
    properties = {}
    while True:
        name = tokens.string()
        tokens.expect("=")
        properties[name] = tokens.string()
        if tokens.expect(",", ")") == ")":
            return properties


def _check_columns(columns: list[Column], model: str, keys: tuple[str, ...]) -> None:
    """Nereids' CreateTableInfo.validate and ColumnDefinition.validate."""
    names = [column.name.lower() for column in columns]
    for name in names:
        if names.count(name) > 1:
            refuse(f"Duplicate column name '{name}'")
    for index, key in enumerate(keys):
        if key.lower() not in names:
            refuse(f"Key column[{key}] doesn't exist.")
        if names[index] != key.lower():
            refuse(
                "Key columns should be a ordered prefix of the schema. "
                f"KeyColumns[{index}] (starts from zero) is {key}, "
                f"but corresponding column is {columns[index].name} in the previous columns declaration."
            )
    _check_types(columns[: len(keys)], columns[len(keys) :], model)


def _check_types(keys: list[Column], values: list[Column], model: str) -> None:
    for column in keys:
        if column.type == "STRING":
            refuse(f"String Type should not be used in key column[{column.name}].")
    for column in values:
        if model == "AGGREGATE" and column.aggregate is None:
            refuse(f"should set aggregation type to non-key column when in aggregate key: {column.name}")
    for column in keys if model == "AGGREGATE" else [*keys, *values]:
        if column.aggregate:
            refuse(f"Can not set aggregation type on column {column.name}")


def _check_distribution(hashed_by: tuple[str, ...], keys: tuple[str, ...], model: str) -> None:
    if model != "DUPLICATE":
        for name in hashed_by:
            if name.lower() not in {key.lower() for key in keys}:
                refuse(f"Distribution column[{name}] is not key column")
        if not hashed_by:
            refuse(f"Create {model.lower()} keys table should not contain random distribution desc")


def _check_properties(table: Table, backends: int) -> None:
    given = table.properties
    if unknown := {name: value for name, value in given.items() if name not in PROPERTIES.split()}:
        refuse(f"Unknown properties: {{{', '.join(f'{name}={value}' for name, value in unknown.items())}}}")
    if "enable_unique_key_merge_on_write" in given and table.model != "UNIQUE":
        refuse("enable_unique_key_merge_on_write property only support unique key table")
    allocation = given.pop("replication_allocation", "").rpartition(":")[2].strip()
    replicas = int(allocation or given.get("replication_num", "3"))
    if replicas > backends:
        refuse(
            "replication num should be less than the number of available backends. "
            f"replication num is {replicas}, available backend num is {backends}"
        )
    given["replication_num"] = str(replicas)
