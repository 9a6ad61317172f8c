"""The adapter for twitterapi.io: GET /twitter/user/followings, newest follow first.

Its facts are from twitterapi.io's documentation and SDK, and from the answers of the live service. Those differ from
the documentation in the spelling of some fields: both spellings are read.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, urlencode

from kolspider.items import FollowedUser, usable_id
from kolspider.providers.base import NO_HEADERS, ApiError, ApiErrorKind, Page, Unreadable, one_line
from kolspider.providers.lenient import marked, two_readings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kolspider.providers.base import Account, ProfileCall

__all__ = ["TwitterApiIo", "page_body"]

_IDS = ("id", "id_str", "user_id", "rest_id")
_STATUS_KINDS = {
    401: ApiErrorKind.AUTH,
    402: ApiErrorKind.NO_CREDIT,  # although its text says "Unauthorized"
    403: ApiErrorKind.FORBIDDEN,
    404: ApiErrorKind.WRONG_PATH,
    408: ApiErrorKind.TRANSIENT,
    429: ApiErrorKind.RATE_LIMIT,
}

# not_found is final for a KOL, so it counts only if it is not the caller's own account or key that is missing. The
# `user` in a path is not one.
_NOT_FOUND = re.compile(
    r"^(?!.*\b(?:your|keys?|tokens?)\b)(?:"
    r".*(?<!/)\b(?:user|account)\b(?!/).{0,60}?(?:\bnot|n['’]t|\bcannot) (?:be )?(?:found|exist)"
    r"|.*\b(?:user|account) (?:is )?unavailable|.*\bno (?:such )?user\b|.*\bfind (?:the |this )?user\b"
    r"|(?!.*\bapi\b).*\bsuspended)",
    re.IGNORECASE,
)
_CLOUDFLARE = re.compile(rb"error code: ?(1[0-9]{3})|<title>[^<]*cloudflare", re.IGNORECASE)


class TwitterApiIo:
    """The adapter for twitterapi.io."""

    name = family = "twitterapi_io"
    default_url = "https://api.twitterapi.io"
    headers: Mapping[str, str] = MappingProxyType({"X-API-Key": "{key}"})
    needs_id = False
    profile_by_name: ProfileCall | None = None
    profiles_by_id: ProfileCall | None = None
    page_size = 200
    page_sizes = range(20, 201)
    credit_usd = 1 / 100_000
    usual_users = 1_900  # one list in ten has more than 6,000
    failed_call_price = 0  # the price list charges answers that succeed, and names no other
    allowed_rate = "one call in 5 s until the account is topped up for the first time, then 20 a second"

    def url(self, base: str, account: Account, cursor: str, size: int) -> str:
        """Return the URL of the page at `cursor`; the first page is asked for without one."""
        query = {"userName": account.user_name, "pageSize": str(size)}
        if cursor:
            query["cursor"] = cursor
        return f"{base.rstrip('/')}/twitter/user/followings?{urlencode(query, quote_via=quote, safe='')}"

    def parse(self, status: int, body: bytes, cursor: str, headers: Mapping[str, str] = NO_HEADERS) -> Page | ApiError:
        """Read the answer to the request for `cursor`. Never raises."""
        if status == 200:
            try:
                return _page(_json(body))
            except ValueError:
                return self._damaged_page(body) or ApiError(ApiErrorKind.TRANSIENT, "HTTP 200: not JSON")
        if 300 <= status < 400:
            said = "not modified" if status == 304 else "redirected"
            return ApiError(ApiErrorKind.REDIRECTED, f"HTTP {status}: {said}")
        try:
            texts = list(_error_texts(_json(body)))
        except ValueError:
            if status == 403:
                return _blocked(body)
            texts = []
        text = next((text for text in texts if status == 404 and _names_missing_user(text)), "")
        kind = ApiErrorKind.NOT_FOUND if text else _kind(status, cursor)
        text = text or next(iter(texts), "")
        return ApiError(kind, f"HTTP {status}: {text}" if text else f"HTTP {status}")

    def _damaged_page(self, body: bytes) -> Page | None:
        """Return the page in a body that is not JSON; None unless all can be read but some users."""
        try:
            one, other = two_readings(body)
            page, again = _page(one), _page(other)
            if isinstance(page, Page) and isinstance(again, Page) and _around_users(one) == _around_users(other):
                users = [marked(self, *readings) for readings in zip(page.users, again.users, strict=True)]
                return Page(users, page.next_cursor, page.more)
        except (ValueError, RecursionError):
            pass
        return None

    def price(self, users: int) -> int:
        """Return the credits of a page: the more users it returns, the less each costs; a page costs at least 60."""
        a_user = 1 if users >= 200 else 2 if users >= 100 else 3
        return max(60, users * a_user)

    def followed_user(self, raw: object) -> FollowedUser | None:
        """Return a user in the API's terms, by the first spelling of each field that is present and not null.

        Of an account that is unavailable, or has neither name nor handle, the API knows only that it is followed: its
        other values are not those of the account.
        """
        if not isinstance(raw, dict):
            return None
        # Most users have the first spelling of each field: the others are looked up only if it is missing.
        get = raw.get
        screen_name, avatar, created_at = get("screen_name"), get("profile_image_url_https"), get("created_at")
        description, followers, following = get("description"), get("followers_count"), get("following_count")
        statuses, name, id_ = get("statuses_count"), get("name"), self.account_id(raw)
        if screen_name is None:
            screen_name = _first(raw, "userName", "username")
        if get("unavailable") is True or not (name or screen_name):
            return FollowedUser(id_, None, None, None, None, None, None, None, None)
        if avatar is None:
            avatar = _first(raw, "profilePicture", "profile_image_url", "profile_image")
        if not description:
            description = _description(raw) or description
        if created_at is None:
            created_at = get("createdAt")
        if followers is None:
            followers = get("followers")
        if following is None:
            following = _following_count(raw)
        if statuses is None:
            statuses = get("statusesCount")
        return FollowedUser(id_, name, screen_name, avatar, description, created_at, followers, following, statuses)

    def account_id(self, raw: object) -> object:
        """Return the id of a user of a page, of any JSON type."""
        if not isinstance(raw, dict):
            return raw.id if isinstance(raw, Unreadable) else None
        id_ = raw.get("id")
        if type(id_) is str and id_.isdigit():  # as in nearly every answer
            return id_
        found = [value for key in _IDS if (value := raw.get(key)) is not None]
        # Relays in JavaScript round numbers of this size, so a text comes first.
        texts = (value for value in found if isinstance(value, str) and usable_id(value))
        return next(texts, next(filter(usable_id, found), found[0] if found else None))


def _first(user: dict[str, object], *keys: str) -> object:
    for key in keys:
        value = user.get(key)
        if value is not None:
            return value
    return None


def _description(user: dict[str, object]) -> object:
    bio = user.get("profile_bio")
    return bio.get("description") if isinstance(bio, dict) else None


def _following_count(user: dict[str, object]) -> object:
    value = user.get("friends_count")
    if value is None and type(following := user.get("following")) is int:
        return following  # a bool there says whether the caller follows the user
    return value


def page_body(users: list[object], next_cursor: str | None) -> bytes:
    """Return the body of a 200 with these users, for pages that came another way."""
    answer = {"followings": users, "has_next_page": next_cursor is not None, "next_cursor": next_cursor or ""}
    return json.dumps(answer).encode()


def _page(answer: object) -> Page | ApiError:
    """Return the page in the JSON of a 200, or an error that says what is wrong with it."""
    if not isinstance(answer, dict):
        return ApiError(ApiErrorKind.TRANSIENT, "HTTP 200: not JSON of an object")
    if error := _error_in_200(answer):
        return error
    users, more = answer.get("followings"), answer.get("has_next_page")
    if not isinstance(users, list):
        return ApiError(ApiErrorKind.CONTRACT_DRIFT, f"followings is {_json_type(users)}, not a list")
    if not isinstance(more, bool):
        return ApiError(ApiErrorKind.CONTRACT_DRIFT, f"has_next_page is {_json_type(more)}, not true or false")
    return Page(users, _cursor(answer.get("next_cursor")), more)


def _around_users(answer: object) -> dict[str, object]:
    return {**answer, "followings": None} if isinstance(answer, dict) else {}


def _error_in_200(answer: dict[str, object]) -> ApiError | None:
    texts = [one_line(text) for text in _error_texts(answer)]
    status, code = answer.get("status"), answer.get("code")
    if isinstance(status, str) and status.lower() == "error":
        for text in texts:
            if _names_missing_user(text):
                return ApiError(ApiErrorKind.NOT_FOUND, text)
        return ApiError(ApiErrorKind.ERROR_IN_200, texts[0] if texts else "status is error, no text")
    if code is not None and (isinstance(code, bool) or code != 0):
        return ApiError(ApiErrorKind.ERROR_IN_200, f"code is {_shown(code)}: {texts[0] if texts else 'no text'}")
    return None


def _names_missing_user(text: str) -> bool:
    return _NOT_FOUND.search(text.replace("_", " ")) is not None


def _blocked(body: bytes) -> ApiError:
    """Return the error for a 403 that is no JSON, as the API's own is."""
    found = _CLOUDFLARE.search(body)
    code = f", error code {found[1].decode()}" if found and found[1] else ""
    who = f"Cloudflare{code}, " if found else ""
    return ApiError(ApiErrorKind.BLOCKED, f"HTTP 403: {who}not the API's own answer")


def _kind(status: int, cursor: str) -> ApiErrorKind:
    if status == 400 and cursor:
        return ApiErrorKind.BAD_CURSOR
    if kind := _STATUS_KINDS.get(status):
        return kind
    return ApiErrorKind.BAD_REQUEST if 400 <= status < 500 else ApiErrorKind.TRANSIENT


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


def _error_texts(answer: object) -> Iterator[str]:
    """Yield the texts of an error, the most specific one first."""
    if not isinstance(answer, dict):
        return
    for key in ("detail", "msg", "message", "error"):
        value = answer.get(key)
        parts = value if isinstance(value, list) else [value]
        if text := "; ".join(filter(None, map(_error_text, parts))):
            yield text


def _error_text(part: object) -> str:
    """Return the text of a part of an error: it is a text, or an object with one, as for a faulty parameter."""
    if isinstance(part, dict):
        part = _first(part, "msg", "message")
    return part.strip() if isinstance(part, str) else ""


def _json(body: bytes) -> object:
    """Return the JSON in `body`. Raises ValueError for anything else, also for NaN and bottomless nesting."""
    try:
        value: object = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _json_type(value: object) -> str:
    return "missing or null" if value is None else type(value).__name__


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str | int | float) else type(value).__name__
