"""What is particular to MySQL and MariaDB, on a real MariaDB."""

from __future__ import annotations

import socketserver
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from kolspider.db.base import Column, DbErrorKind, Fill, Form, Table
from kolspider.db.check import check_follows, check_target
from kolspider.db.mysql import MysqlDatabase
from kolspider.db.mysql_facts import Definition, column
from kolspider.db.url import open_database
from kolspider.errors import StopRun
from tests.db.conftest import Subject, row
from tests.mariadb import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.db.base import Database
    from tests.mariadb import MariaDB


def test_describe_knows_what_each_type_holds(mysql: Subject) -> None:
    mysql.sql(
        """CREATE TABLE t (
          pk BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
          `Id` VARCHAR(20) CHARACTER SET ascii NOT NULL,
          name VARCHAR(50) CHARACTER SET utf8mb3 NOT NULL DEFAULT '',
          avatar VARBINARY(99), description TINYTEXT, created_at TEXT, long_text MEDIUMTEXT,
          followers INT, following SMALLINT UNSIGNED NOT NULL, tiny TINYINT, created_at_time DATETIME,
          made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, kind ENUM('a', 'b') NOT NULL,
          half BIGINT AS (followers / 2) STORED,
          UNIQUE KEY by_id (`Id`), UNIQUE KEY by_prefix (name(5), tiny), KEY plain (followers)
        ) CHARACTER SET utf8mb4"""
    )

    table = mysql.db.describe("kol.t")

    assert table is not None
    assert sorted(table.unique_keys) == [("id",), ("name(5)", "tiny"), ("pk",)]
    columns = table.columns
    assert (columns["pk"].int_min, columns["pk"].int_max) == (0, 2**64 - 1)
    assert (columns["followers"].int_min, columns["followers"].int_max) == (-(2**31), 2**31 - 1)
    assert (columns["following"].int_min, columns["following"].int_max) == (0, 65535)
    assert columns["id"].max_chars == 20
    assert columns["id"].max_bytes is None
    assert (columns["description"].max_chars, columns["description"].max_bytes) == (None, 255)
    assert columns["created_at"].max_bytes == 65535
    assert columns["long_text"].max_bytes == 2**24 - 1
    assert columns["avatar"].max_bytes == 99
    assert columns["created_at_time"].max_bytes is columns["created_at_time"].max_chars is None
    assert [name for name, column in columns.items() if column.charset.name == "utf8mb3"] == ["name"]
    assert not columns["id"].nullable
    assert columns["avatar"].nullable
    assert [name for name, column in columns.items() if column.needs_value] == ["id", "following"]


def test_the_limits_that_describe_names_are_those_of_the_server(mysql: Subject) -> None:
    mysql.db.create_tables("s", "t")
    mysql.sql("ALTER TABLE t MODIFY description TINYTEXT")

    mysql.db.upsert("t", [row("1", description="é" * 127, name="😀" * 1024, followers=2**63 - 1)])
    for too_much in ({"description": "é" * 128}, {"name": "😀" * 1025}, {"followers": 2**63}):
        with pytest.raises(pymysql.err.Error) as caught:
            mysql.db.upsert("t", [row("1", **too_much)])
        assert mysql.db.error_kind(caught.value) is DbErrorKind.REFUSED


def test_data_that_does_not_fit_is_refused_even_by_a_lax_server(mysql: Subject, mariadb: MariaDB) -> None:
    mysql.db.create_tables("s", "t")
    with mariadb.connect() as root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'")
        try:
            mysql.db.close()
            mysql.db.upsert("t", [row("1", name="a\\'b\\\\")])
            with pytest.raises(pymysql.err.Error) as caught:
                mysql.db.upsert("t", [row("2", created_at_time="2007-02-30 00:00:00")])
        finally:
            cursor.execute("SET GLOBAL sql_mode = DEFAULT")

    assert mysql.db.error_kind(caught.value) is DbErrorKind.REFUSED
    assert mysql.sql("SELECT id, name FROM t") == [("1", "a\\'b\\\\")]


