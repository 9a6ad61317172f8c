"""What twitterapi.io's answers mean. (No answer can raise: tests/load/test_wild_input.py.)"""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from kolspider.errors import WrongUsage
from kolspider.items import Row
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.providers.base import Account, ApiError, ApiErrorKind, Page, Provider, Unreadable

USER = {
    "id": "1323730225067339784",
    "name": "Example",
    "screen_name": "example_kol",
    "userName": "example_kol",
    "description": "…",
    "followers_count": 109429,
    "following_count": 1530,
    "friends_count": 1530,
    "statuses_count": 59821,
    "created_at": "Wed Mar 18 13:46:38 +0000 2009",
    "profile_image_url_https": "https://pbs.twimg.com/profile_images/1/x_normal.jpg",
}
CURSOR = "1843021177265530001"

api: Provider = provider("twitterapi_io")


def answer(**changes: object) -> bytes:
    good = {
        "code": 0,
        "status": "success",
        "msg": "success",
        "has_next_page": True,
        "next_cursor": CURSOR,
        "followings": [USER],
    }
    return json.dumps({key: value for key, value in (good | changes).items() if value != "absent"}).encode()


def error(status: int, body: bytes, cursor: str = "") -> ApiError:
    result = api.parse(status, body, cursor)
    assert isinstance(result, ApiError)
    return result


def page(body: bytes) -> Page:
    result = api.parse(200, body, "")
    assert isinstance(result, Page)
    return result


def followed(**changes: object) -> object:
    return api.followed_user({"name": "has one"} | changes)


def test_an_unknown_provider_is_wrong_usage_and_names_the_known() -> None:
    with pytest.raises(WrongUsage, match=r"'socialdat'; did you mean socialdata\? Known: aisa, socialdata, .*my\.toml"):
        provider("socialdat")


def test_first_page_is_asked_for_without_a_cursor() -> None:
    url = api.url(api.default_url, Account("BTC"), "", 200)
    assert url == "https://api.twitterapi.io/twitter/user/followings?userName=BTC&pageSize=200"


@pytest.mark.parametrize("cursor", [CURSOR, "1|2", "a b&c=d/é?#%", "-1"])
@pytest.mark.parametrize("base", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://h/some/path/"])
def test_the_cursor_goes_back_as_it_came(base: str, cursor: str) -> None:
    url = urlsplit(api.url(base, Account("BTC"), cursor, 200))
    assert url.path == urlsplit(base).path.rstrip("/") + "/twitter/user/followings"
    assert parse_qs(url.query) == {"userName": ["BTC"], "pageSize": ["200"], "cursor": [cursor]}
    assert "|" not in url.query
    assert not url.fragment


def test_a_good_page() -> None:
    assert page(answer()) == Page([USER], CURSOR, more=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "absent"},
        {"code": None},
        {"status": "absent"},
        {"msg": "absent", "message": "success"},
        {"extra": {"nested": [1]}},
    ],
)
def test_a_page_with_other_trimmings_is_a_page(changes: dict[str, object]) -> None:
    assert page(answer(**changes)) == Page([USER], CURSOR, more=True)


def test_an_empty_list_is_a_page() -> None:
    assert page(answer(followings=[], has_next_page=False, next_cursor="")) == Page([], None, more=False)


def test_a_byte_order_mark_is_no_fault() -> None:
    assert page(b"\xef\xbb\xbf" + answer()).next_cursor == CURSOR


@pytest.mark.parametrize(
    ("sent", "cursor"),
    [
        ("12|34", "12|34"),
        (1843021177265530001, CURSOR),
        (-1, "-1"),
        ("00", "00"),
        ("", None),
        ("0", None),
        (0, None),
        ("0|123", None),
        (None, None),
        ("absent", None),
        (True, None),
        (1.5, None),
        (["1"], None),
        ("\ud800", None),
    ],
)
def test_cursors(sent: object, cursor: str | None) -> None:
    assert page(answer(next_cursor=sent)).next_cursor == cursor


