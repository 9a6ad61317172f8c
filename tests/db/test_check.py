"""A table that is not fit stops the run before anything is paid, in one line that says how to fix it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pymysql
import pytest

from kolspider.db.check import (
    check_accounts,
    check_follows,
    check_follows_to_read,
    check_names,
    check_source,
    check_target,
    warnings,
)
from kolspider.db.url import open_database
from kolspider.errors import StopRun, WrongUsage
from tests.db.conftest import Subject, row

if TYPE_CHECKING:
    from tests.mariadb import MariaDB


def refused(subject: Subject) -> str:
    with pytest.raises(StopRun) as caught:
        check_target(subject.db, "t")
    message = str(caught.value)
    assert "\n" not in message
    assert "s3cr3t" not in message
    return message


def test_what_we_create_is_fit(subject: Subject) -> None:
    subject.db.create_tables("s", "t")

    assert warnings(check_target(subject.db, "t")) == []
    assert check_source(subject.db, "s").name == "s"


def test_a_missing_table_asks_for_initdb(subject: Subject) -> None:
    assert "there is no table t: run `scrapy initdb`" in refused(subject)
    with pytest.raises(StopRun, match="there is no table s: run `scrapy initdb`"):
        check_source(subject.db, "s")


def test_a_table_that_this_user_may_not_see_is_told_as_that(mysql: Subject, sqlite: Subject, mariadb: MariaDB) -> None:
    mysql.db.create_tables("s", "t", "f")
    mysql.sql("CREATE USER IF NOT EXISTS shy IDENTIFIED BY 'pw'")
    mysql.sql("GRANT SELECT ON kol.s TO shy")
    with closing(open_database(f"mysql://shy:pw@127.0.0.1:{mariadb.port}/kol", base=Path("/"))) as db:
        for check, name in ((check_target, "t"), (check_follows, "f"), (check_follows_to_read, "f")):
            with pytest.raises(
                StopRun, match=r"there is no table \w+: .*; if it exists, this user may not see it: GRANT"
            ):
                check(db, name)
        # and when it may read, it is told what it can't do
        mysql.sql("GRANT SELECT ON kol.f TO shy")
        mysql.sql("GRANT SELECT ON kol.f_crawls TO shy")
        check_follows_to_read(db, "f")
        with pytest.raises(pymysql.err.OperationalError, match="INSERT command denied") as denied:
            check_follows(db, "f")
        assert db.advice(denied.value) == "this user lacks a privilege: GRANT it"
    mysql.sql("DROP USER shy")
    with closing(open_database(f"mysql://shy:pw@127.0.0.1:{mariadb.port}/kol", base=Path("/"))) as db:
        with pytest.raises(pymysql.err.OperationalError) as denied:
            db.connect()
        assert "check KOL_DB_URL" in db.advice(denied.value)
    with pytest.raises(StopRun, match=r"correct its name in the settings$"):
        check_target(sqlite.db, "t")


def test_no_table_has_two_jobs(mysql: Subject, sqlite: Subject) -> None:
    for subject, same in ((mysql, "kol.t"), (sqlite, "main.T")):
        check_names(subject.db, "s", "t", "")
        check_names(subject.db, "s", "t", "f")
        for follows in ("s", "t", same):
            with pytest.raises(WrongUsage, match=f"KOL_FOLLOWS_TABLE={follows} and KOL_(SOURCE|TARGET)_TABLE="):
                check_names(subject.db, "s", "t", follows)
        with pytest.raises(WrongUsage, match="KOL_FOLLOWS_TABLE=t, which keeps t_crawls beside it, and KOL_SOURCE"):
            check_names(subject.db, "t_crawls", "a", "t")
    check_names(mysql.db, "S", "other.t", "t")


def test_the_ddl_for_missing_columns_mends_the_table(subject: Subject) -> None:
    subject.db.create_tables("s", "t")
    subject.sql("ALTER TABLE t DROP COLUMN following")
    subject.sql("ALTER TABLE t DROP COLUMN avatar")

    message = refused(subject)

    assert "table t lacks avatar, following; add with: " in message
    for statement in message.partition("add with: ")[2].split("; "):
        subject.sql(statement)
    check_target(subject.db, "t")


def test_the_ddl_for_a_missing_key_mends_the_table(subject: Subject) -> None:
    subject.db.create_tables("s", "t")
    subject.sql("CREATE TABLE u AS SELECT * FROM t")
    subject.sql("DROP TABLE t")
    subject.sql("ALTER TABLE u RENAME TO t")

    message = refused(subject)

    assert "no unique key on `id` alone" in message
    subject.sql(message.partition("fix it with: ")[2])
    check_target(subject.db, "t")
    subject.db.upsert("t", [row("1")])
    subject.db.upsert("t", [row("1")])
    assert subject.db.count("t") == 1


def test_a_key_of_id_and_more_is_not_the_key(subject: Subject) -> None:
    columns = ", ".join(
        f"{name} {'VARCHAR(50) NOT NULL' if name in {'id', 'user_name'} else 'INTEGER'}" for name in subject.db.types
    )
    subject.sql(f"CREATE TABLE t ({columns}, UNIQUE (id, user_name))")
    assert "no unique key on `id` alone" in refused(subject)


@pytest.mark.parametrize("key", ["user_name", "user_name, followers", "tenant, user_name"])
def test_a_key_by_which_two_accounts_could_collide_is_refused(subject: Subject, key: str) -> None:
    subject.db.create_tables("s", "t")
    subject.sql("ALTER TABLE t ADD COLUMN tenant INTEGER NOT NULL DEFAULT 0")
    subject.sql(f"CREATE UNIQUE INDEX another ON t ({key})")

    message = refused(subject)

    assert f"a unique key ({key})" in message
    assert "another user's row" in message


def test_a_unique_prefix_is_refused(mysql: Subject) -> None:
    mysql.db.create_tables("s", "t")
    mysql.sql("CREATE UNIQUE INDEX another ON t (id(5))")

    assert "a unique key (id(5))" in refused(mysql)


@pytest.mark.parametrize("key", ["id, user_name", "number", "user_name, empty"])
def test_a_key_by_which_no_two_accounts_collide_will_do(subject: Subject, key: str) -> None:
    subject.db.create_tables("s", "t")
    subject.sql("ALTER TABLE t ADD COLUMN number INTEGER")
    subject.sql("ALTER TABLE t ADD COLUMN empty INTEGER DEFAULT NULL")
    subject.sql(f"CREATE UNIQUE INDEX another ON t ({key})")

    check_target(subject.db, "t")
    subject.db.upsert("t", [row("1"), row("2")])
    assert subject.db.count("t") == 2


@pytest.mark.parametrize(
    "column",
    [
        "slug VARCHAR(50) NOT NULL DEFAULT ''",
        "slug VARCHAR(50) DEFAULT ''",
        "slug VARCHAR(50) DEFAULT 'NULL'",
        "slug INTEGER DEFAULT 7",
        "slug VARCHAR(200) AS (lower(user_name))",
        "slug INTEGER AS (followers + following)",
    ],
)
def test_a_key_of_a_column_that_repeats_is_refused(subject: Subject, column: str) -> None:
    subject.db.create_tables("s", "t")
    subject.sql(f"ALTER TABLE t ADD COLUMN {column}")
    subject.sql("CREATE UNIQUE INDEX another ON t (slug)")

    assert "a unique key (slug), so an upsert could overwrite another user's row" in refused(subject)


@pytest.mark.parametrize(
    ("index", "told"),
    [("lower(user_name)", "(expression)"), ("user_name) WHERE (name IS NOT NULL", "(condition), user_name")],
)
def test_a_key_of_an_expression_or_of_some_rows_is_refused(sqlite: Subject, index: str, told: str) -> None:
    sqlite.db.create_tables("s", "t")
    sqlite.sql(f"CREATE UNIQUE INDEX another ON t ({index})")

    assert f"a unique key ({told})" in refused(sqlite)


@pytest.mark.parametrize("column", ["pk CHAR(36) DEFAULT UUID() PRIMARY KEY", "pk INT AUTO_INCREMENT PRIMARY KEY"])
def test_a_key_that_the_database_makes_for_each_row_will_do(mysql: Subject, column: str) -> None:
    mysql.db.create_tables("s", "t")
    mysql.sql(f"ALTER TABLE t DROP PRIMARY KEY, ADD UNIQUE KEY (id), ADD COLUMN {column}")

    check_target(mysql.db, "t")
    mysql.db.upsert("t", [row("1"), row("2")])
    assert mysql.db.count("t") == 2


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("CREATE UNIQUE INDEX another ON f (user_id)", "its unique key (user_id) would merge rows"),
        ("CREATE UNIQUE INDEX another ON f (kol_user_name, first_seen)", "(kol_user_name, first_seen) would merge"),
        ("ALTER TABLE f ADD COLUMN team INTEGER NOT NULL DEFAULT 0", ""),
        ("CREATE UNIQUE INDEX another ON f (kol_user_name, user_id, first_seen)", ""),
        ("CREATE UNIQUE INDEX another ON f_crawls (last_whole)", "its unique key (last_whole) would merge rows"),
    ],
)
def test_a_key_that_would_merge_follows_is_refused(subject: Subject, spoil: str, reason: str) -> None:
    subject.db.create_tables("s", "t", "f")
    subject.sql(spoil)

    if not reason:
        check_follows(subject.db, "f")
        return
    with pytest.raises(StopRun, match="can't hold who follows whom") as refusal:
        check_follows(subject.db, "f")
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("user_id BIGINT NOT NULL", "user_id (bigint(20)) can't hold ids of up to 20 digits as text"),
        ("user_id VARCHAR(9) NOT NULL", "can't hold ids of up to 20 digits as text"),
        ("kol_user_name VARCHAR(15) NOT NULL", "can't hold handles of up to 50 characters"),
        ("last_seen DATE NOT NULL", "last_seen (date) can't hold moments"),
        ("last_seen TIMESTAMP NOT NULL", "last_seen (timestamp) can't hold moments"),
        ("last_seen VARCHAR(19) NOT NULL", ""),
        ("team INT NOT NULL", "it needs a value for team"),
    ],
)
def test_a_follows_table_that_cannot_hold_follows_is_refused(mysql: Subject, change: str, reason: str) -> None:
    mysql.db.create_tables("s", "t", "f")
    mysql.sql(f"ALTER TABLE f {'ADD' if 'team' in change else 'MODIFY'} {change}")

    if not reason:
        check_follows(mysql.db, "f")
        return
    with pytest.raises(StopRun, match="can't hold who follows whom") as refusal:
        check_follows(mysql.db, "f")
    assert reason in str(refusal.value)


def test_tables_whose_names_differ_in_case_are_one_where_the_server_says_so() -> None:
    db = open_database("mysql://u:p@h/Kol", base=Path("/"))
    check_names(db, "KOLS", "kols", "")
    db._ignores_case = True  # type: ignore[attr-defined] # as lower_case_table_names says of a server
    with pytest.raises(WrongUsage, match="KOL_SOURCE_TABLE=KOLS and KOL_TARGET_TABLE=kols name the same table"):
        check_names(db, "KOLS", "kols", "")


def test_a_generated_key_beside_id_will_do(mysql: Subject) -> None:
    mysql.db.create_tables("s", "t")
    mysql.sql("ALTER TABLE t DROP PRIMARY KEY, ADD UNIQUE KEY (id)")
    mysql.sql("ALTER TABLE t ADD COLUMN pk BIGINT AUTO_INCREMENT PRIMARY KEY")

    check_target(mysql.db, "t")
    mysql.db.upsert("t", [row("1"), row("2")])
    mysql.db.upsert("t", [row("2"), row("3")])
    assert mysql.db.count("t") == 3


def test_a_foreign_column_that_needs_a_value_is_refused(mysql: Subject) -> None:
    mysql.db.create_tables("s", "t")
    mysql.sql("ALTER TABLE t ADD COLUMN tenant INTEGER NOT NULL")

    assert "needs a value for tenant" in refused(mysql)


def test_a_column_of_ours_that_is_not_null_is_refused_because_the_api_leaves_values_out(subject: Subject) -> None:
    ddl = subject.db.target_ddl("t")
    name = subject.db.identifier("name")
    subject.sql("\n".join(line.replace(" NULL", " NOT NULL") if name in line else line for line in ddl.split("\n")))

    assert "is NOT NULL, and the API leaves values out; fix it with: ALTER TABLE" in refused(subject)


def test_a_check_is_worth_a_word(subject: Subject) -> None:
    ddl = subject.db.target_ddl("t")
    subject.sql(ddl.replace(" NULL,\n", " NULL CHECK (name <> 'x'),\n", 1))

    assert warnings(check_target(subject.db, "t")) == ["table t has a CHECK: rows that break it are set aside"]


def test_a_column_that_is_worth_a_word_is_named_with_the_others_of_its_kind(mysql: Subject) -> None:
    mysql.db.create_tables("s", "t")
    mysql.sql("ALTER TABLE t MODIFY name VARCHAR(20), MODIFY user_name VARCHAR(15), MODIFY description TINYTEXT")
    mysql.sql("ALTER TABLE t MODIFY followers SMALLINT, MODIFY following INT, MODIFY statuses_count VARCHAR(9)")

    assert warnings(check_target(mysql.db, "t")) == [
        "table t: values of name are narrow: longer texts are cut",
        "table t: values of followers hold numbers up to 32,767: larger ones become NULL",
        "table t: values of statuses_count are narrow: longer numbers become NULL",
    ]


@pytest.mark.parametrize(("code", "told"), [(1054, StopRun), (2013, pymysql.err.OperationalError)])
def test_a_condition_is_wrong_only_where_the_connection_holds(
    mysql: Subject, monkeypatch: pytest.MonkeyPatch, code: int, told: type[Exception]
) -> None:
    def count(*_: str) -> int:
        raise pymysql.err.OperationalError(code, "as the server says")

    mysql.db.create_tables("s", "t")
    monkeypatch.setattr(mysql.db, "count", count)
    with pytest.raises(told):
        check_source(mysql.db, "s", where="lang = 'zh'")


def test_a_source_needs_nothing_but_user_name(subject: Subject) -> None:
    subject.sql("CREATE TABLE base (User_Name VARCHAR(9), other INTEGER)")
    subject.sql("CREATE TABLE wrong (handle VARCHAR(9))")

    assert "user_name" in check_source(subject.db, "base").columns
    with pytest.raises(
        StopRun, match="table wrong lacks user_name; name its column of handles in KOL_SOURCE_COLUMN: it has handle"
    ):
        check_source(subject.db, "wrong")


def test_accounts_can_be_read_from_a_table_that_has_their_columns(subject: Subject) -> None:
    subject.sql("CREATE TABLE narrow (id VARCHAR(32), name VARCHAR(9))")
    with pytest.raises(StopRun, match="table narrow lacks user_name"):
        check_accounts(subject.db, "narrow")
    subject.db.create_tables("s", "t")
    check_accounts(subject.db, "t")
