"""Apache Doris over the MySQL protocol. Every identifier is back-quoted: `following` is reserved there.

An INSERT replaces the whole row of an id, so a table with columns that are not ours is updated in part, if it can be.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pymysql

from kolspider.db.base import DbErrorKind, Table, as_text
from kolspider.db.doris.facts import PAGED_TYPES, UNTOLD_CODES, Layout, column, is_committed, kind_of
from kolspider.db.doris.tables import DorisTables
from kolspider.db.literals import of_at_most, values_sql
from kolspider.db.mysql_facts import error_code
from kolspider.errors import StopRun
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kolspider.db.mysql import Server
    from kolspider.db.spans import Span
    from kolspider.items import Row

__all__ = ["DorisDatabase", "Load"]

PAGE_ROWS = 10_000
"""KOLs in one SELECT: a query is given 900 s (query_timeout; INSERT_SECS after the first load), however slowly its rows
are used."""
KEYS_AT_ONCE = 1000
INSERT_BYTES = 8_000_000
"""A batch is one INSERT, unless a page of the API is larger than that. Doris takes 1 to 8 MB best."""
INSERT_SECS = 20
"""Doris gives an INSERT up before we stop listening. What bounds it is the larger one of insert_timeout and
query_timeout (qe/ConnectContext.java: getExecTimeout)."""
CERTAIN_SECS = 60
"""An INSERT that was running longer ago is committed or failed: beside INSERT_SECS, the FE clears up every 30 s what is
left of those that are too old (common/Config.java: transaction_clean_interval_second)."""

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
    """A transaction of Doris's: rows with distinct keys for one table, all or none of them."""

    table: str
    columns: Sequence[str]
    partial: bool
    """The columns that are not given keep their values."""
    rows: Sequence[tuple[Any, ...]]
    text: str
    """The rows, as they are sent."""
    label: str = field(default_factory=lambda: f"kolspider_{uuid.uuid4().hex}")
    """Random: one made of the rows would make a reload of a table that was emptied look done."""
    taken: float = 0.0
    """Since when the label is known to be taken by an earlier attempt; time.monotonic(), 0: it is not known to be."""

    def writes_the_same_as(self, other: Load) -> bool:
        return (self.table, self.columns, self.partial, self.text) == (
            other.table, other.columns, other.partial, other.text
        )  # fmt: skip


