"""What the Doris dialect promises, against the double: a double, so a test that passes here should on a real one."""

from __future__ import annotations

import re
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from kolspider.db import resilient as upserting
from kolspider.db.base import Database, DbErrorKind
from kolspider.db.check import check_follows, check_source, check_target
from kolspider.db.doris import database as dialect
from kolspider.db.doris.database import DorisDatabase
from kolspider.db.doris.http import Address
from kolspider.db.follow_tables import SPAN_FOLLOWS
from kolspider.db.resilient import Upserter
from kolspider.db.url import open_database
from kolspider.errors import StopRun, WrongUsage
from kolspider.load.fitting import Fitter
from tests.db.conftest import row
from tests.db.test_initdb import initdb, one_line
from tests.doris_double import PASSWORD, DorisDouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Open = Callable[..., DorisDatabase]

VERSIONS = ("2.1.7", "3.0.5", "3.1.4")
WAYS = ("insert", "stream_load")
OURS = (
    "`id` VARCHAR(32) NOT NULL, `name` VARCHAR(1024) NULL, `user_name` VARCHAR(128) NULL, `avatar` VARCHAR(2048) NULL, "
    "`description` STRING NULL, `created_at` VARCHAR(64) NULL, `created_at_time` DATETIME NULL, "
    "`followers` BIGINT NULL, `following` BIGINT NULL, `statuses_count` BIGINT NULL"
)
ONE = '"replication_allocation" = "tag.location.default: 1"'


@pytest.fixture(scope="session")
def doubles() -> Iterator[dict[str, DorisDouble]]:
    with ExitStack() as stack:
        found = {version: stack.enter_context(DorisDouble(version)) for version in VERSIONS}
        yield found | {"cloud": stack.enter_context(DorisDouble("3.0.5", cloud=True))}


@pytest.fixture(params=["3.0.5"])
def double(doubles: dict[str, DorisDouble], request: pytest.FixtureRequest) -> Iterator[DorisDouble]:
    """Empty; of another version with @versions."""
    found = doubles[request.param]
    found.clear_faults()
    found.clear_logs()
    yield found
    with_tables = open_database(found.url(), base=Path("/"))
    assert isinstance(with_tables, DorisDatabase)
    for (name,) in with_tables._select("SHOW TABLES"):
        with_tables._execute(f"DROP TABLE `{name}`")
    with_tables.close()
    assert found.violations == []


versions = pytest.mark.parametrize("double", VERSIONS, indirect=True)
apart = pytest.mark.parametrize("double", ["3.0.5", "cloud"], indirect=True)
ways = pytest.mark.parametrize("way", WAYS)


def http(double: DorisDouble) -> Address:
    return Address("127.0.0.1", int(double.http.rpartition(":")[2]))


@pytest.fixture
def opened(double: DorisDouble) -> Iterator[Open]:
    """opened(way, user): a database of this double."""
    found: list[Database] = []

    def make(way: str = "insert", user: str = "kol") -> DorisDatabase:
        db = open_database(
            double.url(user=user), base=Path("/"), stream_load=http(double) if way == "stream_load" else None
        )
        assert isinstance(db, DorisDatabase)
        db.spread(replicas=1, buckets=None)
        found.append(db)
        return db

    yield make
    for db in found:
        db.close()


def upserter(db: Database, table: str = "t") -> tuple[Upserter, list[str]]:
    """With the database's retries."""
    retries: list[str] = []
    described = db.describe(table)
    assert described
    return Upserter(
        db, described, retry_secs=30, give_up=threading.Event(), on_retry=lambda: retries.append("")
    ), retries


# --- writing ----------------------------------------------------------------------------------------------------


@ways
def test_a_batch_is_one_load_and_doris_is_quoted_on_it(opened: Open, double: DorisDouble, way: str) -> None:
    db = opened(way)
    db.create_tables("k", "t")
    ugly = "it's 5% \\ %s\n\t\0\x1a\u2028 中文 😀 \" `"

    receipt = db.upsert("t", [row("1", name=ugly), row("2", name=None, followers=None), row("1", name="later")])

    assert double.query("SELECT id, name, followers, created_at_time FROM kol.t ORDER BY id") == [
        ("1", "later", 3, "2007-12-13 08:41:26"),
        ("2", None, None, "2007-12-13 08:41:26"),
    ]
    (load,) = double.loads
    assert receipt.startswith(f"2 rows, {load.bytes} bytes, label {load.label}, txnId {load.txn_id}, ")
    db.upsert("t", [row("1", name=ugly)])
    assert double.query("SELECT name FROM kol.t WHERE id = '1'") == [(ugly,)]
    assert db.upsert("t", []) == ""


