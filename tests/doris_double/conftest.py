"""One double for each version that differs, and connections to it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pymysql
import pytest

from tests.doris_double import DATABASE, PASSWORD, USER, DorisDouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymysql.connections import Connection

ONE_REPLICA = '"replication_allocation" = "tag.location.default: 1"'
TABLE = f"""
    CREATE TABLE `t` (
      `id` VARCHAR(8) NOT NULL, `name` VARCHAR(6) NULL, `at` DATETIME NULL, `following` BIGINT NULL, `theirs` INT NULL
    ) ENGINE=OLAP UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS AUTO
    PROPERTIES ("enable_unique_key_merge_on_write" = "true", {ONE_REPLICA})
"""


def connect(double: DorisDouble, user: str = USER, password: str = PASSWORD, database: str = DATABASE) -> Connection:
    return pymysql.connect(
        host="127.0.0.1",
        port=double.port,
        user=user,
        password=password.encode(),
        database=database,
        charset="utf8mb4",
        read_timeout=10,
    )


@pytest.fixture(scope="session")
def started() -> Iterator[dict[str, DorisDouble]]:
    with DorisDouble("3.0.5") as old, DorisDouble("3.1.4") as new:
        yield {"3.0": old, "3.1": new}


def cleaned(double: DorisDouble) -> DorisDouble:
    double.clear_faults()
    double.clear_logs()
    with closing(connect(double)) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS `t`")
        cursor.execute(TABLE)
    double.clear_logs()
    return double


@pytest.fixture
def doris(started: dict[str, DorisDouble]) -> DorisDouble:
    """Version 3.0, with an empty table `t`."""
    return cleaned(started["3.0"])


@pytest.fixture
def doris31(started: dict[str, DorisDouble]) -> DorisDouble:
    """Version 3.1, with an empty table `t`."""
    return cleaned(started["3.1"])


@pytest.fixture
def db(doris: DorisDouble) -> Iterator[Connection]:
    with closing(connect(doris)) as connection:
        yield connection


@pytest.fixture
def db31(doris31: DorisDouble) -> Iterator[Connection]:
    with closing(connect(doris31)) as connection:
        yield connection