def test_a_timestamp_column_holds_utc(mysql: Subject) -> None:
    mysql.db.create_tables("s", "t")
    mysql.sql("ALTER TABLE t MODIFY created_at_time TIMESTAMP NULL")

    mysql.db.upsert("t", [row("1", created_at_time="2007-12-13 08:41:26")])

    assert mysql.sql("SELECT UNIX_TIMESTAMP(created_at_time) FROM t") == [(1197535286,)]


def test_a_batch_is_few_statements(mysql: Subject) -> None:
    mysql.db.create_tables("s", "t")
    (before,) = mysql.sql("SHOW GLOBAL STATUS LIKE 'Com_insert'")

    mysql.db.upsert("t", [row(str(number)) for number in range(2000)])

    (after,) = mysql.sql("SHOW GLOBAL STATUS LIKE 'Com_insert'")
    assert int(after[1]) - int(before[1]) == 1


def test_access_denied_is_fatal_and_told_without_the_password(mariadb: MariaDB) -> None:
    db = open_database(mariadb.url.replace("s3cr3t", "wr0ng"), base=Path("/"))

    with pytest.raises(pymysql.err.OperationalError) as caught:
        db.connect()

    told = db.explain(caught.value)
    assert db.error_kind(caught.value) is DbErrorKind.FATAL
    assert "Access denied" in told
    assert "\n" not in told
    for secret in db.secrets:
        assert secret not in told
    assert "wr0ng" not in told


def test_a_password_that_the_server_repeats_is_blotted_out(mysql: Subject) -> None:
    with pytest.raises(pymysql.err.Error) as caught:
        mysql.db.count(PASSWORD)

    assert PASSWORD not in mysql.db.explain(caught.value)
    assert "***" in mysql.db.explain(caught.value)


def test_a_missing_database_stops_initdb_and_says_so(mariadb: MariaDB) -> None:
    with mariadb.connect() as root, root.cursor() as cursor:
        cursor.execute("GRANT ALL ON nowhere.* TO kol@'%'")
    db = open_database(mariadb.url.removesuffix("/kol") + "/nowhere", base=Path("/"))

    with pytest.raises(StopRun, match=r"Unknown database 'nowhere' .*create the database first") as caught:
        db.create_tables("s", "t")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("use", [lambda db: db.upsert("t", [row("1")]), lambda db: db.count("t")])
def test_a_connection_that_was_killed_is_lost_and_the_next_one_works(
    mysql: Subject, use: Callable[[Database], object]
) -> None:
    mysql.db.create_tables("s", "t")
    mysql.db.connect()
    for (thread,) in mysql.sql("SELECT id FROM information_schema.processlist WHERE user = 'kol'"):
        mysql.sql(f"KILL {thread}")

    with pytest.raises(pymysql.err.Error) as caught:
        use(mysql.db)

    assert mysql.db.error_kind(caught.value) is DbErrorKind.LOST
    mysql.db.connect()
    use(mysql.db)


def test_a_row_that_another_session_holds_is_waited_for(mysql: Subject, mariadb: MariaDB) -> None:
    mysql.db.create_tables("s", "t")
    mysql.db.upsert("t", [row("1")])
    mysql.sql("SET GLOBAL innodb_lock_wait_timeout = 1")
    try:
        with mariadb.connect() as other, other.cursor() as cursor:
            other.begin()
            cursor.execute("UPDATE t SET name = 'held'")
            mysql.db.close()
            with pytest.raises(pymysql.err.Error) as caught:
                mysql.db.upsert("t", [row("1")])
    finally:
        mysql.sql("SET GLOBAL innodb_lock_wait_timeout = DEFAULT")

    assert mysql.db.error_kind(caught.value) is DbErrorKind.LOST


