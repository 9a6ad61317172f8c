"""Accounts, their profiles, and what the customer's account is charged, by the contract of twitterapi.io."""

import json
import urllib.request

import pytest

from kolspider.sandbox import Fault, Sandbox, followings
from kolspider.sandbox.users import plain_entry, user_id

INFO = "/twitter/user/info"
BATCH = "/twitter/user/batch_info_by_ids"
BALANCE = "/oapi/my/info"
MISSING = {"status": "error", "msg": "user not found", "data": None}


@pytest.fixture
def sandbox():
    with Sandbox({"BTC": 250, "ethereum": 40}) as sandbox:
        yield sandbox


@pytest.fixture
def info(sandbox, get):
    return lambda handle: get(sandbox, handle, path=INFO).json


@pytest.fixture
def batch(sandbox, get):
    return lambda *ids: get(sandbox, "", path=BATCH, userIds=",".join(ids)).json


def test_profile_has_the_documented_names_and_the_real_length_of_the_list(sandbox, info):
    answer = info("btc")
    assert (answer["status"], answer["msg"]) == ("success", "success")
    told = answer["data"]
    assert (told["id"], told["userName"], told["name"]) == (sandbox.id_of("BTC"), "BTC", "BTC")
    assert (told["following"], told["protected"], told["unavailable"]) == (250, False, False)
    assert isinstance(told["followers"], int)
    assert told["createdAt"].endswith(".000000Z")
    sandbox.follow("BTC", 3)
    sandbox.unfollow("BTC", sandbox.expected_ids("BTC")[20:30])
    assert info("BTC")["data"]["following"] == 250 + 3 - 10


def test_nobody_is_not_found_and_costs_nothing(sandbox, info):
    assert info("nobody") == MISSING
    assert sandbox.calls[0].credits == 0


def test_renamed_kol_keeps_its_id_and_list_and_the_old_handle_is_free(sandbox, get, ids, info, batch):
    id_, before = sandbox.id_of("BTC"), sandbox.expected_ids("BTC")
    cursor = get(sandbox).json["next_cursor"]
    sandbox.rename("btc", "Bitcoin")
    assert info("BTC") == get(sandbox, "BTC").json == MISSING
    assert info("bitcoin")["data"]["id"] == id_
    assert batch(id_)["users"][0]["userName"] == "Bitcoin"
    assert ids([get(sandbox, "Bitcoin"), get(sandbox, "Bitcoin", cursor=cursor)]) == before


def test_handle_that_somebody_else_takes_is_another_id_and_another_list(sandbox, get, ids, info):
    id_, before = sandbox.id_of("BTC"), sandbox.expected_ids("BTC")
    with pytest.raises(ValueError, match="taken"):
        sandbox.join("btc", 5)
    sandbox.rename("BTC", "Bitcoin")
    assert sandbox.join("BTC", 60) == sandbox.id_of("BTC") != id_
    read = ids([get(sandbox)])
    assert len(read) == info("BTC")["data"]["following"] == 60
    assert read != before[:60]
    with pytest.raises(ValueError, match="taken"):
        sandbox.rename("Bitcoin", "BTC")


def test_protected_kol_shows_nobody_its_list_and_is_there_again(sandbox, get, info):
    sandbox.protect("BTC")
    answer = get(sandbox).json
    assert (answer["status"], answer["has_next_page"], answer["followings"]) == ("success", False, [])
    assert (info("BTC")["data"]["protected"], info("BTC")["data"]["following"]) == (True, 250)
    sandbox.restore("BTC")
    assert len(get(sandbox).json["followings"]) == 200
    assert info("BTC")["data"]["protected"] is False


def test_suspended_and_deleted_kols_are_told_apart_by_their_profiles(sandbox, get, info, batch):
    sandbox.suspend("BTC")
    sandbox.delete("ethereum")
    assert get(sandbox).json == get(sandbox, "ethereum").json == MISSING
    assert info("BTC")["data"] == {"unavailable": True, "unavailableReason": "Suspended"}
    assert info("ethereum") == MISSING
    btc, ethereum = sandbox.id_of("BTC"), sandbox.id_of("ethereum")
    assert batch(btc, ethereum)["users"] == [{"id": btc, "unavailable": True, "unavailableReason": "Suspended"}]
    sandbox.restore("BTC")
    sandbox.restore("ethereum")
    assert len(get(sandbox, "ethereum").json["followings"]) == 40
    assert len(batch(btc, ethereum)["users"]) == 2


def test_followed_accounts_have_profiles_by_id_and_unknown_ids_are_left_out(sandbox, batch):
    followed = sandbox.expected_ids("ethereum")
    answer = batch(*followed, "12345")
    assert (answer["status"], answer["msg"]) == ("success", "success")
    assert [user["id"] for user in answer["users"]] == followed
    in_lists = [user for user in map(plain_entry, followings("ethereum", 40)) if isinstance(user, dict)]
    names = {"userName": "screen_name", "following": "friends_count", "statusesCount": "statuses_count"}
    for camel, snake in names.items():
        assert [user.get(camel) for user in answer["users"]] == [user.get(snake) for user in in_lists]
    assert {user["unavailable"] for user in answer["users"]} == {True, False}


def test_entries_without_a_usable_id_are_nobody(get):
    with Sandbox({"BTC": 300}, unusable=True) as sandbox:
        asked = [*sandbox.expected_ids("BTC"), *map(user_id, range(-10, 0)), "abc", "None"]
        users = get(sandbox, "", path=BATCH, userIds=",".join(asked)).json["users"]
    assert [user["id"] for user in users] == asked[:-12]


