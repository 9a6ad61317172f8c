"""MySQL and MariaDB through PyMySQL, strict: data that does not fit is an error, never a silent change."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions, escape_string
from pymysql.cursors import SSCursor

from kolspider.db.base import HANDLES, Database, Table, name_parts
from kolspider.db.follow_tables import spans
from kolspider.db.literals import of_at_most, values_sql
from kolspider.db.mysql_facts import column, error_code, error_kind
from kolspider.errors import StopRun
from kolspider.items import COLUMNS, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from pymysql.connections import Connection

    from kolspider.db.base import Ask, DbErrorKind
    from kolspider.db.follow_tables import Span

__all__ = ["Connecting", "MysqlDatabase", "Server"]

CONNECT_SECS = 10
STATEMENT_BYTES = 1_000_000
"""Largest statement of a batch: below any max_allowed_packet, and larger ones are no faster."""
KEYS_AT_ONCE = 1000
"""How many keys a condition lists; Doris deletes by at most 1,024 (max_allowed_in_element_num_of_delete)."""
UNKNOWN_DATABASE = 1049
_CONVERSIONS = {type_: convert for type_, convert in conversions.items() if type_ != FIELD_TYPE.DATETIME}
"""PyMySQL's conversions but for DATETIME, which stays text: parsing it is half of PyMySQL's work for a follow."""
_KEY_TYPES = {"kol_user_name": "VARCHAR(128)", "user_id": "VARCHAR(32)"}

COLUMNS_SQL = """
    SELECT column_name, data_type, column_type, character_maximum_length, character_octet_length,
           character_set_name, is_nullable, column_default, extra
    FROM information_schema.columns
    WHERE table_schema = %s AND table_name = %s
    ORDER BY ordinal_position
"""
UNIQUE_SQL = """
    SELECT index_name, column_name, sub_part
    FROM information_schema.statistics
    WHERE table_schema = %s AND table_name = %s AND non_unique = 0
    ORDER BY index_name, seq_in_index
