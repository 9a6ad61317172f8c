"""The double over MySQL's protocol: it takes, answers and refuses what Doris does."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from tests.doris_double import DorisDouble, Fault
from tests.doris_double.conftest import ONE_REPLICA, connect

if TYPE_CHECKING:
    from pymysql.connections import Connection


PARTIAL = "SET enable_unique_key_partial_update = true"


def run(db: Connection, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with db.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall())


def refused(db: Connection, sql: str, *values: object) -> str:
    """The text of the refusal."""
    with pytest.raises(pymysql.err.Error) as caught:
        run(db, sql, *values)
    return f"{caught.value.args[0]} {caught.value.args[1]}"


def insert(db: Connection, *rows: tuple[object, ...], columns: str = "`id`, `name`") -> Any:
    marks = ", ".join(f"({', '.join(['%s'] * len(row))})" for row in rows)
    with db.cursor() as cursor:
        cursor.execute(f"INSERT INTO `t` ({columns}) VALUES {marks}", [value for row in rows for value in row])
        return cursor._result  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sql", "near"),
    [
        ("SELECT id, following FROM t", "following"),
        ("INSERT INTO t (id, following) VALUES ('1', 2)", "following"),
        ("CREATE TABLE u (id INT, following INT) UNIQUE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 1", "following"),
        ("INSERT INTO t (id) VALUES ('1') ON DUPLICATE KEY UPDATE name = 'x'", "ON"),
        ("REPLACE INTO t (id) VALUES ('1')", "INTO"),
        ("INSERT IGNORE INTO t (id) VALUES ('1')", "IGNORE"),
        ("INSERT INTO t SET id = '1'", "SET"),
        ("INSERT INTO t (id) VALUE ('1')", "VALUE"),
        ("SELECT id FROM t FOR UPDATE", "FOR"),
        ("INSERT INTO t (id, day_hour) VALUES ('1', 2)", "day_hour"),
        ("CREATE TABLE u (id INT, PRIMARY KEY (id))", "PRIMARY"),
    ],
)
def test_what_the_grammar_refuses_is_a_syntax_error(db: Connection, sql: str, near: str) -> None:
    text = refused(db, sql)

    assert text.startswith("1105 errCode = 2, detailMessage = \nmismatched input")
    assert f"'{near}'" in text


def test_every_keyword_is_a_name_when_quoted(db: Connection) -> None:
    run(db, f"CREATE TABLE `group` (`key` INT, `following` INT) DUPLICATE KEY(`key`) PROPERTIES ({ONE_REPLICA})")
    run(db, "INSERT INTO `group` (`key`, `following`) VALUES (1, 2)")
    assert run(db, "SELECT `following` AS `order` FROM `group` WHERE `key` = 1") == [(2,)]
    run(db, "DROP TABLE `group`")


def test_an_insert_replaces_the_whole_row(db: Connection) -> None:
    insert(db, ("1", "a", 7), columns="`id`, `name`, `theirs`")
    insert(db, ("1", "b"))

    assert run(db, "SELECT `id`, `name`, `theirs` FROM `t`") == [("1", "b", None)]


def test_texts_come_back_as_they_were_sent(db: Connection) -> None:
    for text in ("'\\\"`", "a\nb\t", "\0\x1a", "😀", "%_", "''", '""'):
        insert(db, ("1", text))
        assert run(db, "SELECT `name` FROM `t`") == [(text,)]


def test_the_ok_packet_tells_label_and_status(db: Connection, doris: DorisDouble) -> None:
    result = insert(db, ("1", "a"), ("2", "b"))

    (load,) = doris.loads
    assert result.affected_rows == 2
    info = f"{{'label':'{load.label}', 'status':'VISIBLE', 'txnId':'{load.txn_id}'}}".encode()
    assert result.message == bytes([len(info)]) + info  # length-encoded, as Doris does
    assert (load.rows, load.path, load.via, load.status) == (2, "plain", "insert", "VISIBLE")


def test_a_label_is_good_for_one_insert(db: Connection) -> None:
    run(db, "INSERT INTO `t` WITH LABEL `mine` (`id`) VALUES ('1')")

    text = refused(db, "INSERT INTO `t` WITH LABEL `mine` (`id`) VALUES ('2')")
    assert re.search(r"Label \[mine\] has already been used, relate to txn \[\d+\], status \[VISIBLE\]\.$", text)


@pytest.mark.parametrize(
    ("columns", "value"),
    [
        ("`id`, `name`", "汉字汉"),  # 9 bytes in 6
        ("`id`, `following`", 2**63),
        ("`id`, `following`", "many"),
        ("`id`, `at`", "2024-02-30 00:00:00"),
        ("`id`, `at`", "2024-02-01T00:00:00+00:00"),
    ],
)
def test_one_bad_row_fails_all(db: Connection, columns: str, value: object) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="Insert has filtered data in strict mode"):
        insert(db, ("1", None), ("2", value), columns=columns)
    assert run(db, "SELECT `id` FROM `t`") == []


def test_a_null_key_is_filtered(db: Connection) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="filtered data"):
        insert(db, (None, "a"))


def test_what_fits_in_bytes_is_taken(db: Connection) -> None:
    insert(db, ("1", "汉字"), ("2", "123456"))

    assert run(db, "SELECT COUNT(*) FROM `t`") == [(2,)]


def test_a_key_twice_in_one_insert_is_a_violation(db: Connection, doris: DorisDouble) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="more than once"):
        insert(db, ("1", "a"), ("1", "b"))
    assert len(doris.violations) == 1


def test_a_partial_update_leaves_other_columns_alone(db: Connection, doris: DorisDouble) -> None:
    insert(db, ("1", "a", 7), columns="`id`, `name`, `theirs`")
    run(db, PARTIAL)

    insert(db, ("1", "b"))

    assert run(db, "SELECT `id`, `name`, `theirs` FROM `t`") == [("1", "b", 7)]
    assert [load.path for load in doris.loads] == ["plain", "partial"]


def test_up_to_3_0_a_partial_update_refuses_new_keys(db: Connection) -> None:
    insert(db, ("1", "a"))
    run(db, PARTIAL)

    with pytest.raises(pymysql.err.OperationalError, match="filtered data in strict mode"):
        insert(db, ("1", "b"), ("2", "c"))
    assert run(db, "SELECT `id`, `name` FROM `t`") == [("1", "a")]


def test_from_3_1_a_variable_says_what_becomes_of_new_keys(db31: Connection) -> None:
    run(db31, PARTIAL)
    insert(db31, ("1", "a"))
    run(db31, "SET partial_update_new_key_behavior = 'ERROR'")

    with pytest.raises(pymysql.err.OperationalError, match="filtered data"):
        insert(db31, ("1", "b"), ("2", "c"))
    assert run(db31, "SELECT `id`, `name` FROM `t`") == [("1", "a")]


def test_a_partial_update_needs_its_key_and_its_columns(db: Connection) -> None:
    run(db, PARTIAL)

    assert "missing: id" in refused(db, "INSERT INTO `t` (`name`) VALUES ('x')")
    assert "explicitly specify the columns" in refused(db, "INSERT INTO `t` VALUES ('1', 'a', NULL, 1, 1)")


def test_with_cluster_by_a_partial_update_replaces_rows_without_a_word(db31: Connection, doris31: DorisDouble) -> None:
    run(
        db31,
        "CREATE TABLE `c` (`id` VARCHAR(8) NOT NULL, `name` VARCHAR(6) NULL, `theirs` INT NULL) UNIQUE KEY(`id`) "
        f"CLUSTER BY (`theirs`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({ONE_REPLICA})",
    )
    ((_, ddl),) = run(db31, "SHOW CREATE TABLE `c`")
    assert "\nUNIQUE KEY(`id`)\nCLUSTER BY (`theirs`)\nDISTRIBUTED BY" in ddl
    run(db31, "INSERT INTO `c` VALUES ('1', 'a', 7)")
    run(db31, PARTIAL)

    run(db31, "INSERT INTO `c` (`id`, `name`) VALUES ('1', 'b')")

    assert run(db31, "SELECT * FROM `c`") == [("1", "b", None)]
    assert doris31.loads[-1].path == "plain"
    run(db31, "DROP TABLE `c`")


def test_texts_are_cut_without_a_word_unless_a_variable_forbids_it(db: Connection, db31: Connection) -> None:
    for old in (db, db31):
        insert(old, ("1", "1234567"))
        assert run(old, "SELECT `name` FROM `t`") == [("123456",)]
    assert "Unknown system variable" in refused(db, "SET enable_insert_value_auto_cast = false")
    run(db31, "SET enable_insert_value_auto_cast = false")
    with pytest.raises(pymysql.err.OperationalError, match="filtered data"):
        insert(db31, ("1", "1234567"))


def test_a_row_without_a_partition_is_filtered(db: Connection) -> None:
    run(
        db,
        "CREATE TABLE `p` (`id` VARCHAR(8) NOT NULL) UNIQUE KEY(`id`) PARTITION BY LIST(`id`) (PARTITION `p` VALUES IN "
        f'("1", "2")) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({ONE_REPLICA})',
    )
    run(db, "INSERT INTO `p` VALUES ('1')")
    assert "filtered data" in refused(db, "INSERT INTO `p` VALUES ('2'), ('3')")

    ((_, ddl),) = run(db, "SHOW CREATE TABLE `p`")
    run(db, "DROP TABLE `p`")
    run(db, ddl)
    run(db, "INSERT INTO `p` VALUES ('2')")
    run(db, "DROP TABLE `p`")


def test_variables_that_the_version_does_not_know_are_refused(db: Connection) -> None:
    assert "Unknown system variable" in refused(db, "SET partial_update_new_key_behavior = 'APPEND'")
    run(db, "SET group_commit = 'off_mode', enable_insert_strict = true")
    run(db, "SET NAMES utf8mb4")


def test_an_aggregate_table_keeps_first_and_last(db: Connection) -> None:
    run(
        db,
        "CREATE TABLE `f` (`kol` VARCHAR(9), `user_id` VARCHAR(9), `first_seen` DATETIME MIN, `last_seen` DATETIME MAX)"
        " AGGREGATE KEY(`kol`, `user_id`) DISTRIBUTED BY HASH(`kol`) BUCKETS AUTO"
        f" PROPERTIES ({ONE_REPLICA})",
    )
    for day in ("2024-01-02", "2024-01-03", "2024-01-01"):
        run(db, "INSERT INTO `f` VALUES ('a', '1', %s, %s), (NULL, '1', %s, NULL)", day, day, day)

    rows = run(db, "SELECT `kol`, `first_seen`, MAX(`last_seen`) FROM `f` GROUP BY `kol`, `first_seen` ORDER BY `kol`")
    assert rows == [(None, datetime(2024, 1, 1), None), ("a", datetime(2024, 1, 1), datetime(2024, 1, 3))]  # noqa: DTZ001
    run(db, "DROP TABLE `f`")


def test_a_duplicate_table_collects_duplicates(db: Connection) -> None:
    run(db, f"CREATE TABLE `d` (`id` INT) DUPLICATE KEY(`id`) PROPERTIES ({ONE_REPLICA})")
    run(db, "INSERT INTO `d` VALUES (1), (1)")

    assert run(db, "SELECT COUNT(*) FROM `d`") == [(2,)]
    run(db, "DROP TABLE `d`")


@pytest.mark.parametrize(
    ("ddl", "text"),
    [
        ("(`id` INT) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1", "replication num is 3, available backend"),
        ("(`id` STRING) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1", "String Type should not be used in key"),
        ("(`a` INT, `id` INT) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1", "ordered prefix of the schema"),
        ("(`id` INT, `a` INT) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`a`) BUCKETS 1", "is not key column"),
        ("(`id` VARCHAR(65534)) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1", "must be <= 65533"),
        ("(`id` INT) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) PROPERTIES ('x' = '1')", "Unknown properties: {x=1}"),
    ],
)
def test_a_table_that_doris_would_not_create(db: Connection, ddl: str, text: str) -> None:
    assert text in refused(db, f"CREATE TABLE `u` {ddl}")


def test_show_create_table(db: Connection) -> None:
    ((name, ddl),) = run(db, "SHOW CREATE TABLE `kol`.`t`")

    assert name == "t"
    assert ddl.startswith("CREATE TABLE `t` (\n  `id` varchar(8) NOT NULL,\n  `name` varchar(6) NULL,\n")
    assert ") ENGINE=OLAP\nUNIQUE KEY(`id`)\nDISTRIBUTED BY HASH(`id`) BUCKETS AUTO\nPROPERTIES (\n" in ddl
    assert '"enable_unique_key_merge_on_write" = "true"' in ddl


def test_information_schema(db: Connection) -> None:
    columns = run(
        db,
        "SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`, `column_key` "
        "FROM `information_schema`.`columns` WHERE `table_schema` = %s AND `table_name` = %s ORDER BY ordinal_position",
        "kol",
        "t",
    )
    assert columns[:2] == [("id", "varchar", 8, "NO", "UNI"), ("name", "varchar", 6, "YES", "")]


def test_a_column_added_later(db: Connection) -> None:
    insert(db, ("1", "a"))
    run(db, "ALTER TABLE `t` ADD COLUMN `more` BIGINT NULL DEFAULT '5'")

    assert run(db, "SELECT `more` FROM `t`") == [(5,)]


def test_a_column_dropped_or_renamed(db: Connection) -> None:
    insert(db, ("1", "a"))
    run(db, "ALTER TABLE `t` DROP COLUMN `name`")
    assert "Unknown column 'name'" in refused(db, "SELECT `name` FROM `t`")
    assert "Can not drop key column" in refused(db, "ALTER TABLE `t` DROP COLUMN `id`")

    run(db, "ALTER TABLE `t` RENAME COLUMN `id` `key`")
    run(db, "INSERT INTO `t` (`key`, `theirs`) VALUES ('1', 5)")
    assert run(db, "SELECT `key`, `theirs` FROM `t`") == [("1", 5)]
    ((_, ddl),) = run(db, "SHOW CREATE TABLE `t`")
    assert "UNIQUE KEY(`key`)\nDISTRIBUTED BY HASH(`key`)" in ddl


def test_rows_are_deleted_by_a_condition_and_all_by_truncate(db: Connection) -> None:
    insert(db, ("1", "a"), ("2", "b"), ("3", "c"))
    run(db, "DELETE FROM `t` WHERE `id` = '2'")
    assert "delete all rows is forbidden" in refused(db, "DELETE FROM `t`")
    assert run(db, "SELECT `id` FROM `t` ORDER BY `id`") == [("1",), ("3",)]
    run(db, "TRUNCATE TABLE `t`")
    assert run(db, "SELECT `id` FROM `t`") == []


def test_pages_by_key_and_joins(db: Connection) -> None:
    insert(db, *[(str(number), "x") for number in range(1, 8)])

    assert run(db, "SELECT `id` FROM `t` WHERE `id` > %s ORDER BY `id` LIMIT 2", "3") == [("4",), ("5",)]
    assert run(db, "SELECT `id` FROM `t` WHERE `id` IN (%s, %s) ORDER BY `id`", "2", "9") == [("2",)]
    joined = "SELECT COUNT(*) FROM `t` a JOIN `t` b ON a.`id` = b.`id` WHERE a.`name` LIKE 'x%%'"
    assert run(db, joined.replace("%%", "%")) == [(7,)]
    grouped = "SELECT `name`, MIN(`id`), MAX(`id`) FROM `t` GROUP BY `name` HAVING COUNT(*) > 1"
    assert run(db, grouped) == [("x", "1", "7")]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault.TOO_MANY_VERSION, "E-235"),
        (Fault.TOO_MANY_SEGMENTS, "E-238"),
        (Fault.TXN_LIMIT, "larger than limit"),
        (Fault.MEM_LIMIT, "MEM_LIMIT"),
        (Fault.NO_BACKEND, "not alive"),
        (Fault.SCHEMA_CHANGE, "blocked on schema change"),
        (Fault.TIMEOUT, "timeout"),
    ],
)
def test_a_fault_is_refused_and_then_over(db: Connection, doris: DorisDouble, fault: Fault, text: str) -> None:
    doris.fail_next(fault)

    with pytest.raises(pymysql.err.OperationalError, match=text):
        insert(db, ("1", "a"))
    assert doris.count("t") == 0
    assert insert(db, ("1", "a")).affected_rows == 1


@pytest.mark.parametrize(("fault", "rows"), [("drop_before", 0), ("drop_after", 1)])
def test_a_connection_dropped_before_or_after_the_commit(
    db: Connection, doris: DorisDouble, fault: str, rows: int
) -> None:
    doris.fail_next(fault)

    with pytest.raises((pymysql.err.OperationalError, ConnectionError)):
        insert(db, ("1", "a"))
    assert doris.count("t") == rows


def test_committed_is_not_visible_yet(db: Connection, doris: DorisDouble) -> None:
    doris.fail_next("committed", after=1)

    insert(db, ("1", "a"))  # spared
    assert b"'status':'COMMITTED'" in insert(db, ("2", "b")).message
    assert doris.faults_left == 0


def test_held_loads_wait_and_queries_do_not(db: Connection, doris: DorisDouble) -> None:
    with closing(connect(doris)) as other, ThreadPoolExecutor(1) as threads:
        with doris.holding():
            waiting = threads.submit(insert, other, ("1", "a"))
            assert not wait([waiting], timeout=0.3).done
            assert run(db, "SELECT `id` FROM `t`") == []
        waiting.result(60)
    assert run(db, "SELECT `id` FROM `t`") == [("1",)]


def test_killed_sessions_are_gone_and_new_ones_come(db: Connection, doris: DorisDouble) -> None:
    doris.kill_sessions()
    with pytest.raises(pymysql.err.OperationalError):
        run(db, "SELECT 1")
    with closing(connect(doris)) as another:
        assert run(another, "SELECT 1") == [(1,)]


def test_who_may_what(doris: DorisDouble) -> None:
    doris.create_user("reader", "", read_only=True)
    doris.create_user("stranger", "x", tables=["elsewhere.t"])
    doris.create_user("loader", "", tables=["kol.t"])
    with closing(connect(doris)) as db:
        run(db, f"CREATE TABLE `u` (`id` INT) DUPLICATE KEY(`id`) PROPERTIES ({ONE_REPLICA})")

    with closing(connect(doris, "reader", "")) as db:
        assert run(db, "SELECT * FROM `t`") == []
        assert "denied" in refused(db, "INSERT INTO `t` (`id`) VALUES ('1')")
        assert refused(db, "DROP TABLE `t`").startswith("1227")
    with closing(connect(doris, "loader", "")) as db:
        insert(db, ("1", "a"))
        assert "LOAD command denied" in refused(db, "INSERT INTO `u` (`id`) VALUES ('1')")
    for user, password, database, code in (
        ("kol", "wrong", "kol", 1045),
        ("nobody", "", "kol", 1045),
        ("stranger", "x", "kol", 1044),
        ("reader", "", "nowhere", 1049),
    ):
        with pytest.raises(pymysql.err.OperationalError) as caught:
            connect(doris, user, password, database)
        assert caught.value.args[0] == code
    with closing(connect(doris)) as db:
        run(db, "DROP TABLE `u`")


def test_stopped_and_started_again_it_keeps_port_and_rows(db: Connection, doris: DorisDouble) -> None:
    insert(db, ("1", "a"))

    doris.stop()
    with pytest.raises((pymysql.err.OperationalError, ConnectionError)):
        run(db, "SELECT 1")
    with pytest.raises(pymysql.err.OperationalError):
        connect(doris)
    doris.start()

    with closing(connect(doris)) as again:
        assert run(again, "SELECT `id` FROM `t`") == [("1",)]


def test_the_log_and_the_rows_behind(db: Connection, doris: DorisDouble) -> None:
    insert(db, ("1", "a"))

    assert [statement.text for statement in doris.statements][-1].startswith("INSERT INTO `t`")
    assert doris.query('SELECT "name" FROM "kol"."t" WHERE "id" = ?', "1") == [("a",)]
    assert doris.violations == []


def test_a_thousand_rows_in_one_insert(db: Connection, doris: DorisDouble) -> None:
    insert(
        db, *[(str(number), "x'\\汉", None, number) for number in range(1000)], columns="`id`,`name`,`at`,`following`"
    )

    assert doris.count("t") == 1000
