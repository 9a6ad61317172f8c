"""The interface of an adapter for a followings API: it builds URLs, reads answers and prices calls. Pure, no I/O.

Loop guards, retries, counters, states and the key are elsewhere. An answer may repeat anything that was sent to the
API, so code that knows the key removes it from an `ApiError.message` before showing it.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.items import FollowedUser

__all__ = [
    "NO_HEADERS",
    "Account",
    "ApiError",
    "ApiErrorKind",
    "Balance",
    "BalanceCall",
    "Page",
    "Profile",
    "ProfileCall",
    "Provider",
    "Unreadable",
    "cost_of_profiles",
    "dearest_page",
    "one_line",
]

_MESSAGE_CHARS = 200
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


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


class Page(Struct, frozen=True):
    """A good answer, unchecked: the guards against an API that contradicts itself are in `paging`."""

    users: Sequence[object]
    """The users as the API sent them, each of any JSON type or Unreadable."""
    next_cursor: str | None
    """Cursor of the next page; None if the answer names none that can be asked for."""
    more: bool


class Unreadable(Struct, frozen=True):
    """A user of a page with fields that can't be read, although the page is whole."""

    user: object
    """What can be read of it."""
    id: object
    """The account's id as the API sent it, of any JSON type: the follow is known even if the account is not."""
    fields: str
    """The fields, separated by commas."""


class ApiError(Struct, frozen=True):
    """An answer that is not a page."""

    kind: ApiErrorKind
    message: str
    """One line for a person; `one_line` is applied to what was passed."""

    def __post_init__(self) -> None:
        force_setattr(self, "message", one_line(self.message))


class Account(NamedTuple):
    """The account whose list is asked for."""

    user_name: str
    id: str = ""
    """Its numeric id; empty where it is not known, which it always is if the provider `needs_id`."""


class Profile(Struct, frozen=True):
    """What an API says of one account. A value is None where it says nothing."""

    id: str
    """The account's id; empty where the API does not tell it, as of an account that is gone."""
    user_name: str | None
    following: int | None
    protected: bool | None
    gone: str
    """Why the account can't be seen, in a word or two, such as `suspended`; empty if it can."""
    user: object
    """The account as the API sent it, for `Provider.followed_user`."""


class ProfileCall(Protocol):
    """A call that asks for profiles."""

    most: int
    """Number of accounts that one call can ask for."""

    def url(self, base: str, accounts: Sequence[str]) -> str:
        """Return the URL of the call for these accounts: their handles, or their ids."""

    def body(self, accounts: Sequence[str]) -> bytes:
        """Return the JSON to POST; empty where the call is a GET."""

    def parse(self, status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> list[Profile] | ApiError:
        """Read the answer, with the profiles in any order; accounts can be missing. Never raises."""

    def price(self, asked: int, found: int | None = None) -> int:
        """Return the credits of a call that asks for this many accounts, of which some are found; None: all."""


class Balance(Struct, frozen=True):
    """What the customer's account holds."""

    credits: float
    usd: float | None = None
    """The same in US dollars, where the API tells dollars."""

    def worth(self, credit_usd: float) -> float:
        """Return the same in US dollars, by the price of a credit if the API does not tell dollars."""
        return self.credits * credit_usd if self.usd is None else self.usd


class BalanceCall(Protocol):
    """A call, free of charge, that asks what the customer's account holds."""

    def url(self, base: str) -> str:
        """Return the URL of the call."""

    def parse(self, status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Balance | ApiError:
        """Read the answer. Never raises."""


class Provider(Protocol):
    """An adapter: one object without state."""

    def __hash__(self) -> int:
        """Let what follows from an adapter be cached: each is only equal to itself."""

    @property
    def name(self) -> str:
        """Name of the adapter in KOL_API_PROVIDER."""

    @property
    def family(self) -> str:
        """Name under which lists and pages are stored: providers with the same answers share it."""

    @property
    def default_url(self) -> str:
        """Base URL of the API, without a slash at its end."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of each request; `{key}` stands for KOL_API_KEY."""

    @property
    def needs_id(self) -> bool:
        """Whether a list is asked for by the account's id, so that a handle must be looked up first."""

    @property
    def profile_by_name(self) -> ProfileCall | None:
        """How profiles are asked for by handle; None if the API can't be asked, or is never asked so."""

    @property
    def profiles_by_id(self) -> ProfileCall | None:
        """How many profiles are asked for in one call by id, cheaply; None if the API has no such call."""

    @property
    def balance(self) -> BalanceCall | None:
        """How the balance is asked for; None if the API has no such call."""

    @property
    def page_size(self) -> int:
        """Number of users on a full page."""

    @property
    def page_sizes(self) -> range:
        """Numbers of users that a request asks for, up to `page_size`."""

    @property
    def credit_usd(self) -> float:
        """Price of a credit in US dollars, unless KOL_CREDIT_PRICE is set."""

    @property
    def usual_users(self) -> int:
        """Number of accounts that a KOL follows on average, for estimates while few lists are known."""

    @property
    def failed_call_price(self) -> int:
        """Credits of an answer that is not a page."""

    @property
    def delay(self) -> float:
        """Seconds between two calls, unless DOWNLOAD_DELAY is set."""

    @property
    def allowed_rate(self) -> str:
        """Rate of calls that the API accepts, in words."""

    @property
    def sample(self) -> bytes:
        """An answer of the API as it is known, with at least one user; empty where there is none."""

    @property
    def user_paths(self) -> Mapping[str, Sequence[str]]:
        """Where in a user each field of FollowedUser is looked for; a field that the API does not have is not there."""

    def url(self, base: str, account: Account, cursor: str, size: int) -> str:
        """Return the URL of the page at `cursor`, which is empty for the first page; `size` users are asked for."""

    def parse(self, status: int, body: bytes, cursor: str, headers: Mapping[str, str] = NO_HEADERS) -> Page | ApiError:
        """Read the answer to the request for `cursor`; `headers` have lower-case names. Never raises."""

    def price(self, users: int) -> int:
        """Return the credits of a page with this many users, whatever was asked for."""

    def account_id(self, raw: object) -> object:
        """Return the id of a user of a page, the same as in `followed_user`; None if it has none."""

    def followed_user(self, raw: object) -> FollowedUser | None:
        """Return a user of a page in the API's terms; None if `raw` is not a JSON object."""


@cache
def dearest_page(provider: Provider, size: int) -> int:
    """Return the most credits that a page can cost for which `size` users are asked."""
    return max(map(provider.price, range(size + 1)))


def cost_of_profiles(call: ProfileCall, accounts: int) -> tuple[int, int]:
    """Return calls and credits to ask for this many accounts; a call is filled up where that makes it cheaper."""
    full, rest = divmod(accounts, call.most)
    last = min(call.price(rest), call.price(call.most)) if rest else 0
    return full + bool(rest), full * call.price(call.most) + last


def one_line(text: str) -> str:
    """Return `text` in one line of at most 200 characters, without control and other invisible characters."""
    visible = "".join(char if char.isprintable() else " " for char in text[: _MESSAGE_CHARS * 4])
    return " ".join(visible.split())[:_MESSAGE_CHARS].rstrip()
