"""The data that passes through the project: KOLs, pages, followed users, rows, and their states."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from itemadapter import ItemAdapter

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "COLUMNS",
    "CRAWLS",
    "FOLLOWS",
    "Follow",
    "FollowedUser",
    "FollowingsPage",
    "Kol",
    "MappedPage",
    "Mode",
    "Reject",
    "Row",
    "State",
    "WholeReading",
    "as_item",
    "usable_id",
]

_Item = TypeVar("_Item")
_MAX_ID = 10**20 - 1


class Mode(StrEnum):
    """What kind of run it is, as the history names it."""

    BUY = "buy"
    DRY_RUN = "dry run"
    REPLAY = "replay"


class State(StrEnum):
    """The state of a KOL: unfinished (new, fetching, fetched) or ended (the other four)."""

    NEW = "new"
    """No page of the list was requested yet."""
    FETCHING = "fetching"
    """Part of the list is in the cache."""
    FETCHED = "fetched"
    """The whole list is in the cache, but not yet in this target."""
    COMPLETE = "complete"
    """The whole list is committed in the target; a list of 0 users can be complete, too."""
    PARTIAL = "partial"
    """The list broke off, because the API no longer made sense. Its users so far are kept."""
    NOT_FOUND = "not_found"
    """The API says that the account does not exist or is suspended."""
    FAILED = "failed"
    """Network or server errors outlasted the retries."""


@dataclass(frozen=True, slots=True)
class Kol:
    """A KOL whose list is bought."""

    handle: str
    """The handle in lower case: the key everywhere, because Twitter ignores case."""
    user_name: str
    """The handle as the source table spells it, and as it is sent to the API."""


class FollowedUser(NamedTuple):
    """A followed account in the API's terms. Each value is what the API sent: of any JSON type, or None."""

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
    """The unique key: 1 to 20 digits."""
    name: str | None
    user_name: str | None
    avatar: str | None
    description: str | None
    created_at: str | None
    """The time as the API sent it."""
    created_at_time: str | None
    """The same in UTC, `YYYY-MM-DD HH:MM:SS`, without a zone."""
    followers: int | None
    following: int | None
    statuses_count: int | None

    @property
    def is_bare(self) -> bool:
        """Whether only the id is known: somebody follows the account, and the API says nothing else of it."""
        return self.user_name is None and self.count(None) == len(self) - 1


COLUMNS: tuple[str, ...] = Row._fields


class Follow(NamedTuple):
    """A row of the follows table. Its times are when pages were bought, so loading a page again changes nothing."""

    kol_user_name: str
    """The KOL's handle in lower case."""
    user_id: str
    first_seen: str
    """UTC, `YYYY-MM-DD HH:MM:SS`. The table keeps the earliest one."""
    last_seen: str
    """UTC, `YYYY-MM-DD HH:MM:SS`. The table keeps the latest one."""


class WholeReading(NamedTuple):
    """A row of the table of full readings, which stands beside the follows table."""

    kol_user_name: str
    first_whole: str
    """When the first full reading ended: an account first seen later is a new follow. The table keeps the earliest."""
    last_whole: str
    """When the last full reading began: an account not seen since then is lost. The table keeps the latest."""


FOLLOWS: tuple[str, ...] = Follow._fields
CRAWLS: tuple[str, ...] = WholeReading._fields


@dataclass(frozen=True, slots=True)
class Reject:
    """A user that is set aside, with the reason."""

    reason: str
    """A short fixed name, used in stats: `no_id`, `bad_id`, `not_an_object`, `unreadable`, `refused`."""
    user: object
    """What the API sent (any JSON value), or the row that the database refused."""
    detail: str = ""
    """Why the database refused the row, or which fields can't be read."""


@dataclass(frozen=True, slots=True)
class FollowingsPage:
    """A page that was bought. It is cached, loaded and committed as a whole."""

    kol: Kol
    number: int
    """1 for the first page of a list."""
    cursor: str
    """The cursor that the request had; empty for the first page."""
    users: Sequence[object]
    """The users as the API sent them, each of any JSON type."""
    last: bool
    seq: int | None = None
    """The number of the page in the cache, in the order of buying; None if it could not be stored."""
    fetched_at: float = 0.0
    """When the page was bought, in unix seconds."""
    full_reading_began: float | None = None
    """When the first page of the list was bought; None except on the last page of a list that is whole in the cache.

    It is also None for a list without users, because the API returns one for an account that went private.
    """
    only_rows: frozenset[str] | None = None
    """The accounts whose rows are written, of a page whose other rows are in the target; None: all."""
    is_list: bool = True
    """Whether the KOL follows these users; else they are profiles that were asked for by themselves."""
    is_selected: bool = True
    """Whether the run was asked for this KOL; else the page is written again behind an older one, and in no feed."""


@dataclass(frozen=True, slots=True)
class MappedPage:
    """A page with its users turned into rows of the target table."""

    page: FollowingsPage
    """The page without its users."""
    rows: list[Row] = field(default_factory=list)
    """The rows to write, without unchanged duplicates from earlier pages of this run."""
    rejects: list[Reject] = field(default_factory=list)
    follows: list[Follow] = field(default_factory=list)
    """Every follow of the page, duplicates included; empty if no follows table is kept."""
    whole: WholeReading | None = None
    """Set on the last page of a whole list, if a follows table is kept."""


def as_item(item_class: type[_Item], item: Any) -> _Item:
    """Return the item as this class: a team's own pipeline may pass on a dict, or a dataclass of its own."""
    return item if isinstance(item, item_class) else item_class(**ItemAdapter(item))


def usable_id(value: object) -> str | None:
    """Return an account's id as a text of 1 to 20 digits, as it came; None if `value` can't be one."""
    if isinstance(value, str):
        if value.isdigit() and value[0] != "0" and len(value) <= 20 and value.isascii():  # as nearly all of them
            return value
        text = value.strip()
        is_id = len(text) <= 20 and text.isascii() and text.isdigit() and text.strip("0") != ""
        return text if is_id else None
    if type(value) is int and 0 < value <= _MAX_ID:  # type(): true and false are no ids
        return str(value)
    return None
