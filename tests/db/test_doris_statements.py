"""What is said to Doris, through a connection that only listens: no Doris can be started here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self

import pymysql
import pytest
from pymysql.converters import escape_item

from kolspider.db import ErrorKind, open_database
from kolspider.db.check import check_target
from kolspider.db.doris import DorisDatabase
from kolspider.errors import StopRun
from tests.db.conftest import row

CREATED = """CREATE TABLE `twitter_kol_all` (
  `id` varchar(32) NOT NULL,
  `following` bigint NULL
) ENGINE=OLAP
UNIQUE KEY(`id`)
DISTRIBUTED BY HASH(`id`) BUCKETS AUTO"""
COLUMNS = [
    ("id", "varchar", 32, "NO", None),
    ("name", "varchar", 1024, "YES", None),
    ("user_name", "varchar", 128, "YES", None),
    ("avatar", "varchar", 2048, "YES", None),
    ("description", "string", 2147483643, "YES", None),
    ("created_at", "char", 64, "YES", None),
    ("created_at_time", "datetime", None, "YES", None),
    ("followers", "bigint", None, "YES", None),
    ("following", "int", None, "YES", None),
    ("statuses_count", "largeint", None, "YES", None),
]


class FakeConnection:
    """Writes down each statement as PyMySQL would send it, and answers from a script."""

    open = True

    def __init__(self, columns: list[Any] | None = None, ddl: str = CREATED) -> None:
        self.columns = COLUMNS if columns is None else columns
        self.ddl = ddl
        self.statements: list[str] = []
        self.answer: list[Any] = []

    def cursor(self) -> FakeConnection:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def execute(self, sql: str, values: tuple[object, ...] | None = None) -> None:
        if values is not None:
            sql %= tuple(escape_item(value) for value in values)
        self.statements.append(sql)
        if "information_schema" in sql:
            self.answer = self.columns
        elif "SHOW CREATE TABLE" in sql:
            self.answer = [("twitter_kol_all", self.ddl)]
        else:
            self.answer = []

    def fetchall(self) -> list[Any]:
        return self.answer


def doris(connection: FakeConnection) -> DorisDatabase:
    db = open_database("doris://kol:hunter2@fe/public_data", base=Path("/"))
    assert isinstance(db, DorisDatabase)
    db._connection = connection  # type: ignore[assignment]
    return db


def test_a_batch_is_one_plain_insert_with_every_identifier_quoted() -> None:
    connection = FakeConnection()

    doris(connection).upsert("pub%lic.twitter_kol_all", [row("1", name="it's 5% \\ %s"), row("2", name=None)])

    (statement,) = connection.statements
    assert statement.startswith(
        "INSERT INTO `pub%lic`.`twitter_kol_all` (`id`, `name`, `user_name`, `avatar`, `description`, "
        "`created_at`, `created_at_time`, `followers`, `following`, `statuses_count`) VALUES\n"
        "('1', 'it\\'s 5% \\\\ %s', 'satoshi', "
    )
    assert "), ('2', NULL, 'satoshi', " in statement
    assert "DUPLICATE" not in statement
    assert not re.search(r"(?<!`)\bfollowing\b(?!`)", statement)


def test_a_batch_larger_than_pymysql_sends_at_once_is_still_one_insert() -> None:
    connection = FakeConnection()

    doris(connection).upsert("t", [row(str(number), description="x" * 2000) for number in range(1000)])

    assert len(connection.statements) == 1
    assert len(connection.statements[0]) > 2_000_000


def test_nothing_is_said_for_no_rows() -> None:
    connection = FakeConnection()
    doris(connection).upsert("t", [])
    assert connection.statements == []


def test_varchar_counts_bytes_and_integers_have_their_range() -> None:
    connection = FakeConnection()

    table = doris(connection).describe("twitter_kol_all")

    assert table is not None
    assert table.unique_keys == [("id",)]
    assert table.columns["name"].max_bytes == 1024
    assert table.columns["name"].max_chars is None
    assert table.columns["created_at"].max_bytes == 64
    assert table.columns["description"].max_bytes is None
    assert table.columns["following"].int_max == 2**31 - 1
    assert table.columns["statuses_count"].int_min == -(2**127)
    assert table.columns["id"].nullable is False
    assert "'public_data' AND `table_name` = 'twitter_kol_all'" in connection.statements[0]
    assert connection.statements[1] == "SHOW CREATE TABLE `twitter_kol_all`"


def test_a_table_that_is_not_there_is_none() -> None:
    assert doris(FakeConnection(columns=[])).describe("t") is None


@pytest.mark.parametrize(
    "ddl",
    [
        CREATED.replace("UNIQUE KEY(`id`)", "DUPLICATE KEY(`id`)"),
        CREATED.replace("UNIQUE KEY(`id`)", "UNIQUE KEY(`id`, `user_name`)"),
        CREATED.replace("UNIQUE KEY(`id`)", 'DUPLICATE KEY(`id`)\nCOMMENT "UNIQUE KEY(`id`)"'),
    ],
)
def test_a_table_of_another_model_or_key_stops_the_run(ddl: str) -> None:
    with pytest.raises(StopRun, match="no unique key that is `id` alone"):
        check_target(doris(FakeConnection(ddl=ddl)), "t")


def test_a_table_with_more_columns_stops_the_run_because_an_insert_would_empty_them() -> None:
    connection = FakeConnection(columns=[*COLUMNS, ("note", "varchar", 10, "YES", None)])

    with pytest.raises(StopRun, match="its columns note are not ours"):
        check_target(doris(connection), "t")


def test_our_own_table_will_do() -> None:
    assert check_target(doris(FakeConnection()), "twitter_kol_all").name == "twitter_kol_all"


def test_sample_handles_are_one_insert() -> None:
    connection = FakeConnection()
    doris(connection)._insert_handles("twitter_kol", ["btc", "o'neil"])
    assert connection.statements == ["INSERT INTO `twitter_kol` (`user_name`) VALUES ('btc'), ('o\\'neil')"]


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (1105, "errCode = 2, detailMessage = tablet 1 [TOO_MANY_VERSION] reach limit", ErrorKind.LOST),
        (5025, "tablet error: -235, exceed max version", ErrorKind.LOST),
        (1105, "There is no available backend", ErrorKind.LOST),
        (1105, "Insert timeout", ErrorKind.LOST),
        (1105, "[MEM_LIMIT_EXCEEDED] process memory", ErrorKind.LOST),
        (2013, "Lost connection", ErrorKind.LOST),
        (1105, "Insert has filtered data in strict mode. url: x", ErrorKind.REFUSED),
        (5025, "Insert has filtered data: name = 'access denied'", ErrorKind.REFUSED),
        (1105, "the length of input is too long than schema", ErrorKind.REFUSED),
        (1105, "errCode -238 TOO_MANY_SEGMENTS", ErrorKind.REFUSED),
        (1105, "mismatched input 'following' expecting", ErrorKind.FATAL),
        (1105, "Unknown column 'x' in 'table list'", ErrorKind.FATAL),
        (1105, "Access denied; you need (at least one of) the LOAD privilege", ErrorKind.FATAL),
        (1045, "Access denied for user 'kol'", ErrorKind.FATAL),
        (1049, "Unknown database 'x'", ErrorKind.FATAL),
        (1105, "something new", ErrorKind.FATAL),
    ],
)
def test_doris_errors_are_told_apart_by_their_text(code: int, text: str, kind: ErrorKind) -> None:
    assert doris(FakeConnection()).error_kind(pymysql.err.OperationalError(code, text)) is kind
