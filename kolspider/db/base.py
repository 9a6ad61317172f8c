"""What every dialect offers, in plain types. Blocking: called from a worker thread, or before the crawl."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from kolspider.errors import WrongUsage
from kolspider.items import COLUMNS, Row

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from kolspider.db.spans import Span

__all__ = ["Column", "Database", "DbErrorKind", "Table", "as_text", "name_parts"]


ANSWER_SECS = 30
_DENIED = re.compile(r"command denied to user|privilege\(?s?\)? for", re.IGNORECASE)
"""MySQL's 1142, 1143 and 1227, and the same of Doris; not 1045, which is a wrong password."""


class DbErrorKind(Enum):
    """What to do about an exception of the driver."""

    LOST = "lost"
    """Not there, or not now (connection, deadlock, shutdown, full disk): wait, connect again, repeat."""
    REFUSED = "refused"
    """This data is refused: halve the batch to find the row."""
    FATAL = "fatal"
    """Repeating is no use and no row is to blame (access denied, unknown table, anything unknown): stop."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a column can hold. None: no such limit."""

    name: str
    """Lower case: column names ignore case in every dialect."""
    max_chars: int | None
    max_bytes: int | None
    """Of UTF-8."""
    int_min: int | None
    int_max: int | None
    """Both None: not an integer column."""
    nullable: bool
    bmp_only: bool
    """A MySQL utf8mb3 column: nothing above U+FFFF, so no emoji."""
    needs_value: bool = False
    """NOT NULL without a default: an INSERT that leaves it out fails."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the database describes it."""

    name: str
    """As the settings spell it."""
    columns: dict[str, Column]
    unique_keys: list[tuple[str, ...]]
    """Columns of each. A part that is not a whole column says so: `id(5)` is a prefix."""


