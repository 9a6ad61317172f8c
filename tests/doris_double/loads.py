"""Loads: what an INSERT and a Stream Load have in common. Each is a transaction with a label, all or nothing."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.doris_double.errors import refuse
from tests.doris_double.storage import conflict_key, quoted
from tests.doris_double.values import BadValue, converter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.doris_double.storage import Storage
    from tests.doris_double.tables import Column, Table

__all__ = ["NEW_KEYS_SINCE", "Filtered", "Load", "Loader", "Mode"]

NEW_KEYS_SINCE = (3, 1)
"""Since then partial_update_new_key_behavior says what becomes of a new key in a partial update; before, strict mode
filters it."""
CHUNK = 500
"""Keys in one SELECT: SQLite takes 999 parameters where it is old."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How rows are to be taken."""

    partial: bool = False
    """Only the given columns of the rows that exist change."""
    append: bool = True
    """Partial: a key that is not there yet makes a new row; else its row is filtered."""
    truncates: bool = False
    """Texts are cut to the length of their columns."""


@dataclass(slots=True)
class Load:
    """One load, as tests ask about it."""

    label: str
    txn_id: int
    database: str
    table: str
    via: str
    """`insert` or `stream`."""
    path: str
    """`plain` or `partial`."""
    rows: int
    bytes: int
    timeout: int
    """Seconds after which Doris would give it up."""
    status: str = "VISIBLE"
    """PREPARE, VISIBLE, COMMITTED or ABORTED."""
    filtered: list[str] = field(default_factory=list)
    """Why, for each row that was filtered."""

    def taken(self, *, cloud: bool) -> str:
        """What who uses the label again is told (common/LabelAlreadyUsedException.java, meta_service_txn.cpp)."""
        status = f"=[TXN_STATUS_{self.status.replace('PREPARE', 'PREPARED')}]" if cloud else f" [{self.status}]."
        return f"Label [{self.label}] has already been used, relate to txn [{self.txn_id}], status{status}"


class Filtered(Exception):  # noqa: N818 - not the double's failure
    """More rows were filtered than the mode allows: nothing was written."""

    def __init__(self, load: Load) -> None:
        super().__init__(load.filtered[0])
        self.load = load


