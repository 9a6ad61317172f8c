"""MySQL and MariaDB through PyMySQL, strict: data that does not fit is an error, never a silent change."""

from __future__ import annotations

import contextlib
import re
import ssl
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions, escape_string
from pymysql.cursors import SSCursor

from kolspider.db.base import DENIED, HANDLES, UTF8, Database, DbErrorKind, Form, Table, name_parts
from kolspider.db.capacity import unfitness
from kolspider.db.follow_tables import spans
from kolspider.db.literals import of_at_most, values_sql
from kolspider.db.mysql_facts import (
    Definition,
    charset_that_holds,
    column,
    error_code,
    error_kind,
    known_charset,
)
from kolspider.errors import StopRun
from kolspider.items import COLUMNS, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from pymysql.connections import Connection

    from kolspider.db.base import Ask, Charset, Column
    from kolspider.db.follow_tables import Span

__all__ = ["Connecting", "MysqlDatabase", "Server"]

CONNECT_SECS = 10
STATEMENT_BYTES = 1_000_000
"""Largest statement of a batch: below any max_allowed_packet, and larger ones are no faster."""
KEYS_AT_ONCE = 1000
"""How many keys a condition lists; Doris deletes by at most 1,024 (max_allowed_in_element_num_of_delete)."""
UNKNOWN_DATABASE = 1049
DENIED_DATABASE = 1044
_CONVERSIONS = {type_: convert for type_, convert in conversions.items() if type_ != FIELD_TYPE.DATETIME}
"""PyMySQL's conversions but for DATETIME, which stays text: parsing it is half of PyMySQL's work for a follow."""
_NAME_OR_MARK = re.compile(r"`(?:[^`]|``)*`|\?")
_KEY_TYPES = {"kol_user_name": "VARCHAR(128)", "user_id": "VARCHAR(32)"}