class Database(ABC):
    """One connection to one database, used by one thread at a time.

    Methods connect when there is no connection. The driver's exceptions pass through unchanged, to be judged
    with `error_kind` and told with `explain`.
    """

    errors: ClassVar[tuple[type[Exception], ...]]
    """What the driver raises when the database says no or is gone; anything else is a bug."""
    quote: ClassVar[str] = "`"
    types: ClassVar[dict[str, str]]
    """The SQL type of each column of the target, in order."""
    hides_tables: ClassVar[bool] = False
    """Whether a table that the user has no privilege on is as if it did not exist."""

    def __init__(self, label: str, secrets: tuple[str, ...] = ()) -> None:
        self.label = label
        """Which database this is, without credentials; stable, so what is loaded where is kept under it."""
        self.answer_secs = ANSWER_SECS
        """How long a server is given for an answer; for the next connection."""
        self.secrets = secrets
        """Never to be printed."""

    @abstractmethod
    def connect(self) -> None:
        """Connect, unless connected."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect; never raises."""

    @abstractmethod
    def describe(self, table: str) -> Table | None:
        """Columns and unique keys; None when there is no such table."""

    @abstractmethod
    def handles(self, table: str) -> Iterator[str | None]:
        """`user_name` of every row, by `id` where there is one, streamed.

        Nothing else may be asked of this object until the iterator is exhausted or closed.
        """

    @abstractmethod
    def upsert(self, table: str, rows: Sequence[Row]) -> str:
        """Insert or update rows of distinct ids; columns that are not ours keep their values.

        All or none, or so that it can be repeated. Returns what the database says of it, for the log.
        """

    @abstractmethod
    def count(self, table: str) -> int:
        """How many rows there are."""

    @abstractmethod
    def error_kind(self, exc: BaseException) -> DbErrorKind:
        """What to do about an exception that a method raised."""

    @abstractmethod
    def source_ddl(self, table: str) -> str:
        """SQL that creates the table of KOLs."""

    @abstractmethod
    def target_ddl(self, table: str) -> str:
        """SQL that creates the table of followed accounts."""

    @abstractmethod
    def unique_key_ddl(self, table: str) -> str:
        """SQL, on one line, that gives the target its unique key on `id`."""

    @abstractmethod
    def create_tables(self, source: str, target: str, follows: str = "") -> list[str]:
        """Create what is missing; the names of what was created. StopRun when there is no place for them.

        follows: the table of who follows whom, and the one beside it; empty: without these.
        """

    @abstractmethod
    def span_ddls(self, table: str, span: Span) -> list[str]:
        """SQL, in statements, that creates a table of spans."""

    @abstractmethod
    def widen(self, table: str, span: Span, rows: Sequence[tuple[str, ...]]) -> str:
        """Upsert rows of distinct keys: of two rows with one key, the least and the greatest moment stay.

        All or none, or so that it can be repeated. Returns what the database says of it, for the log.
        """

    @abstractmethod
    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a SELECT in SQL that every dialect knows, with `?` for each value."""

    @abstractmethod
    def stream(self, sql: str, values: Sequence[object] = ()) -> Generator[tuple[Any, ...], None, None]:
        """The same, as they come, however many.

        Nothing else may be asked of this object until the generator is exhausted or closed.
        """

    @abstractmethod
    def _insert_handles(self, table: str, handles: Sequence[str]) -> None: ...

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
        """SQL, on one line, that adds one of our columns."""
        return f"ALTER TABLE {self.quoted(table)} ADD COLUMN {self.identifier(column)} {self.types[column]}"

    def try_write(self, table: str, columns: Sequence[str] = COLUMNS) -> None:
        """Upsert no row: what is read-only, or not granted, is an exception of the driver now and not later."""
        names = self._column_list(columns)
        self._execute(
            f"INSERT INTO {self.quoted(table)} ({names}) SELECT {names} FROM {self.quoted(table)} WHERE 1 = 0"
        )

    def span_refusal(self, table: Table, span: Span) -> str | None:
        """Why a table does not keep the least and the greatest moment of each key, if it does not."""
        if sorted(span.keys) in map(sorted, table.unique_keys):
            return None
        return f"it has no unique key ({', '.join(span.keys)})"

    def named_rows(self, exc: BaseException) -> Mapping[str, str]:
        """The ids that an error names as the refused ones, each with the reason; empty: unknown."""
        del exc
        return {}

    def spread(self, *, replicas: int | None, buckets: int | None) -> None:
        """How create_tables spreads tables over a cluster; WrongUsage where there is none."""
        if replicas is not None or buckets is not None:
            raise WrongUsage("replicas and buckets are for doris:// databases only")

    def refusal(self, table: Table) -> str | None:
        """Why this dialect can't upsert into a table that is otherwise fit, if it can't."""
        del table
        return None

    def explain(self, exc: BaseException) -> str:
        """One line for a person: which database, what it says. No password."""
        message = self._message(exc)
        for secret in sorted(self.secrets, key=len, reverse=True):
            message = message.replace(secret, "***")
        return f"{self.label}: {' '.join(message.split())[:500]}"

    def patience(self) -> float:
        """For how many seconds more it must be asked again until it is known what became of rows."""
        return 0.0

    def advice(self, exc: BaseException) -> str:
        """What to do about it, where it stops a run that was to begin."""
        if _DENIED.search(str(exc)):
            return "this user lacks a privilege: GRANT it"
        return "check KOL_DB_URL, or wait until the database is up"

    def insert_handles(self, table: str, handles: Sequence[str]) -> int:
        """Insert the KOLs that are not in the table yet; how many that were."""
        missing = {handle.lower(): handle for handle in handles}
        for handle in self.handles(table):
            missing.pop((handle or "").strip().lower(), None)
        if missing:
            self._insert_handles(table, list(missing.values()))
        return len(missing)

    def identifier(self, name: str) -> str:
        """A name, quoted."""
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote

    def quoted(self, table: str) -> str:
        """A table's name, each part quoted: `db`.`table`."""
        return ".".join(map(self.identifier, name_parts(table)))

    def place(self, table: str) -> tuple[str, ...]:
        """Where a table is: the same for two spellings of one table."""
        return tuple(name_parts(table))

    def _column_list(self, columns: Sequence[str] = COLUMNS) -> str:
        return ", ".join(map(self.identifier, columns))

    def _column_definitions(self) -> str:
        """Our columns for a CREATE TABLE: the key first, the others nullable."""
        lines = [f"  {self.identifier(name)} {sql_type}" for name, sql_type in self.types.items()]
        return ",\n".join([f"{lines[0]} NOT NULL", *(f"{line} NULL" for line in lines[1:])])


def name_parts(table: str) -> list[str]:
    """`table` or `db.table`, split."""
    parts = table.split(".")
    if len(parts) > 2 or not all(part.strip() for part in parts):
        raise WrongUsage(f"{table!r} is not a table's name: write `table` or `db.table`")
    return parts


def as_text(value: object) -> str | None:
    """A handle as text, whatever type its column has."""
    if value is None or isinstance(value, str):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
