"""Each wire contract over HTTP: the same world behind other paths, keys, names, pages, ends, errors and prices."""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from kolspider.sandbox import CONTRACTS, FAULT_NAMES, Fault, Faults, Sandbox, followings
from kolspider.sandbox.users import plain_entry
from tests.sandbox.conftest import Reply

KEY = "sandbox-key"
BEARER = {"Authorization": f"Bearer {KEY}"}


@dataclass(frozen=True)
class Client:
    """What a client of this API must know."""

    path: str
    who: str
    """The parameter that names the account."""
    users: tuple[str, ...]
    """Where the users are; cursor and flag are beside them."""
    id: str
    more: str = ""
    """The flag for another page; empty: an empty page ends the list."""
    headers: dict[str, str] = field(default_factory=lambda: BEARER)
    by_id: bool = False
    sizes: tuple[int, ...] = ()
    """The sizes of pages in turn."""
    statuses: dict[str, int] = field(default_factory=dict)
    """The status of each fault, where it is another than with most."""

    def ask(self, sandbox: Sandbox, kol: str, cursor: str = "") -> Reply:
        who = sandbox.id_of(kol) if self.by_id and not kol.isdigit() else kol
        return send(sandbox, self.path, self.headers, **{self.who: who}, **({"cursor": cursor} if cursor else {}))

    def read(self, sandbox: Sandbox, kol: str) -> list[list[Any]]:
        """The users of all pages."""
        pages, cursor = [], ""
        while True:
            reply = self.ask(sandbox, kol, cursor)
            assert reply.status == 200, reply.body
            inner = reply.json
            for name in self.users[:-1]:
                inner = inner[name]
            pages.append(inner[self.users[-1]])
            if not (inner[self.more] if self.more else pages[-1]):
                return pages
            cursor = inner["next_cursor"]


CLIENTS = {
    "twitterapi_io": Client(
        "/twitter/user/followings", "userName", ("followings",), "id", "has_next_page", {"X-API-Key": KEY}, sizes=(200,)
    ),
    "aisa": Client(
        "/apis/v1/twitter/user/followings", "userName", ("followings",), "id", "has_next_page", sizes=(200,)
    ),
    "socialdata": Client(
        "/twitter/friends/list",
        "user_id",
        ("users",),
        "id_str",
        by_id=True,
        sizes=(50, 49),
        statuses={"not_found": 404, "bad_request": 422, "bad_request_list": 422, "bad_cursor": 422},
    ),
    "tikhub": Client(
        "/api/v1/twitter/web/fetch_user_followings",
        "screen_name",
        ("data", "following"),
        "user_id",
        "more_users",
        sizes=(67,),
        statuses={"not_found": 404, "bad_request": 422, "bad_request_list": 422, "bad_cursor": 422},
    ),
    "api45": Client(
        "/following.php",
        "screenname",
        ("following",),
        "user_id",
        "more_users",
        {"X-RapidAPI-Key": KEY, "X-RapidAPI-Host": "twitter-api45.p.rapidapi.com"},
        sizes=(70,),
        statuses={"no_credit": 429},
    ),
}
STATUSES = {
    301: "moved",
    304: "not_modified",
    400: "bad_request bad_request_list bad_request_page bad_cursor",
    401: "bad_key",
    402: "no_credit",
    403: "forbidden blocked",
    404: "wrong_path no_such_user",
    429: "rate_limit rate_limit_bare rate_limit_date rate_limit_reset plan_used_up",
    500: "server_error",
    502: "bad_gateway",
    503: "unavailable unavailable_for",
}
USUAL = {name: status for status, names in STATUSES.items() for name in names.split()}
WORDING: dict[str, Callable[[dict], str]] = {
    "twitterapi_io": lambda body: body["detail"],
    "aisa": lambda body: body["detail"],
    "socialdata": lambda body: body["message"] if body["status"] == "error" else "",
    "tikhub": lambda body: body["detail"]["message"] if body["detail"]["code"] == 429 else "",
    "api45": lambda body: body["message"],
}
"""What the body of an error says."""
every_api = pytest.mark.parametrize("api", CLIENTS)


def send(sandbox: Sandbox, path: str, headers: dict[str, str], method="GET", body: object = None, **query) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=60)
    try:
        target = f"{path}?{urlencode(query)}" if query else path
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def test_no_contract_is_left_untested():
    assert {type(CONTRACTS[name]) for name in CLIENTS} == set(map(type, CONTRACTS.values()))


