"""A ledger in memory, among strangers: rows of another API and of another target, which no call counts for its own."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kolspider.providers import provider
from kolspider.store.database import SqliteConnection, empty_in_memory
from kolspider.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kolspider.store.connection import Connection

_STRANGERS = """
WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n < 5), h(handle) AS (VALUES ('btc'), ('eth'))
INSERT INTO {table} SELECT {values} FROM g, h
"""
_VALUES = {
    "crawl": "'stranger', handle, n, iif(n % 2, 'full', 'incremental'), 'fetched', 1.0, 2.0, 77, 7777, 777",
    "increment": "'stranger', handle, n, 77",
    "page": "n * 2 - 20 + (handle = 'btc'), 'stranger', handle, n, '', 99, 77, 1.0, 0, x'00'",
    "page_load": "n * 2 + 1 + (handle = 'btc'), 99, 0",
    "refused": "99, 'twitterapi_io', handle, n * 2 + 1 + (handle = 'btc'), 'account', '1', 'of another target'",
}
_OF_ONE = {
    "kol": "'stranger', handle, 'STRANGER', 5, 'fetched', '', 77, 7777, 777, 2, 1.0, 2.0",
    "kol_load": "iif(n, 99, 1), iif(n, 'twitterapi_io', 'stranger'), handle, 5, 2.0",
}


def _add_strangers(store: Connection) -> None:
    for table, values in _VALUES.items():
        store.execute(_STRANGERS.format(table=table, values=values))
    store.execute(_STRANGERS.format(table="kol", values=_OF_ONE["kol"]) + " WHERE n = 0")
    store.execute(_STRANGERS.format(table="kol_load", values=_OF_ONE["kol_load"]) + " WHERE n < 2")


@pytest.fixture
def alone() -> None:
    """Keeps the strangers away from a test that looks at all of the file."""


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Connection]:
    with closing(empty_in_memory()) as connection:
        if "alone" not in request.fixturenames:
            _add_strangers(connection)
        yield connection


@pytest.fixture
def ledger(store: Connection) -> Ledger:
    """The ledger of that store, for target 1."""
    return Ledger(store, Path(), provider("twitterapi_io"), 1)


@pytest.fixture
def beside(store: SqliteConnection) -> Iterator[Callable[..., Ledger]]:
    """Makes a ledger of that store, as it is then, as another provider or target sees it."""
    with ExitStack() as stack:

        def ledger(name: str = "twitterapi_io", target: int = 1) -> Ledger:
            copy = stack.enter_context(closing(empty_in_memory()))
            store.backup(copy)
            return Ledger(copy, Path(), provider(name), target)

        yield ledger