@pytest.mark.parametrize(
    ("status", "cursor", "kind"),
    [
        (400, "", ApiErrorKind.BAD_REQUEST),
        (400, CURSOR, ApiErrorKind.BAD_CURSOR),
        (401, CURSOR, ApiErrorKind.AUTH),
        (402, CURSOR, ApiErrorKind.NO_CREDIT),
        (404, "", ApiErrorKind.WRONG_PATH),
        (301, "", ApiErrorKind.REDIRECTED),
        (304, "", ApiErrorKind.REDIRECTED),
        (308, "", ApiErrorKind.REDIRECTED),
        (408, "", ApiErrorKind.TRANSIENT),
        (409, CURSOR, ApiErrorKind.BAD_REQUEST),
        (422, "", ApiErrorKind.BAD_REQUEST),
        (429, CURSOR, ApiErrorKind.RATE_LIMIT),
        (500, CURSOR, ApiErrorKind.TRANSIENT),
        (503, "", ApiErrorKind.TRANSIENT),
        (529, "", ApiErrorKind.TRANSIENT),
        (204, "", ApiErrorKind.TRANSIENT),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", answer(), b'{"detail":"no"}'])
def test_the_status_decides_before_the_body(status: int, cursor: str, kind: ApiErrorKind, body: bytes) -> None:
    assert error(status, body, cursor).kind == kind


def test_an_empty_balance_is_told_from_a_bad_key_by_the_status() -> None:
    body = b'{"error":"Unauthorized","message":"Credits is not enough.Please recharge"}'
    assert error(402, body) == ApiError(ApiErrorKind.NO_CREDIT, "HTTP 402: Credits is not enough.Please recharge")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "HTTP 400"),
        (b"[]", "HTTP 400"),
        (b'{"detail": null, "msg": "", "error": "bad"}', "HTTP 400: bad"),
        (b'{"error": "e", "message": "m", "msg": "s", "detail": "d"}', "HTTP 400: d"),
        (b'{"detail": ["one", "two"]}', "HTTP 400: one; two"),
        (b'{"detail": [{"loc": ["query", "pageSize"], "msg": "too large"}]}', "HTTP 400: too large"),
        (b'{"error": {"message": "inner"}}', "HTTP 400: inner"),
        (b'{"detail": "a\\nb\\u0000\\u001b[31mc\\u202ed"}', "HTTP 400: a b [31mc d"),
    ],
)
def test_error_texts(body: bytes, message: str) -> None:
    assert error(400, body).message == message


def test_a_redirect_says_so() -> None:
    assert error(302, b"").message == "HTTP 302: redirected"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        answer()[:-5],
        answer() + b"{}",
        b"\xff\xfe\xfd",
        b"null",
        b"[]",
        b'"text"',
        answer(next_cursor=float("nan")),
        answer(extra=float("-inf")),
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"code": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_broken_body_is_transient(body: bytes) -> None:
    assert error(200, body).kind == ApiErrorKind.TRANSIENT


GOOD = USER | {"id": "7"}


def spoilt(was: bytes, now: bytes) -> bytes:
    """A page of two users, of which the first is not JSON."""
    body = answer(followings=[USER, GOOD], next_cursor="5")
    assert was in body
    return body.replace(was, now, 1)


@pytest.mark.parametrize(
    ("was", "now", "fields"),
    [
        (b"109429", b"NaN", "followers_count"),
        (b"109429", b"-Infinity", "followers_count"),
        (b"109429", b"9" * 5000, "followers_count"),
        (b'"Example"', b'"\xe5\xb8"', "name"),
        (b'"Example"', b'"\xc3"', "name"),
        (b'"1323730225067339784"', b'"132373\x80784"', "id"),
        (b'"1323730225067339784"', b"Infinity", "id"),
        (b'"Example"', b'"\xff", "profile_image_url_https": NaN', "name"),
    ],
    ids=["NaN", "Infinity", "digits", "cut", "cut before a quote", "id", "id Infinity", "the last of two counts"],
)
def test_of_a_page_with_an_unreadable_field_only_that_user_is_unreadable(was: bytes, now: bytes, fields: str) -> None:
    damaged, good = page(spoilt(was, now)).users
    assert isinstance(damaged, Unreadable)
    assert damaged.fields == fields
    assert good == GOOD
    assert api.followed_user(damaged) is None