@every_api
@pytest.mark.parametrize("count", [0, 1, 66, 99, 140, 200, 450])
def test_whole_list_in_pages_of_the_usual_sizes_to_its_end(api, count):
    client = CLIENTS[api]
    with Sandbox({"BTC": count}, api=api, people="plausible") as sandbox:
        pages = client.read(sandbox, "BTC")
        assert [user[client.id] for page in pages for user in page] == sandbox.expected_ids("BTC")
        sizes = [client.sizes[number % len(client.sizes)] for number in range(len(pages))]
        assert all(len(page) == size for page, size in zip(pages[:-2], sizes, strict=False))
        assert (len(pages[-1]) == 0) == (count == 0 or not client.more)
        assert [call.users for call in sandbox.calls] == [len(page) for page in pages]
        assert {call.handle for call in sandbox.calls} == {"btc"}
        assert [call.page for call in sandbox.calls] == list(range(1, len(pages) + 1))


@pytest.mark.parametrize("api", ["socialdata", "tikhub", "api45"])
def test_wild_users_keep_their_values_under_the_names_of_this_api(api):
    client = CLIENTS[api]
    with Sandbox({"BTC": 300}, api=api) as sandbox:
        users = [user for page in client.read(sandbox, "BTC") for user in page]
    plain = [user for user in map(plain_entry, followings("BTC", 300)) if isinstance(user, dict)]
    assert [user[client.id] for user in users] == [user["id"] for user in plain]
    assert all(isinstance(user[client.id], str) for user in users)
    for user, as_it_is in zip(users, plain, strict=True):
        for name in ("name", "screen_name", "description", "followers_count", "friends_count", "statuses_count"):
            assert user.get(name) == as_it_is.get(name) or "unavailable" in as_it_is
        if "unavailable" in as_it_is:
            assert not user.get("name")
            assert not user.get("screen_name")


@every_api
def test_list_entries_without_a_usable_id_are_sent_as_they_are(api):
    with Sandbox({"BTC": 300}, api=api, unusable=True) as sandbox:
        client = CLIENTS[api]
        users = [user for page in client.read(sandbox, "BTC") for user in page]
    assert len(users) == 300
    assert [user for user in users if not isinstance(user, dict)] == [None, "suspended"]


@every_api
def test_calls_without_the_key_of_this_api_are_refused(api):
    with Sandbox({"BTC": 1}, api=api) as sandbox:
        client = CLIENTS[api]
        query = {client.who: sandbox.id_of("BTC") if client.by_id else "BTC"}
        wrong = {name: value.replace(KEY, "other") for name, value in client.headers.items()}
        bare = {name: value.replace("Bearer ", "") for name, value in client.headers.items() if name == "Authorization"}
        for headers in (wrong, bare, {}):
            assert send(sandbox, client.path, headers, **query).status == 401
        assert not any(call.key_ok for call in sandbox.calls)
        assert send(sandbox, client.path + "x", client.headers, **query).status == 404
        assert send(sandbox, client.path, client.headers, "POST", **query).status == 405


@every_api
def test_nobody_suspended_protected_and_renamed(api):
    client = CLIENTS[api]
    with Sandbox({"BTC": 3, "ethereum": 4, "PageOf200": 5}, api=api) as sandbox:
        nobody = client.ask(sandbox, "999")
        sandbox.suspend("BTC")
        sandbox.protect("ethereum")
        suspended = client.ask(sandbox, "BTC")
        assert suspended.status == nobody.status == client.statuses.get("not_found", 200)
        assert suspended.body == nobody.body
        assert "user not found" in suspended.body.decode().lower()
        assert client.read(sandbox, "ethereum") == [[]]
        sandbox.rename("PageOf200", "Page")
        assert len(client.read(sandbox, "Page")[0]) == 5
        assert sandbox.calls[0].credits == 0


@every_api
@pytest.mark.parametrize("query", [{}, {"cursor": "0"}])
def test_bad_requests_use_up_no_fault(api, query):
    client = CLIENTS[api]
    with Sandbox({"BTC": 1}, api=api, faults={"*": "reset"}) as sandbox:
        who = {client.who: sandbox.id_of("BTC") if client.by_id else "BTC"} if query else {}
        reply = send(sandbox, client.path, client.headers, **who, **query)
        assert reply.status == client.statuses.get("bad_request", 400)
        assert sandbox.calls[0].fault == ""