class DorisDatabase(DorisTables):
    """A database in Doris: an INSERT commits itself.

    A load whose answer is lost may still be running, and would be committed after later ones. So nothing else is
    loaded before it was repeated under its label, which Doris takes up again only if the first attempt has failed.
    """

    dialect = "doris"
    transactional = False
    sql_mode = None
    # A sql_mode with NO_BACKSLASH_ESCAPES would give texts another meaning.
    init_command = (
        f"SET group_commit = 'off_mode', enable_insert_strict = true, insert_timeout = {INSERT_SECS}, "
        "insert_visible_timeout_ms = 5000, sql_mode = 'ONLY_FULL_GROUP_BY'"
    )

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._unfinished: Load | None = None
        """The load whose outcome is unknown."""

    def describe(self, table: str) -> Table | None:
        facts = {told[0].lower(): told for told in self._facts(table)}
        if not facts:
            return None
        try:
            layout = self._layout(table)
        except pymysql.err.Error as error:
            if self.error_kind(error) is DbErrorKind.LOST:
                raise
            # A view's definition is for who has SHOW_VIEW_PRIV, an asynchronous materialized view's is shown in
            # another way (commands/ShowCreateTableCommand.java: validate). Either may hold the KOLs.
            layout = Layout.of("")
        columns = {name: column(layout.columns.get(name, ""), *told) for name, told in facts.items()}
        return Table(table, columns, [layout.keys] if layout.model == "UNIQUE" else [])

    def handles(self, table: str) -> Iterator[str | None]:
        """In pages, by `id`, or by `user_name` where there is none. Neither need be unique, or not NULL."""
        types = {facts[0].lower(): facts[1].lower().partition("(")[0] for facts in self._facts(table)}
        key = "id" if "id" in types else "user_name"
        if types.get(key) not in PAGED_TYPES:
            yield from super().handles(table)
            return
        name = self.identifier(key)
        select = f"SELECT {name}, `user_name` FROM {self._formatted(table)} WHERE"
        yield from self._handles(f"{select} {name} IS NULL")
        after, last = f"{name} IS NOT NULL", tuple[Any, ...]()
        while True:
            rows = self._select(f"{select} {after} ORDER BY {name} LIMIT {PAGE_ROWS}", last)
            last = rows[-1][:1] if len(rows) == PAGE_ROWS else ()
            yield from (as_text(handle) for value, handle in rows if (value,) != last)
            if not last:
                return
            # The page may end between two rows of one key.
            yield from self._handles(f"{select} {name} = %s", last)
            after = f"{name} > %s"

    def upsert(self, table: str, rows: Sequence[Row]) -> str:
        """A repeated batch changes nothing, so one of two parts may be written twice."""
        distinct = list({row.id: row for row in rows}.values())  # of two Doris would keep either
        if not distinct:
            return ""
        # Read anew for each batch, which costs the FE next to nothing: a column may have been added since.
        layout = self._layout(table)
        if reason := self._reason(table, layout):
            raise StopRun(f"table {table} can't be written to without loss: {reason}")
        return "; ".join(
            self._load(table, part, partial=partial) for part, partial in self._parts(table, distinct, layout) if part
        )

    def widen(self, table: str, span: Span, rows: Sequence[tuple[str, ...]]) -> str:
        return self._load(table, rows, span.columns) if rows else ""

    def try_write(self, table: str, columns: Sequence[str] = COLUMNS) -> None:
        """Doris looks at the privilege first, then whether the table may be written to in this way (a partial update
        may not with a synchronous materialized view, or a generated column that is made of a column of theirs), sees
        that there is no row, and begins no transaction.

        (nereids/trees/plans/commands/insert/InsertIntoTableCommand.java: checkTblPriv, normalizePlan, isEmptyInsert)
        """
        layout = self._layout(table)
        partial = bool(layout.others) and layout.merge_on_write
        self._execute(f"SET enable_unique_key_partial_update = {str(partial).lower()}")
        super().try_write(table, columns)

    def patience(self) -> float:
        load = self._unfinished
        return load.taken + CERTAIN_SECS + 1 - time.monotonic() if load and load.taken else 0.0

    def error_kind(self, exc: BaseException) -> DbErrorKind:
        return kind_of(str(exc)) if error_code(exc) in UNTOLD_CODES else super().error_kind(exc)

    def _load(
        self,
        table: str,
        rows: Sequence[tuple[Any, ...]],
        columns: Sequence[str] = COLUMNS,
        *,
        partial: bool = False,
    ) -> str:
        """Write rows of distinct keys; what Doris says of it."""
        return "; ".join(map(self._finished, self._loads(table, rows, columns, partial=partial)))

    def _loads(
        self, table: str, rows: Sequence[tuple[Any, ...]], columns: Sequence[str], *, partial: bool
    ) -> Iterator[Load]:
        begin = 0
        for part in of_at_most(INSERT_BYTES, map(values_sql, rows)):
            end = begin + len(part)
            yield Load(table, columns, partial, rows[begin:end], ", ".join(part))
            begin = end

    def _finished(self, load: Load) -> str:
        """Do a load, and before it what is left of the last one."""
        if self._unfinished and self._unfinished.writes_the_same_as(load):
            load = self._unfinished
        elif self._unfinished:
            try:
                self._finished(self._unfinished)
            except Exception as error:
                if self.error_kind(error) is not DbErrorKind.REFUSED:
                    raise
        self._unfinished = load
        try:
            said = self._send(load)
        except Exception as error:
            if self.error_kind(error) is DbErrorKind.REFUSED:
                self._unfinished = None
            raise
        self._unfinished = None
        return f"{len(load.rows)} rows, {said}"

    def _send(self, load: Load) -> str:
        """One attempt. Returns bytes, label, transaction and status."""
        insert = f"INSERT INTO {self.quoted(load.table)} WITH LABEL {self.identifier(load.label)}"
        sql = f"{insert} ({self._column_list(load.columns)}) VALUES\n{load.text}"
        size = len(sql) if sql.isascii() else len(sql.encode())
        with self._open().cursor() as cursor:
            # On the connection that inserts: the next one knows nothing of it.
            cursor.execute(
                f"SET query_timeout = {INSERT_SECS}, enable_unique_key_partial_update = {str(load.partial).lower()}"
            )
            taken, load.taken = load.taken, 0.0
            try:
                told = self._inserted(cursor, sql)
            except pymysql.err.Error as error:
                if not _is_taken(load.label, error):
                    raise
                load.taken = taken or time.monotonic()
                return f"{size:,} bytes, {self._outcome(load, error)}"
        return f"{size:,} bytes, label {load.label}, {told}"

    @staticmethod
    def _inserted(cursor: Any, sql: str) -> str:
        """Run an INSERT; transaction and status."""
        try:
            cursor.execute(sql)
        except pymysql.err.Error as exc:
            if not is_committed(str(exc.args[-1])):
                raise
            return "COMMITTED"
        result = cursor._result  # noqa: SLF001 - PyMySQL shows the message in no other way
        if result.warning_count:  # rows that were filtered: none is in strict mode, so the session is not strict
            raise pymysql.err.OperationalError(1105, f"{result.warning_count} rows were filtered: filtered data")
        told = dict(_LOADED.findall((result.message or b"").decode("utf-8", "replace")))
        return f"txnId {told.get('txnId', '?')}, {told.get('status', '?')}"

    def _outcome(self, load: Load, error: pymysql.err.Error) -> str:
        """What became of the earlier attempt that has the label. Raises the error when that is not over yet.

        Only who may LOAD into the whole database may ask, before 3.1 only an administrator (apache/doris#52358 and
        #58917); others wait until it must be over, since the label of one that failed is free again.
        """
        schema, _ = self._where(load.table)
        try:
            ((txn, _, _, status, *_), *_) = self._select(
                f"SHOW TRANSACTION FROM {self.identifier(schema).replace('%', '%%')} WHERE `label` = %s", (load.label,)
            )
        except (pymysql.err.Error, ValueError) as refusal:
            if self.error_kind(refusal) is DbErrorKind.LOST:
                raise
            if time.monotonic() - load.taken <= CERTAIN_SECS:
                raise error from None
            return f"label {load.label}, by an earlier attempt"
        if status not in {"COMMITTED", "VISIBLE"}:
            raise error
        return f"label {load.label}, txnId {txn}, {status} by an earlier attempt"

    def _parts(self, table: str, rows: list[Row], layout: Layout) -> Iterator[tuple[list[Row], bool]]:
        """The rows that an INSERT writes whole (False), and those that it writes in part (True)."""
        if not layout.others:
            yield rows, False
        elif self._appends_new_keys():
            yield rows, True
        else:
            known = self._known(table, rows)
            yield [row for row in rows if row.id not in known], False
            yield [row for row in rows if row.id in known], True

    def _appends_new_keys(self) -> bool:
        """Does a partial update take new keys? From 3.1 on by this variable; before, strict mode filters them.

        (qe/SessionVariable.java: PARTIAL_UPDATE_NEW_KEY_BEHAVIOR; the update section of Doris's documentation)
        """
        try:
            self._select("SET partial_update_new_key_behavior = 'APPEND'")
        except pymysql.err.Error as exc:
            if "unknown system variable" not in str(exc).lower():  # 1193, 1228 or 1105
                raise
            return False
        return True

    def _known(self, table: str, rows: list[Row]) -> set[str]:
        """Which of the ids are in the table."""
        known: set[str] = set()
        for start in range(0, len(rows), KEYS_AT_ONCE):
            ids = tuple(row.id for row in rows[start : start + KEYS_AT_ONCE])
            marks = ", ".join(["%s"] * len(ids))
            found = self._select(f"SELECT `id` FROM {self._formatted(table)} WHERE `id` IN ({marks})", ids)
            known.update(str(id_) for (id_,) in found)
        return known

    def _facts(self, table: str) -> list[tuple[Any, ...]]:
        return self._select(COLUMNS_SQL, self._where(table))

    def _handles(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[str | None]:
        with contextlib.closing(self._stream(sql, values)) as rows:
            for _, handle in rows:
                yield as_text(handle)

    def _insert_handles(self, table: str, handles: Sequence[str]) -> None:
        layout = self._layout(table)
        if layout.model != "DUPLICATE" and layout.keys != ("user_name",):
            raise StopRun(
                f"{self.label}: sample KOLs would replace one another in table {table}, whose key is "
                f"({', '.join(layout.keys)}): insert them by hand"
            )
        marks = ", ".join(["(%s)"] * len(handles))
        self._select(f"INSERT INTO {self._formatted(table)} (`user_name`) VALUES {marks}", tuple(handles))


def _is_taken(label: str, error: pymysql.err.Error) -> bool:
    """Has an attempt this label that is running or committed? (common/LabelAlreadyUsedException.java)"""
    return f"Label [{label}] has already been used" in str(error.args[-1])