def test_the_id_of_an_unreadable_user_is_known() -> None:
    damaged, _ = page(spoilt(b"109429", b"NaN")).users
    assert api.account_id(damaged) == USER["id"]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (b'"Example"', b'"Exa\nmp\x01le"'),
        (b'"Example"', b'"Example", "favourites_count": NaN'),
        (b'"Example"', b'"Example", "location": "\xff"'),
        (b'"Example"', b'"Example", "favourites_count": -' + b"1" * 5000),
        (b'"Example"', b'"Example", "entities": {"urls": [{"\xe5": Infinity}]}'),
    ],
    ids=["control characters", "NaN", "byte", "digits", "nested"],
)
def test_an_unreadable_field_that_is_not_used_does_no_harm(was: bytes, now: bytes) -> None:
    user, good = page(spoilt(was, now)).users
    name = "Exa\nmp\x01le" if b"\x01" in now else "Example"
    assert api.followed_user(user) == followed(**USER | {"name": name})
    assert good == GOOD


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (b'"5"', b'"5\xff"'),
        (b'"5"', b"NaN"),
        (b'"5"', b"1" * 5000),
        (b'"code": 0', b'"code": Infinity'),
        (b'"success"', b'"err\xff"'),
        (b'"Example"', b'"\xff'),
        (b"}", b"\xff}"),
    ],
)
def test_a_page_is_as_broken_as_before_if_more_than_users_is_unreadable(was: bytes, now: bytes) -> None:
    assert error(200, spoilt(was, now)).kind == ApiErrorKind.TRANSIENT


@pytest.mark.parametrize("damage", [b"NaN", b'"\xff"', b'"\x01"'])
def test_a_damaged_page_that_is_cut_off_is_no_page(damage: bytes) -> None:
    body = spoilt(b"109429", damage)
    assert isinstance(api.parse(200, body, ""), Page)
    for end in range(len(body)):
        assert error(200, body[:end]).kind == ApiErrorKind.TRANSIENT


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b'{"error": "Forbidden", "message": "no key"}', ApiErrorKind.FORBIDDEN, "HTTP 403: no key"),
        (b"error code: 1010", ApiErrorKind.BLOCKED, "Cloudflare, error code 1010, not the API's own answer"),
        (b"<title>Attention Required! | Cloudflare</title>", ApiErrorKind.BLOCKED, "Cloudflare, not the API's own"),
        (b"<html><h1>403 Forbidden</h1></html>", ApiErrorKind.BLOCKED, "HTTP 403: not the API's own answer"),
        (b"", ApiErrorKind.BLOCKED, "HTTP 403: not the API's own answer"),
    ],
)
def test_a_403_is_about_the_key_only_in_the_words_of_the_api(body: bytes, kind: ApiErrorKind, said: str) -> None:
    found = error(403, body)
    assert found.kind == kind
    assert said in found.message


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("User not found", ApiErrorKind.NOT_FOUND),
        ("Not Found", ApiErrorKind.WRONG_PATH),
        ("Cannot GET /twitter/user/followings: not found", ApiErrorKind.WRONG_PATH),
        ("User API key not found", ApiErrorKind.WRONG_PATH),
    ],
)
def test_a_404_is_about_the_kol_only_if_it_names_a_user(text: str, kind: ApiErrorKind) -> None:
    assert error(404, json.dumps({"detail": text}).encode()) == ApiError(kind, f"HTTP 404: {text}")


@pytest.mark.parametrize("key", ["msg", "message", "detail", "error"])
@pytest.mark.parametrize(
    "text",
    [
        "user not found",
        "User not found.",
        "USER NOT FOUND",
        "user_not_found",
        "User 'some_one' was not found",
        "User does not exist",
        "The user doesn't exist",
        "No such user",
        "User has been suspended",
        "could not find user",
        "no user found",
        "account doesn't exist",
        "user unavailable",
        "User cannot be found",
        "This account is suspended",
        "suspended",
    ],
)
def test_a_missing_or_suspended_user_is_not_found(key: str, text: str) -> None:
    assert error(200, answer(**{"msg": "error", "status": "error", key: text})) == ApiError(
        ApiErrorKind.NOT_FOUND, text
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "error", "msg": "internal error"},
        {"status": "error", "msg": "absent"},
        {"status": "Error", "msg": 5},
        {"status": "error", "msg": "endpoint not found"},
        {"status": "error", "msg": "User API key not found"},
        {"status": "error", "msg": "your user was not found"},
        {"status": "error", "msg": "user service unavailable"},
        {"status": "error", "msg": "Your API key has been suspended"},
        {"status": "error", "msg": "your account is suspended"},
        {"code": 1},
        {"code": "0"},
        {"code": 200},
        {"code": False},
        {"code": [0]},
    ],
)
def test_other_errors_in_a_200_are_not_final(changes: dict[str, object]) -> None:
    result = error(200, answer(**changes))
    assert result.kind == ApiErrorKind.ERROR_IN_200
    assert result.message