@every_api
@pytest.mark.parametrize("name", sorted(FAULT_NAMES - {"timeout", "reset", "cut_off", "slow"}))
def test_fault_has_the_status_of_this_api_and_is_over(api, name):
    client = CLIENTS[api]
    with Sandbox({"BTC": 3}, api=api, faults={"BTC": name}) as sandbox:
        status = client.statuses.get(name, USUAL.get(name, 200))
        assert client.ask(sandbox, "BTC").status == status
        assert client.ask(sandbox, "BTC").status == 200
        assert [(call.fault, call.status) for call in sandbox.calls] == [(name, status), ("", 200)]


@every_api
def test_broken_connections_break_with_every_api(api):
    client = CLIENTS[api]
    faults: Faults = {"BTC": ["reset", Fault("timeout", seconds=0.01), "cut_off", Fault("slow", seconds=0.01)]}
    with Sandbox({"BTC": 3}, api=api, faults=faults) as sandbox:
        for error in (ConnectionResetError, http.client.RemoteDisconnected, http.client.IncompleteRead):
            with pytest.raises(error):
                client.ask(sandbox, "BTC")
        assert client.ask(sandbox, "BTC").status == 200


@every_api
def test_errors_are_worded_as_this_api_does(api):
    client = CLIENTS[api]
    with Sandbox({"BTC": 3}, api=api, faults={"BTC": [Fault("rate_limit", seconds=3), "error_in_200"]}) as sandbox:
        reply = client.ask(sandbox, "BTC")
        assert WORDING[api](reply.json) == "Too Many Requests"
        assert reply.headers["Retry-After"] == "3"
        failed = client.ask(sandbox, "BTC").json
        assert failed.get("status") == "error" or failed["code"] == 400


@every_api
def test_spoiled_lists_are_spoiled_under_the_names_of_this_api(api):
    client = CLIENTS[api]

    def spoiled(name: str) -> dict:
        sandbox.set_faults({"BTC": name})
        inner = client.ask(sandbox, "BTC").json
        for part in client.users[:-1]:
            inner = inner[part]
        return inner

    users, *_ = reversed(client.users)
    with Sandbox({"BTC": 300}, api=api) as sandbox:
        whole = spoiled("")
        assert users not in spoiled("no_followings")
        assert spoiled("followings_null")[users] is None
        assert spoiled("followings_object")[users] == {"users": whole[users]}
        assert spoiled("no_cursor")["next_cursor"] is None
        assert spoiled("zero_pipe_cursor")["next_cursor"] == "0|123"
        assert spoiled("loop")["next_cursor"] != whole["next_cursor"]
        assert spoiled("empty_pages")[users] == []
        assert not {one[client.id] for one in spoiled("endless")[users]} & set(sandbox.expected_ids("BTC"))
        assert not spoiled("cut_short")["next_cursor"].strip("0")
        if client.more:
            assert client.more not in spoiled("no_has_next_page")
            assert spoiled("cut_short")[client.more] is False


@every_api
def test_calls_cost_what_this_api_takes_for_them(api):
    costs = {
        "twitterapi_io": ([200, 200, 150], 0.0055),  # the last one is short: 50 users for 3 credits each
        "aisa": ([1, 1, 1], 0.0012),
        "socialdata": ([50, 49, 50, 49, 50, 49, 50, 49, 50, 4, 0], 450 * 0.20 / 1000),
        "tikhub": ([1] * 7, 0.007),
        "api45": ([1] * 7, 0.0),
    }
    credits_, usd = costs[api]
    with Sandbox({"BTC": 450}, api=api, faults={"BTC": "server_error"}, balance=1000) as sandbox:
        client = CLIENTS[api]
        assert client.ask(sandbox, "BTC").status == 500
        client.read(sandbox, "BTC")
        charged = [call.credits for call in sandbox.calls]
        assert charged == [0, *credits_]
        assert sandbox.spent_usd == pytest.approx(usd)
        assert sandbox.balance == 1000 - sum(charged)


@every_api
def test_an_account_that_is_used_up_is_refused_in_the_way_of_this_api(api):
    client = CLIENTS[api]
    with Sandbox({"BTC": 30}, api=api, balance=0) as sandbox:
        reply = client.ask(sandbox, "BTC")
        assert reply.status == client.statuses.get("no_credit", 402)
        if api == "api45":
            assert "quota" in reply.json["message"]
            assert reply.headers["x-ratelimit-requests-remaining"] == "0"
            assert int(reply.headers["x-ratelimit-requests-reset"]) == 30 * 86400
        sandbox.recharge(100)
        assert client.ask(sandbox, "BTC").status == 200


