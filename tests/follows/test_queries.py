"""The queries give the accounts of the follows, whatever the types, collations and names of the tables."""

from __future__ import annotations

import pytest

from kolspider.db.check import check_follows, check_target
from kolspider.db.follow_tables import SPAN_CRAWLS, SPAN_FOLLOWS
from kolspider.follows.queries import Follows, known_ids
from tests.db.conftest import Subject, mysql, row, sqlite, subject

__all__ = ["mysql", "sqlite", "subject"]

FIRST, WHOLE, LATER = "2026-01-01 00:00:00", "2026-01-02 00:00:00", "2026-01-03 00:00:00"
NEAR = [str(2**60 + number) for number in range(4)]  # one DOUBLE


def fill(subject: Subject, target: str = "t", follows: str = "f") -> Follows:
    """Two old follows and two new ones of one KOL."""
    check_target(subject.db, target)
    check_follows(subject.db, follows)
    subject.db.upsert(target, [row(id_, name=f"N{id_}") for id_ in NEAR])
    rows = [("btc", id_, FIRST if id_ in NEAR[:2] else LATER, LATER) for id_ in NEAR]
    subject.db.widen(follows, SPAN_FOLLOWS, rows)
    subject.db.widen(f"{follows}_crawls", SPAN_CRAWLS, [("btc", WHOLE, WHOLE)])
    return Follows(subject.db, follows, target)


def check_answers(follows: Follows) -> None:
    new = [(seen.user_id, seen.name) for seen in follows.new(since=None, kol=None)]
    assert new == [(id_, f"N{id_}") for id_ in NEAR[2:]]
    assert [seen.name for seen in follows.new(since=FIRST, kol=None, limit=1)] == [f"N{NEAR[2]}"]
    assert [seen.name for seen in follows.new(since=None, kol="btc", limit=1)] == [f"N{NEAR[2]}"]
    assert [(seen.user_id, seen.name) for seen in follows.who(NEAR[3])] == [(NEAR[3], f"N{NEAR[3]}")]
    assert follows.accounts("satoshi") == [(id_, f"N{id_}") for id_ in NEAR]
    top = follows.top(least=1, new_since=None, limit=9)
    assert sorted((one.user_id, one.name) for one in top) == [(id_, f"N{id_}") for id_ in NEAR]


@pytest.mark.parametrize(
    "id_",
    [
        "VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
        "VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "VARCHAR(32) CHARACTER SET utf8mb3",
        "CHAR(32) CHARACTER SET latin1",
        "VARCHAR(32) CHARACTER SET utf16",
        "VARBINARY(32)",
        "BIGINT",
        "BIGINT UNSIGNED",
        "DECIMAL(20,0)",
    ],
)
def test_each_follow_finds_its_account_by_the_key(mysql: Subject, id_: str) -> None:
    mysql.db.create_tables("s", "t", "f")
    mysql.sql(f"ALTER TABLE t MODIFY id {id_}")
    follows = fill(mysql)

    check_answers(follows)
    assert mysql.db.known_ids("t", NEAR[1:2]) == {int(NEAR[1])}
    asked = follows._same_account.format("f")
    plan = mysql.sql(f"EXPLAIN SELECT a.name FROM f LEFT JOIN t a ON {asked}")
    assert [(table, how) for _, _, table, how, *_ in plan if table == "a"] == [("a", "eq_ref")]


def test_a_follow_finds_its_account_by_an_id_beyond_64_bits(mysql: Subject) -> None:
    largest = str(10**20 - 1)
    mysql.db.create_tables("s", "t", "f")
    mysql.sql("ALTER TABLE t MODIFY id DECIMAL(20,0)")
    follows = fill(mysql)
    mysql.db.upsert("t", [row(largest, name="last")])
    mysql.db.widen("f", SPAN_FOLLOWS, [("btc", largest, LATER, LATER)])
    assert [seen.name for seen in follows.new(since=None, kol=None)][-1] == "last"


def test_a_follow_finds_its_account_where_ids_are_numbers_in_sqlite(sqlite: Subject) -> None:
    sqlite.db.create_tables("s", "t", "f")
    sqlite.sql("DROP TABLE t")
    sqlite.sql(sqlite.db.target_ddl("t").replace('"id" TEXT', '"id" INTEGER'))
    check_answers(fill(sqlite))


def test_the_follows_table_is_created_with_the_collation_of_the_accounts(mysql: Subject) -> None:
    mysql.sql(f"{mysql.db.target_ddl('t')} COLLATE utf8mb4_unicode_ci")
    mysql.db.create_tables("s", "t", "f")
    fill(mysql)

    joined = mysql.sql("SELECT count(*) FROM f JOIN t ON t.id = f.user_id")  # 1267 with another collation
    assert joined == [(4,)]


def test_moments_come_as_they_were_sent_from_a_column_with_a_fraction(mysql: Subject) -> None:
    mysql.db.create_tables("s", "t", "f")
    mysql.sql("ALTER TABLE f MODIFY first_seen DATETIME(6) NOT NULL, MODIFY last_seen DATETIME(3) NOT NULL")
    follows = fill(mysql)

    assert {(seen.first_seen, seen.last_seen) for seen in follows.new(since=None, kol=None)} == {(LATER, LATER)}
    assert {one.newest for one in follows.top(least=1, new_since=None, limit=9)} == {FIRST, LATER}


def test_a_question_mark_in_a_name_is_no_place_for_a_value(subject: Subject) -> None:
    subject.db.create_tables("s?", "t?", "f?%")
    follows = fill(subject, "t?", "f?%")

    check_answers(follows)
    assert known_ids(subject.db, "f?%", "btc", LATER) == {int(id_) for id_ in NEAR[:2]}
    assert subject.db.known_ids("t?", [NEAR[0], "5"]) == {int(NEAR[0])}