def test_a_crash_of_the_server_loses_no_committed_row(mysql: Subject, mariadb: MariaDB) -> None:
    mysql.db.create_tables("s", "t")
    mysql.db.insert_handles("s", [f"kol{number:0110}" for number in range(100_000)])  # more than sockets buffer
    mysql.db.upsert("t", [row("1")])
    handles = mysql.db.handles("s")
    next(handles)

    mariadb.kill()
    try:
        with pytest.raises(pymysql.err.Error) as midway:
            list(handles)
        with pytest.raises(pymysql.err.Error) as refused:
            mysql.db.upsert("t", [row("2")])
    finally:
        mariadb.start()

    assert mysql.db.error_kind(midway.value) is DbErrorKind.LOST
    assert mysql.db.error_kind(refused.value) is DbErrorKind.LOST
    mysql.db.upsert("t", [row("2")])
    assert mysql.db.count("t") == 2


def test_a_shut_down_server_is_lost_until_it_is_back(mysql: Subject, mariadb: MariaDB) -> None:
    mysql.db.create_tables("s", "t")

    mariadb.stop()
    try:
        for _ in range(2):
            with pytest.raises(pymysql.err.Error) as caught:
                mysql.db.upsert("t", [row("1")])
            assert mysql.db.error_kind(caught.value) is DbErrorKind.LOST
    finally:
        mariadb.start()

    mysql.db.upsert("t", [row("1")])
    assert mysql.db.count("t") == 1


def test_a_server_is_reached_by_its_socket(mariadb: MariaDB) -> None:
    url = mariadb.url.replace(f":{mariadb.port}/", ":1/")
    with closing(open_database(f"{url}?unix_socket={mariadb.socket}", base=Path("/"))) as db:
        assert db.query("SELECT 1") == [(1,)]


