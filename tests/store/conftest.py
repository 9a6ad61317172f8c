"""A ledger, in memory or in PostgreSQL, among strangers: rows of another API and target, which no call counts."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kolspider.providers import provider
from kolspider.store.connection import LedgerAway
from kolspider.store.database import SqliteConnection, empty_in_memory
from kolspider.store.ledger import Ledger
from kolspider.store.postgres import connect, connect_to_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kolspider.store.connection import Connection
    from tests.postgres import Postgres

_STRANGERS = """
WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n < 5), h(handle, odd) AS
  (VALUES ('btc', 1), ('eth', 0))
INSERT INTO {table} SELECT {values} FROM g, h
"""
_VALUES = {
    "crawl": "'stranger', handle, n, CASE n % 2 WHEN 1 THEN 'full' ELSE 'incremental' END, 'fetched', 1.0, 2.0, 77, "
    "7777, 777",
    "increment": "'stranger', handle, n, 77",
    "page": "n * 2 - 20 + odd, 'stranger', handle, n, '', 99, 77, 1.0, FALSE, ?",
    "page_load": "n * 2 + 1 + odd, 99, FALSE",
    "refused": "99, 'twitterapi_io', handle, n * 2 + 1 + odd, 'account', '1', 'of another target'",
}
_OF_ONE = {
    "kol": "'stranger', handle, 'STRANGER', 5, 'fetched', '', 77, 7777, 777, 2, 1.0, 2.0",
    "kol_load": "CASE n WHEN 1 THEN 99 ELSE 1 END, CASE n WHEN 1 THEN 'twitterapi_io' ELSE 'stranger' END, handle, 5, "
    "2.0",
}


def _add_strangers(store: Connection) -> None:
    for table, values in _VALUES.items():
        store.execute(_STRANGERS.format(table=table, values=values), (b"\0",) if "?" in values else ())
    store.execute(_STRANGERS.format(table="kol", values=_OF_ONE["kol"]) + " WHERE n = 0")
    store.execute(_STRANGERS.format(table="kol_load", values=_OF_ONE["kol_load"]) + " WHERE n < 2")


@pytest.fixture
def alone() -> None:
    """Keeps the strangers away from a test that looks at all of the file."""


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Where the ledger is. A test of one kind alone says so: `@pytest.mark.parametrize("kind", ["sqlite"])`."""
    return str(request.param)


@pytest.fixture
def store(kind: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    with ExitStack() as stack:
        connection: Connection
        if kind == "postgresql":
            connection = request.getfixturevalue("in_postgres")()
        else:
            connection = stack.enter_context(closing(empty_in_memory()))
        if "alone" not in request.fixturenames:
            _add_strangers(connection)
        yield connection


@pytest.fixture(scope="session")
def in_postgres(postgres: Postgres) -> Iterator[Callable[[], Connection]]:
    """Empties a ledger in PostgreSQL: always the same one, since to create it takes longer than a test."""
    connect(postgres.url(schema="shared")).close()
    with closing(postgres.connect()) as root:
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'shared' AND tablename <> 'format'"
        numbers = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'shared'"
        # TRUNCATE would make some fifty files.
        clear = "".join(f"DELETE FROM {name}; " for (name,) in root.execute(tables).fetchall())
        clear += "".join(f"SELECT setval('{name}', 1, FALSE); " for (name,) in root.execute(numbers).fetchall())
    connection = connect_to_read(postgres.url(schema="shared"))
    assert connection

    def empty() -> Connection:
        try:
            connection.execute(f"{clear} DISCARD TEMP")
        except LedgerAway:  # a test has stopped the server
            connection.reconnect()
            connection.execute(clear)
        return connection

    with closing(connection):
        yield empty


@pytest.fixture
def ledger(store: Connection) -> Ledger:
    """The ledger of that store, for target 1."""
    return Ledger(store, Path(), provider("twitterapi_io"), 1)


@pytest.fixture
def beside(store: Connection, kind: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Ledger]]:
    """Makes a ledger of that store, as it is then, as another provider or target sees it."""
    with ExitStack() as stack:

        def ledger(name: str = "twitterapi_io", target: int = 1) -> Ledger:
            other: Connection | None
            if isinstance(store, SqliteConnection):
                store.backup(other := empty_in_memory())
            else:
                other = connect_to_read(request.getfixturevalue("postgres").url(schema="shared"))
            assert other
            stack.enter_context(closing(other))
            return Ledger(other, Path(), provider(name), target)

        yield ledger
