"""SQL as text, and what errors mean: what needs no server."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pymysql
import pytest
from pymysql.constants import CR, ER

from kolspider.db.base import Database, DbErrorKind
from kolspider.db.literals import of_at_most, values_sql
from kolspider.db.mysql_facts import known_charset
from kolspider.db.url import open_database
from kolspider.errors import WrongUsage
from kolspider.items import COLUMNS

SQLITE = open_database("sqlite:////nowhere/kol.db", base=Path("/"))
MYSQL = open_database("mysql://kol:hunter2@h/db", base=Path("/"))
DORIS = open_database("doris://kol:hunter2@fe/db", base=Path("/"))


@pytest.mark.parametrize(
    ("db", "table", "quoted"),
    [
        (SQLITE, "t", '"t"'),
        (SQLITE, 'ma"in.t', '"ma""in"."t"'),
        (MYSQL, "db.t", "`db`.`t`"),
        (MYSQL, "a`; DROP TABLE b", "`a``; DROP TABLE b`"),
        (DORIS, "public_data.twitter_kol", "`public_data`.`twitter_kol`"),
    ],
)
def test_names_are_quoted_part_by_part(db: Database, table: str, quoted: str) -> None:
    assert db.quoted(table) == quoted


@pytest.mark.parametrize("table", ["", ".", "a.", ".b", "a.b.c", " "])
def test_what_is_not_a_name_is_wrong_usage(table: str) -> None:
    with pytest.raises(WrongUsage, match="not a table's name"):
        MYSQL.quoted(table)


@pytest.mark.parametrize("db", [SQLITE, MYSQL, DORIS])
def test_the_target_has_our_columns_in_order_each_quoted(db: Database) -> None:
    ddl = db.target_ddl("t")

    assert re.findall(rf"^  {db.quote}(\w+){db.quote} ", ddl, re.MULTILINE) == list(COLUMNS)
    assert not re.search(rf"(?<!{db.quote})\bfollowing\b(?!{db.quote})", ddl)
    for column in COLUMNS:
        line = db.add_column_ddl("t", column)
        assert "\n" not in line
        assert f"{db.quote}{column}{db.quote}" in line


def test_the_ddl_to_mend_a_table_is_one_line() -> None:
    assert MYSQL.add_column_ddl("a.t", "following") == "ALTER TABLE `a`.`t` ADD COLUMN `following` BIGINT"
    assert SQLITE.unique_key_ddl("main.t") == 'CREATE UNIQUE INDEX "main"."t_id" ON "t" ("id")'
    assert MYSQL.unique_key_ddl("t") == "ALTER TABLE `t` ADD UNIQUE KEY (`id`)"
    assert "\n" not in DORIS.unique_key_ddl("t")


DORIS_TARGET = """
CREATE TABLE IF NOT EXISTS `twitter_kol_all` (
  `id` VARCHAR(32) NOT NULL, `name` VARCHAR(1024) NULL, `user_name` VARCHAR(128) NULL,
  `avatar` VARCHAR(2048) NULL,
  `description` STRING NULL, `created_at` VARCHAR(64) NULL, `created_at_time` DATETIME NULL,
  `followers` BIGINT NULL, `following` BIGINT NULL, `statuses_count` BIGINT NULL
) ENGINE=OLAP UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS AUTO
PROPERTIES ("enable_unique_key_merge_on_write" = "true", "light_schema_change" = "true",
"store_row_column" = "true")
"""


def test_the_doris_target_is_the_one_that_parses_in_its_grammar() -> None:
    assert DORIS.target_ddl("twitter_kol_all").split() == DORIS_TARGET.split()


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (pymysql.err.InterfaceError(0, ""), DbErrorKind.LOST),
        (pymysql.err.OperationalError(2003, "Can't connect"), DbErrorKind.LOST),
        (pymysql.err.OperationalError(2006, "gone away"), DbErrorKind.LOST),
        (pymysql.err.OperationalError(2013, "Lost connection"), DbErrorKind.LOST),
        (pymysql.err.OperationalError(1040, "Too many connections"), DbErrorKind.LOST),
        (pymysql.err.OperationalError(1053, "Server shutdown in progress"), DbErrorKind.LOST),
        (pymysql.err.OperationalError(1290, "--read-only"), DbErrorKind.LOST),
        (pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"), DbErrorKind.LOST),
        (pymysql.err.OperationalError(1213, "Deadlock found"), DbErrorKind.LOST),
        (pymysql.err.OperationalError(1021, "Disk full"), DbErrorKind.LOST),
        (pymysql.err.OperationalError(1114, "The table is full"), DbErrorKind.LOST),
        (pymysql.err.InternalError("Packet sequence number wrong - got 3 expected 1"), DbErrorKind.LOST),
        (TimeoutError("timed out"), DbErrorKind.LOST),
        (pymysql.err.DataError(1406, "Data too long"), DbErrorKind.REFUSED),
        (pymysql.err.DataError(1264, "Out of range"), DbErrorKind.REFUSED),
        (pymysql.err.DataError(1366, "Incorrect string value"), DbErrorKind.REFUSED),
        (pymysql.err.OperationalError(1292, "Incorrect datetime value"), DbErrorKind.REFUSED),
        (pymysql.err.IntegrityError(1048, "can't be null"), DbErrorKind.REFUSED),
        (pymysql.err.OperationalError(4025, "CONSTRAINT failed"), DbErrorKind.REFUSED),
        (pymysql.err.OperationalError(1644, "a trigger says no"), DbErrorKind.REFUSED),
        (pymysql.err.OperationalError(1153, "Got a packet bigger than"), DbErrorKind.REFUSED),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), DbErrorKind.REFUSED),
        (pymysql.err.OperationalError(1045, "Access denied"), DbErrorKind.FATAL),
        (pymysql.err.OperationalError(1049, "Unknown database"), DbErrorKind.FATAL),
        (pymysql.err.ProgrammingError(1146, "doesn't exist"), DbErrorKind.FATAL),
        (pymysql.err.OperationalError(1054, "Unknown column"), DbErrorKind.FATAL),
        (pymysql.err.ProgrammingError(1064, "syntax"), DbErrorKind.FATAL),
        (pymysql.err.OperationalError(1364, "Field 'x' doesn't have a default value"), DbErrorKind.FATAL),
        (pymysql.err.OperationalError(31999, "never heard of"), DbErrorKind.FATAL),
        (sqlite3.ProgrammingError("You can only execute one statement at a time."), DbErrorKind.FATAL),
        (KeyError("a bug"), DbErrorKind.FATAL),
    ],
)
def test_mysql_errors_are_waited_out_or_blamed_on_a_row_or_stop_the_run(exc: Exception, kind: DbErrorKind) -> None:
    assert MYSQL.error_kind(exc) is kind


PASSES = {
    "CR_CONNECTION_ERROR CR_CONN_HOST_ERROR CR_UNKNOWN_HOST CR_SERVER_GONE_ERROR CR_SERVER_HANDSHAKE_ERR "
    "CR_SERVER_LOST CR_COMMANDS_OUT_OF_SYNC CR_SSL_CONNECTION_ERROR CR_SERVER_LOST_EXTENDED": CR,
    "CON_COUNT_ERROR TOO_MANY_USER_CONNECTIONS USER_LIMIT_REACHED SERVER_SHUTDOWN NORMAL_SHUTDOWN SHUTDOWN_COMPLETE "
    "FORCING_CLOSE ABORTING_CONNECTION NET_READ_ERROR NET_READ_INTERRUPTED NET_ERROR_ON_WRITE NET_WRITE_INTERRUPTED "
    "NEW_ABORTING_CONNECTION CHECKREAD ERROR_DURING_COMMIT LOCK_WAIT_TIMEOUT LOCK_TABLE_FULL LOCK_DEADLOCK "
    "QUERY_INTERRUPTED TABLE_DEF_CHANGED DISK_FULL ERROR_ON_WRITE RECORD_FILE_FULL OUTOFMEMORY OUT_OF_SORTMEMORY "
    "OUT_OF_RESOURCES UNKNOWN_COM_ERROR OPTION_PREVENTS_STATEMENT": ER,
}
OF_A_ROW = (
    "BAD_NULL_ERROR DUP_ENTRY WARN_DATA_OUT_OF_RANGE TRUNCATED_WRONG_VALUE TRUNCATED_WRONG_VALUE_FOR_FIELD "
    "DATA_TOO_LONG WRONG_VALUE_FOR_TYPE NO_REFERENCED_ROW NO_REFERENCED_ROW_2 "
    "TOO_BIG_ROWSIZE NET_PACKET_TOO_LARGE"
)
NEWER = {  # than what PyMySQL names
    DbErrorKind.LOST: {
        "ER_TOO_MANY_CONCURRENT_TRXS": 1637,
        "ER_CONNECTION_KILLED": 1927,
        "ER_STATEMENT_TIMEOUT": 1969,
        "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION": 1792,
        "ER_READ_ONLY_MODE": 1836,
        "ER_QUERY_TIMEOUT": 3024,
        "ER_SERVER_OFFLINE_MODE": 3032,
        "ER_TRANSACTION_ROLLBACK_DURING_COMMIT": 3101,
        "ER_SERVER_ISNT_AVAILABLE": 3168,
        "ER_CLIENT_INTERACTION_TIMEOUT": 4031,
        "ProxySQL: max connect timeout reached": 9001,
    },
    DbErrorKind.REFUSED: {
        "WARN_DATA_TRUNCATED": 1265,
        "ER_NO_PARTITION_FOR_GIVEN_VALUE": 1526,
        "ER_SIGNAL_EXCEPTION": 1644,
        "ER_DATA_OUT_OF_RANGE": 1690,
        "ER_CHECK_CONSTRAINT_VIOLATED": 3819,
        "ER_CONSTRAINT_FAILED": 4025,
    },
}


def test_mysql_errors_have_the_numbers_of_the_reference() -> None:
    for names, constants in PASSES.items():
        for name in names.split():
            error = pymysql.err.OperationalError(getattr(constants, name), name)
            assert MYSQL.error_kind(error) is DbErrorKind.LOST, name
    for name in OF_A_ROW.split():
        assert MYSQL.error_kind(pymysql.err.OperationalError(getattr(ER, name), name)) is DbErrorKind.REFUSED, name
    for kind, newer in NEWER.items():
        for name, number in newer.items():
            assert MYSQL.error_kind(pymysql.err.OperationalError(number, name)) is kind, name


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (OverflowError("Python int too large to convert to SQLite INTEGER"), DbErrorKind.REFUSED),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), DbErrorKind.REFUSED),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), DbErrorKind.LOST),
        (KeyError("a bug"), DbErrorKind.FATAL),
    ],
)
def test_errors_that_sqlite_gives_no_code_are_judged_too(exc: Exception, kind: DbErrorKind) -> None:
    assert SQLITE.error_kind(exc) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, DbErrorKind.LOST),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, DbErrorKind.LOST),
        (sqlite3.SQLITE_FULL, DbErrorKind.LOST),
        (sqlite3.SQLITE_IOERR_WRITE, DbErrorKind.LOST),
        (sqlite3.SQLITE_CONSTRAINT_NOTNULL, DbErrorKind.REFUSED),
        (sqlite3.SQLITE_MISMATCH, DbErrorKind.REFUSED),
        (sqlite3.SQLITE_READONLY, DbErrorKind.FATAL),
        (sqlite3.SQLITE_CANTOPEN, DbErrorKind.FATAL),
        (sqlite3.SQLITE_CORRUPT, DbErrorKind.FATAL),
        (sqlite3.SQLITE_ERROR, DbErrorKind.FATAL),
    ],
)
def test_sqlite_errors_go_by_their_primary_code(code: int, kind: DbErrorKind) -> None:
    exc = sqlite3.DatabaseError("said so")
    exc.sqlite_errorcode = code

    assert SQLITE.error_kind(exc) is kind


def test_explain_is_one_line_without_the_password_in_any_spelling() -> None:
    db = open_database("mysql://kol:hunt%20er2@h/db", base=Path("/"))
    exc = pymysql.err.OperationalError(1105, "no such user:\n  kol hunt er2\tor hunt%20er2")

    assert db.explain(exc) == "mysql://h:3306/db: no such user: kol *** or *** (1105)"
    assert db.explain(pymysql.err.InterfaceError(0, "")) == "mysql://h:3306/db: the connection is lost"
    assert db.error_kind(pymysql.err.InterfaceError(0, "")) is DbErrorKind.LOST
    assert db.explain(pymysql.err.OperationalError(1105)) == "mysql://h:3306/db: 1105"
    assert db.explain(pymysql.err.OperationalError("x" * 600)) == f"mysql://h:3306/db: {'x' * 500}"


@pytest.mark.parametrize(
    ("password", "text", "shown"),
    [
        ("kol", "kol of kolspider", "*** of kolspider"),
        ("k-l", "k-l of k-lspider", "*** of ***spider"),
        ("kols", "kols of kolspider", "*** of ***pider"),
    ],
)
def test_a_short_password_is_hidden_as_a_word_of_its_own(password: str, text: str, shown: str) -> None:
    db = open_database(f"mysql://u:{password}@h/db", base=Path("/"))
    assert db.explain(pymysql.err.OperationalError(text)) == f"mysql://h:3306/db: {shown}"


@pytest.mark.parametrize(
    ("name", "codec", "holds_emoji"),
    [
        ("utf8mb4", "utf-8", True),
        ("utf16", "utf-16-be", True),
        ("utf16le", "utf-16-le", True),
        ("utf32", "utf-32-be", True),
        ("utf8", "utf-8", False),
        ("utf8mb3", "utf-8", False),
        ("ucs2", "utf-16-be", False),
    ],
)
def test_a_unicode_charset_takes_as_many_bytes_as_its_encoding(name: str, codec: str, *, holds_emoji: bool) -> None:
    charset = known_charset(name, f"{name}_bin")
    assert charset is not None
    assert (charset.name, charset.collation) == (name, f"{name}_bin")
    assert charset.ascii_bytes == len("a".encode(codec))
    held = "é€\uffff" + "\U00010000\U0010ffff" * holds_emoji
    assert not charset.unheld or re.findall(charset.unheld, "aé€\uffff\U00010000\U0010ffff") == [
        "\U00010000",
        "\U0010ffff",
    ]
    assert bool(charset.unheld) is not holds_emoji
    widest = max(len(char.encode()) for char in held) if charset.wide_bytes is None else charset.wide_bytes
    assert widest == max(len(char.encode(codec)) for char in held)


def test_statements_are_cut_by_the_bytes_of_their_text() -> None:
    assert list(of_at_most(6, ["é".encode()] * 4)) == [["é".encode()] * 3, ["é".encode()]]
    assert list(of_at_most(6, [b"e"] * 7)) == [[b"e"] * 6, [b"e"]]
    assert list(of_at_most(6, [b"too long a text", b"e", b"e"], count=1)) == [[b"too long a text"], [b"e"], [b"e"]]
    assert list(of_at_most(6, [])) == []


class OfATeam(str):
    """A text of a pipeline that is not ours."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("row", "sql"),
    [
        (("7", "Ann", None, 0, -1), "('7','Ann',NULL,0,-1)"),
        (("100 %s", "%d", "币🚀"), "('100 %s','%d','币🚀')"),
        (("O'Neil", None, 'a "b"', "\\", "\n\r\0\x1a"), r"('O\'Neil',NULL,'a \"b\"','\\','\n\r\0\Z')"),
        ((OfATeam("O'Neil"), 7), r"('O\'Neil',7)"),
        ((None,), "(NULL)"),
    ],
)
def test_a_row_is_written_so_that_nothing_in_it_is_sql(row: tuple[object, ...], sql: str) -> None:
    assert values_sql(row) == sql.encode()