def test_a_login_that_needs_another_package_is_one_line_that_names_it(
    mysql: Subject, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    mysql.sql("INSTALL SONAME 'auth_ed25519'")
    try:
        mysql.sql("CREATE USER signed IDENTIFIED VIA ed25519 USING PASSWORD('s3cr3t-2')")
        monkeypatch.setitem(sys.modules, "nacl", None)
        db = open_database(f"mysql://signed:s3cr3t-2@127.0.0.1:{mariadb.port}/kol", base=Path("/"))
        with pytest.raises(StopRun, match="pip install pynacl") as caught:
            db.connect()
        assert "s3cr3t" not in str(caught.value)
    finally:
        mysql.sql("DROP USER IF EXISTS signed")
        mysql.sql("UNINSTALL SONAME 'auth_ed25519'")


def test_a_failure_of_tls_is_one_line_that_names_the_options() -> None:
    # Given a server that offers TLS, and hangs up in the middle of it as one with an old version does
    greeting = b"\x0a5.5.5-10.11\0" + bytes(4) + b"abcdefgh\0" + b"\xfe\xff\x2d\x02\0\xff\xc1\x15"
    greeting += bytes(10) + b"ijklmnopqrst\0mysql_native_password\0"

    class Old(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
            self.request.recv(36)  # the client asks for TLS
            self.request.recv(5)
            self.request.sendall(b"\x15\x03\x01\0\x02\x02\x46")  # the alert "protocol version"

    with socketserver.TCPServer(("127.0.0.1", 0), Old) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        db = open_database(f"mysql://u:hunter2@127.0.0.1:{server.server_address[1]}/kol", base=Path("/"))
        with pytest.raises(StopRun, match="TLS with the server failed") as caught, db.explained_errors():
            db.connect()
        thread.join()
    assert "?ssl_ca=FILE" in str(caught.value)
    assert "?ssl_disabled=1" in str(caught.value)


def test_kols_in_a_column_of_padded_bytes_are_read_added_and_deleted(mysql: Subject) -> None:
    mysql.sql("CREATE TABLE s (user_name BINARY(16))")
    assert mysql.db.insert_handles("s", ["BTC", "eth"]) == 2
    assert mysql.db.insert_handles("s", ["btc", "sol"]) == 1
    assert sorted(filter(None, mysql.db.handles("s"))) == ["BTC", "eth", "sol"]

    mysql.db.delete_handles("s", ["BTC", "eth"])

    assert list(mysql.db.handles("s")) == ["sol"]


def test_who_may_not_create_tables_is_given_the_ddl_to_hand_on(mysql: Subject, mariadb: MariaDB) -> None:
    mysql.sql("CREATE USER shy IDENTIFIED BY 'pw'")
    mysql.sql("GRANT SELECT, INSERT, UPDATE ON kol.* TO shy")
    with closing(open_database(f"mysql://shy:pw@127.0.0.1:{mariadb.port}/kol", base=Path("/"))) as db:
        with pytest.raises(StopRun, match="user shy may not create tables; let somebody run: CREATE TABLE") as refusal:
            db.create_tables("s", "t", "f")
        for statement in str(refusal.value).partition("let somebody run: ")[2].split("; "):
            mysql.sql(statement)
        assert db.create_tables("s", "t", "f") == []
        check_target(db, "t")
        check_follows(db, "f")
    mysql.sql("DROP USER shy")


def test_what_the_server_says_of_names_counts(mysql: Subject) -> None:
    mysql.db.connect()
    assert mysql.db.place("S") != mysql.db.place("s")  # lower_case_table_names = 0, as on every Linux
    assert mysql.sql("SELECT @@lower_case_table_names") == [(0,)]


@pytest.mark.parametrize(
    ("facts", "mariadb", "fill"),
    [
        ((None, ""), True, Fill.NULL),
        (("NULL", ""), True, Fill.NULL),
        (("'NULL'", ""), True, Fill.OTHER),
        (("NULL", ""), False, Fill.OTHER),  # MySQL shows a text without quotes
        (("uuid()", ""), True, Fill.DISTINCT),
        (("uuid()", ""), False, Fill.OTHER),
        (("uuid()", "DEFAULT_GENERATED"), False, Fill.DISTINCT),
        (("nextval(`kol`.`seq`)", ""), True, Fill.DISTINCT),
        (("current_timestamp()", ""), True, Fill.OTHER),
        ((None, "auto_increment"), False, Fill.DISTINCT),
        ((None, "STORED GENERATED"), False, Fill.OTHER),
        (("NULL", "VIRTUAL GENERATED"), True, Fill.OTHER),
    ],
)
def test_what_stands_in_a_column_that_is_left_out(facts: tuple[str | None, str], mariadb: bool, fill: Fill) -> None:
    default, extra = facts
    found = column(
        ("x", "varchar", "varchar(50)", 50, 200, default, "YES", extra, None, None),
        None,
        mariadb=mariadb,
        definition=Definition(),
    )
    assert found.fill is fill


NUMBERS = [
    ("tinyint", "tinyint(4)", 3, 0, -128, 127),
    ("smallint", "smallint(5) unsigned", 5, 0, 0, 65_535),
    ("mediumint", "mediumint(9)", 7, 0, -8_388_608, 8_388_607),
    ("int", "int(11)", 10, 0, -(2**31), 2**31 - 1),
    ("bigint", "bigint(20)", 19, 0, -(2**63), 2**63 - 1),
    ("bigint", "bigint(20) unsigned", 20, 0, 0, 2**64 - 1),
    ("decimal", "decimal(20,0)", 20, 0, -(10**20 - 1), 10**20 - 1),
    ("decimal", "decimal(20,0)", 20, None, -(10**20 - 1), 10**20 - 1),
    ("decimal", "decimal(10,2) unsigned", 10, 2, 0, 10**8 - 1),
    ("double", "double", 22, None, -(2**53), 2**53),
    ("double", "double unsigned", 22, None, 0, 2**53),
    ("double", "double(12,2)", 12, 2, None, None),
    ("float", "float", 12, None, None, None),
    ("bit", "bit(64)", 64, None, None, None),
    ("decimal", "odd", None, None, None, None),
]


@pytest.mark.parametrize(("kind", "type_", "digits", "decimals", "lowest", "highest"), NUMBERS)
def test_a_type_of_numbers_takes_whole_ones_up_to_its_limits(
    kind: str, type_: str, digits: int | None, decimals: int | None, lowest: int | None, highest: int | None
) -> None:
    facts = ("x", kind, type_, None, None, None, "YES", "", digits, decimals)
    found = column(facts, None, mariadb=True, definition=Definition())
    assert (found.int_min, found.int_max) == (lowest, highest)
    assert found.takes == (frozenset() if highest is None else {Form.NUMBER})


NUMBER, TEXT = frozenset({Form.NUMBER}), frozenset(Form)


@pytest.mark.parametrize(
    ("name", "type_", "takes", "more", "begins"),
    [
        ("name", "int(11)", NUMBER, {}, "MODIFY `name` LONGTEXT CHARACTER SET utf8mb4 NULL"),
        ("name", "double", NUMBER, {}, "CHANGE `name` `name_old` double NULL, ADD COLUMN `name` LONGTEXT"),
        ("name", "point", frozenset(), {}, "CHANGE `name` `name_old` point NULL, ADD COLUMN `name` LONGTEXT"),
        ("name", "varchar(9)", TEXT, {"nullable": False}, "MODIFY `name` varchar(9) NULL"),
        ("name", "text", TEXT, {"generated": True}, "DROP COLUMN `name`, ADD COLUMN `name` LONGTEXT"),
        ("name", "int(11)", NUMBER, {"generated": True}, "DROP COLUMN `name`, ADD COLUMN `name` LONGTEXT"),
        (
            "followers",
            "text",
            frozenset(),
            {},
            "CHANGE `followers` `followers_old` text NULL, ADD COLUMN `followers` BIGINT NULL",
        ),
        ("id", "varchar(9)", TEXT, {"max_chars": 9, "nullable": False}, "MODIFY `id` VARCHAR(32)"),
        ("id", "int(11)", NUMBER, {"int_max": 2**31 - 1, "nullable": False}, "MODIFY `id` VARCHAR(32)"),
        ("id", "double", frozenset(), {}, ""),
    ],
)
def test_the_change_that_mends_a_column_keeps_its_values_where_one_can(
    name: str, type_: str, takes: frozenset[Form], more: dict[str, Any], begins: str
) -> None:
    db = open_database("mysql://kol@h/db", base=Path("/"))
    column = replace(Column(name, type_, takes), **more)
    (ddl, *others) = db.refit_ddl(Table("t", {name: column}, [("id",)]), [column])
    expected = (
        f"ALTER TABLE `t` {begins.replace('LONGTEXT', db.types['name'])}" if begins else "RENAME TABLE `t` TO `t_old`"
    )
    assert ddl.replace(db.types["id"], "VARCHAR(32)").startswith(expected.replace(db.types["id"], "VARCHAR(32)"))
    assert len(others) == (not begins)


@pytest.mark.parametrize("code", [1142, 2013])
def test_what_a_server_does_not_tell_is_not_asked_again_unless_it_is_away(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    db = open_database("mysql://kol@h/db", base=Path("/"))
    assert isinstance(db, MysqlDatabase)

    def select(*_: object) -> list[tuple[Any, ...]]:
        raise pymysql.err.OperationalError(code, "as the server says")

    monkeypatch.setattr(db, "_select", select)
    if code == 2013:
        for ask in (db._has_one_case, lambda: db._definition("t")):
            with pytest.raises(pymysql.err.OperationalError):
                ask()
        return
    assert not db._has_one_case()
    assert db._definition("t") == Definition()
    monkeypatch.setattr(db, "_select", lambda *_: [("1",)])
    assert db._has_one_case()
    monkeypatch.setattr(db, "_select", lambda *_: [("0",)])
    assert not db._has_one_case()
