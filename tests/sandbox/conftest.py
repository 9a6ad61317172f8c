"""A plain HTTP client for the sandbox that neither repairs, retries nor hides what is on the wire."""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import pytest

from kolspider.sandbox import Sandbox


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


Get = Callable[..., Reply]
Walk = Callable[..., list[Reply]]


def _get(sandbox: Sandbox, handle="BTC", *, key="sandbox-key", path="/twitter/user/followings", **query) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=60)
    try:
        query = {"userName": handle, **query} if handle else query
        connection.request("GET", f"{path}?{urlencode(query)}", headers={"X-API-Key": key} if key else {})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def _walk(sandbox: Sandbox, handle="BTC", *, size=200, between=lambda _page: None) -> list[Reply]:
    """All pages of a list; calls `between` with the number of each page after it."""
    replies = [_get(sandbox, handle, pageSize=size)]
    between(1)
    while replies[-1].json["has_next_page"]:
        replies.append(_get(sandbox, handle, pageSize=size, cursor=replies[-1].json["next_cursor"]))
        between(len(replies))
    return replies


@pytest.fixture
def get() -> Get:
    return _get


@pytest.fixture
def walk() -> Walk:
    return _walk


def _ids(replies: list[Reply]) -> list[str]:
    keys = ("id", "id_str", "user_id", "rest_id")
    users = [user for reply in replies for user in reply.json["followings"]]
    return [str(next(user[key] for key in keys if key in user)) for user in users]


@pytest.fixture
def ids() -> Callable[[list[Reply]], list[str]]:
    return _ids
