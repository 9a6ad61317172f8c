"""What provider files make of answers: where lists end, what profiles say, what failures mean. (Faults of files:
test_reading.py; twitterapi.io's answers one by one: test_twitterapi_io.py.)"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from kolspider.items import Row, usable_id
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.providers.base import Account, ApiError, ApiErrorKind, Balance, Page, Profile, ProfileCall, dearest_page
from kolspider.providers.user_fields import UserReader
from tests.e2e.project import ROOT
from tests.wild import users, wildly

if TYPE_CHECKING:
    from pathlib import Path

    from kolspider.providers.base import Provider

GOOD = (ROOT / "tests/data/api45.toml").read_text()
CURSOR = "4611686018541662731|1741080922217775060"
NAMES = ("twitterapi_io", "aisa", "socialdata", "tikhub", "twitter_api45")


def read(folder: Path, text: str) -> Provider:
    file = folder / "my.toml"
    file.write_text(text)
    return provider(str(file))


def parsed(api: Provider, answer: object, status: int = 200, cursor: str = "") -> Page | ApiError:
    return api.parse(status, json.dumps(answer).encode(), cursor)


def error(api: Provider, answer: object, status: int = 200, cursor: str = "") -> ApiError:
    found = parsed(api, answer, status, cursor)
    assert isinstance(found, ApiError)
    return found


# --- where a list ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "more", "users_", "cursor", "goes_on"),
    [
        ("more is false", True, [{}], CURSOR, True),
        ("more is false", False, [{}], CURSOR, False),
        ("more is false", True, [], None, True),  # the guards take it from there
        ("no cursor", None, [{}], CURSOR, True),
        ("no cursor", None, [{}], "", False),
        ("no cursor", None, [{}], "0", False),
        ("no cursor", None, [{}], "0|1", False),
        ("no cursor", None, [{}], None, False),
        ("no cursor", None, [], CURSOR, True),
        ("empty page", None, [{}], CURSOR, True),
        ("empty page", None, [{}], None, True),
        ("empty page", None, [], CURSOR, False),
        (["no cursor", "empty page"], None, [], CURSOR, False),
        (["no cursor", "empty page"], None, [{}], None, False),
        (["more is false", "empty page"], True, [], CURSOR, False),
    ],
)
def test_the_signs_that_end_a_list(
    tmp_path: Path, ends: str | list[str], more: bool | None, users_: list[object], cursor: str | None, goes_on: bool
) -> None:
    text = GOOD.replace('ends = "more is false"', f"ends = {json.dumps(ends)}")
    if "more is false" not in ends:
        text = text.replace('more = "more_users"\n', "")
    page = parsed(
        read(tmp_path, text), {"following": users_, "next_cursor": cursor, "more_users": more, "status": "ok"}
    )
    assert isinstance(page, Page)
    assert page.more == goes_on
    assert page.next_cursor == (CURSOR if cursor == CURSOR else None)


def test_paths_lead_through_keys_and_indexes(tmp_path: Path) -> None:
    text = GOOD.replace('users = "following"', 'users = "data.0.users"').replace('"next_cursor"', '"meta.cursors.1"')
    text = text.replace('id = "user_id"', 'id = ["ids.1", "user_id"]').replace('name = "name"', 'name = "legacy.name"')
    api = read(tmp_path, text.replace("sample = '", "# '"))
    answer = {"data": [{"users": [{"ids": [1, "2"], "legacy": {"name": "N"}, "screen_name": "s"}]}], "more_users": True}
    page = parsed(api, {**answer, "meta": {"cursors": ["a", "b"]}})
    assert isinstance(page, Page)
    user = api.followed_user(page.users[0])
    assert user is not None
    assert (page.next_cursor, user.id, user.name, user.screen_name) == ("b", "2", "N", "s")
    wrong: list[object] = [[], [None], "x", [{"users": {}}]]
    for data in wrong:
        found = error(api, {"data": data, "more_users": True})
        assert found.kind is ApiErrorKind.CONTRACT_DRIFT
        assert found.message.startswith("data.0.users is ")
    damaged = json.dumps({**answer, "meta": {"cursors": ["a", "b"]}}).encode().replace(b'"N"', b"NaN")
    page = api.parse(200, damaged, "")
    assert isinstance(page, Page), "one unreadable user spoils no page, wherever the users are"


# --- the built-in ones --------------------------------------------------------------------------------------------


def test_socialdata_asks_by_id_and_an_empty_page_ends_a_list() -> None:
    api = provider("socialdata")
    assert api.url("https://h", Account("BTC", "12"), CURSOR, 50) == (
        "https://h/twitter/friends/list?user_id=12&cursor=4611686018541662731%7C1741080922217775060"
    )
    user = {
        "id": 790089966730694700,
        "id_str": "790089966730694656",
        "name": "N",
        "screen_name": "s",
        "friends_count": 5,
    }
    page = parsed(api, {"users": [user], "next_cursor": CURSOR})
    assert page == Page([user], CURSOR, more=True)
    assert parsed(api, {"users": [], "next_cursor": CURSOR}) == Page([], CURSOR, more=False)
    found = api.followed_user(user)
    assert found is not None
    assert (found.id, found.following_count) == ("790089966730694656", 5)
    assert (api.price(0), api.price(50), dearest_page(api, 50), api.failed_call_price) == (0, 50, 50, 0)


@pytest.mark.parametrize(
    ("name", "status", "answer", "kind", "text"),
    [
        ("socialdata", 404, {"status": "error", "message": "User not found"}, "not_found", "User not found"),
        (
            "socialdata",
            402,
            {"status": "error", "message": "Insufficient balance"},
            "no_credit",
            "Insufficient balance",
        ),
        ("socialdata", 422, {"status": "error", "message": "bad id"}, "bad_request", "bad id"),
        ("socialdata", 500, {"status": "error", "message": "try later"}, "transient", "try later"),
        ("socialdata", 200, {"status": "error", "message": "try later"}, "error_in_200", "try later"),
        ("tikhub", 404, {"detail": {"code": 404, "message": "User not found"}}, "not_found", "User not found"),
        ("tikhub", 422, {"detail": [{"loc": ["query"], "msg": "required"}]}, "bad_request", "required"),
        ("tikhub", 402, {"detail": {"message": "recharge"}}, "no_credit", "recharge"),
        ("tikhub", 200, {"code": 400, "message": "failed", "data": None}, "error_in_200", "code is 400: failed"),
        ("twitter_api45", 200, {"status": "error", "message": "User not found"}, "not_found", "User not found"),
        ("twitter_api45", 200, {"status": "suspended"}, "not_found", "suspended"),
        ("twitter_api45", 200, {"status": "error"}, "error_in_200", "status is 'error': no text"),
        ("twitter_api45", 401, {"message": "Invalid API key"}, "auth", "Invalid API key"),
        ("twitter_api45", 403, {"message": "You are not subscribed to this API."}, "forbidden", "not subscribed"),
        ("twitter_api45", 429, {"message": "Too many requests"}, "rate_limit", "Too many requests"),
        ("twitter_api45", 429, {"message": "You have exceeded the MONTHLY quota for X"}, "no_credit", "MONTHLY quota"),
        ("aisa", 200, {"status": "error", "msg": "user not found"}, "not_found", "user not found"),
    ],
)
def test_what_the_others_answer(name: str, status: int, answer: object, kind: str, text: str) -> None:
    found = error(provider(name), answer, status)
    assert found.kind == kind
    assert text in found.message


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_cursor_is_told_from_a_refused_request(status: int) -> None:
    for name in NAMES:
        assert error(provider(name), {"detail": "x"}, status, CURSOR).kind is ApiErrorKind.BAD_CURSOR
        assert error(provider(name), {"detail": "x"}, status).kind is ApiErrorKind.BAD_REQUEST


STUBS: dict[str, list[dict[str, object]]] = {
    "twitterapi_io": [{"id": "5", "unavailable": True, "name": "x"}, {"id": "5"}, {"id": "5", "name": ""}],
    "aisa": [{"id": "5", "unavailable": True, "userName": "x"}],
    "socialdata": [{"id": 5, "id_str": "5", "name": "", "screen_name": ""}, {"id_str": "5", "followers_count": 0}],
    "tikhub": [{"user_id": "5"}, {"user_id": "5", "followers_count": 0, "name": None}],
    "twitter_api45": [{"user_id": "5"}],
}


@pytest.mark.parametrize("name", NAMES)
def test_an_account_that_is_only_followed_is_its_id_alone(name: str) -> None:
    api = provider(name)
    for stub in STUBS[name]:
        row = Mapper().map_user(api.followed_user(stub), stub)
        assert isinstance(row, Row)
        assert (row.id, row.is_bare) == ("5", True)


# --- profiles -----------------------------------------------------------------------------------------------------


def call(name: str, *, by_id: bool = False) -> ProfileCall:
    found = provider(name).profiles_by_id if by_id else provider(name).profile_by_name
    assert found is not None
    return found


def profiles(of: ProfileCall, answer: object, status: int = 200) -> Any:
    return of.parse(status, json.dumps(answer).encode())


def test_a_look_up_by_name_is_a_post_where_the_api_has_batches() -> None:
    by_name = call("socialdata")
    assert by_name.most == 100
    assert by_name.url("https://h/", ["BTC", "eth"]) == "https://h/twitter/users-by-usernames"
    assert json.loads(by_name.body(["BTC", "eth"])) == {"usernames": ["BTC", "eth"]}
    assert (by_name.price(100), by_name.price(100, 40), by_name.price(1, 0)) == (100, 40, 0)
    answer = {"users": [{"id_str": "5", "screen_name": "BTC", "friends_count": 7, "protected": False}, None]}
    (found,) = profiles(by_name, answer)
    assert found == Profile("5", "BTC", 7, False, "", answer["users"][0])
    assert profiles(by_name, {"users": []}) == []


def test_profiles_of_twitterapi_io() -> None:
    by_name, by_id = call("twitterapi_io"), call("twitterapi_io", by_id=True)
    assert by_name.url("https://h", ["a&b"]) == "https://h/twitter/user/info?userName=a%26b"
    assert by_id.url("https://h", ["1", "2"]) == "https://h/twitter/user/batch_info_by_ids?userIds=1,2"
    assert (by_name.body(["a"]), by_id.body(["1"]), by_name.most, by_id.most) == (b"", b"", 1, 100)
    user = {"id": "5", "userName": "BTC", "following": 7, "protected": True}
    assert profiles(by_name, {"status": "success", "data": user}) == [Profile("5", "BTC", 7, True, "", user)]
    gone = {"unavailable": True, "unavailableReason": "Suspended"}
    assert profiles(by_name, {"status": "success", "data": gone}) == [Profile("", None, None, None, "suspended", gone)]
    (one,) = profiles(by_id, {"users": [{"id": "6", "unavailable": True}]})
    assert (one.id, one.gone) == ("6", "unavailable")
    assert [by_id.price(asked) for asked in (0, 1, 99, 100, 150)] == [15, 18, 1782, 100, 150]
    assert (by_name.price(1), by_name.price(1, 0)) == (18, 18)


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (200, {"status": "error", "msg": "user not found", "data": None}, ApiErrorKind.NOT_FOUND),
        (200, {"status": "success", "data": None}, ApiErrorKind.CONTRACT_DRIFT),
        (200, {"status": "success", "data": "x"}, ApiErrorKind.CONTRACT_DRIFT),
        (200, [], ApiErrorKind.CONTRACT_DRIFT),
        (401, {"detail": "x"}, ApiErrorKind.AUTH),
        (404, {"detail": "Not Found"}, ApiErrorKind.WRONG_PATH),
        (400, {"detail": "x"}, ApiErrorKind.BAD_REQUEST),
        (429, {"detail": "x"}, ApiErrorKind.RATE_LIMIT),
        (500, None, ApiErrorKind.TRANSIENT),
    ],
)
def test_a_look_up_that_fails(status: int, answer: object, kind: ApiErrorKind) -> None:
    found = profiles(call("twitterapi_io"), answer, status)
    assert isinstance(found, ApiError)
    assert found.kind is kind
    assert call("twitterapi_io").parse(200, b"<html>").kind is ApiErrorKind.TRANSIENT  # type: ignore[union-attr]


# --- the balance --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "answer", "expected"),
    [
        ('credits = ["paid", "given"]', {"paid": 5, "given": 2.5}, Balance(7.5)),
        ('usd = "account.dollars"', {"account": {"dollars": 2}}, Balance(2000, 2)),
        ('credits = "paid"', {"paid": "5"}, "paid is '5', not a number of credits"),
        ('credits = "paid"', {"paid": True}, "paid is True, not a number of credits"),
        ('credits = "paid"', {"paid": -1}, "paid is -1, not a number of credits"),
        ('credits = "paid"', {}, "paid is missing or null, not a number of credits"),
        ('credits = "paid"', [5], "the answer is list, not an object"),
        ('credits = "paid"', {"status": "broken", "message": "later"}, "status is 'broken': later"),
    ],
)
def test_a_balance_in_credits_or_in_dollars(tmp_path: Path, held: str, answer: object, expected: object) -> None:
    call = read(tmp_path, f'{GOOD}[balance]\npath = "/me"\n{held}\n').balance
    assert call is not None
    assert call.url("http://h/v1/") == "http://h/v1/me"
    found = call.parse(200, json.dumps(answer).encode())
    assert (found.message if isinstance(found, ApiError) else found) == expected
    wrong = call.parse(401, b"{}")
    assert isinstance(wrong, ApiError)
    assert wrong.kind is ApiErrorKind.AUTH


# --- the mapper that is compiled ----------------------------------------------------------------------------------


@given(users)
@wildly
def test_the_fast_way_and_the_slow_one_find_the_same(text: str) -> None:
    paths = provider("twitterapi_io").user_paths
    raw = json.loads(text)
    # A first path that no user has makes every user take the slow way.
    slow = UserReader({field: ("no such key", *known) for field, known in paths.items()})
    fast = provider("twitterapi_io")
    assert repr(fast.followed_user(raw)) == repr(slow.followed_user(raw))
    assert usable_id(fast.account_id(raw)) == usable_id(slow.account_id(raw))


@given(users)
@wildly
def test_a_user_has_the_first_value_that_says_something(text: str) -> None:
    raw, paths = json.loads(text), provider("twitterapi_io").user_paths
    user = provider("twitterapi_io").followed_user(raw)
    assert (user is None) == (not isinstance(raw, dict))
    if user is None:
        return
    bio = raw.get("profile_bio")
    flat = {**raw, "profile_bio.description": bio.get("description") if isinstance(bio, dict) else None}
    for field in ("name", "screen_name", "description", "created_at"):
        values = [value for path in paths[field] if (value := flat.get(path)) is not None]
        expected = next(filter(None, values), values[0] if values else None)
        assert repr(getattr(user, field)) in {repr(expected), "None"}
    for field in ("followers_count", "following_count", "statuses_count"):
        values = [value for path in paths[field] if (value := flat.get(path)) is not None and type(value) is not bool]
        assert repr(getattr(user, field)) in {repr(values[0] if values else None), "None"}
