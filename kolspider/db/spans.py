"""The follows table and the crawls table beside it: a key and two moments, of which the table keeps the least and the
greatest that it was ever given. So it does not matter in which order, and how often, pages are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.items import CRAWLS, FOLLOWS

if TYPE_CHECKING:
    from kolspider.db.base import Database

__all__ = ["SPAN_CRAWLS", "SPAN_FOLLOWS", "Span", "crawls_table", "empty_tables", "known_ids", "knows", "spans"]


@dataclass(frozen=True, slots=True)
class Span:
    """What such a table looks like."""

    keys: tuple[str, ...]
    least: str
    most: str
    spread_by: str
    """Doris: by which part of the key its rows are spread."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Beside the key, where a database has such."""

    @property
    def columns(self) -> tuple[str, ...]:
        """In the order of a row."""
        return (*self.keys, self.least, self.most)


SPAN_FOLLOWS = Span(
    FOLLOWS[:2],
    FOLLOWS[2],
    FOLLOWS[3],
    spread_by="user_id",  # so that Doris counts the KOLs of an account where its rows are
    indexes=(
        ("first_seen", "last_seen"),
        ("kol_user_name", "last_seen", "first_seen"),
        ("user_id", "last_seen", "first_seen"),
    ),
)
"""Indexed for what is new, what is lost, and what most KOLs follow (db/follows.py), each without the table's rows."""
SPAN_CRAWLS = Span(CRAWLS[:1], CRAWLS[1], CRAWLS[2], spread_by="kol_user_name")


def crawls_table(follows: str) -> str:
    """The table beside the follows table: when each KOL's list was read whole."""
    return f"{follows}_crawls"


def spans(follows: str) -> list[tuple[str, Span]]:
    """Both tables; none when who follows whom is not kept."""
    return [(follows, SPAN_FOLLOWS), (crawls_table(follows), SPAN_CRAWLS)] if follows else []


def known_ids(database: Database, follows: str, handle: str, before: str) -> frozenset[int]:
    """Whom a KOL is known to follow or to have followed, by what was seen before a moment."""
    name = database.identifier
    rows = database.query(
        f"SELECT {name('user_id')} FROM {database.quoted(follows)} "
        f"WHERE {name('kol_user_name')} = ? AND {name('first_seen')} < ?",
        (handle, before),
    )
    return frozenset(int(id_) for (id_,) in rows)


def empty_tables(database: Database, follows: str) -> list[str]:
    """Those of the two that have no row."""
    return [
        table
        for table, _ in spans(follows)
        if not database.query(f"SELECT {database.identifier('kol_user_name')} FROM {database.quoted(table)} LIMIT 1")
    ]


def knows(database: Database, follows: str, handle: str) -> bool:
    """Whether one of the two has a row of a KOL."""
    name = database.identifier("kol_user_name")
    return any(
        database.query(f"SELECT {name} FROM {database.quoted(table)} WHERE {name} = ? LIMIT 1", (handle,))
        for table, _ in spans(follows)
    )
