"""The adapter for an API that a provider file describes: it builds URLs, reads answers and prices calls. Pure."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, urlencode

import msgspec

from kolspider.providers.base import NO_HEADERS, ApiError, ApiErrorKind, Balance, Page, Unreadable
from kolspider.providers.description import Sign
from kolspider.providers.lenient import marked, two_readings
from kolspider.providers.paths import getter, without
from kolspider.providers.refusals import NO_JSON, Refusals, json_type, shown
from kolspider.providers.user_fields import UserReader
from kolspider.providers.users import Users, UsersReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.providers.base import Account, Profile
    from kolspider.providers.description import Description, Endpoint, Holdings, Lookup

__all__ = ["DescribedProvider"]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_read = msgspec.json.Decoder().decode
_MOST_CREDITS = 2**63
"""A balance that no account has; JSON's numbers have no end."""


class DescribedProvider:
    """An adapter; `providers.base.Provider` says what each method does."""

    def __init__(self, description: Description) -> None:
        self._list = description.list
        self._refusals = Refusals(description.errors)
        self._users, self._cursor, self._more = map(getter, (self._list.users, self._list.cursor, self._list.more))
        self.name, self.family = description.name, description.family
        self.default_url, self.headers = description.url, description.headers
        self.needs_id = self._list.needs_id
        self.page_size, self.page_sizes = self._list.page_size, self._list.page_sizes
        self.credit_usd, self.failed_call_price = description.credit_usd, description.failed_call
        self.delay, self.allowed_rate = description.delay, description.allowed_rate
        self.sample = description.sample
        self.usual_users = 1_900  # one list in ten has more than 6,000
        reader = UserReader(description.user)
        self.user_paths = description.user
        self.account_id, self.followed_user = reader.account_id, reader.followed_user
        errors = description.errors
        others = [self._list.cursor, self._list.more, *errors.texts, *errors.failed_if, *errors.failed_unless]
        self._page_reader = UsersReader(self._list.users, others, description.user, self.account_id, self._user)
        self.balance = (
            _BalanceEndpoint(description.balance, self._refusals, description.credit_usd)
            if description.balance
            else None
        )
        self.profile_by_name, self.profiles_by_id = (
            _ProfileEndpoint(lookup, self._refusals, reader) if lookup else None
            for lookup in (description.profile, description.profiles)
        )

    def url(self, base: str, account: Account, cursor: str, size: int) -> str:
        """Return the URL of the page at `cursor`; parameters without a value are left out."""
        values = {"user_name": account.user_name, "id": account.id, "cursor": cursor, "size": str(size)}
        return _url(base, self._list, values)

    def parse(self, status: int, body: bytes, cursor: str, headers: Mapping[str, str] = NO_HEADERS) -> Page | ApiError:
        """Read the answer to the request for `cursor`. Never raises."""
        if status == 200:
            with suppress(ValueError, KeyError, RecursionError):
                return self._page(self._page_reader.answer(body))
        answer = _json(body)
        if status != 200:
            return self._refusals.other(status, body, answer, cursor)
        if answer is NO_JSON:
            return self._damaged_page(body) or ApiError(ApiErrorKind.TRANSIENT, "HTTP 200: not JSON")
        return self._page(answer)

    def price(self, users: int) -> int:
        """Return the credits of a page with this many users."""
        return self._list.price.of(users)

    def _page(self, answer: object) -> Page | ApiError:
        """Return the page in the JSON of a 200, or an error that says what is wrong with it."""
        if not isinstance(answer, dict):
            return ApiError(ApiErrorKind.TRANSIENT, "HTTP 200: not JSON of an object")
        if error := self._refusals.in_200(answer):
            return error
        known, users, cursor = self._list, self._users(answer), _cursor(self._cursor(answer))
        if not isinstance(users, list | Users):
            return ApiError(ApiErrorKind.CONTRACT_DRIFT, f"{known.users} is {json_type(users)}, not a list")
        if known.more and not isinstance(more := self._more(answer), bool):
            return ApiError(ApiErrorKind.CONTRACT_DRIFT, f"{known.more} is {json_type(more)}, not true or false")
        ended = (
            (Sign.MORE_IS_FALSE in known.ends and not more)
            or (Sign.NO_CURSOR in known.ends and cursor is None)
            or (Sign.EMPTY_PAGE in known.ends and not users)
        )
        return Page(users, cursor, not ended)

    def _user(self, text: bytes) -> object:
        """Read the JSON of a user; that it is JSON is known."""
        user = _json(text)
        if user is NO_JSON:
            try:
                return marked(self, *two_readings(text))
            except (ValueError, RecursionError):
                return Unreadable(None, None, "nested too deeply")
        return user

    def _damaged_page(self, body: bytes) -> Page | None:
        """Return the page in a body that is not JSON; None unless all can be read but some users."""
        try:
            one, other = two_readings(body)
            page, again = self._page(one), self._page(other)
            around = [without(reading, self._list.users) for reading in (one, other)]
            if isinstance(page, Page) and isinstance(again, Page) and around[0] == around[1]:
                users = [marked(self, *readings) for readings in zip(page.users, again.users, strict=True)]
                return Page(users, page.next_cursor, page.more)
        except (ValueError, RecursionError):
            pass
        return None


