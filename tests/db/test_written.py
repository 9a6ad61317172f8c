"""Written means there: rows that a database takes without an error and does not keep count as refused."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from kolspider.db.follow_tables import SPAN_FOLLOWS
from kolspider.db.resilient import Upserter
from kolspider.errors import StopRun
from kolspider.items import COLUMNS, Follow
from tests.db.conftest import row

if TYPE_CHECKING:
    from kolspider.db.base import Database
    from kolspider.items import Row
    from tests.db.conftest import Subject

ROWS = [row(id_, user_name=f"user{id_}") for id_ in ("1", "2", "3", "2000000000000000001", "2000000000000000002")]


def upserter(db: Database) -> Upserter:
    table = db.describe("t")
    assert table
    return Upserter(db, table, retry_secs=0, give_up=threading.Event(), on_retry=lambda: None)


def refused(subject: Subject, rows: list[Row]) -> dict[str, str]:
    """The ids that the database is found not to have kept, with the reasons; all others are in the table."""
    found = {one.id: reason for one, reason in upserter(subject.db).upsert(rows)}
    ids = {int(id_) for (id_,) in subject.sql("SELECT id FROM t")}
    assert all(int(one.id) in ids or one.id in found for one in rows), "every row is in the table, or refused"
    return found


def test_rows_that_are_there_are_written_however_their_ids_are_stored(subject: Subject) -> None:
    for kind in ("VARCHAR(32)", "BIGINT", "DECIMAL(20)", "VARBINARY(32)", "CHAR(30)"):
        subject.sql("DROP TABLE IF EXISTS t")
        subject.sql(f"CREATE TABLE t (id {kind} PRIMARY KEY, {_other_columns()})")
        assert refused(subject, [*ROWS, row("0042")]) == {}, kind
        assert refused(subject, [*ROWS, row("0042")]) == {}, kind  # and unchanged rows are there, too


def test_rows_that_a_type_merges_are_refused(subject: Subject) -> None:
    subject.sql(f"CREATE TABLE t (id DOUBLE PRIMARY KEY, {_other_columns()})")
    assert refused(subject, ROWS).keys() == {"2000000000000000001", "2000000000000000002"}


def test_another_unique_key_changes_no_other_accounts_row(subject: Subject) -> None:
    subject.sql(
        f"CREATE TABLE t (id VARCHAR(32) PRIMARY KEY, {_other_columns()}, slug VARCHAR(9) NOT NULL DEFAULT '' UNIQUE)"
    )
    assert refused(subject, ROWS[:1]) == {}
    with pytest.raises(StopRun, match="refuses most rows"):
        upserter(subject.db).upsert(ROWS)
    assert list(map(tuple, subject.sql("SELECT id, user_name FROM t"))) == [("1", "user1")]


def test_rows_that_a_trigger_renames_are_refused(mysql: Subject) -> None:
    mysql.sql(f"CREATE TABLE t (id VARCHAR(32) PRIMARY KEY, {_other_columns()})")
    mysql.sql("CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW SET NEW.id = IF(NEW.id = '2', '22', NEW.id)")
    assert refused(mysql, ROWS).keys() == {"2"}


@pytest.mark.parametrize(
    "trigger",
    [
        "BEFORE INSERT ON t WHEN NEW.id = '2' BEGIN SELECT RAISE(IGNORE)",
        "AFTER INSERT ON t WHEN NEW.id = '2' BEGIN DELETE FROM t WHERE id = '2'",
    ],
)
def test_rows_that_a_trigger_drops_are_refused(sqlite: Subject, trigger: str) -> None:
    sqlite.sql(f"CREATE TABLE t (id TEXT PRIMARY KEY, {_other_columns()})")
    sqlite.sql(f"CREATE TRIGGER no {trigger}; END")
    (reason,) = refused(sqlite, ROWS).values()
    assert "no error, but the row is not in t" in reason


def test_follows_that_another_unique_key_merges_are_refused(subject: Subject) -> None:
    subject.sql(f"CREATE TABLE t (id VARCHAR(32) PRIMARY KEY, {_other_columns()})")
    subject.sql(
        "CREATE TABLE f (kol_user_name VARCHAR(50), user_id VARCHAR(32), first_seen VARCHAR(19), "
        "last_seen VARCHAR(19), PRIMARY KEY (kol_user_name, user_id), UNIQUE (last_seen))"
    )
    day = "2026-11-{:02} 00:00:00".format
    rows = [Follow("btc", str(id_), day(1), day(max(id_, 3))) for id_ in range(1, 9)]
    found = upserter(subject.db).widen("f", SPAN_FOLLOWS, rows)
    assert {one[1] for one, _ in found} == {"2", "3"}


def _other_columns() -> str:
    return ", ".join(f"`{name}` TEXT" for name in COLUMNS[1:])


# --- who is to blame --------------------------------------------------------------------------------------------


@pytest.fixture
def judge(sqlite: Subject) -> Upserter:
    """An upserter into a table that refuses ids of two digits."""
    sqlite.sql(f"CREATE TABLE t (id TEXT PRIMARY KEY CHECK (length(id) <> 2), {', '.join(COLUMNS[1:])})")
    return upserter(sqlite.db)


def batch(good: int, bad: int) -> list[Row]:
    return [row(str(100 + number)) for number in range(good)] + [row(str(10 + number)) for number in range(bad)]


@pytest.mark.parametrize("batches", [[(0, 3)], [(1, 4)], [(0, 1), (1, 2)], [(500, 0), (9, 11)], [(0, 30)]])
def test_a_table_that_refuses_most_rows_stops_the_run(judge: Upserter, batches: list[tuple[int, int]]) -> None:
    *before, last = batches
    for good, bad in before:
        judge.upsert(batch(good, bad))
    with pytest.raises(StopRun, match=r"^t refuses most rows .*CHECK constraint failed.*; change the table"):
        judge.upsert(batch(*last))


@pytest.mark.parametrize("batches", [[(0, 2)], [(3, 3)], [(50, 0), (2, 9)], [(10, 10)]])
def test_a_few_wild_users_do_not(judge: Upserter, batches: list[tuple[int, int]]) -> None:
    for good, bad in batches:
        assert len(judge.upsert(batch(good, bad))) == bad


def test_rows_that_were_refused_before_do_not_either(judge: Upserter) -> None:
    assert len(judge.upsert(batch(1, 30), again=frozenset(batch(0, 30)))) == 30
    with pytest.raises(StopRun):
        judge.upsert(batch(1, 40), again=frozenset(batch(0, 30)))
