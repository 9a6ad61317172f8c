"""The tables of a test's project, on SQLite, MariaDB or Doris: made, read, changed and locked from outside."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pymysql

from kolspider.db.url import open_database
from kolspider.items import COLUMNS, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pymysql.connections import Connection

    from kolspider.db.base import Database

__all__ = ["Tables"]


@dataclass(kw_only=True)
class Tables:
    """A database and the names of the tables in it."""

    folder: Path
    db_url: str
    source: str = "twitter_kol"
    target: str = "twitter_kol_all"
    follows: str = ""
    """The follows table, where it is kept."""
    _taken: list[tuple[str, str]] = field(default_factory=list)
    """A server's URL, and the mark in the names of this project's tables there."""

    @property
    def dialect(self) -> str:
        """sqlite, mysql or doris."""
        return self.db_url.partition(":")[0]

    def database(self) -> Database:
        """The product's own way to it; the caller closes it."""
        return open_database(self.db_url, base=self.folder)

    def init(self, kols: Iterable[str | None]) -> None:
        """Create the tables and put these handles, as they are, into the source table."""
        with closing(self.database()) as database:
            if self.dialect == "doris":
                database.spread(replicas=1, buckets=1)  # the double, and Apache's container, are single nodes
            database.create_tables(self.source, self.target, self.follows)
            database.insert_handles(self.source, [kol for kol in kols if kol is not None])

    def take_new_tables(self) -> None:
        """Use other tables from now on, which don't exist yet and which no other test on the server has."""
        mark = uuid.uuid4().hex[:8]
        self._taken.append((self.db_url, mark))
        self.source, self.target = f"kol_{mark}", f"all_{mark}"
        self.follows = self.follows and f"{self.target}_follows"

    def take_another_database(self) -> None:
        """Use another place, where no table is yet: a file, or other tables on the server."""
        if self.dialect == "sqlite":
            self.db_url = f"sqlite:///{self.folder / 'other.db'}"
        else:
            self.take_new_tables()

    def drop_tables(self) -> None:
        """Drop the tables made on a Doris, which may be a real one; the other servers end with the tests."""
        for url, mark in self._taken:
            if url.startswith("doris:"):
                with closing(_mysql(url)) as connection, connection.cursor() as cursor:
                    cursor.execute(f"SHOW TABLES LIKE '%{mark}%'")
                    for (table,) in list(cursor.fetchall()):
                        cursor.execute(f"DROP TABLE `{table}` FORCE")

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement in the database, and commit it."""
        if self.dialect == "sqlite":
            with closing(sqlite3.connect(self.db_url.removeprefix("sqlite:///"))) as file, file:
                return file.execute(statement, values).fetchall()
        with closing(_mysql(self.db_url)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement.replace("?", "%s"), values or None)
                rows = list(cursor.fetchall())
            connection.commit()
        return rows

    def rows(self) -> dict[str, Row]:
        """The target table, by id."""
        columns = ", ".join(f"`{name}`" for name in COLUMNS)
        rows = (Row._make(values) for values in self.sql(f"SELECT {columns} FROM `{self.target}`"))
        return {row.id: row._replace(created_at_time=row.created_at_time and str(row.created_at_time)) for row in rows}

    def empty(self, table: str = "") -> None:
        """Delete all rows, of the target if no table is named."""
        # Doris wants a WHERE in a DELETE, SQLite has no TRUNCATE.
        verb = "DELETE FROM" if self.dialect == "sqlite" else "TRUNCATE TABLE"
        self.sql(f"{verb} `{table or self.target}`")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the target of a SQLite or MariaDB, as another program does."""
        if self.dialect == "sqlite":
            file = self.db_url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as other:
                other.execute("BEGIN IMMEDIATE")
                yield
                other.execute("COMMIT")
        else:
            with closing(_mysql(self.db_url)) as connection, connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLES `{self.target}` WRITE")
                yield


def _mysql(url: str) -> Connection:
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or (9030 if parts.scheme == "doris" else 3306),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "").encode(),  # PyMySQL would encode it as latin-1
        database=parts.path.lstrip("/"),
        charset="utf8mb4",
    )