COLUMNS_SQL = """
    SELECT column_name, data_type, column_type, character_maximum_length, character_octet_length, column_default,
           is_nullable, extra, numeric_precision, numeric_scale, character_set_name, collation_name
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
        self._ignores_case: bool | None = None
        """Whether two names of a table may differ in case only; None: not known before the first connection."""
        self._charsets: dict[str, Charset] = {}
        """Charsets as the server described them, by collation."""
        self._id_charset = UTF8
        """The charset of `id` in the target, so that SQL of the team's own may compare it with user_id."""

    def connect(self) -> None:
        self._open()
        if self._ignores_case is None:
            self._ignores_case = self._has_one_case()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def describe(self, table: str) -> Table | None:
        found = self._select(COLUMNS_SQL, self._where(table))
        if not found:
            return None
        ((version,),) = self._select("SELECT version()")
        mariadb, definition = "mariadb" in version.lower(), self._definition(table)
        columns = [
            column(facts, charset and self._charset(charset, collation), mariadb=mariadb, definition=definition)
            for *facts, charset, collation in found
        ]
        return Table(table, {one.name: one for one in columns}, self._unique_keys(table), definition.has_checks)

    def place(self, table: str) -> tuple[str, ...]:
        schema, name = self._where(table)
        return (schema.lower(), name.lower()) if self._ignores_case else (schema, name)

    def upsert(self, table: str, rows: Sequence[Row]) -> str:
        # VALUES(), not an alias: MariaDB has no aliases, and MySQL 8 still accepts it.
        updates = ", ".join(f"`{name}` = VALUES(`{name}`)" for name in COLUMNS if name != "id")
        insert = f"INSERT INTO {self.quoted(table)} ({self._column_list()}) VALUES\n"
        keys = [(int(row.id),) for row in rows] if self._has_numeric_ids(table) else rows
        self._write(
            _inserts(insert, rows, f"\nON DUPLICATE KEY UPDATE {updates}"),
            lambda ask: self._check_written(table, ("id",), keys, ask),
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

    def refit_ddl(self, table: Table, columns: Sequence[Column]) -> list[str]:
        changes = [change for column in columns if (change := self._refit(column))]
        keys = {part for key in table.unique_keys if key != ("id",) for part in key}  # a primary key has no NULLs
        if len(changes) < len(columns) or any(column.name in keys and not column.nullable for column in columns):
            return self.renew_ddl(table.name)
        return [f"ALTER TABLE {self.quoted(table.name)} {', '.join(changes)}"]

    def _refit(self, column: Column) -> str:
        """Return the change that makes a column hold what is sent; empty if none keeps its values."""
        name, sql_type = self.identifier(column.name), self.types[column.name]
        is_id, is_text = column.name == "id", not sql_type.startswith(("DATETIME", "BIGINT"))
        if not unfitness(replace(column, nullable=True)):
            return f"MODIFY {name} {column.type} NULL"
        is_integer = Form.NUMBER in column.takes and "int" in column.type
        if is_text and not column.generated and (Form.TEXT in column.takes or is_integer):
            return f"MODIFY {name} {sql_type} {'NOT NULL' if is_id else 'CHARACTER SET utf8mb4 NULL'}"
        if is_id:  # what it held instead of ids can't be made ids again
            return ""
        old, charset = self.identifier(f"{column.name}_old"), " CHARACTER SET utf8mb4" if is_text else ""
        kept = f"DROP COLUMN {name}" if column.generated else f"CHANGE {name} {old} {column.type} NULL"
        return f"{kept}, ADD COLUMN {name} {sql_type}{charset} NULL"

    def renew_ddl(self, table: str) -> list[str]:
        *schema, own = name_parts(table)
        old = ".".join(map(self.identifier, [*schema, f"{own}_old"]))
        return [f"RENAME TABLE {self.quoted(table)} TO {old}", " ".join(self.target_ddl(table).split())]

    def as_id(self, user_id: str, column: Column) -> str:
        """A comparison of other types or collations would not use the key of `id`, or be an error (1267)."""
        if Form.TEXT not in column.takes:
            return f"CAST({user_id} AS {'UNSIGNED' if 'int' in column.type else 'DECIMAL(20, 0)'})"
        if not column.charset.collation:
            return f"CAST({user_id} AS BINARY)"
        return f"CONVERT({user_id} USING {column.charset.name}) COLLATE {column.charset.collation}"

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
        self._write(
            _inserts(insert, rows, f"\nON DUPLICATE KEY UPDATE {updates}"),
            lambda ask: self._check_written(table, span.keys, rows, ask),
        )
        return ""

    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._select(*_bound(sql, values))

    def stream(self, sql: str, values: Sequence[object] = ()) -> Generator[tuple[Any, ...], None, None]:
        return self._stream(*_bound(sql, values))

    def _span_definitions(self, span: Span, aggregates: tuple[str, str] = ("", "")) -> str:
        like = self._id_charset
        types = dict(_KEY_TYPES)
        if like.collation:
            types["user_id"] += f" CHARACTER SET {like.name} COLLATE {like.collation}"
        keys = [f"  {self.identifier(name)} {types[name]} NOT NULL" for name in span.keys]
        moments = [
            " ".join(filter(None, (f"  {self.identifier(name)} DATETIME", aggregate, "NOT NULL")))
            for name, aggregate in zip((span.least, span.most), aggregates, strict=True)
        ]
        return ",\n".join(keys + moments)

    def create_tables(self, source: str, target: str, follows: str = "", column: str = HANDLES) -> list[str]:
        created: list[str] = []
        missing: list[str] = []

        def create(table: str, ddl: Sequence[str]) -> None:
            if self.describe(table) is None:
                self._create(ddl, missing)
                created.append(table)

        try:
            create(source, [self.source_ddl(source, column)])
            create(target, [self.target_ddl(target)])
            accounts = self.describe(target) if target not in created else None
            self._id_charset = accounts.columns["id"].charset if accounts and "id" in accounts.columns else UTF8
            for table, span in spans(follows):
                create(table, self.span_ddls(table, span))
        except pymysql.err.Error as exc:
            if error_code(exc) != UNKNOWN_DATABASE:
                raise
            raise StopRun(f"{self.explain(exc)}; create the database first (CREATE DATABASE)") from exc
        if missing:
            ddl = " ".join("; ".join(missing).split())
            raise StopRun(f"{self.label}: user {self.server.user} may not create tables; let somebody run: {ddl}")
        return created

    def _create(self, ddl: Sequence[str], missing: list[str]) -> None:
        """Create a table; adds the statements that this user may not run to `missing`."""
        try:
            for statement in ddl:
                self._select(statement)
        except pymysql.err.Error as error:
            if error_code(error) != DENIED_DATABASE and not DENIED.search(str(error)):
                raise
            missing.extend(ddl)

    def delete_handles(self, table: str, handles: Sequence[str], column: str = HANDLES) -> None:
        found = self.describe(table)
        held = found.columns.get(column.lower()) if found else None
        width = (held.max_bytes or 0) if held and held.type.startswith("binary") else 0
        texts = [f"'{escape_string(handle.ljust(width, chr(0)))}'" for handle in handles]
        parts = (", ".join(texts[start : start + KEYS_AT_ONCE]) for start in range(0, len(texts), KEYS_AT_ONCE))
        delete = f"DELETE FROM {self.quoted(table)} WHERE {self.identifier(column)} IN"
        self._write([f"{delete} ({part})" for part in parts])

    def _insert_handles(self, table: str, column: str, handles: Sequence[str]) -> None:
        names = ",".join(f"('{escape_string(name)}')" for name in handles)
        self._write([f"INSERT INTO {self.quoted(table)} ({self.identifier(column)}) VALUES {names}"])

    def _formatted(self, table: str) -> str:
        """Quote a name for a statement with parameters, which PyMySQL binds with Python's `%`."""
        return self.quoted(table).replace("%", "%%")

    def _write(self, statements: Iterable[str | bytes], check: Callable[[Ask], None] = lambda _: None) -> None:
        """Run statements in one transaction; `check` may refuse it."""
        connection = self._open()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)  # type: ignore[arg-type]  # PyMySQL sends bytes as they are

                def ask(sql: str, values: tuple[object, ...]) -> Sequence[tuple[Any, ...]]:
                    cursor.execute(*_bound(sql, values))
                    return cursor.fetchall()

                check(ask)
            self.fence()
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

    def _has_one_case(self) -> bool:
        """Whether the server stores the names of tables in lower case, or takes them for equal."""
        try:
            ((setting,),) = self._select("SELECT @@lower_case_table_names")
        except pymysql.err.Error as error:
            if self.error_kind(error) is DbErrorKind.LOST:
                raise
            return False
        return bool(int(setting))

    def _definition(self, table: str) -> Definition:
        try:
            ((_, ddl, *_),) = self._select(f"SHOW CREATE TABLE {self.quoted(table)}")
        except pymysql.err.Error as error:
            if self.error_kind(error) is DbErrorKind.LOST:
                raise
            return Definition()  # a view, whose definition needs a privilege
        return Definition.of(ddl)

    def _charset(self, name: str, collation: str) -> Charset:
        """Return a charset with the characters that the server says come back from it as they were."""
        if collation not in self._charsets:
            self._charsets[collation] = known_charset(name, collation) or self._asked_charset(name, collation)
        return self._charsets[collation]

    def _asked_charset(self, name: str, collation: str) -> Charset:
        ((widest,),) = self._select(
            "SELECT maxlen FROM information_schema.character_sets WHERE character_set_name = %s", (name,)
        )
        held = ""
        for plane in range(17 if widest > 3 else 1):  # characters above the first plane take 4 bytes
            first = plane << 16
            codes = (code for code in range(first, first + 0x10000) if code and not 0xD800 <= code < 0xE000)
            sent = "".join(map(chr, codes))
            ((back,),) = self._select(f"SELECT CONVERT(CONVERT(%s USING {name}) USING utf8mb4)", (sent,))
            if len(back) != len(sent):  # so nobody can tell which of them came back
                raise StopRun(f"{self.label}: what charset {name} holds can't be told; convert its columns to utf8mb4")
            held += "".join(char for char, came in zip(sent, back, strict=True) if char == came)
        return charset_that_holds(name, collation, held, int(widest))

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


def _inserts(insert: str, rows: Sequence[tuple[str | int | None, ...]], update: str) -> list[bytes]:
    """Return the statements that write rows, as bytes: one wide character makes all of a text four times as large."""
    parts = of_at_most(STATEMENT_BYTES, map(values_sql, rows))
    return [b"%b%b%b" % (insert.encode(), b",".join(part), update.encode()) for part in parts]


def _bound(sql: str, values: Sequence[object]) -> tuple[str, tuple[object, ...] | None]:
    """Rewrite `?` for PyMySQL, which binds with Python's `%`. In a name, `?` is a character like any other."""
    if not values:
        return sql, None
    return _NAME_OR_MARK.sub(lambda found: "%s" if found[0] == "?" else found[0], sql.replace("%", "%%")), tuple(values)


def _finish(connection: Connection, cursor: Any) -> None:
    """Close an unbuffered cursor, which would read the rest from a connection that is lost."""
    if not connection.open and cursor._result is not None:  # noqa: SLF001
        cursor._result.unbuffered_active = False  # noqa: SLF001
    with contextlib.suppress(pymysql.err.Error):
        cursor.close()
