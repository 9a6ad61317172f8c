"""Apache Doris over the MySQL protocol. Every identifier is back-quoted: `following` is reserved there.

An INSERT replaces the whole row of an id, so a table with columns that are not ours needs partial updates.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pymysql

from kolspider.db.base import HANDLES, DbErrorKind, Form, Table, as_text, name_parts
from kolspider.db.capacity import unfitness
from kolspider.db.doris.facts import (
    FINISHED,
    PAGED_TYPES,
    UNTOLD_CODES,
    Layout,
    column,
    is_committed,
    is_taken,
    kind_of,
    label_state,
)
from kolspider.db.literals import of_at_most, values_sql
from kolspider.db.mysql import KEYS_AT_ONCE, MysqlDatabase
from kolspider.db.mysql_facts import error_code
from kolspider.errors import StopRun
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymysql.connections import Connection

    from kolspider.db.base import Column
    from kolspider.db.follow_tables import Span
    from kolspider.db.mysql import Server
    from kolspider.items import Row

__all__ = ["DorisDatabase", "Load"]

PAGE_ROWS = 10_000
"""KOLs in one SELECT. Doris ends a query after 900 s (query_timeout; INSERT_SECS after the first load), even while its
rows are still being read."""
INSERT_BYTES = 8_000_000
"""Largest INSERT. Doris works best with 1 to 8 MB, and only an exceptionally large API page needs two INSERTs."""
INSERT_ROWS = 5_000
"""Most rows of an INSERT: Doris 2.1 and 3.0 take seconds to parse longer VALUES."""
INSERT_SECS = 20
"""Seconds after which Doris cancels an INSERT: sooner than we stop waiting for the answer. The larger one of
insert_timeout and query_timeout counts (qe/ConnectContext.java: getExecTimeout)."""
CERTAIN_SECS = 60
"""Seconds after which an INSERT has been committed or has failed: INSERT_SECS, plus up to 30 s until the FE clears
expired transactions (common/Config.java: transaction_clean_interval_second). In cloud mode the label of an INSERT whose
FE died stays taken for about an hour."""
WHOLE = "enable_insert_value_auto_cast = false"
"""Without it, an INSERT cuts texts to their column's length without a word: versions 2.1 and 3.x by default, later ones
since apache/doris#63794. Older releases don't know it; there, only fitting (load/fitting.py) keeps texts whole."""

COLUMNS_SQL = """
    SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = %s AND `table_name` = %s
    ORDER BY `ordinal_position`
"""
# The OK packet's info is a length-encoded string, and PyMySQL leaves its length in front of it.
_LOADED = re.compile(r"'(status|txnId)'\s*:\s*'([^']*)'")


@dataclass(slots=True)
class Load:
    """One transaction in Doris: all of these rows, whose keys differ, are written to one table, or none.

    Two loads are equal when they write the same.
    """

    table: str
    columns: Sequence[str]
    partial: bool
    """Whether columns outside `columns` keep their values."""
    rows: Sequence[tuple[Any, ...]] = field(compare=False)
    text: bytes
    """The rows as they are sent."""
    label: str = field(default_factory=lambda: f"kolspider_{uuid.uuid4().hex}", compare=False)
    """Random: with a label made from the rows, Doris would skip the reload of a table that was emptied."""
    taken: float = field(default=0.0, compare=False)
    """When (time.monotonic()) Doris first refused the label as taken by an earlier attempt; 0: it has not."""


