"""What the wire contracts of all APIs share: from a request to an answer, in terms of one world.

A contract is a class with data (headers, paths, prices) and the few functions in which its API differs. It neither
opens a socket nor keeps anything: server.py does.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from kolspider.sandbox.account import Account
from kolspider.sandbox.answers import (
    ABSENT,
    Answer,
    Delivery,
    Listing,
    Payload,
    date_after,
    html_answer,
    json_answer,
    spoiled,
)
from kolspider.sandbox.calls import Kind
from kolspider.sandbox.faults import Fault
from kolspider.sandbox.world import ListPage, Profile, Shape, World

__all__ = ["Ask", "Contract", "Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a contract sees of an HTTP request."""

    query: Mapping[str, str]
    tail: str = ""
    """What stands in the place of the `*` of its path."""
    body: object = None
    """The JSON body."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks for. It is complete as far as it can be read, even when it is refused."""

    kind: Kind
    names: tuple[str, ...] = ()
    """The handles asked about, in lower case."""
    ids: tuple[str, ...] = ()
    """The ids asked about."""
    cursor: str = ""
    size: int = 0
    """The most users that the answer has; 0: the request's number is not allowed."""
    refusal: Answer | None = None

    @property
    def accounts(self) -> int:
        """The number of accounts asked about."""
        return len(self.names) + len(self.ids)


