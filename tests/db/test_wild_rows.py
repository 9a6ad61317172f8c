"""Whatever the API sends for a user: a row that is made of it is taken by a real table, and read back as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from kolspider.items import COLUMNS, Reject, Row
from kolspider.load.fitting import Fitter
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from tests.wild import EXAMPLES, users, wildly

if TYPE_CHECKING:
    from tests.db.conftest import Subject

NARROW = """
    CREATE TABLE target (
      id VARCHAR(20) PRIMARY KEY, name VARCHAR(5) CHARACTER SET utf8mb3, user_name VARBINARY(7), avatar VARCHAR(3),
      description TINYTEXT, created_at VARCHAR(10), created_at_time DATETIME, followers SMALLINT UNSIGNED,
      following TINYINT, statuses_count VARCHAR(4)
    ) CHARACTER SET utf8mb4
"""


def check_all_are_taken(subject: Subject) -> None:
    """Map wild users for the table `target`, write their rows in a batch, and compare."""
    table = subject.db.describe("target")
    assert table is not None
    api, mapper, fitter = provider("twitterapi_io"), Mapper(), Fitter(table.columns)
    rows: dict[str, Row] = {}

    @given(users)
    @wildly
    def map_user(text: str) -> None:
        raw = json.loads(text)
        user = api.followed_user(raw)
        row = mapper.map_user(user, raw)
        if user and (isinstance(row, Reject) or row.id in rows):  # keep what else is wild in it
            row = mapper.map_user(user._replace(id=10**18 + len(rows)), raw)
        if isinstance(row, Row):
            (rows[row.id],) = fitter.fit([row])

    map_user()
    assert len(rows) > EXAMPLES / 3
    subject.db.upsert("target", list(rows.values()))

    columns = ", ".join(COLUMNS)
    found = {values[0]: tuple(map(as_text, values)) for values in subject.sql(f"SELECT {columns} FROM target")}
    assert found.keys() == rows.keys()
    for id_, row in rows.items():
        assert found[id_] == tuple(map(as_text, row))


def as_text(value: object) -> str | None:
    """A DATETIME as we write it, a VARBINARY as the text it was."""
    if value is None:
        return None
    return value.decode() if isinstance(value, bytes) else str(value)


def test_our_own_table_takes_every_row_and_gives_it_back(subject: Subject) -> None:
    subject.db.create_tables("source", "target")
    check_all_are_taken(subject)


def test_a_table_of_narrow_columns_takes_what_was_cut_for_it(mysql: Subject) -> None:
    mysql.sql(NARROW)
    check_all_are_taken(mysql)


@pytest.mark.parametrize("count", ["-1", "true", "1e999", '"９"'])
def test_a_count_that_is_none_is_null_in_the_table(subject: Subject, count: str) -> None:
    subject.db.create_tables("source", "target")
    raw = json.loads(f'{{"id": 7, "name": "N", "followers": {count}}}')
    row = Mapper().map_user(provider("twitterapi_io").followed_user(raw), raw)
    assert isinstance(row, Row)
    subject.db.upsert("target", [row])
    assert subject.sql("SELECT id, followers FROM target") == [("7", None)]