class DorisDatabase(MysqlDatabase):
    """A database in Doris, where every INSERT commits itself.

    A load whose answer is lost may still be running and could commit after later loads. So it is repeated under its
    label before anything else is loaded: Doris accepts the label again only if the first attempt has failed.
    """

    dialect = "doris"
    types: ClassVar[dict[str, str]] = {**MysqlDatabase.types, "description": "STRING"}
    transactional = False
    sql_mode = None
    # With NO_BACKSLASH_ESCAPES in the sql_mode, escaped texts would mean something else.
    init_command = (
        f"SET group_commit = 'off_mode', enable_insert_strict = true, insert_timeout = {INSERT_SECS}, "
        "insert_visible_timeout_ms = 5000, sql_mode = 'ONLY_FULL_GROUP_BY'"
    )

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._unfinished: Load | None = None
        """The load whose outcome is unknown."""
        self._replicas: int | None = None
        self._buckets: int | None = None
        self._allocation: dict[str, str] = {}
        """Replication of each table that was described: the DDL of its replacement asks for the same."""

    def describe(self, table: str) -> Table | None:
        facts = {row[0].lower(): row for row in self._facts(table)}
        if not facts:
            return None
        try:
            layout = self._layout(table)
        except pymysql.err.Error as error:
            if self.error_kind(error) is DbErrorKind.LOST:
                raise
            # The KOLs may be in a view, whose definition needs SHOW_VIEW_PRIV, or in an asynchronous materialized
            # view, which has its own statement (commands/ShowCreateTableCommand.java: validate).
            layout = Layout.of("")
        columns = {name: column(layout.columns.get(name, ""), *row) for name, row in facts.items()}
        return Table(table, columns, [layout.keys] if layout.model == "UNIQUE" else [])

    def handles(self, table: str, column: str = HANDLES, where: str = "") -> Iterator[str | None]:
        """Read pages ordered by `id`, or by the handles where there is no id. Both may be NULL and repeat."""
        types = {facts[0].lower(): facts[1].lower().partition("(")[0] for facts in self._facts(table)}
        key = "id" if "id" in types else column
        if types.get(key.lower()) not in PAGED_TYPES:
            yield from super().handles(table, column, where)
            return
        name, handles, meeting = (
            text.replace("%", "%%")
            for text in (self.identifier(key), self.identifier(column), f" ({where}) AND" if where else "")
        )
        select = f"SELECT {name}, {handles} FROM {self._formatted(table)} WHERE{meeting}"
        yield from self._handles(f"{select} {name} IS NULL")
        after, last = f"{name} IS NOT NULL", tuple[Any, ...]()
        while True:
            rows = self._select(f"{select} {after} ORDER BY {name} LIMIT {PAGE_ROWS}", last)
            last = rows[-1][:1] if len(rows) == PAGE_ROWS else ()
            yield from (as_text(handle) for value, handle in rows if (value,) != last)
            if not last:
                return
            # The page may end between two rows with the same key.
            yield from self._handles(f"{select} {name} = %s", last)
            after = f"{name} > %s"

    def upsert(self, table: str, rows: Sequence[Row]) -> str:
        """Write the rows in up to two loads. Repeating a batch changes nothing, so either may be written twice."""
        distinct = list({row.id: row for row in rows}.values())  # of two rows with one id Doris would keep either
        if not distinct:
            return ""
        # Read again for each batch, which costs the FE next to nothing: a column may have been added meanwhile.
        layout = self._layout(table)
        if reason := self._reason(table, layout):
            raise StopRun(f"table {table} can't be written to without loss: {reason}")
        return "; ".join(
            self._load(table, part, partial=partial) for part, partial in self._parts(table, distinct, layout) if part
        )

    def widen(self, table: str, span: Span, rows: Sequence[tuple[str, ...]]) -> str:
        return self._load(table, rows, span.columns) if rows else ""

    def try_write(self, table: str, columns: Sequence[str] = COLUMNS) -> None:
        """Upsert no row.

        Doris checks the privilege, then whether the table allows the kind of write (a synchronous materialized view
        forbids partial updates, as does a generated column that depends on a column that is not ours). Then it finds no
        row to insert and begins no transaction.

        (nereids/trees/plans/commands/insert/InsertIntoTableCommand.java: checkTblPriv, normalizePlan, isEmptyInsert)
        """
        layout = self._layout(table)
        partial = bool(layout.others) and not layout.obstacle
        self._execute(f"SET enable_unique_key_partial_update = {str(partial).lower()}")
        super().try_write(table, columns)

    def patience(self) -> float:
        load = self._unfinished
        return load.taken + CERTAIN_SECS + 1 - time.monotonic() if load and load.taken else 0.0

    def error_kind(self, exc: BaseException) -> DbErrorKind:
        return kind_of(str(exc)) if error_code(exc) in UNTOLD_CODES else super().error_kind(exc)

    def spread(self, *, replicas: int | None, buckets: int | None) -> None:
        self._replicas, self._buckets = replicas, buckets

    def refusal(self, table: Table) -> str | None:
        return self._reason(table.name, self._layout(table.name))

    def source_ddl(self, table: str, column: str = HANDLES) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n  {self.identifier(column)} VARCHAR(128) NOT NULL\n) "
            f"{self._stored(table, column)}"
        )

    def target_ddl(self, table: str) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n{self._column_definitions()}\n) "
            f"{self._stored(table, 'id', store_row_column=True)}"
        )

    def unique_key_ddl(self, table: str) -> str:
        """Rename the table and create a new one, since neither key nor model can be changed. A replay fills it."""
        return "; ".join(self.renew_ddl(table))

    def refit_ddl(self, table: Table, columns: Sequence[Column]) -> list[str]:
        """Change all columns in one statement: until its job is done, Doris refuses another ALTER TABLE."""
        alter = f"ALTER TABLE {self.quoted(table.name)}"
        renames, changes = list[str](), list[str]()
        for unfit in columns:
            name = self.identifier(unfit.name)
            if not unfitness(replace(unfit, nullable=True)):
                changes.append(f"MODIFY COLUMN {name} {unfit.type} NULL")
            elif unfit.name == "id" or unfit.generated or unfit.needs_value:
                return self.renew_ddl(table.name)
            else:
                renames.append(f"{alter} RENAME COLUMN {name} {self.identifier(f'{unfit.name}_old')}")
                changes.append(f"ADD COLUMN {name} {self.types[unfit.name]} NULL")
        return [*renames, f"{alter} {', '.join(changes)}"]

    def renew_ddl(self, table: str) -> list[str]:
        *_, name = name_parts(table)
        rename = f"ALTER TABLE {self.quoted(table)} RENAME {self.identifier(f'{name}_old')}"
        return [rename, " ".join(self.target_ddl(table).split())]

    def as_id(self, user_id: str, column: Column) -> str:
        """A number and a text would be compared as DOUBLEs, which many ids share."""
        return user_id if Form.TEXT in column.takes else f"CAST({user_id} AS LARGEINT)"

    def span_ddls(self, table: str, span: Span) -> list[str]:
        """Use AGGREGATE KEY with MIN and MAX, for which a plain INSERT is the upsert."""
        return [
            (
                f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n"
                f"{self._span_definitions(span, ('MIN', 'MAX'))}\n) "
                f"{self._stored(table, span.spread_by, aggregated_by=span.keys)}"
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

    def create_tables(self, source: str, target: str, follows: str = "", column: str = HANDLES) -> list[str]:
        try:
            return super().create_tables(source, target, follows, column)
        except pymysql.err.Error as exc:
            if "replica" not in str(exc):
                raise
            raise StopRun(f"{self.explain(exc)}; on a single node: scrapy initdb --replicas 1") from exc

    def _load(
        self,
        table: str,
        rows: Sequence[tuple[Any, ...]],
        columns: Sequence[str] = COLUMNS,
        *,
        partial: bool = False,
    ) -> str:
        """Write rows of distinct keys; returns Doris's receipts."""
        return "; ".join(map(self._finished, self._loads(table, rows, columns, partial=partial)))

    def _loads(
        self, table: str, rows: Sequence[tuple[Any, ...]], columns: Sequence[str], *, partial: bool
    ) -> Iterator[Load]:
        begin = 0
        for part in of_at_most(INSERT_BYTES, map(values_sql, rows), INSERT_ROWS):
            end = begin + len(part)
            yield Load(table, columns, partial, rows[begin:end], b", ".join(part))
            begin = end

    def _finished(self, load: Load) -> str:
        """Finish the last load if its outcome is unknown, then do this one; returns its receipt."""
        self.fence()
        if self._unfinished == load:
            load = self._unfinished
        elif self._unfinished:
            try:
                self._finished(self._unfinished)
            except Exception as error:
                if self.error_kind(error) is not DbErrorKind.REFUSED:
                    raise
        self._unfinished = load
        try:
            receipt = self._send(load)
        except Exception as error:
            if self.error_kind(error) is DbErrorKind.REFUSED:
                self._unfinished = None
            raise
        self._unfinished = None
        return f"{len(load.rows)} rows, {receipt}"

    def _send(self, load: Load) -> str:
        """Make one attempt; returns bytes, label, transaction and status."""
        insert = f"INSERT INTO {self.quoted(load.table)} WITH LABEL {self.identifier(load.label)}"
        sql = f"{insert} ({self._column_list(load.columns)}) VALUES\n".encode() + load.text
        with self._open().cursor() as cursor:
            # Set here, because a new connection has lost it.
            cursor.execute(
                f"SET query_timeout = {INSERT_SECS}, enable_unique_key_partial_update = {str(load.partial).lower()}"
            )
            taken, load.taken = load.taken, 0.0
            try:
                status = self._inserted(cursor, sql)
                if status != "COMMITTED" and cursor.rowcount < len(load.rows):
                    text = f"{cursor.rowcount} of {len(load.rows)} rows were loaded: filtered data"
                    raise pymysql.err.OperationalError(1105, text)
            except pymysql.err.Error as error:
                text = str(error.args[-1])
                if not is_taken(load.label, text):
                    raise
                state = label_state(text)
                if state not in FINISHED:
                    load.taken = taken or time.monotonic()
                    raise pymysql.err.OperationalError(1105, f"the first attempt under this label is {state}") from None
                status = f"{state} by an earlier attempt"
        return f"{len(sql):,} bytes, label {load.label}, {status}"

    @staticmethod
    def _inserted(cursor: Any, sql: bytes) -> str:
        """Run an INSERT; returns transaction and status."""
        try:
            cursor.execute(sql)
        except pymysql.err.Error as exc:
            if not is_committed(str(exc.args[-1])):
                raise
            return "COMMITTED"
        result = cursor._result  # noqa: SLF001 - PyMySQL has no public access to the message
        if result.warning_count:  # filtered rows: strict mode fails instead, so the session is not strict
            raise pymysql.err.OperationalError(1105, f"{result.warning_count} rows were filtered: filtered data")
        facts = dict(_LOADED.findall((result.message or b"").decode("utf-8", "replace")))
        return f"txnId {facts.get('txnId', '?')}, {facts.get('status', '?')}"

    def _parts(self, table: str, rows: list[Row], layout: Layout) -> Iterator[tuple[list[Row], bool]]:
        """Split the rows by how they are written: in whole (False) or by partial update (True)."""
        if not layout.others:
            yield rows, False
        elif self._appends_new_keys():
            yield rows, True
        else:
            known = self._known(table, rows)
            yield [row for row in rows if row.id not in known], False
            yield [row for row in rows if row.id in known], True

    def _appends_new_keys(self) -> bool:
        """Make partial updates accept new keys, which needs Doris 3.1; before, strict mode filters them.

        (qe/SessionVariable.java: PARTIAL_UPDATE_NEW_KEY_BEHAVIOR; the update section of Doris's documentation)
        """
        return self._knows("partial_update_new_key_behavior = 'APPEND'")

    def _open(self) -> Connection:
        before = self._connection
        connection = super()._open()
        if connection is not before:
            try:
                self._knows(WHOLE)
            except BaseException:
                self.close()
                raise
        return connection

    def _knows(self, assignment: str) -> bool:
        """Set a variable of the session, if this version of Doris has it."""
        try:
            self._select(f"SET {assignment}")
        except pymysql.err.Error as exc:
            if "unknown system variable" not in str(exc).lower():  # 1193, 1228 or 1105
                raise
            return False
        return True

    def _known(self, table: str, rows: list[Row]) -> set[str]:
        """Return the ids that are in the table."""
        known: set[str] = set()
        for start in range(0, len(rows), KEYS_AT_ONCE):
            ids = tuple(row.id for row in rows[start : start + KEYS_AT_ONCE])
            marks = ", ".join(["%s"] * len(ids))
            found = self._select(f"SELECT `id` FROM {self._formatted(table)} WHERE `id` IN ({marks})", ids)
            known.update(str(id_) for (id_,) in found)
        return known

    def _reason(self, table: str, layout: Layout) -> str | None:
        """Return why rows can't be written without loss; None if they can."""
        if not layout.is_keyed_by_id:
            return "its model is not UNIQUE KEY(`id`)"
        if layout.sequence:
            return f"it keeps of an id the row with the largest sequence ({layout.sequence}), not the one written last"
        if layout.others and (obstacle := layout.obstacle):
            return (
                f"its columns {', '.join(layout.others)} are not ours, and {obstacle} an INSERT would empty them; "
                f"fix it with: {self._merge_on_write_ddl(table, layout)}"
            )
        return None

    def _merge_on_write_ddl(self, table: str, layout: Layout) -> str:
        """Copy the table, all columns and rows, to one with merge-on-write: the property can't be changed."""
        *schema, name = name_parts(table)
        new = ".".join(map(self.identifier, [*schema, f"{name}_new"]))
        columns = ", ".join(f"{self.identifier(column)} {sql}" for column, sql in layout.columns.items())
        stored = " ".join(self._stored(table, "id", store_row_column=True).split())
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
        self, table: str, spread_by: str, *, store_row_column: bool = False, aggregated_by: tuple[str, ...] = ()
    ) -> str:
        """Engine, key, distribution and properties. Doris's default of 3 replicas fails on a single node."""
        properties = {} if aggregated_by else {"enable_unique_key_merge_on_write": "true"}
        properties["light_schema_change"] = "true"
        if store_row_column:  # reading the other columns of a row at once is what a partial update does
            properties["store_row_column"] = "true"
        if self._replicas:
            properties["replication_allocation"] = f"tag.location.default: {self._replicas}"
        elif allocation := self._allocation.get(table):
            properties["replication_allocation"] = allocation
        listed = ", ".join(f'"{name}" = "{value}"' for name, value in properties.items())
        name = self.identifier(spread_by)
        key = f"AGGREGATE KEY({self._column_list(aggregated_by)})" if aggregated_by else f"UNIQUE KEY({name})"
        return f"ENGINE=OLAP {key} DISTRIBUTED BY HASH({name}) BUCKETS {self._buckets or 'AUTO'}\nPROPERTIES ({listed})"

    def _facts(self, table: str) -> list[tuple[Any, ...]]:
        return self._select(COLUMNS_SQL, self._where(table))

    def _handles(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[str | None]:
        with contextlib.closing(self._stream(sql, values)) as rows:
            for _, handle in rows:
                yield as_text(handle)

    def _insert_handles(self, table: str, column: str, handles: Sequence[str]) -> None:
        layout = self._layout(table)
        if layout.model != "DUPLICATE" and layout.keys != (column.lower(),):
            raise StopRun(
                f"{self.label}: KOLs would replace one another in table {table}, whose key is "
                f"({', '.join(layout.keys)}): insert them with SQL"
            )
        described = self.describe(table)
        limit = described.columns[column.lower()].max_bytes if described else None
        longest = max(handles, key=len)
        if limit is not None and len(longest.encode()) > limit:  # some versions would cut it: see WHOLE
            raise StopRun(f"{self.label}: column {column} of {table} holds {limit} bytes, too few for {longest}")
        name = self.identifier(column)
        for part in of_at_most(INSERT_BYTES, (values_sql((handle,)) for handle in handles), INSERT_ROWS):
            self._execute(f"INSERT INTO {self.quoted(table)} ({name}) VALUES {b', '.join(part).decode()}")
