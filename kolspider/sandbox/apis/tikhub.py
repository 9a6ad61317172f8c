"""TikHub: its API reference and SDK, and clients of others.

From these: path and parameters, the key as a Bearer token, `{"code": 200, "data": {…}}` around the same list that
twitter-api45 gives, about 67 users a page, an empty `next_cursor` at the end; 422 for parameters as FastAPI words it,
other errors in an object in `detail`, with texts in English and Chinese; each call has a price.

Not known, and decided here: a call costs $0.001, a failed one nothing; a missing account is a 404; an empty balance is
a 402; users have a `created_at`, which those of twitter-api45 lack. Profiles are not served: following needs no id.
"""

from collections.abc import Mapping
from typing import ClassVar

from kolspider.sandbox.answers import Answer, Listing, Payload, json_answer
from kolspider.sandbox.apis.api45 import Api45
from kolspider.sandbox.apis.contract import Contract
from kolspider.sandbox.calls import Kind
from kolspider.sandbox.users import User

__all__ = ["TikHub"]

_PATH = "/api/v1/twitter/web/fetch_user_followings"


class TikHub(Api45):
    """A unit of the meter is a call."""

    headers: ClassVar[Mapping[str, str]] = {"Authorization": "Bearer {key}"}
    paths: ClassVar[Mapping[str, tuple[str, Kind]]] = {_PATH: ("GET", "followings")}
    usd = 0.001
    who = "screen_name"
    bad_request = 422
    page_sizes = (67,)

    def listing(self, listing: Listing) -> Payload:
        """The list in `data`."""
        return {"code": 200, "message": "Request successful", "router": _PATH, "data": super().listing(listing)}

    def missing(self) -> Answer:
        """A status of its own."""
        return self.error(404, "User not found")

    def broke(self) -> Answer:
        """Payment required."""
        return self.error(402, "Insufficient balance, please recharge")

    def used_up(self, seconds: float) -> Answer:
        """Not RapidAPI's."""
        return Contract.used_up(self, seconds)

    def failed(self, name: str) -> Answer:
        """A `code` that says otherwise than the status."""
        return json_answer(200, {"code": 400, "message": "Request failed, please try again", "data": None})

    def error(self, status: int, text: object, headers: Mapping[str, str] | None = None) -> Answer:
        """In `detail`: a list for parameters, else an object."""
        if status == 422 and isinstance(text, str):
            text = [{"loc": ["query", self.who], "msg": text, "type": "value_error"}]
        elif isinstance(text, str):
            text = {"code": status, "message": text, "message_zh": "请求失败", "router": _PATH}
        return json_answer(status, {"detail": text}, headers)

    @staticmethod
    def shape(user: User) -> User:
        """A user of twitter-api45, and when it was created."""
        created = {"created_at": user["created_at"]} if "created_at" in user else {}
        return {**Api45.shape(user), **created}
