"""What every dialect offers, in plain types. All of it blocks: during a crawl, it is called in `DatabaseThread`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

from kolspider.errors import StopRun, WrongUsage
from kolspider.items import COLUMNS, Row

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from kolspider.db.follow_tables import Span

__all__ = [
    "DENIED",
    "HANDLES",
    "UTF8",
    "Ask",
    "Charset",
    "Column",
    "Database",
    "DbErrorKind",
    "Fill",
    "Form",
    "NotWritten",
    "Table",
    "as_text",
    "name_parts",
]


ANSWER_SECS = 30
_ASKED_AT_ONCE = 1000
"""How many keys one question lists."""
Ask = Callable[[str, tuple[object, ...]], "Sequence[tuple[Any, ...]]"]
"""Runs a SELECT with `?` for each value."""
HANDLES = "user_name"
"""The source table's column of handles, unless KOL_SOURCE_COLUMN names another one."""
DENIED = re.compile(r"command denied to user|privilege\(?s?\)? for", re.IGNORECASE)
"""Matches MySQL's 1142, 1143 and 1227 and their like in Doris, but not 1045, a wrong password."""


class DbErrorKind(Enum):
    """What to do about an exception of the driver."""

    LOST = "lost"
    """The database is away for now (connection, deadlock, shutdown, full disk): wait, connect again, repeat."""
    REFUSED = "refused"
    """The database refuses the data: halve the batch to find the row."""
    FATAL = "fatal"
    """Repeating won't help and no row is to blame (access denied, unknown table, anything unknown): stop."""


class Form(Enum):
    """In which form a column takes a value and gives it back as it was."""

    TEXT = "text"
    NUMBER = "number"
    """A whole number."""
    MOMENT = "moment"
    """UTC, as `YYYY-MM-DD HH:MM:SS`."""


class Fill(Enum):
    """What an INSERT that leaves a column out puts there."""

    NULL = "null"
    DISTINCT = "distinct"
    """A value of its own in each row, such as the next number."""
    OTHER = "other"
    """A default that repeats, or a value that is made from other columns."""


class Charset(Struct, frozen=True):
    """The characters that a column of text holds, and the bytes they take there."""

    name: str
    collation: str = ""
    unheld: str = ""
    """A regular expression of a character that it lacks; empty: it has them all."""
    ascii_bytes: int = 1
    wide_bytes: int | None = None
    """Most bytes of a character outside ASCII; None: as many as in UTF-8."""


UTF8 = Charset("UTF-8")


class NotWritten(Exception):  # noqa: N818 - it says what is the case
    """The database reported no error, and rows are not in the table: they count as refused."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a column can hold; a limit of None does not exist."""

    name: str
    """In lower case, since column names ignore case in every dialect."""
    type: str
    """As DDL spells it."""
    takes: frozenset[Form]
    """Empty for a type that changes what it is given, refuses it, or is not known."""
    max_chars: int | None = None
    max_bytes: int | None = None
    """Limit on the bytes of a text, as its charset counts them."""
    int_min: int | None = None
    int_max: int | None = None
    moment_min: str | None = None
    moment_max: str | None = None
    charset: Charset = UTF8
    drops_spaces: bool = False
    """Whether spaces at the end of a text are lost, as in MySQL's CHAR."""
    nullable: bool = True
    needs_value: bool = False
    """Whether the column is NOT NULL without a default, so an INSERT that leaves it out fails."""
    fill: Fill = Fill.NULL
    generated: bool = False
    """Whether the database makes its value from other columns, and takes no other."""


class Table(Struct, frozen=True):
    """A table as the database describes it."""

    name: str
    """The name as the settings spell it."""
    columns: dict[str, Column]
    unique_keys: list[tuple[str, ...]]
    """The columns of each key. A prefix of a column shows its length: `id(5)`. What is no column is in brackets:
    `(expression)`, and `(condition)` for a key of some rows only."""
    has_checks: bool = False
    """Whether a CHECK may refuse rows."""


