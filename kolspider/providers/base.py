"""What an adapter for a followings API is: it builds URLs, reads answers and prices calls. Pure, no I/O.

Loop guards, retries, counting, states and the key live elsewhere. An answer may repeat whatever was sent to
the API, so whoever knows the key removes it from an `ApiError.message` before showing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from kolspider.items import FollowedUser

__all__ = ["ApiError", "ApiErrorKind", "Page", "Provider", "one_line"]

_MESSAGE_CHARS = 200


class ApiErrorKind(StrEnum):
    """What an answer that is not a page means for the run."""

    AUTH = "auth"
    """The key is refused: the run stops."""
    NO_CREDIT = "no_credit"
    """The balance is empty: the run stops."""
    WRONG_PATH = "wrong_path"
    """Nothing there, or a redirect: the base URL is wrong, the run stops."""
    RATE_LIMIT = "rate_limit"
    """Too fast: no request at all until the wait is over."""
    NOT_FOUND = "not_found"
    """The KOL is gone or suspended."""
    BAD_REQUEST = "bad_request"
    """The API refuses this request and would refuse it again."""
    BAD_CURSOR = "bad_cursor"
    """The API no longer takes the cursor that was sent."""
    TRANSIENT = "transient"
    """The server or the network failed, or the answer arrived broken: worth another try."""
    ERROR_IN_200 = "error_in_200"
    """A failure in the body of a 200."""
    CONTRACT_DRIFT = "contract_drift"
    """A success whose fields are not those that the API documents."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a good answer says, taken at its word: the guards against its nonsense are in `paging`."""

    users: list[object]
    """The users as the API sent them, each of any JSON type."""
    next_cursor: str | None
    """None when the answer names none that could be asked for."""
    more: bool


@dataclass(frozen=True, slots=True)
class ApiError:
    """What an answer that is no page says."""

    kind: ApiErrorKind
    message: str
    """One line for a person, whatever was passed: see `one_line`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", one_line(self.message))


class Provider(Protocol):
    """An adapter: one file in this package, one class without state."""

    name: ClassVar[str]
    """What KOL_API_PROVIDER calls it."""
    default_url: ClassVar[str]
    key_header: ClassVar[str]
    page_size: ClassVar[int]
    """How many users are asked for at a time."""
    credit_usd: ClassVar[float]
    """What one credit costs, in US dollars, when KOL_CREDIT_PRICE does not say otherwise."""
    usual_users: ClassVar[int]
    """How many accounts a KOL follows on average: for an estimate before enough lists are known."""
    allowed_rate: ClassVar[str]
    """How many calls the API takes, in words."""

    def url(self, base: str, user_name: str, cursor: str) -> str:
        """The URL of the page at `cursor` (empty for the first one)."""

    def parse(self, status: int, body: bytes, cursor: str) -> Page | ApiError:
        """What the answer to the request for `cursor` says. Never raises."""

    def price(self, users_returned: int, page_size: int) -> int:
        """The credits that a call cost, for 0 users when it failed."""

    def account_id(self, raw: object) -> object:
        """The id of a user of a page, as `followed_user` has it; None when it has none."""

    def followed_user(self, raw: object) -> FollowedUser | None:
        """A user of a page in the API's terms; None when `raw` is not a JSON object."""


def one_line(text: str) -> str:
    """`text` in one line of at most 200 characters, without control and other invisible characters."""
    visible = "".join(char if char.isprintable() else " " for char in text[: _MESSAGE_CHARS * 4])
    return " ".join(visible.split())[:_MESSAGE_CHARS].rstrip()
