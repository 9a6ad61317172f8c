"""A clock that was a year ahead for one reading: nobody is lost by it, and the next whole reading puts it right."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from kolspider.console.wording import moment
from kolspider.db.follow_tables import spans
from kolspider.follows.queries import Follows

if TYPE_CHECKING:
    from kolspider.db.base import Database
    from tests.db.conftest import Subject

NOW = time.time()
BEFORE, AGO, AHEAD = (moment(NOW + days * 86_400) for days in (-20, -10, 365))


@pytest.fixture
def database(subject: Subject) -> Database:
    subject.db.create_tables("clock_kol", "clock_all", "clock_follows")
    return subject.db


def read_whole(database: Database, at: str, *users: str) -> None:
    """What a full reading of one KOL's list leaves in the tables."""
    (follows, span), (crawls, crawls_span) = spans("clock_follows")
    database.widen(follows, span, [("btc", user, at, at) for user in users])
    database.widen(crawls, crawls_span, [("btc", at, at)])


def test_a_reading_in_the_future_loses_nobody_and_the_next_one_puts_it_right(database: Database) -> None:
    def lost() -> list[str]:
        return [one.user_id for one in Follows(database, "clock_follows", "clock_all").lost(since=None, kol=None)]

    def current() -> set[str]:
        follows = Follows(database, "clock_follows", "clock_all")
        assert follows.largest(1) == [("btc", len(list(follows.shared(least=1, new_since=None))))]
        return {one.user_id for one in follows.shared(least=1, new_since=None)}

    read_whole(database, BEFORE, "1", "2", "3")
    read_whole(database, AHEAD, "2", "3")
    assert Follows(database, "clock_follows", "clock_all").count_doubtful() == 1
    assert lost() == []
    assert current() == {"1", "2", "3"}

    # An increment finds a new account; a whole reading would have found it lost since next year
    (follows, span), _ = spans("clock_follows")
    database.widen(follows, span, [("btc", "4", AGO, AGO)])
    assert lost() == []

    read_whole(database, AGO, "2", "4")
    assert Follows(database, "clock_follows", "clock_all").count_doubtful() == 0
    assert lost() == ["1"]
    read_whole(database, moment(NOW), "4")
    assert sorted(lost()) == ["1", "2"], "the reading before put the moment of 2 right"
    assert current() == {"3", "4"}, "when 3 was last seen is known in a year"
