"""What travels: the KOL, a page of its followings, a followed user in the API's terms, a row in the table's."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from itemadapter import ItemAdapter

__all__ = [
    "COLUMNS",
    "CRAWLS",
    "FOLLOWS",
    "Follow",
    "FollowedUser",
    "FollowingsPage",
    "Kol",
    "MappedPage",
    "Reject",
    "Row",
    "State",
    "WholeReading",
    "as_item",
]

_Item = TypeVar("_Item")


class State(StrEnum):
    """Where a KOL stands: on the way (new, fetching, fetched) or ended (the other four)."""

    NEW = "new"
    """Chosen, nothing asked yet."""
    FETCHING = "fetching"
    """Begun; the list is not whole in the cache."""
    FETCHED = "fetched"
    """The list is whole in the cache, not yet in this target."""
    COMPLETE = "complete"
    """The whole list is committed in the target; 0 users is complete too."""
    PARTIAL = "partial"
    """The API stopped making sense before the end of the list: what came is kept, the rest is unknown."""
    NOT_FOUND = "not_found"
    """The API says that there is no such account, or that it is suspended."""
    FAILED = "failed"
    """Network or server errors outlasted the retries."""


@dataclass(frozen=True, slots=True)
class Kol:
    """A KOL to ask the API for."""

    handle: str
    """Lower case: the key everywhere, because Twitter's handles ignore case."""
    user_name: str
    """The handle as the source table spells it: what the API is asked for."""


class FollowedUser(NamedTuple):
    """A followed account in the API's terms. Values are what the API sent: of any JSON type, or None."""

    id: object
    name: object
    screen_name: object
    profile_image_url_https: object
    description: object
    created_at: object
    followers_count: object
    following_count: object
    statuses_count: object


class Row(NamedTuple):
    """A row of the target table; the fields are its columns, in order."""

    id: str
    """1 to 20 digits, the unique key."""
    name: str | None
    user_name: str | None
    avatar: str | None
    description: str | None
    created_at: str | None
    """As the API sent it."""
    created_at_time: str | None
    """UTC, `YYYY-MM-DD HH:MM:SS`, without a zone."""
    followers: int | None
    following: int | None
    statuses_count: int | None


COLUMNS: tuple[str, ...] = Row._fields


class Follow(NamedTuple):
    """A row of the follows table. Its times are those of pages, so loading a page again changes nothing."""

    kol_user_name: str
    """In lower case: one KOL, one spelling."""
    user_id: str
    first_seen: str
    """UTC, `YYYY-MM-DD HH:MM:SS`. The table keeps the least ..."""
    last_seen: str
    """... and of this one the greatest."""


class WholeReading(NamedTuple):
    """A row of the crawls table beside it: between which moments a KOL's list is known to have been read whole."""

    kol_user_name: str
    first_whole: str
    """When the first whole reading ended: who is seen later is new. The table keeps the least ..."""
    last_whole: str
    """... and of this one the greatest: when the last whole reading began. Who was not seen since is lost."""


FOLLOWS: tuple[str, ...] = Follow._fields
CRAWLS: tuple[str, ...] = WholeReading._fields


@dataclass(frozen=True, slots=True)
class Reject:
    """A user set aside, and why."""

    reason: str
    """A short fixed name, used in stats: `no_id`, `bad_id`, `not_an_object`, `refused`."""
    user: object
    """What the API sent (any JSON value), or the row that the database refused."""
    detail: str = ""
    """What the database said of the row it refused."""


@dataclass(frozen=True, slots=True)
class FollowingsPage:
    """A page that was paid for: what is cached, loaded and committed as one."""

    kol: Kol
    number: int
    """1 for the first page of a list."""
    cursor: str
    """The cursor that was asked for; empty for the first page."""
    users: list[object]
    """The users as the API sent them, each of any JSON type."""
    last: bool
    seq: int | None = None
    """Where the page stands in the cache, in the order of fetching; None when it could not be stored."""
    fetched_at: float = 0.0
    """Unix seconds."""
    full_reading_began: float | None = None
    """When the first page of a list was fetched, on its last page, if all pages are in the cache; unix seconds. None
    for a list without users: the API gives one for an account that went private."""


@dataclass(frozen=True, slots=True)
class MappedPage:
    """A page with its users turned into rows of the target table."""

    page: FollowingsPage
    """Without its users."""
    rows: list[Row] = field(default_factory=list)
    """Not those that an earlier page of this run has brought already, with the same values."""
    rejects: list[Reject] = field(default_factory=list)
    follows: list[Follow] = field(default_factory=list)
    """All that the page has, repeats too; empty when there is no table for them."""
    whole: WholeReading | None = None
    """With the last page of a whole list."""


def as_item(item_class: type[_Item], item: Any) -> _Item:
    """Return the item as this class: a pipeline in between may pass on a dict, or a dataclass of its own."""
    return item if isinstance(item, item_class) else item_class(**ItemAdapter(item))
