"""The interface of an adapter for a followings API: it builds URLs, reads answers and prices calls. Pure, no I/O.

Loop guards, retries, counters, states and the key are elsewhere. An answer may repeat anything that was sent to the
API, so code that knows the key removes it from an `ApiError.message` before showing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from kolspider.items import FollowedUser

__all__ = ["ApiError", "ApiErrorKind", "Page", "Provider", "Unreadable", "one_line"]

_MESSAGE_CHARS = 200


class ApiErrorKind(StrEnum):
    """What an answer that is not a page means for the run."""

    AUTH = "auth"
    """The key is wrong: the run stops."""
    FORBIDDEN = "forbidden"
    """The key is missing or not allowed to do this."""
    BLOCKED = "blocked"
    """Something in front of the API refuses the call, whatever the key."""
    NO_CREDIT = "no_credit"
    """The balance is empty."""
    WRONG_PATH = "wrong_path"
    """There is nothing at the URL."""
    REDIRECTED = "redirected"
    """The API is elsewhere, or the answer is one for a cache."""
    RATE_LIMIT = "rate_limit"
    """Calls come too fast."""
    NOT_FOUND = "not_found"
    """The KOL is gone or suspended."""
    BAD_REQUEST = "bad_request"
    """The API refuses this request and would refuse it again."""
    BAD_CURSOR = "bad_cursor"
    """The API no longer takes the cursor that was sent."""
    TRANSIENT = "transient"
    """The server or the network failed, or the answer arrived broken: another try may work."""
    ERROR_IN_200 = "error_in_200"
    """The body of a 200 reports a failure."""
    CONTRACT_DRIFT = "contract_drift"
    """The answer is a success, but its fields are not those that the API documents."""


@dataclass(frozen=True, slots=True)
class Page:
    """A good answer, unchecked: the guards against an API that contradicts itself are in `paging`."""

    users: list[object]
    """The users as the API sent them, each of any JSON type or Unreadable."""
    next_cursor: str | None
    """Cursor of the next page; None if the answer names none that can be asked for."""
    more: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A user of a page with fields that can't be read, although the page is whole."""

    user: object
    """What can be read of it."""
    id: object
    """The account's id as the API sent it, of any JSON type: the follow is known even if the account is not."""
    fields: str
    """The fields, separated by commas."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """An answer that is not a page."""

    kind: ApiErrorKind
    message: str
    """One line for a person; `one_line` is applied to what was passed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", one_line(self.message))


class Provider(Protocol):
    """An adapter: one file in this package, one class without state."""

    name: ClassVar[str]
    """Name of the adapter in KOL_API_PROVIDER."""
    default_url: ClassVar[str]
    key_header: ClassVar[str]
    page_size: ClassVar[int]
    """Number of users that a request asks for."""
    credit_usd: ClassVar[float]
    """Price of a credit in US dollars, unless KOL_CREDIT_PRICE is set."""
    usual_users: ClassVar[int]
    """Number of accounts that a KOL follows on average, for estimates while few lists are known."""
    failed_call_price: ClassVar[int]
    """Credits of an answer that is not a page."""
    allowed_rate: ClassVar[str]
    """Rate of calls that the API accepts, in words."""

    def url(self, base: str, user_name: str, cursor: str) -> str:
        """Return the URL of the page at `cursor` (empty for the first page)."""

    def parse(self, status: int, body: bytes, cursor: str) -> Page | ApiError:
        """Read the answer to the request for `cursor`. Never raises."""

    def price(self, users: int) -> int:
        """Return the credits of a page with this many users, whatever was asked for."""

    def account_id(self, raw: object) -> object:
        """Return the id of a user of a page, the same as in `followed_user`; None if it has none."""

    def followed_user(self, raw: object) -> FollowedUser | None:
        """Return a user of a page in the API's terms; None if `raw` is not a JSON object."""


def one_line(text: str) -> str:
    """Return `text` in one line of at most 200 characters, without control and other invisible characters."""
    visible = "".join(char if char.isprintable() else " " for char in text[: _MESSAGE_CHARS * 4])
    return " ".join(visible.split())[:_MESSAGE_CHARS].rstrip()