class Contract(ABC):
    """An API on the wire. Subclasses give the data and the abstract functions."""

    headers: ClassVar[Mapping[str, str]]
    """The headers that a request must have, with `{key}` where the key stands."""
    base: ClassVar[str] = ""
    """The path that all of them begin with, as a part of the address."""
    paths: ClassVar[Mapping[str, tuple[str, Kind]]]
    """Method and kind by path; a path may end in `*`."""
    usd: ClassVar[float]
    """What one unit of the meter costs, in dollars."""
    who: ClassVar[str]
    """The parameter that names the account of a list."""
    bad_request: ClassVar[int] = 400
    """The status of a request that the API doesn't understand."""
    page_sizes: ClassVar[tuple[int, ...]] = ()
    """How many users the pages of a list have, in turn; none: as many as the request wants."""
    shape: Shape | None = None
    """How users are sent; None: as the world does by itself, which is twitterapi.io's way."""

    # --- what an API differs in -----------------------------------------------------------------------------------

    @abstractmethod
    def read(self, kind: Kind, request: Request) -> Ask:
        """What a request of this kind asks for."""

    @abstractmethod
    def listing(self, listing: Listing) -> Payload:
        """The body of a page of a list; fields whose value is ABSENT are taken out of it."""

    def profile(self, profile: Profile) -> Payload | None:
        """The body that tells of an account; None: the API says the same as if it didn't exist."""
        raise LookupError("no path of this API asks for profiles")

    def profiles(self, found: list[Profile]) -> Payload:
        """The body that tells of several accounts, those that exist."""
        raise LookupError("no path of this API asks for several profiles")

    def balance(self, account: Account) -> Payload:
        """The body that tells what the customer has left."""
        raise LookupError("no path of this API asks for a balance")

    @abstractmethod
    def missing(self) -> Answer:
        """The answer where there is no such account, or it is suspended."""

    @abstractmethod
    def broke(self) -> Answer:
        """The answer where the customer has too little left."""

    @abstractmethod
    def failed(self, name: str) -> Answer:
        """A failure inside HTTP 200: the fault `error_in_200` or `code_not_0`."""

    @abstractmethod
    def error(self, status: int, text: object, headers: Mapping[str, str] | None = None) -> Answer:
        """An error as this API words it."""

    @abstractmethod
    def price(self, ask: Ask, found: int) -> int:
        """What an answer costs that succeeds, in units; `found`: the number of accounts in it."""

    def used_up(self, seconds: float) -> Answer:
        """The answer where a plan has no more calls for so long."""
        return self.error(429, "Your plan's calls of this month are used up", _reset_in(seconds))

    def page(self, page: ListPage) -> Listing:
        """A page of a list. Most APIs say where the list ends."""
        return Listing(page.users, page.next_cursor, more=bool(page.next_cursor))

    # --- what is the same for all ---------------------------------------------------------------------------------

    def find(self, path: str) -> tuple[str, Kind, str] | None:
        """Method, kind and tail of a path; None: there is nothing."""
        if path in self.paths:
            return (*self.paths[path], "")
        start, _, tail = path.rpartition("/")
        found = self.paths.get(f"{start}/*") if tail else None
        return (*found, tail) if found else None

    def has_key(self, sent: Mapping[str, str], key: str) -> bool:
        """Whether a request has the headers that this API wants."""
        return all(sent.get(name) == value.format(key=key) for name, value in self.headers.items())

    def answer(self, ask: Ask, fault: Fault, world: World, account: Account) -> Answer:
        """The answer to a request that is not refused, paid for by the account."""
        if fault.name in _ERRORS:
            return _ERRORS[fault.name](self, fault)
        answer = self._good(ask, fault, world, account)
        if answer.credits and not account.pay(answer.credits):
            return self.broke()
        if fault.name == "slow":
            return replace(answer, wait=fault.wait)
        if fault.name == "truncated_json":
            return replace(answer, body=answer.body[: len(answer.body) // 2], users=0)
        if fault.name == "cut_off":
            return replace(answer, users=0, delivery=Delivery.CUT_OFF)
        return answer

    def _good(self, ask: Ask, fault: Fault, world: World, account: Account) -> Answer:
        payload, found = self._payload(ask, fault, world, account)
        if payload is None:
            return self.missing()
        users = found if ask.kind == "followings" else 0
        return replace(json_answer(200, payload), users=users, credits=self.price(ask, found))

    def _payload(self, ask: Ask, fault: Fault, world: World, account: Account) -> tuple[Payload | None, int]:
        """The body, and the number of accounts in it; None: there is no such account."""
        if ask.kind == "balance":
            return self.balance(account), 0
        found = [profile for profile in _look_up(ask, world) if profile]
        if ask.kind == "profiles":
            return self.profiles(found), sum(profile.is_there for profile in found)
        if not found:
            return None, 0
        if ask.kind == "profile":
            return self.profile(found[0]), 1
        handle = found[0].handle
        if handle not in world:
            return None, 0
        position = world.position(handle, ask.cursor, ask.size)
        size = self.page_sizes[(position.page - 1) % len(self.page_sizes)] if self.page_sizes else ask.size
        page = world.page(handle, position, size)
        listing = spoiled(fault.name, self.page(page), page, self.shape)
        return _present(self.listing(listing)), listing.number


def _look_up(ask: Ask, world: World) -> list[Profile | None]:
    return [*map(world.profile, ask.names), *map(world.profile_of_id, ask.ids)]


def _present(payload: Payload) -> Payload:
    """The fields that are sent, also of an object in another."""
    return {
        name: _present(value) if isinstance(value, dict) else value
        for name, value in payload.items()
        if value is not ABSENT
    }


def _reset_in(seconds: float) -> Mapping[str, str]:
    return {"x-rate-limit-reset": str(int(time.time() + seconds))}


_Failure = Callable[[Contract, Fault], Answer]
_ERRORS: dict[str, _Failure] = {
    "timeout": lambda _, fault: Answer(0, delivery=Delivery.CLOSED, wait=fault.wait),
    "reset": lambda _, __: Answer(0, delivery=Delivery.RESET),
    "not_found": lambda api, _: api.missing(),
    "error_in_200": lambda api, fault: api.failed(fault.name),
    "code_not_0": lambda api, fault: api.failed(fault.name),
    "bad_request": lambda api, _: api.error(api.bad_request, f"{api.who} is not valid"),
    "bad_request_list": lambda api, _: api.error(
        api.bad_request, [{"loc": ["query", api.who], "msg": "value is not valid", "type": "value_error"}]
    ),
    "bad_request_page": lambda _, __: html_answer(400, "400 Bad Request"),
    "bad_cursor": lambda api, _: api.error(api.bad_request, "cursor is no longer valid"),
    "bad_key": lambda api, _: api.error(401, "API key is not valid"),
    "forbidden": lambda api, _: api.error(403, "API key is not allowed to do this"),
    "blocked": lambda _, __: Answer(403, b"error code: 1010", {"Content-Type": "text/plain"}),
    "no_credit": lambda api, _: api.broke(),
    "wrong_path": lambda api, _: api.error(404, "Not Found"),
    "no_such_user": lambda api, _: api.error(404, "User not found"),
    "moved": lambda _, __: Answer(301, headers={"Location": "https://api.example/elsewhere"}),
    "not_modified": lambda _, __: Answer(304),
    "rate_limit": lambda api, fault: api.error(429, "Too Many Requests", {"Retry-After": f"{fault.wait:g}"}),
    "rate_limit_bare": lambda api, _: api.error(429, "Too Many Requests"),
    "rate_limit_date": lambda api, fault: api.error(429, "Too Many Requests", {"Retry-After": date_after(fault.wait)}),
    "rate_limit_reset": lambda api, fault: api.error(429, "Too Many Requests", _reset_in(fault.wait)),
    "plan_used_up": lambda api, fault: api.used_up(fault.wait),
    "server_error": lambda api, _: api.error(500, "Internal Server Error"),
    "bad_gateway": lambda _, __: html_answer(502, "502 Bad Gateway"),
    "unavailable": lambda api, _: api.error(503, "Service Unavailable"),
    "unavailable_for": lambda api, fault: api.error(503, "Service Unavailable", {"Retry-After": f"{fault.wait:g}"}),
    "not_json": lambda _, __: html_answer(200, "Just a moment..."),
}