class Database(ABC):
    """One connection to one database, used by one thread at a time.

    Methods connect when there is no connection. The driver's exceptions pass through unchanged: `error_kind` judges
    them and `explain` puts them into words.
    """

    errors: ClassVar[tuple[type[Exception], ...]]
    """What the driver raises when the database refuses or is away; anything else is a bug."""
    quote: ClassVar[str] = "`"
    types: ClassVar[dict[str, str]]
    """The SQL type of each column of the target, in order."""
    hides_tables: ClassVar[bool] = False
    """Whether a table without a privilege for the user seems not to exist."""

    def __init__(self, label: str, secrets: tuple[str, ...] = ()) -> None:
        self.label = label
        """Name of the database, without credentials. The store keeps it, so it never changes."""
        self.answer_secs = ANSWER_SECS
        """Seconds that the server has for an answer, from the next connection on."""
        self.fence: Callable[[], object] = lambda: None
        """Called before rows are committed: it raises Fenced if this process may write no more."""
        self.secrets = secrets
        """Texts that are never printed."""
        self._numeric_ids: dict[str, bool] = {}

    @abstractmethod
    def connect(self) -> None:
        """Connect, unless connected."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect; never raises."""

    @abstractmethod
    def describe(self, table: str) -> Table | None:
        """Return columns and unique keys; None when there is no such table."""

    @abstractmethod
    def upsert(self, table: str, rows: Sequence[Row]) -> str:
        """Insert or update rows of distinct ids; columns that are not ours keep their values.

        Repeating it after an error does no harm. Returns the database's receipt for the log, if it gives one. Raises
        NotWritten if the database's answer shows that a row is not there.
        """

    @abstractmethod
    def error_kind(self, exc: BaseException) -> DbErrorKind:
        """What to do about an exception that a method raised."""

    @abstractmethod
    def source_ddl(self, table: str, column: str = HANDLES) -> str:
        """Return SQL that creates the table of KOLs, with the column of their handles."""

    @abstractmethod
    def target_ddl(self, table: str) -> str:
        """Return SQL that creates the table of followed users."""

    @abstractmethod
    def unique_key_ddl(self, table: str) -> str:
        """Return one line of SQL that gives the target its unique key on `id`."""

    @abstractmethod
    def refit_ddl(self, table: Table, columns: Sequence[Column]) -> list[str]:
        """Return statements that make these columns of ours hold what is sent, and keep their values where they can."""

    @abstractmethod
    def renew_ddl(self, table: str) -> list[str]:
        """Return statements that put the target aside, and create it again; a replay fills it."""

    @abstractmethod
    def create_tables(self, source: str, target: str, follows: str = "", column: str = HANDLES) -> list[str]:
        """Create the missing tables and return their names. Raises StopRun when there is no place for them.

        follows: the follows table, created with the crawls table beside it; empty: neither.
        column: the source's column of handles.
        """

    @abstractmethod
    def span_ddls(self, table: str, span: Span) -> list[str]:
        """Return the statements that create a table of spans."""

    @abstractmethod
    def widen(self, table: str, span: Span, rows: Sequence[tuple[str, ...]]) -> str:
        """Upsert rows of distinct keys so that each key keeps its least and its greatest moment.

        Repeating it after an error does no harm. Returns the database's receipt for the log, if it gives one. Raises
        NotWritten if the database's answer shows that a row is not there.
        """

    @abstractmethod
    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT written for every dialect, with `?` for each value."""

    @abstractmethod
    def stream(self, sql: str, values: Sequence[object] = ()) -> Generator[tuple[Any, ...], None, None]:
        """Yield the rows of a SELECT as they arrive, with `?` for each value.

        No other method may be called until the generator is exhausted or closed.
        """

    @abstractmethod
    def delete_handles(self, table: str, handles: Sequence[str], column: str = HANDLES) -> None:
        """Delete the rows of the source table that have one of these texts, as `handles` gives them."""

    @abstractmethod
    def _insert_handles(self, table: str, column: str, handles: Sequence[str]) -> None: ...

    @abstractmethod
    def _execute(self, sql: str) -> None: ...

    @abstractmethod
    def _message(self, exc: BaseException) -> str: ...

    def target_label(self, target: str, follows: str) -> str:
        """Name a target without credentials: dialect, host, database and tables. The store keeps under this name what
        is loaded, so it never changes.

        follows: the follows table, or empty. Pages that were loaded before it was kept are loaded again from the cache.
        """
        return f"{self.label} {target}" + (f" + {follows}" if follows else "")

    def add_column_ddl(self, table: str, column: str) -> str:
        """Return one line of SQL that adds one of our columns."""
        return f"ALTER TABLE {self.quoted(table)} ADD COLUMN {self.identifier(column)} {self.types[column]}"

    def try_write(self, table: str, columns: Sequence[str] = COLUMNS) -> None:
        """Upsert no row, so that a read-only table or a missing privilege is an error now and not after paying."""
        names = self._column_list(columns)
        self._execute(
            f"INSERT INTO {self.quoted(table)} ({names}) SELECT {names} FROM {self.quoted(table)} WHERE 1 = 0"
        )

    def span_refusal(self, table: Table, span: Span) -> str | None:
        """Return why a table can't keep the least and the greatest moment of each key; None if it can."""
        if sorted(span.keys) in map(sorted, table.unique_keys):
            return None
        return f"it has no unique key ({', '.join(span.keys)})"

    def as_id(self, user_id: str, column: Column) -> str:
        """Write a `user_id` of a query so that it is compared with the target's `id`, this column, by its key."""
        del column
        return user_id

    def spread(self, *, replicas: int | None, buckets: int | None) -> None:
        """Set how create_tables spreads tables over a cluster. Raises WrongUsage where there is no cluster."""
        if replicas is not None or buckets is not None:
            raise WrongUsage("--replicas and --buckets are for doris:// databases only")

    def refusal(self, table: Table) -> str | None:
        """Return why this dialect can't upsert into a table that is fit otherwise; None if it can."""
        del table
        return None

    def explain(self, exc: BaseException) -> str:
        """Describe an exception in one line, without passwords: which database, and its message."""
        message = self._message(exc)
        for secret in sorted(self.secrets, key=len, reverse=True):
            edge = r"\b" if len(secret) < 4 and secret.isalnum() else ""  # a short one is a part of words, too
            message = re.sub(f"{edge}{re.escape(secret)}{edge}", "***", message)
        return f"{self.label}: {' '.join(message.split())[:500]}"

    @contextmanager
    def explained_errors(self) -> Iterator[None]:
        """Turn the driver's exceptions into StopRun, in one line."""
        try:
            yield
        except self.errors as error:
            raise StopRun(self.explain(error)) from None

    def patience(self) -> float:
        """Extra seconds of retrying while the outcome of a load is unknown."""
        return 0.0

    def advice(self, exc: BaseException) -> str:
        """Say what to do about an exception that keeps a run from starting."""
        if DENIED.search(str(exc)):
            return "this user lacks a privilege: GRANT it"
        return "check KOL_DB_URL, or wait until the database is up"

    def handles(self, table: str, column: str = HANDLES, where: str = "") -> Iterator[str | None]:
        """Stream the source table's column of handles, ordered by `id` if the table has one.

        where: a condition on the rows; empty: all of them. No other method may be called until the iterator is
        exhausted or closed.
        """
        described = self.describe(table)
        order = f" ORDER BY {self.identifier('id')}" if described and "id" in described.columns else ""
        sql = f"SELECT {self.identifier(column)} FROM {self.quoted(table)}{_meeting(where)}{order}"
        with closing(self.stream(sql)) as rows:
            for (value,) in rows:
                yield as_text(value)

    def insert_handles(self, table: str, handles: Sequence[str], column: str = HANDLES) -> int:
        """Insert the KOLs that are not in the table yet; returns their number."""
        missing = {handle.lower(): handle for handle in handles}
        for handle in self.handles(table, column):
            missing.pop((handle or "").strip().lower(), None)
        if missing:
            self._insert_handles(table, column, list(missing.values()))
        return len(missing)

    def count(self, table: str, where: str = "") -> int:
        """Return the number of rows, or of those that meet a condition."""
        ((count,),) = self.query(f"SELECT COUNT(*) FROM {self.quoted(table)}{_meeting(where)}")
        return int(count)

    def known_ids(self, table: str, ids: Sequence[str]) -> set[int]:
        """Return those of these ids that the target table has."""
        marks, keys = ", ".join("?" * len(ids)), map(int, ids) if self._has_numeric_ids(table) else ids
        rows = self.query(f"SELECT `id` FROM {self.quoted(table)} WHERE `id` IN ({marks})", list(keys))
        return {int(id_) for (id_,) in rows}

    def ids_by_name(self, table: str, names: Sequence[str]) -> dict[str, str]:
        """Return the ids of accounts of the target table by the handles, in lower case, that they had there."""
        marks = ", ".join("?" * len(names))
        sql = f"SELECT LOWER(`user_name`), `id` FROM {self.quoted(table)} WHERE LOWER(`user_name`) IN ({marks})"
        rows = self.query(sql, [name.lower() for name in names]) if names else []
        return {str(as_text(name)): str(as_text(id_)) for name, id_ in rows}

    def lengths_by_name(self, table: str, names: Sequence[str]) -> dict[str, int]:
        """Return how many accounts those of the target table follow that had these handles, in lower case, there."""
        marks = ", ".join("?" * len(names))
        sql = f"SELECT LOWER(`user_name`), `following` FROM {self.quoted(table)} WHERE LOWER(`user_name`) IN ({marks})"
        rows = self.query(sql, [name.lower() for name in names]) if names else []
        return {str(as_text(name)): int(following) for name, following in rows if following is not None}

    def some_ids(self, table: str, start: int, number: int) -> list[str]:
        """Return ids of accounts of the target table, from `start` on, and behind the last one from the first on."""
        found: list[str] = []
        for first in (start, 0):
            key = first if self._has_numeric_ids(table) else str(first)
            sql = f"SELECT `id` FROM {self.quoted(table)} WHERE `id` > ? ORDER BY `id` LIMIT ?"
            found += [str(as_text(id_)) for (id_,) in self.query(sql, (key, number - len(found)))]
        return list(dict.fromkeys(found))

    def identifier(self, name: str) -> str:
        """Quote a name."""
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote

    def quoted(self, table: str) -> str:
        """Quote each part of a table's name: `db`.`table`."""
        return ".".join(map(self.identifier, name_parts(table)))

    def place(self, table: str) -> tuple[str, ...]:
        """Return schema and name of a table, equal for two spellings of the same table."""
        return tuple(name_parts(table))

    def _has_numeric_ids(self, table: str) -> bool:
        """Tell whether ids are numbers there. A text is compared with a number, or stored as one, as a double at times.

        Asks the database once for each table, outside of any transaction.
        """
        if table not in self._numeric_ids:
            described = self.describe(table)
            id_ = described.columns.get("id") if described else None
            self._numeric_ids[table] = id_ is not None and Form.TEXT not in id_.takes
        return self._numeric_ids[table]

    def _check_written(
        self,
        table: str,
        keys: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        ask: Ask,
    ) -> None:
        """Raise NotWritten unless each row, which begins with these keys, is in the table under its own key.

        Counts of affected rows don't tell: a row that lands on another one, by a second unique key or a type that
        rounds ids, counts as an update, and one that a trigger drops or changes may count as inserted. `ask` runs a
        SELECT in the transaction that wrote the rows, so none of them stays if one is missing.
        """
        *others, last = keys
        written: dict[tuple[Any, ...], list[Any]] = {}
        if others:
            for row in rows:
                written.setdefault(row[: len(others)], []).append(row[len(others)])
        else:
            written[()] = [row[0] for row in rows]
        name, where = self.identifier(last), "".join(f"{self.identifier(other)} = ? AND " for other in others)
        for group, values in written.items():
            for start in range(0, len(values), _ASKED_AT_ONCE):
                part = values[start : start + _ASKED_AT_ONCE]
                sql = f"FROM {self.quoted(table)} WHERE {where}{name} IN ({', '.join('?' * len(part))})"
                # PyMySQL takes as long to read a row as to write it. Texts that are equal are the same; of numbers, a
                # type that rounds makes more equal than are.
                if isinstance(part[0], str):
                    ((count,),) = ask(f"SELECT COUNT(*) {sql}", (*group, *part))
                    if int(count) == len(part):
                        continue
                found = {value for (value,) in ask(f"SELECT {name} {sql}", (*group, *part))}
                lacking = set(part) - found  # or they have another type there
                if lacking and not set(map(_key, lacking)) <= set(map(_key, found)):
                    raise NotWritten(
                        f"no error, but the row is not in {table}: a trigger, another unique key or the type of "
                        f"{last} drops it or changes its key"
                    )

    def _column_list(self, columns: Sequence[str] = COLUMNS) -> str:
        return ", ".join(map(self.identifier, columns))

    def _column_definitions(self) -> str:
        """Write our columns for a CREATE TABLE: the key first, the others nullable."""
        lines = [f"  {self.identifier(name)} {sql_type}" for name, sql_type in self.types.items()]
        return ",\n".join([f"{lines[0]} NOT NULL", *(f"{line} NULL" for line in lines[1:])])


def _key(value: object) -> str:
    """Return a key as text, an id alike whatever the type of its column."""
    text = str(value) if isinstance(value, str | int) else str(as_text(value)).rstrip("\0 ").removesuffix(".0")
    return text.lstrip("0") if text.isdigit() else text


def _meeting(where: str) -> str:
    return f" WHERE ({where})" if where else ""


def name_parts(table: str) -> list[str]:
    """Split `table` or `db.table`."""
    parts = table.split(".")
    if len(parts) > 2 or not all(part.strip() for part in parts):
        raise WrongUsage(f"{table!r} is not a table's name: write `table` or `db.table`")
    return parts


def as_text(value: object) -> str | None:
    """Return a handle as text, whatever the type of its column. MySQL's BINARY ends it with NULs."""
    if value is None or isinstance(value, str):
        return value
    return value.rstrip(b"\0").decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
