"""twitterapi.io: its documentation and price list, and real answers that people published (January 2026).

Not known, and decided here:

- Two parties who call `batch_info_by_ids` get `unavailable` for a suspended account. An id that nobody has, or whose
  account was deleted, is left out, and `user/info` names no id of a suspended account.
- The tier of `batch_info_by_ids` goes by the ids asked for, and each of them is paid for, found or not. Its page
  names no largest number, so the sandbox has none.
- Cursors hold a `|`, so that a client must encode them; those of the real API are plain decimals.
- A page size out of range is refused, so that a client's mistake shows; the real API takes the nearest one.
"""

from collections.abc import Mapping
from typing import ClassVar

from kolspider.sandbox.account import Account
from kolspider.sandbox.answers import ABSENT, Answer, Listing, Payload, json_answer
from kolspider.sandbox.apis.contract import Ask, Contract, Request
from kolspider.sandbox.apis.times import iso_time
from kolspider.sandbox.calls import Kind
from kolspider.sandbox.users import User
from kolspider.sandbox.world import Profile, State, unavailable

__all__ = ["TwitterApiIo"]

_PAGE_SIZES = range(20, 201)
_BULK = 100
"""So many profiles in one call are cheaper."""
_EMPTY: Payload = {"has_next_page": False, "next_cursor": "", "followings": []}
_CAMEL_CASE = {
    "userName": "screen_name",
    "id": "id",
    "name": "name",
    "profilePicture": "profile_image_url_https",
    "coverPicture": "profile_banner_url",
    "description": "description",
    "location": "location",
    "followers": "followers_count",
    "following": "friends_count",
    "protected": "protected",
    "canDm": "can_dm",
    "favouritesCount": "favourites_count",
    "mediaCount": "media_tweets_count",
    "statusesCount": "statuses_count",
}


class TwitterApiIo(Contract):
    """A unit of the meter is a credit."""

    headers: ClassVar[Mapping[str, str]] = {"X-API-Key": "{key}"}
    paths: ClassVar[Mapping[str, tuple[str, Kind]]] = {
        "/twitter/user/followings": ("GET", "followings"),
        "/twitter/user/info": ("GET", "profile"),
        "/twitter/user/batch_info_by_ids": ("GET", "profiles"),
        "/oapi/my/info": ("GET", "balance"),
    }
    usd = 0.00001
    who = "userName"

    def read(self, kind: Kind, request: Request) -> Ask:
        """What the query says; `userIds` is a list with commas."""
        query = request.query
        if kind == "balance":
            return Ask(kind)
        if kind == "profiles":
            ids = tuple(query.get("userIds", "").replace(" ", "").split(","))
            return Ask(kind, ids=ids, refusal=None if all(ids) else self._required("userIds"))
        name = query.get("userName", "").lower()
        refusal = None if name else self._required("userName")
        if kind == "profile":
            return Ask(kind, (name,), refusal=refusal)
        size = _page_size(query.get("pageSize", ""))
        if not size and not refusal:
            refusal = self.error(400, "pageSize must be between 20 and 200")
        return Ask(kind, (name,), cursor=query.get("cursor", ""), size=size, refusal=refusal)

    def listing(self, listing: Listing) -> Payload:
        """A flat object. The real API ends a list with either of two cursors."""
        end = "0" if listing.number % 2 else ""
        return {
            "code": 0,
            "status": "success",
            "msg": "success",
            "has_next_page": listing.more,
            "next_cursor": end if listing.more is False and not listing.cursor else listing.cursor,
            "followings": listing.users,
        }

    def profile(self, profile: Profile) -> Payload | None:
        """In `data`, with the names of the published documentation."""
        if profile.state is State.DELETED:
            return None
        told = camel_case(profile.user) if profile.is_there else unavailable(profile.state)
        return {"data": told, "status": "success", "msg": "success"}

    def profiles(self, found: list[Profile]) -> Payload:
        """In `users`, with the names of the published documentation."""
        users = [
            camel_case(profile.user) if profile.is_there else {"id": profile.id, **unavailable(profile.state)}
            for profile in found
            if profile.state is not State.DELETED
        ]
        return {"users": users, "status": "success", "msg": "success"}

    def balance(self, account: Account) -> Payload:
        """Two pots."""
        return {"recharge_credits": account.recharged, "total_bonus_credits": account.bonus}

    def missing(self) -> Answer:
        """An error inside HTTP 200."""
        return json_answer(200, {"status": "error", "msg": "user not found", "data": None})

    def broke(self) -> Answer:
        """The text says Unauthorized."""
        return json_answer(402, {"error": "Unauthorized", "message": "Credits is not enough.Please recharge"})

    def failed(self, name: str) -> Answer:
        """With a `status`, or with a `code`."""
        if name == "code_not_0":
            return json_answer(200, {"code": 5001, "status": "success", "message": "upstream busy", **_EMPTY})
        return json_answer(200, {"status": "error", "msg": "internal error, try again later", **_EMPTY})

    def error(self, status: int, text: object, headers: Mapping[str, str] | None = None) -> Answer:
        """In `detail`, as the web framework does that the API is made with."""
        return json_answer(status, {"detail": text}, headers)

    def price(self, ask: Ask, found: int) -> int:
        """The documented tiers. At least 15 credits a call, 60 for a page of a list."""
        match ask.kind:
            case "balance":
                return 0
            case "profile":
                return 18
            case "profiles":
                return max(15, ask.accounts * (1 if ask.accounts >= _BULK else 18))
            case "followings" if found < 20:
                return 60
            case _:
                return found * (3 if found < 100 else 2 if found < 200 else 1)

    def _required(self, parameter: str) -> Answer:
        return self.error(400, [{"loc": ["query", parameter], "msg": "field required", "type": "missing"}])


def camel_case(user: User) -> User:
    """A profile with the names of the published documentation."""
    told: User = {new: user[old] for new, old in _CAMEL_CASE.items() if old in user}
    created = user.get("created_at", ABSENT)
    if created is not ABSENT:
        told["createdAt"] = iso_time(created)
    return {"type": "user", **told, "profile_bio": {"description": user.get("description")}, "unavailable": False}


def _page_size(text: str) -> int:
    """The number; 0 if it is not allowed."""
    if not text:
        return 200
    size = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return size if size in _PAGE_SIZES else 0