"""


@dataclass(frozen=True, slots=True)
class Connecting:
    """How the connection is made, by the options of KOL_DB_URL."""

    tls: ssl.SSLContext | None = None
    """None: by TLS if the server offers it, without a check of its certificate."""
    tls_off: bool = False
    unix_socket: str = ""
    secs: int = CONNECT_SECS


@dataclass(frozen=True, slots=True)
class Server:
    """Address and user of a database."""

    host: str
    port: int
    user: str
    database: str
    password: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    """The password, decoded and as the URL spells it."""
    connecting: Connecting = field(default=Connecting())


class MysqlDatabase(Database):
    """A database on a MySQL or MariaDB server."""

    errors: ClassVar[tuple[type[Exception], ...]] = (pymysql.err.Error, OSError)
    dialect: ClassVar[str] = "mysql"
    types: ClassVar[dict[str, str]] = {
        "id": "VARCHAR(32)",
        "name": "VARCHAR(1024)",
        "user_name": "VARCHAR(128)",
        "avatar": "VARCHAR(2048)",
        "description": "TEXT",
        "created_at": "VARCHAR(64)",
        "created_at_time": "DATETIME",
        "followers": "BIGINT",
        "following": "BIGINT",
        "statuses_count": "BIGINT",
    }
    hides_tables: ClassVar[bool] = True
    transactional: ClassVar[bool] = True
    sql_mode: ClassVar[str | None] = "STRICT_ALL_TABLES"
    init_command: ClassVar[str] = "SET SESSION time_zone = '+00:00'"

    def __init__(self, server: Server) -> None:
        host = f"[{server.host}]" if ":" in server.host else server.host
        socket = f"?unix_socket={server.connecting.unix_socket}" if server.connecting.unix_socket else ""
        super().__init__(f"{self.dialect}://{host}:{server.port}/{server.database}{socket}", server.secrets)
        self.server = server
        self._connection: Connection | None = None

    def connect(self) -> None:
        self._open()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def describe(self, table: str) -> Table | None:
        where = self._where(table)
        columns = {facts[0].lower(): column(facts) for facts in self._select(COLUMNS_SQL, where)}
        return Table(table, columns, self._unique_keys(table)) if columns else None

    def place(self, table: str) -> tuple[str, ...]:
        return self._where(table)

    def upsert(self, table: str, rows: Sequence[Row]) -> str:
        # VALUES(), not an alias: MariaDB has no aliases, and MySQL 8 still accepts it.
        updates = ", ".join(f"`{name}` = VALUES(`{name}`)" for name in COLUMNS if name != "id")
        insert = f"INSERT INTO {self.quoted(table)} ({self._column_list()}) VALUES\n"
        parts = list(of_at_most(STATEMENT_BYTES, map(values_sql, rows)))
        self._write(
            [f"{insert}{','.join(part)}\nON DUPLICATE KEY UPDATE {updates}" for part in parts],
            lambda ask: self._check_written(table, ("id",), rows, ask),
        )
        return ""

    def error_kind(self, exc: BaseException) -> DbErrorKind:
        return error_kind(exc)

    def source_ddl(self, table: str, column: str = HANDLES) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n"
            f"  `id` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,\n  {self.identifier(column)} VARCHAR(128) NULL,\n"
            "  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
        )

    def target_ddl(self, table: str) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n"
            f"{self._column_definitions()},\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
        )

    def unique_key_ddl(self, table: str) -> str:
        return f"ALTER TABLE {self.quoted(table)} ADD UNIQUE KEY (`id`)"

    def span_ddls(self, table: str, span: Span) -> list[str]:
        indexes = "".join(
            f",\n  KEY {self.identifier('_'.join(index))} ({self._column_list(index)})" for index in span.indexes
        )
        return [
            (
                f"CREATE TABLE IF NOT EXISTS {self.quoted(table)} (\n{self._span_definitions(span)},\n"
                f"  PRIMARY KEY ({self._column_list(span.keys)}){indexes}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
            )
        ]

    def widen(self, table: str, span: Span, rows: Sequence[tuple[str, ...]]) -> str:
        updates = ", ".join(
            f"`{name}` = {which}(COALESCE({kept}, VALUES(`{name}`)), VALUES(`{name}`))"
            for name, which, kept in (
                (span.least, "LEAST", f"`{span.least}`"),
                (span.most, "GREATEST", span.believed(f"`{span.most}`")),
            )
        )
        insert = f"INSERT INTO {self.quoted(table)} ({self._column_list(span.columns)}) VALUES\n"
        parts = list(of_at_most(STATEMENT_BYTES, map(values_sql, rows)))
        self._write(
            [f"{insert}{','.join(part)}\nON DUPLICATE KEY UPDATE {updates}" for part in parts],
            lambda ask: self._check_written(table, span.keys, rows, ask),
        )
        return ""

    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._select(*_bound(sql, values))

    def stream(self, sql: str, values: Sequence[object] = ()) -> Generator[tuple[Any, ...], None, None]:
        return self._stream(*_bound(sql, values))

    def _span_definitions(self, span: Span, aggregates: tuple[str, str] = ("", "")) -> str:
        keys = [f"  {self.identifier(name)} {_KEY_TYPES[name]} NOT NULL" for name in span.keys]
        moments = [
            " ".join(filter(None, (f"  {self.identifier(name)} DATETIME", aggregate, "NOT NULL")))
            for name, aggregate in zip((span.least, span.most), aggregates, strict=True)
        ]
        return ",\n".join(keys + moments)

    def create_tables(self, source: str, target: str, follows: str = "", column: str = HANDLES) -> list[str]:
        created = []
        try:
            ddls = {source: [self.source_ddl(source, column)], target: [self.target_ddl(target)]}
            for table, ddl in (ddls | {table: self.span_ddls(table, span) for table, span in spans(follows)}).items():
                if self.describe(table) is None:
                    for statement in ddl:
                        self._select(statement)
                    created.append(table)
        except pymysql.err.Error as exc:
            if error_code(exc) != UNKNOWN_DATABASE:
                raise
            raise StopRun(f"{self.explain(exc)}; create the database first (CREATE DATABASE)") from exc
        return created

    def delete_handles(self, table: str, handles: Sequence[str], column: str = HANDLES) -> None:
        texts = [f"'{escape_string(handle)}'" for handle in handles]
        parts = (", ".join(texts[start : start + KEYS_AT_ONCE]) for start in range(0, len(texts), KEYS_AT_ONCE))
        delete = f"DELETE FROM {self.quoted(table)} WHERE {self.identifier(column)} IN"
        self._write([f"{delete} ({part})" for part in parts])

    def _insert_handles(self, table: str, column: str, handles: Sequence[str]) -> None:
        names = ",".join(f"('{escape_string(name)}')" for name in handles)
        self._write([f"INSERT INTO {self.quoted(table)} ({self.identifier(column)}) VALUES {names}"])

    def _formatted(self, table: str) -> str:
        """Quote a name for a statement with parameters, which PyMySQL binds with Python's `%`."""
        return self.quoted(table).replace("%", "%%")

    def _write(self, statements: Sequence[str], check: Callable[[Ask], None] = lambda _: None) -> None:
        """Run statements in one transaction; `check` may refuse it."""
        connection = self._open()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

                def ask(sql: str, values: tuple[object, ...]) -> Sequence[tuple[Any, ...]]:
                    cursor.execute(*_bound(sql, values))
                    return cursor.fetchall()

                check(ask)
            connection.commit()
        except BaseException:
            try:
                connection.rollback()
            except pymysql.err.Error:
                self.close()
            raise

    def _execute(self, sql: str) -> None:
        connection = self._open()
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            self._end_reading(connection)

    def _select(self, sql: str, values: tuple[Any, ...] | None = None) -> list[tuple[Any, ...]]:
        connection = self._open()
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return list(cursor.fetchall())
        finally:
            self._end_reading(connection)

    def _stream(self, sql: str, values: tuple[Any, ...] | None = None) -> Generator[tuple[Any, ...], None, None]:
        """Yield a query's rows as they arrive."""
        connection = self._open()
        cursor = connection.cursor(SSCursor)
        try:
            cursor.execute(sql, values)
            yield from cursor
        finally:
            _finish(connection, cursor)
            self._end_reading(connection)

    def _end_reading(self, connection: Connection) -> None:
        """End the transaction that a SELECT began: it holds InnoDB's snapshot and the table's metadata lock."""
        if self.transactional:
            with contextlib.suppress(pymysql.err.Error):
                connection.rollback()

    def _where(self, table: str) -> tuple[str, str]:
        schema, name = [self.server.database, *name_parts(table)][-2:]
        return schema, name

    def _unique_keys(self, table: str) -> list[tuple[str, ...]]:
        keys: dict[str, list[str]] = {}
        for index, name, prefix in self._select(UNIQUE_SQL, self._where(table)):
            part = name.lower() if name is not None else "(expression)"
            keys.setdefault(index, []).append(f"{part}({prefix})" if prefix else part)
        return [tuple(parts) for parts in keys.values()]

    def _open(self) -> Connection:
        if self._connection is None or not self._connection.open:
            self._connection = self._connected()
        return self._connection

    def _connected(self) -> Connection:
        how = self.server.connecting
        try:
            return pymysql.connect(
                host=self.server.host,
                port=self.server.port,
                user=self.server.user,
                password=self.server.password.encode(),  # PyMySQL would encode it as Latin-1
                database=self.server.database,
                charset="utf8mb4",
                conv=_CONVERSIONS,
                autocommit=False if self.transactional else None,
                sql_mode=self.sql_mode,
                init_command=self.init_command,
                connect_timeout=how.secs,
                read_timeout=self.answer_secs,
                write_timeout=self.answer_secs,
                ssl=how.tls,
                ssl_disabled=how.tls_off,
                unix_socket=how.unix_socket or None,
            )
        except RuntimeError as error:  # PyMySQL lacks a package for this user's way to log in
            package = str(error).partition("'")[2].partition("'")[0]
            if not package:
                raise
            raise StopRun(f"{self.label}: this user's login needs another package: pip install {package}") from None

    def _message(self, exc: BaseException) -> str:
        code = error_code(exc)
        if isinstance(tls := getattr(exc, "original_exception", None), ssl.SSLError):
            reason = getattr(tls, "verify_message", "") or tls.reason or tls
            return (
                f"TLS with the server failed ({reason}); in KOL_DB_URL, ?ssl_ca=FILE names its CA and ?ssl_disabled=1 "
                "does without TLS"
            )
        if code == 0:
            return "the connection is lost"
        return f"{exc.args[1]} ({code})" if code is not None and len(exc.args) > 1 else str(exc)


def _bound(sql: str, values: Sequence[object]) -> tuple[str, tuple[object, ...] | None]:
    """Rewrite `?` for PyMySQL, which binds with Python's `%`."""
    return (sql.replace("%", "%%").replace("?", "%s"), tuple(values)) if values else (sql, None)


def _finish(connection: Connection, cursor: Any) -> None:
    """Close an unbuffered cursor, which would read the rest from a connection that is lost."""
    if not connection.open and cursor._result is not None:  # noqa: SLF001
        cursor._result.unbuffered_active = False  # noqa: SLF001
    with contextlib.suppress(pymysql.err.Error):
        cursor.close()
