"""What an answer is, and how a list in it is spoiled. Pure: server.py sends it."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import format_datetime
from enum import Enum

from kolspider.sandbox.world import ListPage, Shape

__all__ = ["ABSENT", "Answer", "Delivery", "Listing", "Payload", "date_after", "html_answer", "json_answer", "spoiled"]

Payload = dict[str, object]

ABSENT = object()
"""The value of a field that is not sent."""
_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx</body></html>"


class Delivery(Enum):
    """How an answer is sent."""

    WHOLE = "whole"
    CUT_OFF = "half of the body that Content-Length promised, then the connection is closed"
    CLOSED = "nothing, then the connection is closed"
    RESET = "nothing, then the connection is reset"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is ready to send."""

    status: int
    """The HTTP status; 0 if no answer is sent."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    users: int = 0
    """The number of list entries in the body."""
    credits: int = 0
    """What the customer is charged, even if the answer gets lost."""
    delivery: Delivery = Delivery.WHOLE
    wait: float = 0.0
    """Seconds to wait before sending."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list before a contract gives its fields their names. A field that is ABSENT is not sent."""

    users: object
    cursor: object
    more: object
    """Whether there is a next page."""

    @property
    def number(self) -> int:
        """The number of users."""
        return len(self.users) if isinstance(self.users, list) else 0


def json_answer(status: int, payload: object, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with a JSON body."""
    body = json.dumps(payload).encode("ascii")  # ASCII: a lone surrogate travels as \ud800
    return Answer(status, body, {"Content-Type": "application/json", **(headers or {})})


def html_answer(status: int, title: str) -> Answer:
    """An answer from something in front of the API."""
    return Answer(status, _HTML.format(title).encode("ascii"), {"Content-Type": "text/html"})


def date_after(seconds: float) -> str:
    """The time in so many seconds, as HTTP writes it."""
    return format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds), usegmt=True)


def spoiled(name: str, listing: Listing, page: ListPage, shape: Shape | None = None) -> Listing:
    """The listing with this fault in it; a fault that is not one of lists leaves it as it is."""
    if name == "endless":
        strangers = [_stranger(page.again_cursor, place) for place in range(len(page.users))]
        return replace(_leading_to(page.again_cursor, listing), users=[*map(shape, strangers)] if shape else strangers)
    return _SPOILERS[name](listing, page) if name in _SPOILERS else listing


def _leading_to(cursor: str | None, listing: Listing) -> Listing:
    return replace(listing, more=True, cursor=cursor)


def _stranger(cursor: str, place: int) -> dict[str, object]:
    """An account that is on no other page: the page's cursor is its seed."""
    digest = hashlib.blake2b(f"{cursor}|{place}".encode(), digest_size=7).digest()
    id_ = str(10**18 + int.from_bytes(digest))
    return {"id": id_, "name": "A stranger", "screen_name": f"stranger_{id_[-9:]}"}


_SPOILERS: dict[str, Callable[[Listing, ListPage], Listing]] = {
    "no_followings": lambda listing, _: replace(listing, users=ABSENT),
    "followings_null": lambda listing, _: replace(listing, users=None),
    "followings_object": lambda listing, _: replace(listing, users={"users": listing.users}),
    "no_cursor": lambda listing, _: _leading_to(None, listing),
    "empty_cursor": lambda listing, _: _leading_to("", listing),
    "zero_cursor": lambda listing, _: _leading_to("0", listing),
    "zero_pipe_cursor": lambda listing, _: _leading_to("0|123", listing),
    "same_cursor": lambda listing, page: _leading_to(page.own_cursor, listing),
    "loop": lambda listing, page: _leading_to(page.again_cursor, listing),
    "empty_pages": lambda listing, page: replace(_leading_to(page.again_cursor, listing), users=[]),
    "empty_list": lambda _listing, _page: Listing(users=[], cursor="", more=False),
    "cut_short": lambda listing, _: replace(listing, cursor="", more=False),
    "no_has_next_page": lambda listing, _: replace(listing, more=ABSENT),
}
