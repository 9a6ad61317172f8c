"""The follows table and the crawls table beside it: a key and two moments, of which the table keeps the least and the
greatest that it was ever given. So it does not matter in which order, and how often, pages are loaded."""

from __future__ import annotations

from dataclasses import dataclass

from kolspider.items import CRAWLS, FOLLOWS

__all__ = ["SPAN_CRAWLS", "SPAN_FOLLOWS", "Span", "crawls_table", "spans"]


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
"""One index for what is new, one for what is lost, one for what most KOLs follow (follows/queries.py): each spares
reading the rows of the table itself."""
SPAN_CRAWLS = Span(CRAWLS[:1], CRAWLS[1], CRAWLS[2], spread_by="kol_user_name")


def crawls_table(follows: str) -> str:
    """The table beside the follows table: when each KOL's list was read whole."""
    return f"{follows}_crawls"


def spans(follows: str) -> list[tuple[str, Span]]:
    """Both tables; none when who follows whom is not kept."""
    return [(follows, SPAN_FOLLOWS), (crawls_table(follows), SPAN_CRAWLS)] if follows else []
