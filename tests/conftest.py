"""Fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.mariadb import MariaDB, installed

# The tests start hundreds of processes, which compile nothing twice; nor does pytest itself in each of its workers.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A private MariaDB server. A test that stops it starts it again, and drops the tables it made."""
    if not installed():
        reason = "MariaDB is not installed: apt-get install mariadb-server"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    with MariaDB() as server:
        yield server