def test_followed_account_is_renamed_suspended_and_back_in_lists_and_profiles(sandbox, get, batch):
    place = 1
    id_ = sandbox.expected_ids("ethereum")[place]
    sandbox.rename(id_, "newname")
    assert batch(id_)["users"][0]["userName"] == "newname"
    assert get(sandbox, "ethereum").json["followings"][place]["screen_name"] == "newname"
    stub = {"id": id_, "unavailable": True, "unavailableReason": "Suspended"}
    sandbox.suspend(id_)
    assert batch(id_)["users"] == [stub]
    assert get(sandbox, "ethereum").json["followings"][place] == stub
    sandbox.restore(id_)
    assert get(sandbox, "ethereum").json["followings"][place]["screen_name"] == "newname"
    with pytest.raises(KeyError, match="12345"):
        sandbox.suspend("12345")


def test_kol_in_the_list_of_another_has_its_real_profile(sandbox, get):
    sandbox.follow("ethereum", [sandbox.id_of("BTC")])
    seen = get(sandbox, "ethereum").json["followings"][0]
    assert (seen["id"], seen["screen_name"], seen["friends_count"]) == (sandbox.id_of("BTC"), "BTC", 250)


@pytest.mark.parametrize("people", ["wild", "plausible"])
def test_ids_of_kols_are_their_own(people):
    sandbox = Sandbox(people=people)
    kols = ["BTC", "ethereum", "PageOf200"]
    own = {sandbox.id_of(kol) for kol in kols}
    assert len(own) == len(kols)
    assert not own & {id_ for kol in kols for id_ in sandbox.expected_ids(kol)}
    assert own == {Sandbox(people=people).id_of(kol) for kol in kols}


@pytest.mark.parametrize(
    ("path", "query", "credits_"),
    [
        (INFO, {"handle": "BTC"}, 18),
        (BATCH, {"userIds": "1"}, 18),
        (BATCH, {"userIds": ",".join(map(str, range(99)))}, 99 * 18),
        (BATCH, {"userIds": ",".join(map(str, range(100)))}, 100),
        (BATCH, {"userIds": ",".join(map(str, range(250)))}, 250),
        (BALANCE, {}, 0),
    ],
)
def test_calls_cost_what_the_price_list_says(sandbox, get, path, query, credits_):
    assert get(sandbox, **{"handle": "", **query}, path=path).status == 200
    (call,) = sandbox.balance_calls or sandbox.calls
    assert (call.credits, call.users, call.page) == (credits_, 0, 0)


def test_log_tells_the_kinds_of_calls_apart(sandbox, get, batch, info):
    get(sandbox)
    info("ethereum")
    batch("1", "2", "3")
    get(sandbox, "", path=BALANCE)
    told = [(call.kind, call.handle, call.accounts, call.page) for call in sandbox.calls]
    assert told == [
        ("followings", "btc", 1, 1),
        ("profile", "ethereum", 1, 0),
        ("profiles", "", 3, 0),
    ]
    asked = [(call.kind, call.handle, call.accounts, call.page) for call in sandbox.balance_calls]
    assert asked == [("balance", "", 0, 0)], "apart from the others, because it costs nothing"
    with urllib.request.urlopen(f"{sandbox.url}/_sandbox/calls") as answer:  # noqa: S310
        assert [call["kind"] for call in json.load(answer)] == [kind for kind, *_ in told]


@pytest.mark.parametrize(("path", "needed"), [(INFO, "userName"), (BATCH, "userIds")])
def test_profiles_of_nobody_are_a_bad_request(sandbox, get, path, needed):
    reply = get(sandbox, "", path=path)
    assert (reply.status, reply.json["detail"][0]["loc"]) == (400, ["query", needed])


def test_every_call_needs_the_key(sandbox, get):
    for path in (INFO, BATCH, BALANCE):
        assert get(sandbox, "BTC", path=path, key="other").status == 401


def test_balance_goes_down_by_what_succeeds_and_ends_in_402(get):
    with Sandbox({"BTC": 250, "few": 3}, balance=300, bonus=20, faults={"few": "server_error"}) as sandbox:
        assert get(sandbox, "", path=BALANCE).json == {"recharge_credits": 300, "total_bonus_credits": 20}
        assert get(sandbox, "few").status == 500
        assert sandbox.balance == 320
        get(sandbox, "few")
        assert get(sandbox, "", path=BALANCE).json == {"recharge_credits": 260, "total_bonus_credits": 0}
        cursor = get(sandbox).json["next_cursor"]
        refused = get(sandbox, cursor=cursor)
        assert (refused.status, refused.json["error"]) == (402, "Unauthorized")
        assert sandbox.balance == 60
        assert sandbox.calls[-1].credits == 0
        sandbox.recharge(90)
        assert get(sandbox, cursor=cursor).status == 200
        assert sandbox.balance == 0
        assert get(sandbox, "", path=BALANCE).status == 200
        assert sandbox.spent_usd == pytest.approx(0.0041)


def test_faults_of_other_calls_do_not_touch_lists(get):
    faults = {"BTC": Fault("server_error", kind="profile"), "*": Fault("rate_limit", kind="balance", times=None)}
    with Sandbox({"BTC": 1}, faults=faults) as sandbox:
        assert get(sandbox).status == 200
        assert [get(sandbox, path=INFO).status for _ in range(2)] == [500, 200]
        assert [get(sandbox, "", path=BALANCE).status for _ in range(2)] == [429, 429]
        assert get(sandbox).status == 200
    with pytest.raises(ValueError, match="one of lists"):
        Fault("loop", kind="profile")