def test_a_batch_larger_than_pymysql_sends_at_once_is_still_one_insert(opened: Open, double: DorisDouble) -> None:
    db = opened()
    db.create_tables("k", "t")

    db.upsert("t", [row(str(number), description="x" * 2000) for number in range(1000)])

    assert [load.rows for load in double.loads] == [1000]
    assert double.loads[0].bytes > 2_000_000


def test_a_batch_past_the_bound_in_rows_is_several_inserts(
    opened: Open, double: DorisDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "INSERT_ROWS", 4)
    db = opened()
    db.create_tables("k", "t")

    db.upsert("t", [row(str(number)) for number in range(9)])

    assert [load.rows for load in double.loads] == [4, 4, 1]
    assert double.count("t") == 9


def test_a_batch_past_the_bound_in_bytes_is_several_inserts(
    opened: Open, double: DorisDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "INSERT_BYTES", 100_000)
    db = opened()
    db.create_tables("k", "t")

    db.upsert("t", [row(str(number), description="'" * 20_000) for number in range(10)])  # each escaped: 40 KB

    assert [load.rows for load in double.loads] == [2] * 5
    assert double.count("t") == 10


@ways
def test_a_batch_is_a_load_of_its_own_whatever_the_table_says(opened: Open, double: DorisDouble, way: str) -> None:
    db = opened(way)
    db._execute(
        f"CREATE TABLE `t` ({OURS}) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 "
        f'PROPERTIES ({ONE}, "group_commit_mode" = "async_mode")'
    )

    receipt = db.upsert("t", [row("1")])

    (load,) = double.loads
    assert load.label in receipt


@ways
@versions
def test_columns_that_are_not_ours_keep_their_values(opened: Open, double: DorisDouble, way: str) -> None:
    db = opened(way)
    db.create_tables("k", "t")
    db._execute("ALTER TABLE `t` ADD COLUMN `note` VARCHAR(20) NULL, ADD COLUMN `score` INT NOT NULL DEFAULT '7'")
    db._execute(
        "INSERT INTO `t` (`id`, `name`, `note`, `score`) VALUES ('1', 'old', 'theirs', 42), ('9', 'x', 'stays', 1)"
    )
    check_target(db, "t")

    db.upsert("t", [row("1", name="Hal", followers=None), row("2")])
    db.upsert("t", [row("1", name="Finney"), row("2", name=None), row("3")])

    assert double.query("SELECT id, name, followers, note, score FROM kol.t ORDER BY id") == [
        ("1", "Finney", 3, "theirs", 42),
        ("2", None, 3, None, 7),
        ("3", "Satoshi", 3, None, 7),
        ("9", "x", None, "stays", 1),
    ]


@ways
def test_a_column_that_is_added_between_two_batches_keeps_its_values(
    opened: Open, double: DorisDouble, way: str
) -> None:
    db = opened(way)
    db.create_tables("k", "t")
    db.upsert("t", [row("1")])
    db._execute("ALTER TABLE `t` ADD COLUMN `note` VARCHAR(20) NULL")
    db._execute("UPDATE `t` SET `note` = 'theirs' WHERE `id` = '1'")

    db.upsert("t", [row("1", name="Hal")])

    assert double.query("SELECT name, note FROM kol.t") == [("Hal", "theirs")]


def test_a_table_that_becomes_unfit_is_not_written_to(opened: Open, double: DorisDouble) -> None:
    db = opened()
    db.create_tables("k", "t")
    db._execute("DROP TABLE `t`")
    db._execute(f"CREATE TABLE `t` ({OURS}) DUPLICATE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({ONE})")
    work, _ = upserter(db)

    with pytest.raises(StopRun, match="model is not UNIQUE KEY"):
        work.upsert([row("1")])
    assert double.count("t") == 0