@every_api
def test_a_plan_that_is_used_up_says_when_it_begins_again(api):
    client = CLIENTS[api]
    faults = {"BTC": [Fault("plan_used_up", seconds=7200), Fault("rate_limit_reset", seconds=50)]}
    with Sandbox({"BTC": 30}, api=api, faults=faults) as sandbox:
        used_up, too_fast = client.ask(sandbox, "BTC"), client.ask(sandbox, "BTC")
    if api == "api45":
        assert used_up.headers["x-ratelimit-requests-reset"] == "7200"
    else:
        assert int(used_up.headers["x-rate-limit-reset"]) == pytest.approx(time.time() + 7200, abs=60)
    assert int(too_fast.headers["x-rate-limit-reset"]) == pytest.approx(time.time() + 50, abs=60)


def test_aisa_serves_profiles_behind_its_prefix_and_no_balance():
    with Sandbox({"BTC": 3}, api="aisa") as sandbox:
        told = send(sandbox, "/apis/v1/twitter/user/info", BEARER, userName="BTC").json["data"]
        assert (told["id"], told["following"]) == (sandbox.id_of("BTC"), 3)
        batch = send(sandbox, "/apis/v1/twitter/user/batch_info_by_ids", BEARER, userIds=told["id"]).json
        assert batch["users"] == [told]
        assert send(sandbox, "/apis/v1/oapi/my/info", BEARER).status == 404
        assert send(sandbox, "/twitter/user/info", BEARER, userName="BTC").status == 404
        assert [call.credits for call in sandbox.calls] == [1, 1, 0, 0]


def test_socialdata_looks_up_by_handle_id_and_in_batches():
    with Sandbox({"BTC": 30, "ethereum": 4, "gone": 5}, api="socialdata") as sandbox:
        sandbox.delete("gone")
        one = send(sandbox, "/twitter/user/btc", BEARER).json
        assert (one["id_str"], one["screen_name"], one["friends_count"]) == (sandbox.id_of("BTC"), "BTC", 30)
        assert one["id"] == int(one["id_str"])
        assert one["created_at"].endswith(".000000Z")
        assert send(sandbox, f"/twitter/user/{one['id_str']}", BEARER).json == one
        for missing in ("gone", "nobody", "99", quote("ünknown")):
            reply = send(sandbox, f"/twitter/user/{missing}", BEARER)
            assert (reply.status, reply.json) == (404, {"status": "error", "message": "User not found"})
        names = {"usernames": ["BTC", "Ethereum", "gone", "nobody"]}
        batch = send(sandbox, "/twitter/users-by-usernames", BEARER, "POST", names).json["users"]
        assert [user["screen_name"] for user in batch] == ["BTC", "ethereum"]
        ids = {"ids": [int(one["id_str"]), sandbox.expected_ids("BTC")[0]]}
        assert len(send(sandbox, "/twitter/users-by-ids", BEARER, "POST", ids).json["users"]) == 2
        assert [call.credits for call in sandbox.calls] == [1, 1, 0, 0, 0, 0, 2, 2]
        assert [call.accounts for call in sandbox.calls][-2:] == [4, 2]
        assert [call.kind for call in sandbox.calls] == ["profile"] * 6 + ["profiles"] * 2


@pytest.mark.parametrize("body", [None, {}, [], {"usernames": []}, {"usernames": ["x"] * 101}, {"usernames": "BTC"}])
def test_socialdata_refuses_batches_of_nobody_or_too_many(body):
    with Sandbox({"BTC": 1}, api="socialdata") as sandbox:
        assert send(sandbox, "/twitter/users-by-usernames", BEARER, "POST", body).status == 422
        assert send(sandbox, "/twitter/friends/list", BEARER, user_id="BTC").status == 422


def test_api45_needs_the_host_too_and_has_no_times_of_creation():
    with Sandbox({"BTC": 3}, api="api45") as sandbox:
        headers = {"X-RapidAPI-Key": KEY}
        assert send(sandbox, "/following.php", headers, screenname="BTC").status == 401
        users = CLIENTS["api45"].read(sandbox, "BTC")[0]
        assert not any("created_at" in user for user in users)
    with Sandbox({"BTC": 3}, api="tikhub") as sandbox:
        assert any("created_at" in user for user in CLIENTS["tikhub"].read(sandbox, "BTC")[0])
