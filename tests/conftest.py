"""Fixtures that every test may use."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests import postgres as postgresql
from tests.mariadb import MariaDB, installed

# The tests start hundreds of processes, which compile nothing twice; nor does pytest itself in each of its workers.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Each asyncio.run() would say which selector it uses, in the middle of what a test expects to be logged.
logging.getLogger("asyncio").setLevel(logging.WARNING)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Postgres


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A private MariaDB server. A test that stops it starts it again, and drops the tables it made."""
    if not installed():
        _without("MariaDB is not installed: apt-get install mariadb-server")
    with MariaDB() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL server. A test that stops it starts it again; its ledger is in a schema of its own."""
    if not postgresql.installed():
        _without("PostgreSQL is not installed: apt-get install postgresql")
    with postgresql.Postgres() as server:
        yield server


def _without(reason: str) -> None:
    """Skip the test, but in CI, where all is installed."""
    if "CI" in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)
