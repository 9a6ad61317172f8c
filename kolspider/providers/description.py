"""What a provider file says of an API. reading.py reads it, described.py acts by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from kolspider.providers.base import ApiErrorKind

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STATUSES", "Description", "Endpoint", "Errors", "Holdings", "List", "Lookup", "Price", "Sign"]

STATUSES = {
    401: ApiErrorKind.AUTH,
    402: ApiErrorKind.NO_CREDIT,
    403: ApiErrorKind.FORBIDDEN,
    404: ApiErrorKind.WRONG_PATH,
    408: ApiErrorKind.TRANSIENT,
    429: ApiErrorKind.RATE_LIMIT,
}
"""What a status means where a file says nothing. Any other from 400 to 499 is a bad request; the rest is transient."""


class Sign(StrEnum):
    """What ends a list."""

    MORE_IS_FALSE = "more is false"
    NO_CURSOR = "no cursor"
    EMPTY_PAGE = "empty page"


class Price(Struct, frozen=True):
    """What a successful call costs, in credits."""

    call: int = 0
    """Of each call."""
    least: int = 0
    """Of a call at least."""
    user: tuple[tuple[int, int], ...] = ()
    """Of each user that comes, by how many come: (from so many on, credits), in this order."""
    asked: tuple[tuple[int, int], ...] = ()
    """Of each account that is asked for, in the same way."""

    def of(self, users: int, asked: int = 0) -> int:
        """Return the credits of a call with this many users that asked for this many accounts."""
        return max(self.least, self.call + users * _tier(self.user, users) + asked * _tier(self.asked, asked))


class Endpoint(Struct, frozen=True):
    """Where and how something is asked for. Texts have placeholders such as `{user_name}`."""

    path: str
    parameters: Mapping[str, str]
    """Parameters of the URL; one whose value is empty is left out."""
    users: str
    """Path to the users in the answer."""
    price: Price


class List(Endpoint, frozen=True):
    """How a page of a list is asked for."""

    cursor: str
    """Path to the cursor of the next page."""
    more: str
    """Path to the flag that says whether there is a next page; empty if there is none."""
    ends: frozenset[Sign]
    page_size: int
    page_sizes: range

    @property
    def needs_id(self) -> bool:
        """Whether a list is asked for by the account's id."""
        return any("{id}" in text for text in (self.path, *self.parameters.values()))


class Lookup(Endpoint, frozen=True):
    """How profiles are asked for."""

    body: Mapping[str, str]
    """The JSON object that is sent by POST; a GET if it is empty. A placeholder alone becomes a list of texts."""
    most: int
    """Number of accounts that one call can ask for."""


class Holdings(Struct, frozen=True):
    """How the customer's balance is asked for, free of charge."""

    path: str
    credits: tuple[str, ...]
    """Paths to numbers of credits, which are added up."""
    usd: tuple[str, ...]
    """The same in US dollars; one of the two is empty."""


class Errors(Struct, frozen=True):
    """What tells that a call failed, and why."""

    statuses: Mapping[int, ApiErrorKind]
    bad_cursor: frozenset[int]
    """Statuses that refuse the cursor, if one was sent."""
    texts: tuple[str, ...]
    """Paths to the text of an error, the most specific one first."""
    words: Mapping[str, ApiErrorKind]
    """What a text with these words means, whatever the status."""
    failed_if: Mapping[str, tuple[object, ...]]
    """The values at a path with which a 200 failed."""
    failed_unless: Mapping[str, tuple[object, ...]]
    """The values at a path without which a 200 failed, if there is a value."""


@dataclass(frozen=True, slots=True)
class Description:
    """An API, as a provider file describes it."""

    name: str
    family: str
    url: str
    headers: Mapping[str, str]
    list: List
    profile: Lookup | None
    profiles: Lookup | None
    balance: Holdings | None
    user: Mapping[str, tuple[str, ...]]
    """The paths to each field of a user, the best one first."""
    errors: Errors
    credit_usd: float
    failed_call: int
    """Credits of a failed call."""
    delay: float
    """Seconds between two calls."""
    allowed_rate: str
    sample: bytes = field(repr=False)
    """The answer to a call for a page; empty if there is none."""


def _tier(tiers: tuple[tuple[int, int], ...], number: int) -> int:
    return next((credits_ for least, credits_ in reversed(tiers) if number >= least), 0)
