"""SocialData: its documentation, its TypeScript SDK, and clients of others.

From these: lists go by the account's numeric id; a look-up goes by handle or id (`/twitter/user/{name}`), or for up to
100 at a time by POST (`users-by-usernames`, `users-by-ids`); users have the names of Twitter's API 1.1, an `id_str`
beside the `id`, and times in ISO 8601; errors are `{"status": "error", "message": …}` with 401, 402, 403, 404, 422,
429 or 5xx; $0.0002 for each user that an answer has, and failures are free; pages have 49 or 50 users.

Not known, and decided here: `next_cursor` is there on every page, the last and the empty one too; the list of a
protected account is an empty one; batches leave out whom they can't find; a look-up in a batch costs as much as one by
itself; an account that is suspended or deleted is as good as missing, but one in a list has an id without a name.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from kolspider.sandbox.answers import ABSENT, Answer, Listing, Payload, json_answer
from kolspider.sandbox.apis.contract import Ask, Contract, Request
from kolspider.sandbox.apis.times import iso_time
from kolspider.sandbox.calls import Kind
from kolspider.sandbox.users import User
from kolspider.sandbox.world import ListPage, Profile

__all__ = ["SocialData"]

_BATCH = 100
_FIELDS = (
    *("name", "screen_name", "location", "url", "description", "protected", "verified", "followers_count"),
    *("friends_count", "favourites_count", "statuses_count", "profile_banner_url", "profile_image_url_https", "can_dm"),
)


class SocialData(Contract):
    """A unit of the meter is a user."""

    headers: ClassVar[Mapping[str, str]] = {"Authorization": "Bearer {key}"}
    paths: ClassVar[Mapping[str, tuple[str, Kind]]] = {
        "/twitter/friends/list": ("GET", "followings"),
        "/twitter/user/*": ("GET", "profile"),
        "/twitter/users-by-usernames": ("POST", "profiles"),
        "/twitter/users-by-ids": ("POST", "profiles"),
    }
    usd = 0.0002
    who = "user_id"
    bad_request = 422
    page_sizes = (50, 49)

    def read(self, kind: Kind, request: Request) -> Ask:
        """Ids are digits; a batch is `{"usernames": […]}` or `{"ids": […]}`."""
        if kind == "profile":
            tail = request.tail.lower()
            return Ask(kind, ids=(tail,)) if tail.isdigit() else Ask(kind, (tail,))
        if kind == "profiles":
            ask = Ask(kind, _texts(request.body, "usernames"), _texts(request.body, "ids"))
            fits = 0 < ask.accounts <= _BATCH
            return (
                ask if fits else replace(ask, refusal=self.error(422, f"Up to {_BATCH} usernames or ids are required"))
            )
        id_ = request.query.get("user_id", "")
        refusal = None if id_.isdigit() else self.error(422, "The user id field is required and must be numeric")
        return Ask(kind, ids=(id_,), cursor=request.query.get("cursor", ""), size=self.page_sizes[0], refusal=refusal)

    def page(self, page: ListPage) -> Listing:
        """Nothing says where the list ends but an empty page."""
        return Listing(page.users, page.past_cursor, more=ABSENT)

    def listing(self, listing: Listing) -> Payload:
        """Cursor and users."""
        return {"next_cursor": listing.cursor, "users": listing.users}

    def profile(self, profile: Profile) -> Payload | None:
        """The user without anything around it."""
        return self.shape(profile.user) if profile.is_there else None

    def profiles(self, found: list[Profile]) -> Payload:
        """Those that can be looked at."""
        return {"users": [self.shape(profile.user) for profile in found if profile.is_there]}

    def missing(self) -> Answer:
        """A status of its own."""
        return self.error(404, "User not found")

    def broke(self) -> Answer:
        """Payment required."""
        return self.error(402, "Insufficient balance")

    def failed(self, name: str) -> Answer:
        """No such answer is documented."""
        return self.error(200, "internal error, try again later")

    def error(self, status: int, text: object, headers: Mapping[str, str] | None = None) -> Answer:
        """One shape for all."""
        return json_answer(status, {"status": "error", "message": text}, headers)

    def price(self, ask: Ask, found: int) -> int:
        """The users in the answer."""
        return found

    @staticmethod
    def shape(user: User) -> User:
        """A user of Twitter's API 1.1; one without a name, where the account can't be looked at."""
        told: User = {name: user[name] for name in _FIELDS if name in user}
        if "unavailable" in user:
            told = {"name": "", "screen_name": ""}
        if "created_at" in user:
            told["created_at"] = iso_time(user["created_at"])
        id_ = user.get("id", ABSENT)
        if isinstance(id_, str) and id_.isdigit():
            return {"id": int(id_), "id_str": id_, **told}
        return told if id_ is ABSENT else {"id": id_, "id_str": id_, **told}


def _texts(body: object, name: str) -> tuple[str, ...]:
    listed = body.get(name) if isinstance(body, dict) else None
    return tuple(str(one).lower() for one in listed) if isinstance(listed, list) else ()
