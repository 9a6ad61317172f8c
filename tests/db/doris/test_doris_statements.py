"""What Doris says, understood: its errors, SHOW CREATE TABLE, and an OK packet. What the double can't say is here."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest

from kolspider.db.base import DbErrorKind, Fill, Table
from kolspider.db.capacity import unfitness
from kolspider.db.check import check_source
from kolspider.db.doris.database import DorisDatabase, Load
from kolspider.db.doris.facts import Layout, column
from kolspider.db.follow_tables import SPAN_FOLLOWS
from kolspider.db.url import open_database
from kolspider.items import COLUMNS

DB = open_database("doris://kol:hunter2@fe/public_data", base=Path("/"))
# As published of Doris 2.1 and 3.0, e.g. in apache/doris#32376.
CREATED = """CREATE TABLE `twitter_kol_all` (
  `id` varchar(32) NOT NULL,
  `name` varchar(1024) NULL COMMENT 'as they, say\\nUNIQUE KEY(`x`)',
  `following` bigint NULL,
  `Note` decimal(9,2) NOT NULL DEFAULT "1.00" COMMENT "a, b",
  INDEX idx_name (`name`) USING INVERTED
) ENGINE=OLAP
UNIQUE KEY(`id`)
COMMENT 'OLAP'
DISTRIBUTED BY HASH(`id`) BUCKETS AUTO
PROPERTIES (
"replication_allocation" = "tag.location.default: 3",
"enable_unique_key_merge_on_write" = "true",
"light_schema_change" = "true"
);"""

# What Doris says while it restarts node by node, is upgraded or is busy.
PASSING = """
there exists unhealthy backend. backends: [10002]
Backend 10002 not exists or dead
Backend process epoch changed, previous 1 now 2
Failed to get master client
forward to master FE 10.0.0.1:9030 failed
failed to execute because Master FE is not ready
Could not get target table lock
query waiting queue is full
Table t is in restore process
Failed to get delete bitmap lock due to conflict
delete bitmap update lock expired
[KV_TXN_CONFLICT]failed to commit
[SERVICE_UNAVAILABLE]
[THRIFT_RPC_ERROR]failed to call frontend service
unknown load_id: 1-2
disk /data on backend 10002 exceed limit usage
""".strip().split("\n")


def test_a_table_is_understood() -> None:
    layout = Layout.of(CREATED)

    assert layout.is_keyed_by_id
    assert layout.obstacle == ""
    assert layout.others == ["note"]
    assert layout.columns["note"] == 'decimal(9,2) NOT NULL DEFAULT "1.00" COMMENT "a, b"'
    assert layout.columns["following"] == "bigint NULL"
    assert layout.properties["replication_allocation"] == "tag.location.default: 3"
    assert layout.sequence == ""


@pytest.mark.parametrize(
    "ddl",
    [
        CREATED.replace("UNIQUE KEY(`id`)\n", "DUPLICATE KEY(`id`)\n"),
        CREATED.replace("UNIQUE KEY(`id`)\n", "AGGREGATE KEY(`id`)\n"),
        CREATED.replace("UNIQUE KEY(`id`)\n", "UNIQUE KEY(`id`, `name`)\n"),
        CREATED.replace("UNIQUE KEY(`id`)\nCOMMENT 'OLAP'", "DUPLICATE KEY(`id`)\nCOMMENT 'UNIQUE KEY(`id`)'"),
        "CREATE VIEW `v` AS SELECT `id` FROM `t`;",
    ],
)
def test_another_model_or_key_is_not_ours(ddl: str) -> None:
    assert not Layout.of(ddl).is_keyed_by_id


def test_merge_on_write_is_what_the_table_says_and_no_guess() -> None:
    property_ = '"enable_unique_key_merge_on_write" = "true",\n'
    assert Layout.of(CREATED.replace(property_, "")).obstacle == "without merge-on-write"
    off = Layout.of(CREATED.replace(property_, property_.replace("true", "false")))
    assert off.obstacle == "without merge-on-write"


def test_a_sequence_column_decides_instead_of_the_order_of_writing() -> None:
    layout = Layout.of(CREATED.replace("PROPERTIES (\n", 'PROPERTIES (\n"function_column.sequence_col" = "name",\n'))
    assert isinstance(DB, DorisDatabase)
    assert "the row with the largest sequence" in str(DB._reason("t", layout))


def test_columns_that_are_not_ours_beside_cluster_by_are_refused_with_the_ddl_for_a_table_without_it() -> None:
    clustered = CREATED.replace("UNIQUE KEY(`id`)\n", "UNIQUE KEY(`id`)\nCLUSTER BY (`name`, `Note`)\n")
    layout = Layout.of(clustered)
    assert isinstance(DB, DorisDatabase)
    reason = str(DB._reason("t", layout))
    assert "with CLUSTER BY an INSERT would empty them; fix it with: CREATE TABLE `t_new`" in reason
    assert "CLUSTER BY (" not in reason
    assert DB._reason("t", Layout.of(CREATED)) is None
    assert DB._reason("t", replace(layout, columns=dict.fromkeys(COLUMNS, ""))) is None


@pytest.mark.parametrize(
    ("name", "definition", "listed", "reason"),
    [
        ("id", "varchar(32) NOT NULL", ("varchar", 32), ""),
        ("id", "varchar(20) NOT NULL", ("varchar", 20), ""),
        ("id", "varchar(10) NOT NULL", ("varchar", 10), "can't hold ids"),
        ("id", "char(32) NOT NULL", ("char", 32), ""),
        ("id", "bigint NOT NULL", ("bigint", None), ""),
        ("id", "largeint NOT NULL", ("bigint unsigned", None), ""),
        ("id", "int NOT NULL", ("int", None), "can't hold ids"),
        ("id", "decimalv3(20,0) NOT NULL", ("decimal", None), ""),
        ("id", "decimal(9,0) NOT NULL", ("decimal", None), "can't hold ids"),
        ("id", "date NOT NULL", ("date", None), "can't hold ids"),
        ("description", "text NULL", ("varchar", 2147483643), ""),
        ("description", "json NULL", ("json", None), "can't hold texts"),
        ("description", "variant NULL", ("variant", None), "can't hold texts"),
        ("name", "varchar(9) NOT NULL", ("varchar", 9), "is NOT NULL"),
        ("name", "varchar(9) AS (upper(`id`)) NULL", ("varchar", 9), "is generated"),
        ("created_at", "datetime NULL", ("datetime", None), "can't hold texts"),
        ("created_at_time", "datetime NULL", ("datetime", None), ""),
        ("created_at_time", "datetimev2(6) NULL", ("datetime", None), ""),
        ("created_at_time", "date NULL", ("date", None), "can't hold moments"),
        ("created_at_time", "bigint NULL", ("bigint", None), "can't hold moments"),
        ("created_at_time", "varchar(19) NULL", ("varchar", 19), ""),
        ("created_at_time", "varchar(10) NULL", ("varchar", 10), "can't hold moments"),
        ("followers", "boolean NULL", ("tinyint", None), "can't hold whole numbers"),
        ("followers", "double NULL", ("double", None), ""),
        ("followers", "float NULL", ("float", None), "can't hold whole numbers"),
        ("followers", "largeint NULL", ("bigint unsigned", None), ""),
        ("followers", "bitmap NOT NULL", ("bitmap", None), "can't hold whole numbers"),
    ],
)
def test_each_type_of_doris_holds_what_is_sent_or_not(
    name: str, definition: str, listed: tuple[str, int | None], reason: str
) -> None:
    found = column(definition, name, *listed, "NO" if "NOT NULL" in definition else "YES")
    assert unfitness(found).startswith(reason)
    assert bool(unfitness(found)) == bool(reason)


@pytest.mark.parametrize(
    ("definition", "listed", "lowest", "largest", "most"),
    [
        ("tinyint NULL", ("tinyint", None), -128, 127, None),
        ("int NULL", ("int", None), -(2**31), 2**31 - 1, None),
        ("largeint NULL", ("bigint unsigned", None), -(2**127), 2**127 - 1, None),
        ("decimalv3(20,0) NULL", ("decimal", None), -(10**20 - 1), 10**20 - 1, None),
        ("decimal(10, 2) NULL", ("decimal", None), -(10**8 - 1), 10**8 - 1, None),
        ("double NULL", ("double", None), -(2**53), 2**53, None),
        ("varchar(9) NULL", ("varchar", 9), None, None, 9),
        ("varchar(2000000) NULL", ("varchar", 2_000_000), None, None, 1_048_576),
        ("text NULL", ("varchar", 2_147_483_643), None, None, 1_048_576),
        ("string NULL", ("string", None), None, None, 1_048_576),
        ("", ("bigint", None), -(2**63), 2**63 - 1, None),  # of a view, whose definition can't be read
        ("", ("varchar(9)", 9), None, None, 9),
    ],
)
def test_each_type_of_doris_has_its_limits(
    definition: str, listed: tuple[str, int | None], lowest: int | None, largest: int | None, most: int | None
) -> None:
    found = column(definition, "X", *listed, "YES")
    assert (found.int_min, found.int_max, found.max_bytes) == (lowest, largest, most)
    assert (found.name, found.type) == ("x", definition.removesuffix(" NULL") or listed[0])


def test_the_ddl_for_unfit_columns_keeps_their_values_or_makes_the_table_again() -> None:
    assert isinstance(DB, DorisDatabase)
    table = Table("t", {}, [("id",)])
    tight = column("varchar(9) NOT NULL", "name", "varchar", 9, "NO")
    time = column("bigint NULL", "created_at_time", "bigint", None, "YES")
    assert DB.refit_ddl(table, [tight, time]) == [
        "ALTER TABLE `t` RENAME COLUMN `created_at_time` `created_at_time_old`",
        "ALTER TABLE `t` MODIFY COLUMN `name` varchar(9) NULL, ADD COLUMN `created_at_time` DATETIME NULL",
    ]
    narrow = column("varchar(9) NOT NULL", "id", "varchar", 9, "NO")
    renamed, created = DB.refit_ddl(table, [time, narrow])
    assert renamed == "ALTER TABLE `t` RENAME `t_old`"
    assert created.startswith("CREATE TABLE IF NOT EXISTS `t` ( `id` VARCHAR(32) NOT NULL")


def test_an_id_that_is_a_number_is_not_compared_as_a_double() -> None:
    number = column("bigint NOT NULL", "id", "bigint", None, "NO")
    text = column("varchar(32) NOT NULL", "id", "varchar", 32, "NO")
    assert DB.as_id("f.`user_id`", number) == "CAST(f.`user_id` AS LARGEINT)"
    assert DB.as_id("f.`user_id`", text) == "f.`user_id`"


@pytest.mark.parametrize(
    ("definition", "needs"),
    [
        ('decimal(9,2) NOT NULL DEFAULT "1.00" COMMENT "a, b"', False),
        ("datetime NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP", False),
        ("bigint NOT NULL AUTO_INCREMENT(1)", False),
        ("bigint AS ((`followers` + 1)) NOT NULL", False),
        ("int NOT NULL", True),
        ('int NOT NULL COMMENT " NOT NULL DEFAULT 7"', True),
    ],
)
def test_a_column_needs_a_value_unless_doris_has_one_for_it(definition: str, needs: bool) -> None:
    found = column(definition, "theirs", "int", None, "NO")
    assert found.needs_value is needs
    assert (found.fill, found.generated) == (
        Fill.DISTINCT if "AUTO_INCREMENT(" in definition else Fill.NULL,
        " AS (" in definition,
    )
    assert not column(definition.replace("NOT NULL", "NULL"), "theirs", "int", None, "YES").needs_value


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        (1142, "SHOW CREATE TABLE command denied to user 'kol'@'10.0.0.7' for table 'public_data: v'", True),
        (1105, "not support async materialized view, please use `show create materialized view`", True),
        (2013, "Lost connection to MySQL server during query", False),
    ],
)
def test_a_view_whose_definition_is_not_for_this_user_can_still_hold_the_kols(
    monkeypatch: pytest.MonkeyPatch, code: int, text: str, told: bool
) -> None:
    error = pymysql.err.OperationalError(code, text)

    def select(sql: str, _values: object = None) -> list[tuple[Any, ...]]:
        if sql.startswith("SHOW"):
            raise error
        return [("user_name", "varchar", 30, "YES")]

    db = open_database("doris://kol@fe/public_data", base=Path("/"))
    monkeypatch.setattr(db, "_select", select)
    if told:
        table = check_source(db, "v")
        assert (list(table.columns), table.unique_keys) == (["user_name"], [])
    else:
        with pytest.raises(pymysql.err.OperationalError):
            check_source(db, "v")


class FakeCursor:
    """Answers an INSERT."""

    def __init__(self, message: bytes = b"", warnings: int = 0, error: Exception | None = None) -> None:
        self._result = SimpleNamespace(message=message, warning_count=warnings)
        self._error = error

    def execute(self, sql: str) -> None:
        if self._error:
            raise self._error


def inserted(*args: Any, **kwargs: Any) -> str:
    return DorisDatabase._inserted(FakeCursor(*args, **kwargs), b"INSERT")


def test_status_and_transaction_are_in_the_ok_packet() -> None:
    info = b"{'label':'label_7', 'status':'COMMITTED', 'txnId':'4013', 'err':'...'}"
    assert inserted(bytes([len(info)]) + info) == "txnId 4013, COMMITTED"
    assert inserted(b"") == "txnId ?, ?"


def test_an_insert_of_fewer_rows_than_were_sent_is_refused_and_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    db = open_database("doris://kol@fe/public_data", base=Path("/"))
    cursor = FakeCursor(b"")
    monkeypatch.setattr(cursor, "rowcount", 1, raising=False)
    monkeypatch.setattr(db, "_open", lambda: SimpleNamespace(cursor=lambda: nullcontext(cursor)))
    rows = [("btc", "1", "2026-11-01", "2026-11-01"), ("btc", "2", "2026-11-01", "2026-11-01")]
    with pytest.raises(pymysql.err.OperationalError, match="1 of 2 rows were loaded") as caught:
        db.widen("f", SPAN_FOLLOWS, rows)
    assert db.error_kind(caught.value) is DbErrorKind.REFUSED


def test_an_error_that_says_committed_is_none() -> None:
    text = (
        "errCode = 2, detailMessage = transaction commit successfully, BUT data did not become visible within "
        "insert_visible_timeout_ms and will be visible later."
    )
    assert inserted(error=pymysql.err.OperationalError(1105, text)) == "COMMITTED"


def test_a_row_that_is_quoted_can_not_say_committed() -> None:
    text = "Insert has filtered data in strict mode. first_error_msg: [transaction commit successfully, BUT]"
    with pytest.raises(pymysql.err.OperationalError):
        inserted(error=pymysql.err.OperationalError(1105, f"errCode = 2, detailMessage = {text}"))


def test_rows_that_were_filtered_all_the_same_are_refused() -> None:
    with pytest.raises(pymysql.err.OperationalError) as caught:
        inserted(b"", warnings=3)
    assert DB.error_kind(caught.value) is DbErrorKind.REFUSED


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (1105, "errCode = 2, detailMessage = tablet 1 [TOO_MANY_VERSION] reach limit", DbErrorKind.LOST),
        (5025, "tablet error: -235, exceed max version", DbErrorKind.LOST),
        (1105, "There is no available backend", DbErrorKind.LOST),
        (1105, "Insert timeout", DbErrorKind.LOST),
        (1105, "[MEM_LIMIT_EXCEEDED] process memory", DbErrorKind.LOST),
        (2013, "Lost connection", DbErrorKind.LOST),
        (1105, "Insert has filtered data in strict mode. url: x", DbErrorKind.REFUSED),
        (5025, "Insert has filtered data: name = 'access denied'", DbErrorKind.REFUSED),
        (1105, "the length of input is too long than schema", DbErrorKind.REFUSED),
        (1105, "errCode -238 TOO_MANY_SEGMENTS", DbErrorKind.REFUSED),
        (1105, "mismatched input 'following' expecting", DbErrorKind.FATAL),
        (1105, "Unknown column 'x' in 'table list'", DbErrorKind.FATAL),
        (1105, "Access denied; you need (at least one of) the LOAD privilege", DbErrorKind.FATAL),
        (1045, "Access denied for user 'kol'", DbErrorKind.FATAL),
        (1049, "Unknown database 'x'", DbErrorKind.FATAL),
        (1105, "Table [t] does not exist in database [kol].", DbErrorKind.FATAL),
        (1105, "(10.0.0.1)[E-235]failed to init rowset builder. version count: 2001, exceed limit", DbErrorKind.LOST),
        (1105, "There is no scanNode Backend available.[10002: not alive]", DbErrorKind.LOST),
        (1105, "current running txns on db 1 is 1000, larger than limit 1000", DbErrorKind.LOST),
        (1105, "insert table t is blocked on schema change", DbErrorKind.LOST),
        (
            1105,
            "Insert has filtered data in strict mode. first_error_msg: timeout, denied. url: x",
            DbErrorKind.REFUSED,
        ),
        (1203, "Reach limit of connections", DbErrorKind.LOST),
        (1105, "tablet 7 alive replica num 0 < load required replica num 1, alive backends: []", DbErrorKind.LOST),
        (
            1105,
            "begin transaction failed. Label [k_7] has already been used, relate to txn [9]",
            DbErrorKind.LOST,
        ),
        (
            1105,
            "Failed to commit txn 459, cause tablet 740 succ replica num 0 < load required replica num 1. table 738",
            DbErrorKind.LOST,
        ),
        (
            1105,
            "failed to send brpc batch, error=Host is down, error_text=[E112]Not connected to 10.0.0.2:8060 yet",
            DbErrorKind.LOST,
        ),
        (1105, "(10.0.0.1)[INTERNAL_ERROR]failed to open tablet writer", DbErrorKind.LOST),
        (1105, "(10.0.0.1)[INTERNAL_ERROR][INTERNAL_ERROR]close wait failed coz rpc error", DbErrorKind.LOST),
        (1105, "Failed to get scan range, no queryable replica found in tablet: 520050185.", DbErrorKind.LOST),
        (1105, "send fragments failed. UNAVAILABLE: io exception, host: 10.0.0.2", DbErrorKind.LOST),
        (1105, "Node catalog is not ready, please wait for a while.", DbErrorKind.LOST),
        (1105, "Can't do partial update when table is doing schema change.", DbErrorKind.LOST),
        (
            1105,
            "Can't do partial update on merge-on-write Unique table with sync materialized view.",
            DbErrorKind.FATAL,
        ),
        (1105, "Can't do partial update on merge-on-write Unique table with cluster keys", DbErrorKind.FATAL),
        (1105, "Only unique key merge on write support partial update", DbErrorKind.FATAL),
        (1105, "Column has no default value, column=theirs", DbErrorKind.FATAL),
        (1105, "Not support string len over than `string_type_length_soft_limit_bytes`", DbErrorKind.REFUSED),
        (1105, "can't cast to INT, input: many", DbErrorKind.REFUSED),
        *((1105, f"errCode = 2, detailMessage = {text}", DbErrorKind.LOST) for text in PASSING),
        (1105, "something new", DbErrorKind.LOST),
    ],
)
def test_doris_errors_are_told_apart_by_their_text(code: int, text: str, kind: DbErrorKind) -> None:
    assert DB.error_kind(pymysql.err.OperationalError(code, text)) is kind


def test_a_label_that_is_taken_is_waited_for_until_its_load_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    db = open_database("doris://kol@fe/db", base=Path("/"))
    assert isinstance(db, DorisDatabase)
    monkeypatch.setattr(time, "monotonic", lambda: 1010.0)
    assert db.patience() == 0
    db._unfinished = Load("t", ("id",), partial=False, rows=[], text=b"")
    assert db.patience() == 0
    db._unfinished.taken = 1000.0
    assert db.patience() == 51