class Loader:
    """Takes loads, one at a time, and remembers them."""

    def __init__(self, storage: Storage, violations: list[str]) -> None:
        self._storage = storage
        self._violations = violations
        self._next_txn = 1001
        self.loads: list[Load] = []
        self.labels: dict[tuple[str, str], Load] = {}
        """The label of a load that failed is free again."""

    def begin(
        self, table: Table, label: str | None, *, via: str, mode: Mode, rows: int, size: int, timeout: int
    ) -> Load:
        """A transaction of its own for these rows."""
        label = label or f"label_{uuid.uuid4().hex[:16]}_{uuid.uuid4().hex[:16]}"
        path = "partial" if mode.partial else "plain"
        load = Load(label, self._next_txn, table.database, table.name, via, path, rows, size, timeout, "ABORTED")
        self._next_txn += 1
        self.loads.append(load)
        return load

    def runs_on(self, load: Load) -> None:
        """It has its label while it is not over."""
        load.status = "PREPARE"
        self.labels[load.database, load.label] = load

    def abort(self, load: Load) -> None:
        load.status = "ABORTED"
        self.labels.pop((load.database, load.label), None)

    def known(self, table: Table, label: str | None) -> Load | None:
        """The load that has this label already."""
        return self.labels.get((table.database, label)) if label else None

    def write(self, load: Load, table: Table, columns: Sequence[str], rows: list[list[Any]], mode: Mode) -> None:
        """All of it, or nothing. Raises Filtered, or DorisError for what no row is to blame for."""
        targets = _targets(table, columns)
        if not mode.partial:
            _check_left_out(table, targets)
        good = _partitioned(load, table, targets, self._good(load, targets, rows, mode))
        self._check_duplicates(load, table, targets, good)
        with self._storage.transaction():
            if mode.partial:
                good = self._write_partial(load, table, targets, good, mode)
            else:
                self._write_whole(table, targets, good)
            if load.filtered:
                raise Filtered(load)
        load.rows = len(good)
        load.status = "VISIBLE"
        self.labels[table.database, load.label] = load

    @staticmethod
    def _good(load: Load, targets: list[Column], rows: list[list[Any]], mode: Mode) -> list[list[Any]]:
        """The rows that fit, converted."""
        converters = [converter(column, truncates=mode.truncates) for column in targets]
        good = []
        for row in rows:
            if len(row) != len(targets):
                refuse("Column count doesn't match value count")
            try:
                good.append([convert(value) for convert, value in zip(converters, row, strict=True)])
            except BadValue as bad:
                load.filtered.append(str(bad))
        return good

    def _check_duplicates(self, load: Load, table: Table, targets: list[Column], rows: list[list[Any]]) -> None:
        """Doris would take either of them: whoever sends that has a bug, so it is refused, and kept."""
        if table.model != "UNIQUE":
            return
        key = _key_of(table, targets)
        twice = [key for key, count in Counter(map(key, rows)).items() if count > 1]
        if twice:
            text = f"{load.via} into {table.database}.{table.name}: {len(twice)} keys more than once, as {twice[0]}"
            self._violations.append(text)
            refuse(f"the double: {text}; Doris does not say which row would win")

    def _write_whole(self, table: Table, targets: list[Column], rows: list[list[Any]]) -> None:
        given = {column.name for column in targets}
        others = [column for column in table.columns if column.name not in given]
        names = ", ".join(quoted(column.name) for column in [*targets, *others])
        tail = [_default(column) for column in others]
        marks = ", ".join("?" * len(table.columns))
        verb = "REPLACE" if table.model == "UNIQUE" else "INSERT"
        sql = f"{verb} INTO {self._storage.where(table)} ({names}) VALUES ({marks})"
        if table.model == "AGGREGATE":
            changes = ", ".join(_aggregated(column) for column in table.columns if not column.key)
            sql += f" ON CONFLICT ({conflict_key(table)}) DO {f'UPDATE SET {changes}' if changes else 'NOTHING'}"
        self._storage.executemany(sql, [row + tail for row in rows] if tail else rows)

    def _write_partial(
        self, load: Load, table: Table, targets: list[Column], rows: list[list[Any]], mode: Mode
    ) -> list[list[Any]]:
        """Update the rows that exist; append the others, or filter them. Returns what was written."""
        key = _key_of(table, targets)
        there = self._existing(table, [key(row) for row in rows])
        old = [row for row in rows if key(row) in there]
        new = [row for row in rows if key(row) not in there]
        if new and not mode.append:
            load.filtered += [f"Row with key=[{', '.join(map(str, key(row)))}] is not in table." for row in new]
            new = []
        if new:
            _check_left_out(table, targets)
        self._write_whole(table, targets, new)
        values = [column for column in targets if not column.key]
        if values:
            positions = [targets.index(column) for column in values]
            sets = ", ".join(f"{quoted(column.name)} = ?" for column in values)
            where = " AND ".join(f"{quoted(name)} IS ?" for name in table.keys)
            sql = f"UPDATE {self._storage.where(table)} SET {sets} WHERE {where}"
            self._storage.executemany(sql, [[*(row[index] for index in positions), *key(row)] for row in old])
        return old + new

    def _existing(self, table: Table, keys: list[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
        names = ", ".join(map(quoted, table.keys))
        found: set[tuple[Any, ...]] = set()
        step = max(CHUNK // len(table.keys), 1)
        for start in range(0, len(keys), step):
            some = keys[start : start + step]
            marks = ", ".join([f"({', '.join('?' * len(table.keys))})"] * len(some))
            cursor = self._storage.execute(
                f"SELECT {names} FROM {self._storage.where(table)} WHERE ({names}) IN (VALUES {marks})",
                [value for key in some for value in key],
            )
            found.update(cursor)
        return found


def _partitioned(load: Load, table: Table, targets: list[Column], rows: list[list[Any]]) -> list[list[Any]]:
    """The rows that belong to a partition (vtablet_finder.cpp)."""
    if table.partition is None:
        return rows
    position = [column.name.lower() for column in targets].index(table.partition.column.lower())
    values = set(table.partition.values)
    there = [row for row in rows if row[position] in values]
    load.filtered += ["no partition for this tuple. tuple=+---+"] * (len(rows) - len(there))
    return there


def _targets(table: Table, names: Sequence[str]) -> list[Column]:
    """The columns of a column list (InsertUtils.normalizePlan's words)."""
    targets = []
    for name in names:
        column = table.column(name)
        if column is None:
            refuse(f"Unknown column '{name}' in target table.")
        if column in targets:
            refuse(f"Column '{name}' specified twice")
        targets.append(column)
    return targets


def _check_left_out(table: Table, targets: list[Column]) -> None:
    for column in table.columns:
        if column.needs_value and column not in targets:
            refuse(f"Column has no default value, column={column.name}")


def _key_of(table: Table, targets: list[Column]) -> Callable[[list[Any]], tuple[Any, ...]]:
    """What takes a row's key out of it."""
    names = [column.name.lower() for column in targets]
    # A key column that is left out has its default in every row.
    positions = [names.index(key.lower()) for key in table.keys if key.lower() in names]
    return lambda row: tuple(row[index] for index in positions)


def _default(column: Column) -> Any:
    if column.default is None:
        return None
    return converter(column)(column.default)


def _aggregated(column: Column) -> str:
    """How a row of the AGGREGATE model takes another one in; NULL counts for nothing in MIN and MAX."""
    name = quoted(column.name)
    new = f"excluded.{name}"
    both = f"{column.aggregate}({name}, {new})"
    return f"{name} = CASE WHEN {name} IS NULL THEN {new} WHEN {new} IS NULL THEN {name} ELSE {both} END"
