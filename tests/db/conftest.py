"""A database of each dialect that can be run here, empty, with a second connection to look at it from outside."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.db.url import open_database
from kolspider.items import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kolspider.db.base import Database
    from tests.mariadb import MariaDB

ROW = Row("1", "Satoshi", "satoshi", "https://a/b.jpg", "words", "x", "2007-12-13 08:41:26", 3, 2, 1)


def row(id_: str, **changes: Any) -> Row:
    return ROW._replace(id=id_, **changes)


@dataclass
class Subject:
    """The database under test, and SQL beside it."""

    db: Database
    sql: Callable[..., list[tuple[Any, ...]]]
    url: str


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Subject]:
    path = tmp_path / "kol.db"

    def sql(text: str, *values: object) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            return connection.execute(text, values).fetchall()

    path.touch()
    url = f"sqlite:///{path}"
    db = open_database(url, base=tmp_path)
    yield Subject(db, sql, url)
    db.close()


@pytest.fixture
def mysql(mariadb: MariaDB) -> Iterator[Subject]:
    def sql(text: str, *values: object) -> list[tuple[Any, ...]]:
        with mariadb.connect() as connection, connection.cursor() as cursor:
            cursor.execute(text, values or None)
            return list(cursor.fetchall())

    db = open_database(mariadb.url, base=Path("/"))
    yield Subject(db, sql, mariadb.url)
    db.close()
    for (table,) in sql("SHOW TABLES"):
        sql(f"DROP TABLE `{table}`")


@pytest.fixture(params=["sqlite", "mysql"])
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each dialect in turn."""
    found: Subject = request.getfixturevalue(request.param)
    return found
