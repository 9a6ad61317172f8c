"""twitter-api45 on RapidAPI, from clients of others, which agree with each other.

From these: path, parameters and both headers; `following`, `next_cursor`, `more_users` and `status`, which is `ok`
where all went well; users with `user_id`, `profile_image` and no time of creation; about 70 users a page. RapidAPI
itself answers for keys (401, 403), paths (404) and quotas (429), in `message`. A plan that is used up is such a 429,
and its headers say in how many seconds it begins again.

Not known, and decided here: a missing account is a `status` in HTTP 200; only answers that succeed count for the plan;
an account that can't be looked at is in a list with its id alone. Profiles are not served: following needs no id.
"""

from collections.abc import Mapping
from typing import ClassVar

from kolspider.sandbox.answers import Answer, Listing, Payload, json_answer
from kolspider.sandbox.apis.contract import Ask, Contract, Request
from kolspider.sandbox.calls import Kind
from kolspider.sandbox.users import User

__all__ = ["Api45"]

_MONTH = 30 * 86_400.0
_NAMES = {
    "user_id": "id",
    "screen_name": "screen_name",
    "name": "name",
    "description": "description",
    "location": "location",
    "profile_image": "profile_image_url_https",
    "statuses_count": "statuses_count",
    "followers_count": "followers_count",
    "friends_count": "friends_count",
    "media_count": "media_tweets_count",
}


class Api45(Contract):
    """A unit of the meter is a call of the plan, which costs nothing by itself."""

    headers: ClassVar[Mapping[str, str]] = {
        "X-RapidAPI-Key": "{key}",
        "X-RapidAPI-Host": "twitter-api45.p.rapidapi.com",
    }
    paths: ClassVar[Mapping[str, tuple[str, Kind]]] = {"/following.php": ("GET", "followings")}
    usd = 0.0
    who = "screenname"
    page_sizes = (70,)

    def read(self, kind: Kind, request: Request) -> Ask:
        """Handle and cursor."""
        name = request.query.get(self.who, "").lower()
        refusal = None if name else self.error(self.bad_request, f"{self.who} is required")
        return Ask(kind, (name,), cursor=request.query.get("cursor", ""), size=self.page_sizes[0], refusal=refusal)

    def listing(self, listing: Listing) -> Payload:
        """A flat object."""
        fields: Payload = {"following": listing.users, "next_cursor": listing.cursor, "more_users": listing.more}
        return {**fields, "status": "ok"}

    def missing(self) -> Answer:
        """A status of its own in HTTP 200."""
        return json_answer(200, {"status": "error", "message": "User not found"})

    def broke(self) -> Answer:
        """The plan is used up until it begins again."""
        return self.used_up(_MONTH)

    def used_up(self, seconds: float) -> Answer:
        """RapidAPI's words and headers."""
        return self.error(
            429,
            "You have exceeded the MONTHLY quota for Requests on your current plan, BASIC.",
            {"x-ratelimit-requests-remaining": "0", "x-ratelimit-requests-reset": f"{seconds:.0f}"},
        )

    def failed(self, name: str) -> Answer:
        """A status that is not ok."""
        return json_answer(200, {"status": "error", "message": "upstream error, try again later"})

    def error(self, status: int, text: object, headers: Mapping[str, str] | None = None) -> Answer:
        """As RapidAPI does it."""
        return json_answer(status, {"message": text}, headers)

    def price(self, ask: Ask, found: int) -> int:
        """The same for each call."""
        return 1

    @staticmethod
    def shape(user: User) -> User:
        """A user with this API's names; its id alone, where the account can't be looked at."""
        return {new: user[old] for new, old in _NAMES.items() if old in user}