@pytest.mark.parametrize(
    "changes",
    [
        {"followings": "absent"},
        {"followings": None},
        {"followings": {"0": USER}},
        {"has_next_page": "absent"},
        {"has_next_page": None},
        {"has_next_page": 1},
        {"has_next_page": "true"},
    ],
)
def test_a_success_of_another_shape_is_contract_drift(changes: dict[str, object]) -> None:
    result = error(200, answer(**changes))
    assert result.kind == ApiErrorKind.CONTRACT_DRIFT
    assert next(iter(changes)) in result.message


@pytest.mark.parametrize(
    ("users", "credits_"),
    [(0, 60), (1, 60), (20, 60), (21, 63), (66, 198), (99, 297), (100, 200), (199, 398), (200, 200)],
)
def test_a_page_is_priced_by_the_users_that_it_returns(users: int, credits_: int) -> None:
    assert api.price(users) == credits_


def test_a_hundred_thousand_credits_are_a_dollar() -> None:
    assert api.credit_usd * 100_000 == pytest.approx(1)


@pytest.mark.parametrize(
    ("field", "changes", "value"),
    [
        ("id", {"id": "1", "id_str": "2"}, "1"),
        ("id", {"id": None, "id_str": "2", "user_id": "3"}, "2"),
        ("id", {"user_id": 3, "rest_id": "4"}, "4"),
        ("id", {"id": 790089966730694700, "id_str": "790089966730694656"}, "790089966730694656"),
        ("id", {"id": 7, "rest_id": 8}, 7),
        ("id", {"id": "n/a", "rest_id": 8}, 8),
        ("id", {"rest_id": "4"}, "4"),
        ("id", {"id": "", "id_str": "2"}, "2"),
        ("id", {"id": "n/a", "user_id": True}, "n/a"),
        ("id", {}, None),
        ("name", {"name": "N"}, "N"),
        ("screen_name", {"screen_name": "a", "userName": "b"}, "a"),
        ("screen_name", {"userName": "b", "username": "c"}, "b"),
        ("screen_name", {"username": "c"}, "c"),
        ("profile_image_url_https", {"profilePicture": "p", "profile_image_url": "q"}, "p"),
        ("profile_image_url_https", {"profile_image_url": "q", "profile_image": "r"}, "q"),
        ("profile_image_url_https", {"profile_image": "r"}, "r"),
        ("description", {"description": "", "profile_bio": {"description": "b"}}, "b"),
        ("description", {"description": "", "profile_bio": {}}, ""),
        ("description", {"description": None, "profile_bio": {"description": "b"}}, "b"),
        ("description", {"profile_bio": "b"}, None),
        ("description", {"profile_bio": {}}, None),
        ("created_at", {"createdAt": "t"}, "t"),
        ("followers_count", {"followers_count": 0, "followers": 5}, 0),
        ("followers_count", {"followers": 5}, 5),
        ("following_count", {"following_count": 1, "friends_count": 2, "following": 3}, 1),
        ("following_count", {"friends_count": 2, "following": 3}, 2),
        ("following_count", {"following": 3}, 3),
        ("following_count", {"following": True}, None),
        ("following_count", {"following": "3"}, "3"),
        ("statuses_count", {"statuses_count": None, "statusesCount": 4}, 4),
    ],
)
def test_the_first_present_spelling_wins(field: str, changes: dict[str, object], value: object) -> None:
    assert getattr(followed(**changes), field) == value


@pytest.mark.parametrize(
    "changes",
    [
        {"unavailable": True, "unavailableReason": "Suspended"},
        {"name": None, "screen_name": None, "userName": None},
        {"name": "", "screen_name": "", "userName": ""},
    ],
)
def test_of_an_account_that_is_only_followed_nothing_but_the_id_is_known(changes: dict[str, object]) -> None:
    assert api.followed_user(USER | changes) == api.followed_user({"id": USER["id"]})
    assert Mapper().map_user(api.followed_user(USER | changes), USER) == Row(str(USER["id"]), *[None] * 9)


@pytest.mark.parametrize("changes", [{"unavailable": False}, {"unavailable": None}, {"name": ""}, {"name": None}])
def test_an_account_with_a_name_or_a_handle_is_known(changes: dict[str, object]) -> None:
    user = api.followed_user(USER | changes)
    assert user is not None
    assert user.followers_count == USER["followers_count"]


@pytest.mark.parametrize("raw", [None, "user", 1, True, [USER]])
def test_only_an_object_is_a_user(raw: object) -> None:
    assert api.followed_user(raw) is None
