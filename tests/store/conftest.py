"""A ledger in memory."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kolspider.providers import provider
from kolspider.store.database import empty_in_memory
from kolspider.store.ledger import Ledger

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


@pytest.fixture
def store() -> Iterator[sqlite3.Connection]:
    with closing(empty_in_memory()) as connection:
        yield connection


@pytest.fixture
def ledger(store: sqlite3.Connection) -> Ledger:
    """The ledger of that store, for target 1."""
    return Ledger(store, Path(), provider("twitterapi_io"), 1)
