"""What SQLite and MariaDB both promise, on real files and a real server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kolspider.db.base import DbErrorKind
from kolspider.db.url import open_database
from tests.db.conftest import Subject, row

if TYPE_CHECKING:
    from pathlib import Path

T = "twitter_kol_all"
UGLY = "a\\b 'q' \"d\" `t` %s %(x)s 100% ; -- \n\r\t\0\x1a 中文 😀 e\u0301"


def test_both_tables_are_created_once(subject: Subject) -> None:
    assert subject.db.create_tables("twitter_kol", T) == ["twitter_kol", T]
    assert subject.db.create_tables("twitter_kol", T) == []
    subject.sql("DROP TABLE twitter_kol")
    assert subject.db.create_tables("twitter_kol", T) == ["twitter_kol"]


def test_an_upsert_keeps_columns_that_are_not_ours(subject: Subject) -> None:
    subject.db.create_tables("twitter_kol", T)
    subject.sql(f"ALTER TABLE {T} ADD COLUMN note VARCHAR(20) DEFAULT 'new'")
    subject.db.upsert(T, [row("1")])
    subject.sql(f"UPDATE {T} SET note = 'kept'")

    subject.db.upsert(T, [row("1", name="Hal", followers=None), row("2")])

    found = subject.sql(f"SELECT id, name, followers, note FROM {T} ORDER BY id")
    assert found == [("1", "Hal", None, "kept"), ("2", "Satoshi", 3, "new")]
    assert subject.db.count(T) == 2


def test_ugly_text_comes_back_as_it_went_in(subject: Subject) -> None:
    subject.db.create_tables("twitter_kol", T)

    subject.db.upsert(T, [row("1", name=UGLY, description=UGLY), row("2", name=UGLY[::-1])])

    assert subject.sql(f"SELECT name, description FROM {T} WHERE id = '1'") == [(UGLY, UGLY)]
    assert subject.sql(f"SELECT name FROM {T} WHERE id = '2'") == [(UGLY[::-1],)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=40), followers=st.integers(-(2**63), 2**63 - 1))
def test_any_text_and_any_64_bit_count_comes_back(subject: Subject, name: str, followers: int) -> None:
    subject.db.create_tables("twitter_kol", T)

    subject.db.upsert(T, [row("1", name=name, followers=followers)])

    assert subject.sql(f"SELECT name, followers FROM {T}") == [(name, followers)]


def test_a_batch_that_is_refused_leaves_nothing_behind(subject: Subject) -> None:
    subject.db.create_tables("twitter_kol", T)
    rows = [row(str(number), description="x" * 3000) for number in range(1000)]

    with pytest.raises((*subject.db.errors, OverflowError)) as caught:
        subject.db.upsert(T, [*rows, row("9999", followers=2**63)])

    assert subject.db.error_kind(caught.value) is DbErrorKind.REFUSED
    assert subject.sql(f"SELECT COUNT(*) FROM {T}") == [(0,)]
    subject.db.upsert(T, rows[:1])
    assert subject.sql(f"SELECT id FROM {T}") == [("0",)]


def test_half_a_surrogate_pair_is_refused_and_the_rest_goes_in(subject: Subject) -> None:
    subject.db.create_tables("twitter_kol", T)

    with pytest.raises(UnicodeError) as caught:
        subject.db.upsert(T, [row("1"), row("2", name="\ud83d")])

    assert subject.db.error_kind(caught.value) is DbErrorKind.REFUSED
    subject.db.upsert(T, [row("1")])
    assert subject.sql(f"SELECT id FROM {T}") == [("1",)]


def test_an_unknown_table_is_fatal_and_no_table_is_none(subject: Subject) -> None:
    assert subject.db.describe("nowhere") is None
    with pytest.raises(subject.db.errors) as caught:
        subject.db.upsert("nowhere", [row("1")])

    assert subject.db.error_kind(caught.value) is DbErrorKind.FATAL
    assert "nowhere" in subject.db.explain(caught.value)


def test_handles_come_by_id_whatever_their_type(subject: Subject) -> None:
    subject.sql("CREATE TABLE k (id INTEGER, user_name VARCHAR(30))")
    subject.sql("INSERT INTO k VALUES (3, 'c'), (1, NULL), (2, 'b'), (4, '')")
    subject.sql("CREATE TABLE n (user_name INTEGER PRIMARY KEY)")
    subject.sql("INSERT INTO n VALUES (1), (2)")

    assert list(subject.db.handles("k")) == [None, "b", "c", ""]
    assert list(subject.db.handles("n")) == ["1", "2"]


def test_handles_left_midway_leave_the_connection_usable_and_the_table_unlocked(subject: Subject) -> None:
    subject.db.create_tables("twitter_kol", T)
    subject.db.insert_handles("twitter_kol", [f"kol{number}" for number in range(20_000)])

    handles = subject.db.handles("twitter_kol")
    assert [next(handles), next(handles)] == ["kol0", "kol1"]
    handles.close()  # type: ignore[attr-defined]

    subject.sql("ALTER TABLE twitter_kol ADD COLUMN note VARCHAR(5)")
    assert subject.db.count("twitter_kol") == 20_000


def test_reading_sees_what_others_have_committed_since(subject: Subject) -> None:
    subject.db.create_tables("twitter_kol", T)
    assert subject.db.count("twitter_kol") == 0

    subject.sql("INSERT INTO twitter_kol (user_name) VALUES ('btc')")

    assert subject.db.count("twitter_kol") == 1
    assert list(subject.db.handles("twitter_kol")) == ["btc"]


def test_only_handles_that_are_not_there_are_inserted(subject: Subject) -> None:
    subject.db.create_tables("twitter_kol", T)
    subject.sql("INSERT INTO twitter_kol (user_name) VALUES (' BTC '), (NULL)")

    assert subject.db.insert_handles("twitter_kol", ["btc", "ethereum", "o'neil%s"]) == 2
    assert subject.db.insert_handles("twitter_kol", ["btc", "ethereum", "o'neil%s"]) == 0
    assert list(subject.db.handles("twitter_kol")) == [" BTC ", None, "ethereum", "o'neil%s"]


def test_a_name_with_a_percent_sign_is_a_name(subject: Subject) -> None:
    source, target = "100%s order", "%d select"
    assert subject.db.create_tables(source, target) == [source, target]

    subject.db.insert_handles(source, ["a"])
    subject.db.upsert(target, [row("1")])

    assert list(subject.db.handles(source)) == ["a"]
    assert subject.db.count(target) == 1


def test_it_works_in_another_thread_and_after_close(subject: Subject, tmp_path: Path) -> None:
    subject.db.create_tables("twitter_kol", T)
    thread = threading.Thread(target=subject.db.upsert, args=(T, [row("1")]))
    thread.start()
    thread.join()
    assert subject.db.count(T) == 1

    subject.db.connect()
    subject.db.connect()
    subject.db.close()
    subject.db.close()
    assert subject.db.count(T) == 1
    assert open_database(subject.url, base=tmp_path).label == subject.db.label


def test_only_the_named_handles_are_deleted(subject: Subject) -> None:
    subject.db.create_tables("s", "t")
    subject.db.insert_handles("s", ["a", "b", "c"])
    subject.db.delete_handles("s", ["a", "c", "d"])
    assert list(subject.db.handles("s")) == ["b"]


def test_accounts_are_found_by_the_handles_that_they_had_and_by_their_place_among_the_ids(subject: Subject) -> None:
    subject.db.create_tables("twitter_kol", T)
    rows = [row("1", user_name="Hal", following=7), row("2", user_name="ada", following=None), row("3", user_name=None)]
    subject.db.upsert(T, rows)

    assert subject.db.ids_by_name(T, ["HAL", "ada", "eve"]) == {"hal": "1", "ada": "2"}
    assert subject.db.lengths_by_name(T, ["hal", "ada"]) == {"hal": 7}
    assert subject.db.known_ids(T, ["1", "9"]) == {1}
    assert subject.db.some_ids(T, 1, 2) == ["2", "3"]
    assert subject.db.some_ids(T, 2, 2) == ["3", "1"], "behind the last one, from the first on"
    assert subject.db.some_ids(T, 3, 9) == ["1", "2", "3"]