class _ProfileEndpoint:
    """A call for profiles; `providers.base.ProfileCall` says what each method does."""

    def __init__(self, lookup: Lookup, refusals: Refusals, reader: UserReader) -> None:
        self._lookup, self._refusals, self._reader = lookup, refusals, reader
        self._users = getter(lookup.users)
        self.most = lookup.most

    def url(self, base: str, accounts: Sequence[str]) -> str:
        """Return the URL of the call; several accounts stand in it with commas between them."""
        return _url(base, self._lookup, dict.fromkeys(("user_name", "id", "accounts"), ",".join(accounts)))

    def body(self, accounts: Sequence[str]) -> bytes:
        """Return the JSON of a POST; empty for a GET."""
        if not self._lookup.body:
            return b""
        fields = self._lookup.body.items()
        return json.dumps({key: [*accounts] if _PLACEHOLDER.fullmatch(text) else text for key, text in fields}).encode()

    def parse(self, status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> list[Profile] | ApiError:
        """Read the answer. Never raises."""
        answer = _answer(self._refusals, status, body)
        if isinstance(answer, ApiError):
            return answer
        found = self._users(answer) if isinstance(answer, dict) or not self._lookup.users else None
        if isinstance(found, dict):
            found = [found]
        if not isinstance(found, list):
            where = self._lookup.users or "the answer"
            return ApiError(ApiErrorKind.CONTRACT_DRIFT, f"{where} is {json_type(found)}, not a list or an object")
        return [self._reader.profile(user) for user in found if isinstance(user, dict)]

    def price(self, asked: int, found: int | None = None) -> int:
        """Return the credits of a call that asks for this many accounts and finds some of them."""
        return self._lookup.price.of(asked if found is None else found, asked)


class _BalanceEndpoint:
    """A call for the balance; `providers.base.BalanceCall` says what each method does."""

    def __init__(self, holdings: Holdings, refusals: Refusals, credit_usd: float) -> None:
        self._holdings, self._refusals, self._credit_usd = holdings, refusals, credit_usd

    def url(self, base: str) -> str:
        """Return the URL of the call."""
        return f"{base.rstrip('/')}{self._holdings.path}"

    def parse(self, status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Balance | ApiError:
        """Read the answer. Never raises."""
        answer = _answer(self._refusals, status, body)
        if isinstance(answer, ApiError):
            return answer
        if not isinstance(answer, dict):
            return ApiError(ApiErrorKind.CONTRACT_DRIFT, f"the answer is {json_type(answer)}, not an object")
        held: float = 0
        for path in self._holdings.credits or self._holdings.usd:
            value = getter(path)(answer)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST_CREDITS:
                return ApiError(ApiErrorKind.CONTRACT_DRIFT, f"{path} is {shown(value)}, not a number of credits")
            held += value
        if self._holdings.credits:
            return Balance(held)
        return Balance(held / self._credit_usd if self._credit_usd else 0, held)


def _url(base: str, endpoint: Endpoint, values: Mapping[str, str]) -> str:
    def fill(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: values[found[1]], text)

    path = _PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=""), endpoint.path)
    query = {name: value for name, text in endpoint.parameters.items() if (value := fill(text))}
    return f"{base.rstrip('/')}{path}" + (f"?{urlencode(query, quote_via=quote, safe=',')}" if query else "")


def _answer(refusals: Refusals, status: int, body: bytes) -> object | ApiError:
    """Return the JSON of an answer that is good as far as its status and its signs of a failure go."""
    answer = _json(body)
    if status != 200:
        return refusals.other(status, body, answer, "")
    if answer is NO_JSON:
        return ApiError(ApiErrorKind.TRANSIENT, "HTTP 200: not JSON")
    return (refusals.in_200(answer) if isinstance(answer, dict) else None) or answer


def _cursor(value: object) -> str | None:
    """Return the cursor to ask for next; None for one that leads nowhere ("", "0", "0|…", or not fit for a URL)."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    cursor = str(value)
    if cursor in ("", "0") or cursor.startswith("0|"):
        return None
    try:
        cursor.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return cursor


def _json(body: bytes) -> object:
    """Return the JSON in `body`; NO_JSON for anything else, also for NaN and bottomless nesting.

    msgspec reads it in a third of the time, and gives what json gives (tests/providers/test_json.py). What it refuses
    json may take: lone surrogates, infinite numbers, a byte order mark, UTF-16.
    """
    with suppress(ValueError, RecursionError):
        return _read(body)
    try:
        value: object = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return NO_JSON
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