# --- what goes wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "fault", "loads", "retries"),
    [
        *((way, fault, 1, 1) for way in WAYS for fault in ("too_many_version", "txn_limit", "mem_limit", "no_backend")),
        *((way, fault, 1, 1) for way in WAYS for fault in ("schema_change", "timeout", "drop_before")),
        *((way, "committed", 1, 0) for way in WAYS),
        *((way, "too_many_segments", 2, 0) for way in WAYS),
        *((way, "drop_after", 1, 1) for way in WAYS),  # asked by its label
        ("stream_load", "label_running", 1, 1),
        ("stream_load", "be_unreachable", 1, 1),
        ("stream_load", "fail", 3, 0),
    ],
)
def test_a_fault_is_waited_for_halved_or_no_fault_at_all(
    opened: Open, double: DorisDouble, way: str, fault: str, loads: int, retries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = opened(way)
    db.create_tables("k", "t")
    work, retried = upserter(db)
    monkeypatch.setattr(work._give_up, "wait", lambda _: None)
    double.fail_next(fault)

    assert work.upsert([row(str(number)) for number in range(8)]) == []

    assert double.faults_left == 0
    assert (len(double.loads), len(retried)) == (loads, retries)
    assert double.query("SELECT COUNT(*), COUNT(DISTINCT id) FROM kol.t") == [(8, 8)]


def patient(work: Upserter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits between two attempts."""
    monkeypatch.setattr(work._give_up, "wait", lambda _: time.sleep(0.02))


@ways
@apart
@pytest.mark.parametrize(("fault", "statuses"), [("late", ["VISIBLE"]), ("late_abort", ["ABORTED", "VISIBLE"])])
def test_a_load_that_runs_on_after_its_connection_broke_comes_before_the_next_one(
    opened: Open, double: DorisDouble, way: str, fault: str, statuses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened().create_tables("k", "t")
    double.create_user("loader", PASSWORD, tables=["kol.k", "kol.t"])  # the GRANTs of docs/doris.md are enough
    db = opened(way, "loader")
    work, retried = upserter(db)
    patient(work, monkeypatch)
    double.fail_next(fault, seconds=0.2)

    work.upsert([row("1", name="first")])
    assert double.loads_running == 0
    assert retried
    receipts = work.receipts
    work.upsert([row("1", name="second")])

    assert double.query("SELECT name FROM kol.t") == [("second",)]
    assert [load.status for load in double.loads] == [*statuses, "VISIBLE"]
    assert len({load.label for load in double.loads}) == 2
    assert double.loads[0].label in receipts[-1]
    if fault == "late" and way == "insert":
        assert receipts[-1].endswith(", VISIBLE by an earlier attempt")
    assert max(load.timeout for load in double.loads) <= db.answer_secs  # else it could run on for longer


@ways
def test_it_comes_before_another_one_that_its_repetition_would_be_too(
    opened: Open, double: DorisDouble, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 3.1 new and known ids are loads of their own, and by the next attempt the new ones are known."""
    db = opened(way)
    db.create_tables("k", "t")
    db._execute("ALTER TABLE `t` ADD COLUMN `note` VARCHAR(20) NULL")
    db._execute("INSERT INTO `t` (`id`, `note`) VALUES ('1', 'theirs')")
    double.clear_logs()
    work, _ = upserter(db)
    patient(work, monkeypatch)
    double.fail_next("late", after=1, seconds=0.2)

    work.upsert([row("1", name="first"), row("2", name="first")])
    assert double.loads_running == 0
    work.upsert([row("1", name="second"), row("2", name="second")])

    assert double.query("SELECT name, note FROM kol.t ORDER BY id") == [("second", "theirs"), ("second", None)]
    assert [(load.path, load.rows) for load in double.loads] == [
        ("plain", 1),
        ("partial", 1),
        ("partial", 2),
        ("partial", 2),
    ]


def test_what_a_repetition_refuses_is_looked_for_in_the_batch_and_nowhere_else(
    opened: Open, double: DorisDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = opened()
    db.create_tables("k", "t")
    work, _ = upserter(db)
    patient(work, monkeypatch)
    double.fail_next("drop_before")
    bad = row("7", user_name="中" * 43)  # 129 bytes

    refused = work.upsert([row("1"), bad])
    assert work.upsert([row("2"), row("3")]) == []

    assert [user for user, _ in refused] == [bad]
    assert double.count("t") == 3


@ways
@apart
def test_a_load_that_may_still_be_committed_is_waited_for_and_then_stops_the_run(
    opened: Open, double: DorisDouble, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In cloud mode its label stays taken for about an hour when the FE has died."""
    db = opened(way)
    db.create_tables("k", "t")
    work, retried = upserter(db)
    work._retry_secs = 10  # an INSERT gets the time until it must be over
    began = now = 1000.0

    def wait(_: float) -> None:
        nonlocal now
        now += 5

    for module in (dialect, upserting):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(work._give_up, "wait", wait)
    double.fail_next("left", seconds=0)

    with pytest.raises(StopRun, match=r"the first attempt under this label is (PREPARE|RUNNING)"):
        work.upsert([row("1", name="first")])

    assert retried
    assert now > began + (dialect.CERTAIN_SECS if way == "insert" else 5)
    assert [load.status for load in double.loads] == ["PREPARE"]
    assert work.receipts == []


def test_a_label_whose_state_is_not_said_is_no_success(
    opened: Open, double: DorisDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = opened()
    db.create_tables("k", "t")
    monkeypatch.setattr(
        "tests.doris_double.loads.Load.taken", lambda load, **_: f"Label [{load.label}] has already been used"
    )
    double.fail_next("drop_after")
    with pytest.raises(db.errors):
        db.upsert("t", [row("1")])

    db.close()
    with pytest.raises(db.errors, match="the first attempt under this label is UNKNOWN") as caught:
        db.upsert("t", [row("1")])
    assert db.error_kind(caught.value) is DbErrorKind.LOST


@pytest.mark.parametrize(("double", "cuts"), [("2.1.7", True), ("3.0.5", True), ("3.1.4", False)], indirect=["double"])
def test_doris_is_forbidden_to_cut_texts_where_a_version_can_be(opened: Open, double: DorisDouble, cuts: bool) -> None:
    """Without a word, it would make one account of two ids; what runs send is cut to fit before (load/fitting.py)."""
    db = opened()
    db.create_tables("k", "t")
    for _ in range(2):
        if cuts:
            db.upsert("t", [row("1", user_name="x" * 129)])
            assert double.query("SELECT user_name FROM kol.t") == [("x" * 128,)]
        else:
            with pytest.raises(db.errors, match="filtered data"):
                db.upsert("t", [row("1", user_name="x" * 129)])
            assert double.count("t") == 0
        db.close()  # a new connection is told again


@ways
@versions
def test_texts_and_ids_that_are_fitted_go_in_as_they_are(opened: Open, double: DorisDouble, way: str) -> None:
    db = opened(way)
    db.create_tables("k", "t")
    fitter = Fitter(check_target(db, "t").columns)
    rows = [row("1" * 20, name="😀" * 300), row("1" * 21, name="x" * 1025, user_name="中" * 43)]

    db.upsert("t", fitter.fit(rows))

    assert double.query("SELECT id, name, user_name FROM kol.t ORDER BY id") == [
        ("1" * 20, "😀" * 256, rows[0].user_name),
        ("1" * 21, "x" * 1024, "中" * 42),
    ]
    assert fitter.clipped == {"name": 2, "user_name": 1}


@ways
@versions
def test_a_row_that_is_refused_is_found_and_the_rest_goes_in(opened: Open, double: DorisDouble, way: str) -> None:
    db = opened(way)
    db.create_tables("k", "t")
    work, _ = upserter(db)
    rows = [row(str(number)) for number in range(40)]
    rows[7] = row("7", user_name="中" * 43)  # 129 bytes
    rows[31] = row("31", name="中" * 342)  # 1026 bytes

    refused = work.upsert(rows)

    assert {bad.id for bad, _ in refused} == {"7", "31"}
    assert all(reason for _, reason in refused)
    assert double.query("SELECT COUNT(*) FROM kol.t") == [(38,)]
    if way == "stream_load":
        assert "column_name[user_name], the length of input is too long" in dict(refused)[rows[7]]


@ways
def test_a_user_who_may_only_read_is_found_at_the_start(opened: Open, double: DorisDouble, way: str) -> None:
    opened().create_tables("k", "t")
    double.create_user("reader", "pw", read_only=True)
    db = opened(way, "reader")

    with pytest.raises(db.errors) as caught:
        check_target(db, "t")

    assert db.error_kind(caught.value) is DbErrorKind.FATAL
    assert "denied" in db.explain(caught.value)
    assert double.loads == []


def test_the_check_at_the_start_writes_nothing(opened: Open, double: DorisDouble) -> None:
    db = opened("stream_load")
    db.create_tables("k", "t")
    check_target(db, "t")
    assert double.loads == []


@versions
def test_a_table_that_takes_no_partial_update_is_found_at_the_start(opened: Open, double: DorisDouble) -> None:
    db = opened()
    db.create_tables("k", "t")
    db._execute("CREATE MATERIALIZED VIEW `mv` AS SELECT `id`, `followers` FROM `t`")
    check_target(db, "t")  # rows are written whole
    db._execute("ALTER TABLE `t` ADD COLUMN `note` VARCHAR(20) NULL")

    with pytest.raises(db.errors, match="sync materialized view") as caught:
        check_target(db, "t")

    assert db.error_kind(caught.value) is DbErrorKind.FATAL
    assert double.loads == []


def test_a_back_end_out_of_reach_is_found_at_the_start(opened: Open, double: DorisDouble) -> None:
    db = opened("stream_load")
    db.create_tables("k", "t")
    double.fail_next("be_unreachable")

    with pytest.raises(db.errors, match="Connection refused"):
        check_target(db, "t")


# --- a table that will not do -----------------------------------------------------------------------------------


def told(db: DorisDatabase, table: str = "t") -> str:
    with pytest.raises(StopRun) as caught:
        check_target(db, table)
    message = str(caught.value)
    assert PASSWORD not in message
    return message


def run_ddl(db: DorisDatabase, message: str) -> None:
    """The statements that the message says to run."""
    for statement in re.split(r" with: ", message, maxsplit=1)[1].split("; "):
        db._execute(statement)


@pytest.mark.parametrize("model", ["DUPLICATE KEY(`id`)", "UNIQUE KEY(`id`, `name`)", "DUPLICATE KEY(`id`, `name`)"])
def test_the_ddl_mends_a_table_of_another_model_or_key(opened: Open, double: DorisDouble, model: str) -> None:
    db = opened()
    db.spread(replicas=None, buckets=None)  # on a single node the DDL takes the number of replicas from the table
    db._execute(f"CREATE TABLE `t` ({OURS}) {model} DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({ONE})")
    db._execute("INSERT INTO `t` (`id`, `name`) VALUES ('1', 'x')")

    message = told(db)
    assert "no unique key on `id` alone" in message
    run_ddl(db, message)

    check_target(db, "t")
    db.upsert("t", [row("1"), row("1")])
    assert (double.count("t"), double.count("t_old")) == (1, 1)


def test_the_ddl_mends_a_table_with_more_columns_and_without_merge_on_write(opened: Open, double: DorisDouble) -> None:
    db = opened()
    mow = '"enable_unique_key_merge_on_write" = "false"'
    db._execute(
        f"CREATE TABLE `t` ({OURS}, `note` VARCHAR(9) NULL DEFAULT \"it's\" COMMENT 'a note') UNIQUE KEY(`id`) "
        f"DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({mow}, {ONE})"
    )
    db._execute("INSERT INTO `t` (`id`, `name`, `note`) VALUES ('1', 'x', 'theirs')")

    message = told(db)
    assert "its columns note are not ours" in message
    run_ddl(db, message)

    check_target(db, "t")
    db.upsert("t", [row("1"), row("2")])
    assert double.query("SELECT id, name, note FROM kol.t ORDER BY id") == [
        ("1", "Satoshi", "theirs"),
        ("2", "Satoshi", "it's"),
    ]


def test_without_merge_on_write_our_own_columns_will_do(opened: Open, double: DorisDouble) -> None:
    db = opened()
    mow = '"enable_unique_key_merge_on_write" = "false"'
    db._execute(
        f"CREATE TABLE `t` ({OURS}) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({mow}, {ONE})"
    )
    check_target(db, "t")
    db.upsert("t", [row("1")])
    assert double.count("t") == 1


def test_the_ddl_for_missing_columns_mends_the_table(opened: Open, double: DorisDouble) -> None:
    db = opened()
    some = OURS.replace(", `following` BIGINT NULL", "").replace(", `avatar` VARCHAR(2048) NULL", "")
    db._execute(f"CREATE TABLE `t` ({some}) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({ONE})")

    message = told(db)
    assert "table t lacks avatar, following; add with: ALTER TABLE `t` ADD COLUMN `avatar` VARCHAR(2048)" in message
    run_ddl(db, message)

    check_target(db, "t")
    db.upsert("t", [row("1")])
    assert double.query("SELECT following FROM kol.t") == [(2,)]


def test_the_ddl_for_unfit_columns_mends_the_table_and_keeps_their_values(opened: Open, double: DorisDouble) -> None:
    db = opened()
    unfit = OURS.replace("`created_at_time` DATETIME", "`created_at_time` BIGINT").replace(
        "`user_name` VARCHAR(128) NULL", "`user_name` VARCHAR(128) NOT NULL"
    )
    db._execute(f"CREATE TABLE `t` ({unfit}) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({ONE})")
    db._execute("INSERT INTO `t` (`id`, `user_name`, `created_at_time`) VALUES ('1', 'x', 7)")

    message = told(db)
    assert "table t can't hold what is sent" in message
    run_ddl(db, message.partition("; or set KOL_TARGET_TABLE")[0])

    check_target(db, "t")
    db.upsert("t", [row("1", user_name=None)])
    assert double.query("SELECT user_name, created_at_time_old FROM kol.t") == [(None, 7)]


def test_a_missing_table_asks_for_initdb(opened: Open, double: DorisDouble) -> None:
    assert "there is no table t: run `scrapy initdb`" in told(opened())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("", "", ""),
        ("`kol_user_name` VARCHAR(128)", "`kol_user_name` VARCHAR(49)", "can't hold handles of up to 50 characters"),
        ("`user_id` VARCHAR(32)", "`user_id` VARCHAR(19)", "can't hold ids of up to 20 digits as text"),
        ("`user_id` VARCHAR(32)", "`user_id` LARGEINT", "can't hold ids of up to 20 digits as text"),
        ("DATETIME MAX", "DATETIME MIN", "its column last_seen is not aggregated by MAX"),
        (
            "AGGREGATE KEY(`kol_user_name`, `user_id`)",
            "DUPLICATE KEY(`kol_user_name`, `user_id`)",
            "its model is not AGGREGATE KEY(`kol_user_name`, `user_id`)",
        ),
    ],
)
def test_a_follows_table_that_would_merge_or_lose_follows_is_refused(
    opened: Open, double: DorisDouble, old: str, new: str, reason: str
) -> None:
    db = opened()
    db.create_tables("k", "t", "f")
    db._execute("DROP TABLE `f`")
    (ddl,) = db.span_ddls("f", SPAN_FOLLOWS)
    ddl = ddl.replace(old, new)
    if "DUPLICATE" in new:
        ddl = re.sub("DATETIME (MIN|MAX)", "DATETIME", ddl)
    db._execute(ddl)

    if not reason:
        check_follows(db, "f")
        return
    db.spread(replicas=None, buckets=None)  # as in a run: the DDL takes the number of replicas from the table
    with pytest.raises(StopRun, match="table f can't hold who follows whom") as refusal:
        check_follows(db, "f")
    assert reason in str(refusal.value)
    assert ONE in str(refusal.value)


def test_columns_hold_bytes_and_their_range_of_integers(opened: Open, double: DorisDouble) -> None:
    db = opened()
    db._execute(
        f"CREATE TABLE `t` ({OURS.replace('`following` BIGINT', '`following` INT')}) UNIQUE KEY(`id`) "
        f"DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({ONE})"
    )

    table = check_target(db, "kol.t")

    assert (table.columns["name"].max_bytes, table.columns["name"].max_chars) == (1024, None)
    assert table.columns["description"].max_bytes == 1_048_576
    assert table.columns["following"].int_max == 2**31 - 1
    assert table.columns["followers"].int_min == -(2**63)


# --- reading KOLs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ddl", "values", "handles"),
    [
        (
            "CREATE TABLE `k` (`id` BIGINT NULL, `user_name` VARCHAR(30) NULL) DUPLICATE KEY(`id`)",
            [(5, "e"), (1, "a"), (None, "n"), (2, "b"), (2, "c"), (2, None), (2, "d"), (2, "c"), (7, "g"), (None, "")],
            [{"n", ""}, "a", {"b", "c", None, "d"}, "e", "g"],
        ),
        (
            "CREATE TABLE `k` (`ID` VARCHAR(9) NOT NULL, `user_name` VARCHAR(30) NULL) UNIQUE KEY(`ID`)",
            [(str(number), f"u{number}") for number in range(9)],
            [f"u{number}" for number in range(9)],
        ),
        (
            "CREATE TABLE `k` (`user_name` VARCHAR(30) NULL, `id` LARGEINT NULL) DUPLICATE KEY(`user_name`)",
            [(f"u{number}", 200 - number) for number in range(9)],
            [f"u{8 - number}" for number in range(9)],
        ),
        (
            "CREATE TABLE `k` (`user_name` VARCHAR(30) NULL) DUPLICATE KEY(`user_name`)",
            [("b",), ("B",), (None,), ("a",), ("b",), ("b",), ("b",), ("中",), ("%s'",)],
            [None, "%s'", "B", "a", {"b"}, "中"],
        ),
    ],
)
def test_handles_come_in_pages_whatever_the_key(
    opened: Open,
    double: DorisDouble,
    monkeypatch: pytest.MonkeyPatch,
    ddl: str,
    values: list[tuple[object, ...]],
    handles: list[object],
) -> None:
    monkeypatch.setattr(dialect, "PAGE_ROWS", 3)
    db = opened()
    key = "user_name" if "KEY(`user_name`)" in ddl else "id"
    db._execute(f"{ddl} DISTRIBUTED BY HASH(`{key}`) BUCKETS 1 PROPERTIES ({ONE})")
    for one in values:
        db._select(f"INSERT INTO `k` VALUES ({', '.join(['%s'] * len(one))})", one)
    check_source(db, "k")

    found = list(db.handles("k"))

    assert len(found) == len(values)
    for expected in handles:
        if isinstance(expected, set):
            while found and found[0] in expected:
                found.pop(0)
        else:
            assert found.pop(0) == expected
    assert found == []


def test_handles_left_midway_leave_the_connection_usable(opened: Open, double: DorisDouble) -> None:
    db = opened()
    db.create_tables("k", "t")
    db.insert_handles("k", [f"kol{number:05}" for number in range(3000)])
    handles = db.handles("k")
    assert next(handles) == "kol00000"
    handles.close()  # type: ignore[attr-defined]
    assert db.count("k") == 3000


# --- initdb -----------------------------------------------------------------------------------------------------


def test_initdb_on_a_single_node(double: DorisDouble, tmp_path: Path) -> None:
    refused = one_line(initdb(tmp_path, double.url()), 1)
    assert "on a single node: scrapy initdb --replicas 1" in refused

    run = initdb(tmp_path, double.url(), "--replicas", "1", "--buckets", "4", "--sample")

    assert "twitter_kol_all: created" in run.expect(0).out
    created = [text.text for text in double.statements if text.text.startswith("CREATE TABLE")][-1]
    assert "BUCKETS 4" in created
    assert "tag.location.default: 1" in created


@pytest.mark.parametrize("value", ["0", "-1", "x", "10000", ""])
def test_a_wrong_number_of_replicas_is_wrong_usage(value: str) -> None:
    from kolspider.commands.initdb import _number  # noqa: PLC0415

    with pytest.raises(WrongUsage, match="--replicas"):
        _number("--replicas", value)


def test_replicas_are_for_doris(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="doris://"):
        open_database("sqlite:///a.db", base=tmp_path).spread(replicas=1, buckets=None)


@versions
def test_handles_go_in_whole_or_not_at_all(opened: Open, double: DorisDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "INSERT_ROWS", 2)
    db = opened()
    db._execute(
        "CREATE TABLE `k` (`user_name` VARCHAR(5) NOT NULL) UNIQUE KEY(`user_name`) "
        f"DISTRIBUTED BY HASH(`user_name`) BUCKETS 1 PROPERTIES ({ONE})"
    )

    with pytest.raises(StopRun, match="column user_name of k holds 5 bytes, too few for kolspider"):
        db.insert_handles("k", ["a", "kolspider"])
    assert double.count("k") == 0

    assert db.insert_handles("k", ["o'nei", "b", "c"]) == 3
    assert double.query("SELECT user_name FROM kol.k ORDER BY user_name") == [("b",), ("c",), ("o'nei",)]
    assert [load.rows for load in double.loads] == [2, 1]


def test_sample_kols_do_not_replace_one_another(opened: Open, double: DorisDouble) -> None:
    db = opened()
    db._execute(
        "CREATE TABLE `k` (`id` BIGINT NULL, `user_name` VARCHAR(30) NULL) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) "
        f"BUCKETS 1 PROPERTIES ({ONE})"
    )
    with pytest.raises(StopRun, match="would replace one another"):
        db.insert_handles("k", ["a", "b"])
