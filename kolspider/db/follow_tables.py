"""The shape of the follows table and the crawls table beside it: a key and two moments.

For each key the table keeps the least and the greatest moment it was ever given, so the order in which pages are
loaded does not matter, nor how often.
"""

from __future__ import annotations

from msgspec import Struct

from kolspider.clock import latest
from kolspider.console.wording import moment
from kolspider.items import CRAWLS, FOLLOWS

__all__ = ["SPAN_CRAWLS", "SPAN_FOLLOWS", "Span", "crawls_table", "spans"]


class Span(Struct, frozen=True):
    """The columns of a table of spans."""

    keys: tuple[str, ...]
    least: str
    most: str
    spread_by: str
    """The part of the key that distributes the rows in Doris."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Indexes besides the key, for databases that have such."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in the order of a row."""
        return (*self.keys, self.least, self.most)

    def believed(self, column: str) -> str:
        """Return SQL for the greatest moment so far; NULL for one in the future, which a wrong clock wrote."""
        return f"CASE WHEN {column} <= '{moment(latest())}' THEN {column} END"


SPAN_FOLLOWS = Span(
    FOLLOWS[:2],
    FOLLOWS[2],
    FOLLOWS[3],
    spread_by="user_id",  # so that one backend of Doris has all rows to count the KOLs of an account
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
    """Name the table beside the follows table, which keeps when each KOL's list was read whole."""
    return f"{follows}_crawls"


def spans(follows: str) -> list[tuple[str, Span]]:
    """Name and shape of both tables; none when there is no follows table."""
    return [(follows, SPAN_FOLLOWS), (crawls_table(follows), SPAN_CRAWLS)] if follows else []
