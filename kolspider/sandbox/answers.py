"""The answer to a request, made from a page of a list and a fault. Pure: server.py sends it."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import format_datetime
from enum import Enum

from kolspider.sandbox.faults import Fault
from kolspider.sandbox.world import ListPage

__all__ = ["Answer", "Delivery", "detail", "give"]

Payload = dict[str, object]

NOT_FOUND: Payload = {"status": "error", "msg": "user not found"}
_EMPTY: Payload = {"has_next_page": False, "next_cursor": "", "followings": []}
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
    """What the account is charged: answers that succeed, by the documented price list, even if they get lost."""
    delivery: Delivery = Delivery.WHOLE
    wait: float = 0.0
    """Seconds to wait before sending."""


def give(fault: Fault, page: ListPage | None) -> Answer:
    """The answer to a well-formed request; `page` is None if there is no such KOL."""
    if fault.name in _WITHOUT_LIST:
        return _WITHOUT_LIST[fault.name](fault)
    if page is None:
        return _json(200, NOT_FOUND)
    payload = _list(page)
    if fault.name in _SPOILERS:
        payload = _SPOILERS[fault.name](payload, page)
    whole = _json(200, payload, wait=fault.wait if fault.name == "slow" else 0.0)
    whole = replace(whole, credits=_charge(whole.users))
    if fault.name == "truncated_json":
        return replace(whole, body=whole.body[: len(whole.body) // 2], users=0)
    if fault.name == "cut_off":
        return replace(whole, users=0, delivery=Delivery.CUT_OFF)
    return whole


def _charge(users: int) -> int:
    if users < 20:
        return 60
    if users < 100:
        return users * 3
    return users * 2 if users < 200 else users


def detail(status: int, text: object, headers: Mapping[str, str] | None = None) -> Answer:
    """An error as the web framework in front of the API sends it."""
    return _json(status, {"detail": text}, headers)


def _json(status: int, payload: Payload, headers: Mapping[str, str] | None = None, wait: float = 0.0) -> Answer:
    users = payload.get("followings")
    return Answer(
        status,
        json.dumps(payload).encode("ascii"),  # ASCII: a lone surrogate travels as \ud800
        {"Content-Type": "application/json", **(headers or {})},
        users=len(users) if isinstance(users, list) else 0,
        wait=wait,
    )


def _html(status: int, title: str) -> Answer:
    return Answer(status, _HTML.format(title).encode("ascii"), {"Content-Type": "text/html"})


def _stranger(cursor: str, place: int) -> dict[str, object]:
    """An account that is on no other page: the page's cursor is its seed."""
    digest = hashlib.blake2b(f"{cursor}|{place}".encode(), digest_size=7).digest()
    id_ = str(10**18 + int.from_bytes(digest))
    return {"id": id_, "name": "A stranger", "screen_name": f"stranger_{id_[-9:]}"}


def _list(page: ListPage) -> Payload:
    # The real API uses both at the end of a list.
    end = "0" if len(page.users) % 2 else ""
    return {
        "code": 0,
        "status": "success",
        "msg": "success",
        "has_next_page": bool(page.next_cursor),
        "next_cursor": page.next_cursor or end,
        "followings": page.users,
    }


def _date_after(seconds: float) -> str:
    return format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds), usegmt=True)


_WITHOUT_LIST: dict[str, Callable[[Fault], Answer]] = {
    "timeout": lambda fault: Answer(0, delivery=Delivery.CLOSED, wait=fault.wait),
    "reset": lambda _: Answer(0, delivery=Delivery.RESET),
    "not_found": lambda _: _json(200, NOT_FOUND),
    "error_in_200": lambda _: _json(200, {"status": "error", "msg": "internal error, try again later", **_EMPTY}),
    "code_not_0": lambda _: _json(200, {"code": 5001, "status": "success", "message": "upstream busy", **_EMPTY}),
    "bad_request": lambda _: detail(400, "userName is not valid"),
    "bad_request_list": lambda _: detail(
        400, [{"loc": ["query", "userName"], "msg": "value is not valid", "type": "value_error"}]
    ),
    "bad_request_page": lambda _: _html(400, "400 Bad Request"),
    "bad_cursor": lambda _: detail(400, "cursor is no longer valid"),
    "bad_key": lambda _: detail(401, "API key is not valid"),
    "forbidden": lambda _: detail(403, "API key is not allowed to do this"),
    "blocked": lambda _: Answer(403, b"error code: 1010", {"Content-Type": "text/plain"}),
    "no_credit": lambda _: _json(402, {"error": "Unauthorized", "message": "Credits is not enough.Please recharge"}),
    "wrong_path": lambda _: detail(404, "Not Found"),
    "no_such_user": lambda _: detail(404, "User not found"),
    "moved": lambda _: Answer(301, headers={"Location": "https://api.example/elsewhere"}),
    "not_modified": lambda _: Answer(304),
    "rate_limit": lambda fault: detail(429, "Too Many Requests", {"Retry-After": f"{fault.wait:g}"}),
    "rate_limit_bare": lambda _: detail(429, "Too Many Requests"),
    "rate_limit_date": lambda fault: detail(429, "Too Many Requests", {"Retry-After": _date_after(fault.wait)}),
    "server_error": lambda _: detail(500, "Internal Server Error"),
    "bad_gateway": lambda _: _html(502, "502 Bad Gateway"),
    "unavailable": lambda _: detail(503, "Service Unavailable"),
    "unavailable_for": lambda fault: detail(503, "Service Unavailable", {"Retry-After": f"{fault.wait:g}"}),
    "not_json": lambda _: _html(200, "Just a moment..."),
}

_SPOILERS: dict[str, Callable[[Payload, ListPage], Payload]] = {
    "no_followings": lambda payload, _: _without("followings", payload),
    "followings_null": lambda payload, _: {**payload, "followings": None},
    "followings_object": lambda payload, _: {**payload, "followings": {"users": payload["followings"]}},
    "no_cursor": lambda payload, _: _leading_to(None, payload),
    "empty_cursor": lambda payload, _: _leading_to("", payload),
    "zero_cursor": lambda payload, _: _leading_to("0", payload),
    "zero_pipe_cursor": lambda payload, _: _leading_to("0|123", payload),
    "same_cursor": lambda payload, page: _leading_to(page.own_cursor, payload),
    "loop": lambda payload, page: _leading_to(page.again_cursor, payload),
    "empty_pages": lambda payload, page: {**_leading_to(page.again_cursor, payload), "followings": []},
    "endless": lambda payload, page: {
        **_leading_to(page.again_cursor, payload),
        "followings": [_stranger(page.again_cursor, place) for place in range(len(page.users))],
    },
    "empty_list": lambda payload, _: {**payload, **_EMPTY},
    "cut_short": lambda payload, _: {**payload, "has_next_page": False, "next_cursor": ""},
    "no_has_next_page": lambda payload, _: _without("has_next_page", payload),
}


def _leading_to(cursor: str | None, payload: Payload) -> Payload:
    return {**payload, "has_next_page": True, "next_cursor": cursor}


def _without(key: str, payload: Payload) -> Payload:
    return {name: value for name, value in payload.items() if name != key}
