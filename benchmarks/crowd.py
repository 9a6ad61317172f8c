"""A follows table after two months: about 10 million follows of 5,000 KOLs, in SQLite and in MariaDB.

Half of the accounts that a KOL follows are popular ones (the chance falls with an account's rank), the others are
random. Full readings took place 60 days ago and 3 to 30 days ago, an incremental one of the first page 2 days ago. The
last reading found 1% of the follows, the second one 3%, and 1% were lost. Every 20th KOL was never read to the end. The
tables are filled from files and then indexed, because upserts would take hours.
"""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.databases import SOURCE, TARGET
from kolspider.console.wording import moment
from kolspider.db.url import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymysql.connections import Connection

__all__ = ["FOLLOWS", "build", "into_mariadb", "into_sqlite", "kol_name"]

FOLLOWS = "twitter_kol_follows"
_COLUMNS = {SOURCE: 2, f"{FOLLOWS}_crawls": 3, TARGET: 10, FOLLOWS: 4}
_DAY = 86_400
_PAGE, _PAGE_SECS = 200, 3
_moment = lru_cache(100_000)(moment)


def kol_name(number: int) -> str:
    return f"kol_name_{number:05}"


def build(folder: Path, kols: int, accounts: int, users: int) -> int:
    """Write a file of tab-separated rows for each table; returns the number of follows."""
    folder.mkdir(parents=True)
    ids = [str(rank * 0x9E3779B97F4A7C15 % 2**60) for rank in range(1, accounts + 1)]
    now, total, chance = int(time.time()), 0, random.Random(20250111)
    with (folder / FOLLOWS).open("w") as table, (folder / f"{FOLLOWS}_crawls").open("w") as crawls:
        for number in range(kols):
            size = chance.randint(users // 20, 2 * users - users // 20)
            ranks = {int(accounts ** chance.random()) - 1 for _ in range(size // 2)}
            ranks |= {chance.randrange(accounts) for _ in range(size - size // 2)}
            followed = chance.sample(sorted(ranks), len(ranks))
            noon = now - _DAY // 2 + number * 8 % _DAY // 4
            first, last = noon - 60 * _DAY, noon - (3 + number % 28) * _DAY
            is_whole = number % 20 > 0
            moments = _moments(len(followed), first, last, noon - 2 * _DAY, chance, is_whole=is_whole)
            rows = sorted(zip((ids[rank] for rank in followed), moments, strict=True))
            name = kol_name(number)
            table.writelines([f"{name}\t{id_}\t{_moment(began)}\t{_moment(seen)}\n" for id_, (began, seen) in rows])
            total += len(rows)
            if is_whole:
                end = first + (len(followed) - 1) // _PAGE * _PAGE_SECS
                crawls.write(f"{name}\t{_moment(end)}\t{_moment(last)}\n")
    (folder / SOURCE).write_text("".join(f"{number + 1}\t{kol_name(number)}\n" for number in range(kols)))
    with (folder / TARGET).open("w") as target:
        for id_, rank in sorted((id_, rank) for rank, id_ in enumerate(ids)):
            target.write(
                f"{id_}\tName of {rank}\tuser_{rank}\thttps://pbs.example.com/profile_images/{id_}/x_normal.jpg\t"
                f"{'Something about me. ' * 5}\tFri Sep 01 18:08:12 +0000 2006\t2006-09-01 18:08:12\t"
                f"{10**8 // (rank + 1)}\t{rank % 5000}\t{rank % 77777}\n"
            )
    return total


def _moments(
    size: int, first: int, last: int, lately: int, chance: random.Random, *, is_whole: bool
) -> Iterator[tuple[int, int]]:
    """The times at which each follow of a list was first and last seen, newest follow first."""
    for place in range(size):
        after = place // _PAGE * _PAGE_SECS
        began, seen = first + after, last + after
        if not is_whole:
            seen = began
        elif place < size // 100:
            began = seen = lately
        elif place < _PAGE:
            began, seen = (last if place < size // 25 else began), lately
        elif place < size // 25:
            began = last
        elif chance.random() < 0.01:
            seen = last - chance.choice((1, 8, 30)) * _DAY
        yield began, seen


def into_sqlite(folder: Path, file: Path) -> None:
    """Create the tables of `scrapy initdb --follows` in SQLite and fill them."""
    with closing(open_database(f"sqlite:///{file}", base=Path.cwd())) as database:
        database.create_tables(SOURCE, TARGET, FOLLOWS)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql > ''").fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000")
        connection.execute("BEGIN")
        for table, columns in _COLUMNS.items():
            with (folder / table).open() as lines:
                connection.executemany(
                    f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})",
                    (line[:-1].split("\t") for line in lines),
                )
        connection.execute("COMMIT")
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("PRAGMA journal_mode = DELETE")


def into_mariadb(folder: Path, url: str, root: Connection) -> None:
    """Create and fill the same tables in MariaDB; `root` may load files."""
    with closing(open_database(url, base=Path.cwd())) as database:
        database.create_tables(SOURCE, TARGET, FOLLOWS)
    with closing(root), root.cursor() as cursor:
        cursor.execute("SET unique_checks = 0, foreign_key_checks = 0")
        for table in _COLUMNS:
            cursor.execute(f"LOAD DATA LOCAL INFILE %s INTO TABLE {table}", (str(folder / table),))
            cursor.execute(f"ANALYZE TABLE {table}")
