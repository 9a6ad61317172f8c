"""Each fault does on the wire what its name says, and only to the calls it was meant for."""

import http.client
import json
import time
from email.utils import parsedate_to_datetime

import pytest

from kolspider.sandbox import FAULT_NAMES, Fault, RandomFaults, Sandbox, read_faults

NO_CREDIT = {"error": "Unauthorized", "message": "Credits is not enough.Please recharge"}
BY_STATUS = {
    200: "not_found error_in_200 code_not_0 not_json truncated_json no_followings followings_null followings_object "
    "no_cursor empty_cursor zero_cursor zero_pipe_cursor same_cursor loop endless empty_pages empty_list cut_short "
    "no_has_next_page",
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
STATUSES = {name: status for status, names in BY_STATUS.items() for name in names.split()}
CONNECTIONS = {"timeout", "reset", "cut_off", "slow"}
REFUSALS = sorted(name for name, status in STATUSES.items() if status >= 400)


@pytest.fixture(scope="module")
def sandbox():
    """One server for all tests; each sets its own faults."""
    with Sandbox({"BTC": 450, "ethereum": 450, "OneUser": 1}) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _fresh(sandbox):
    sandbox.set_faults({})
    sandbox.clear_calls()


def test_no_fault_is_left_untested():
    assert set(STATUSES) | CONNECTIONS == FAULT_NAMES


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_fault_answers_with_its_status_once_is_logged_and_is_over(sandbox, get, name, status):
    sandbox.set_faults({"BTC": name})
    assert get(sandbox).status == status
    assert get(sandbox).json["msg"] == "success"
    assert [(call.status, call.fault) for call in sandbox.calls] == [(status, name), (200, "")]


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_name_a_reason(sandbox, get, name):
    sandbox.set_faults({"BTC": name})
    reply = get(sandbox)
    if name == "blocked":
        assert reply.body == b"error code: 1010"
    elif name in {"bad_gateway", "bad_request_page"}:
        assert reply.headers["Content-Type"] == "text/html"
    elif name == "no_credit":
        assert reply.json == NO_CREDIT
    else:
        assert isinstance(reply.json["detail"], list if name == "bad_request_list" else str)


def test_errors_in_200(sandbox, get):
    sandbox.set_faults({"BTC": ["not_found", "error_in_200", "code_not_0", "not_json", "truncated_json"]})
    assert get(sandbox).json == {"status": "error", "msg": "user not found", "data": None}
    assert get(sandbox).json["status"] == "error"
    answer = get(sandbox).json
    assert (answer["code"], answer["status"]) == (5001, "success")
    assert get(sandbox).body.startswith(b"<html>")
    cut = get(sandbox)
    assert int(cut.headers["Content-Length"]) == len(cut.body)
    with pytest.raises(json.JSONDecodeError):
        _ = cut.json
    assert [call.users for call in sandbox.calls] == [0] * 5


def test_rate_limits_say_how_long_to_wait_or_do_not(sandbox, get):
    limits = [Fault("rate_limit", seconds=7), "rate_limit_bare", "rate_limit_date"]
    sandbox.set_faults({"BTC": limits, "ethereum": Fault("unavailable_for", seconds=8)})
    assert get(sandbox, "ethereum").headers["Retry-After"] == "8"
    assert get(sandbox).headers["Retry-After"] == "7"
    assert get(sandbox).headers["Retry-After"] is None
    assert abs(parsedate_to_datetime(get(sandbox).headers["Retry-After"]).timestamp() - time.time()) < 4


def test_rate_limits_of_a_window_or_a_plan_say_when_it_ends(sandbox, get):
    sandbox.set_faults({"BTC": [Fault("rate_limit_reset", seconds=90), Fault("plan_used_up", seconds=5000)]})
    for seconds, words in ((90, "Too Many Requests"), (5000, "used up")):
        reply = get(sandbox)
        assert int(reply.headers["x-rate-limit-reset"]) == pytest.approx(time.time() + seconds, abs=60)
        assert reply.headers["Retry-After"] is None
        assert words in reply.json["detail"]


def test_lists_spoiled_in_one_thing(sandbox, get):
    def spoiled(name: str) -> dict:
        sandbox.set_faults({"BTC": name})
        return get(sandbox).json

    whole = get(sandbox).json
    assert spoiled("no_followings") == {key: value for key, value in whole.items() if key != "followings"}
    assert spoiled("followings_null") == {**whole, "followings": None}
    assert spoiled("followings_object") == {**whole, "followings": {"users": whole["followings"]}}
    assert spoiled("no_has_next_page") == {key: value for key, value in whole.items() if key != "has_next_page"}
    for name, cursor in {
        "no_cursor": None,
        "empty_cursor": "",
        "zero_cursor": "0",
        "zero_pipe_cursor": "0|123",
    }.items():
        assert spoiled(name) == {**whole, "next_cursor": cursor}, name
    sandbox.set_faults({"OneUser": "no_cursor"})
    assert get(sandbox, "OneUser").json["has_next_page"] is True


def test_same_cursor_repeats_the_cursor_that_was_asked(sandbox, get):
    sandbox.set_faults({"BTC": Fault("same_cursor", times=None)})
    first = get(sandbox).json
    second = get(sandbox, cursor=first["next_cursor"]).json
    assert second == first
    sandbox.set_faults({})
    third = get(sandbox, cursor=get(sandbox).json["next_cursor"]).json["next_cursor"]
    sandbox.set_faults({"BTC": "same_cursor"})
    assert get(sandbox, cursor=third).json["next_cursor"] == third


def test_loop_gives_new_cursors_and_the_same_users(sandbox, get):
    sandbox.set_faults({"BTC": Fault("loop", times=None)})
    answers = [get(sandbox).json]
    for _ in range(5):
        answers.append(get(sandbox, cursor=answers[-1]["next_cursor"]).json)
    assert len({answer["next_cursor"] for answer in answers}) == 6
    assert all(answer["followings"] == answers[0]["followings"] for answer in answers)


def test_an_endless_list_has_other_users_on_each_page(sandbox, get):
    sandbox.set_faults({"BTC": Fault("endless", times=None)})
    ids, cursor = set(), ""
    for _ in range(5):
        answer = get(sandbox, cursor=cursor).json
        ids |= {user["id"] for user in answer["followings"]}
        cursor = answer["next_cursor"]
    assert len(ids) == 5 * 200


def test_a_list_ends_where_it_is_emptied_or_cut_short(sandbox, walk):
    sandbox.set_faults({"BTC": ["empty_list", "cut_short"]})
    assert [[len(reply.json["followings"]) for reply in walk(sandbox)] for _ in range(3)] == [
        [0],
        [200],
        [200, 200, 50],
    ]


def test_empty_pages_then_the_list_goes_on(sandbox, walk, ids):
    sandbox.set_faults({"BTC": Fault("empty_pages", times=2)})
    replies = walk(sandbox)
    assert [len(reply.json["followings"]) for reply in replies] == [0, 0, 200, 200, 50]
    assert ids(replies) == sandbox.expected_ids("BTC")


def test_cut_off_body_is_shorter_than_promised(sandbox, get):
    sandbox.set_faults({"BTC": "cut_off"})
    with pytest.raises(http.client.IncompleteRead) as cut:
        get(sandbox)
    assert cut.value.expected == pytest.approx(len(cut.value.partial), abs=1)
    assert (sandbox.calls[0].status, sandbox.calls[0].users) == (200, 0)


def test_reset_and_timeout_send_nothing(sandbox, get):
    sandbox.set_faults({"BTC": ["reset", Fault("timeout", seconds=0.2)]})
    with pytest.raises(ConnectionResetError):
        get(sandbox)
    begin = time.monotonic()
    with pytest.raises(http.client.RemoteDisconnected):
        get(sandbox)
    assert time.monotonic() - begin >= 0.2
    assert [(call.status, call.fault) for call in sandbox.calls] == [(0, "reset"), (0, "timeout")]


def test_slow_answers_late_and_does_not_hold_up_others(sandbox, get):
    sandbox.set_faults({"BTC": Fault("slow", seconds=0.2)})
    begin = time.monotonic()
    assert len(get(sandbox).json["followings"]) == 200
    assert time.monotonic() - begin >= 0.2


def test_steps_are_used_up_in_order_and_other_kols_are_spared(sandbox, get):
    sandbox.set_faults({"BTC": ["server_error", "", "bad_gateway"]})
    assert [get(sandbox).status for _ in range(4)] == [500, 200, 502, 200]
    assert get(sandbox, "ethereum").status == 200


def test_page_chooses_the_calls_for_that_page(sandbox, get):
    sandbox.set_faults({"BTC": Fault("no_cursor", page=2, times=None), "ethereum": Fault("bad_cursor", page=2)})
    first = get(sandbox).json
    for _ in range(3):
        second = get(sandbox, cursor=first["next_cursor"]).json
        assert (second["has_next_page"], second["next_cursor"]) == (True, None)
    cursor = get(sandbox, "ethereum").json["next_cursor"]
    assert [get(sandbox, "ethereum", cursor=cursor).status for _ in range(2)] == [400, 200]
    assert [call.page for call in sandbox.calls] == [1, 2, 2, 2, 1, 2, 2]


def test_times_after_and_every_choose_the_calls(sandbox, get):
    some = Fault("server_error", times=2, after=1, every=2)
    sandbox.set_faults({"ethereum": Fault("bad_request", times=None), "OneUser": some})
    assert {get(sandbox, "ETHEREUM").status for _ in range(5)} == {400}
    assert [get(sandbox, "OneUser").status for _ in range(7)] == [200, 200, 500, 200, 500, 200, 200]


def test_star_counts_the_calls_of_all_kols_and_comes_after_their_own_steps(sandbox, get):
    sandbox.set_faults({"*": Fault("no_credit", after=2, times=None), "BTC": ["", "", "unavailable"]})
    handles = ["BTC", "BTC", "BTC", "ethereum", "OneUser", "ethereum", "BTC"]
    assert [get(sandbox, handle).status for handle in handles] == [200, 200, 503, 200, 200, 402, 402]


def test_random_faults_are_the_same_for_a_seed_whatever_the_order_of_kols(sandbox, get):
    faults = {"*": RandomFaults(0.3, {"server_error": 3, "rate_limit": 1}, seed=5)}
    by_kol = []
    for handles in (["BTC", "OneUser"] * 40, ["BTC"] * 40 + ["OneUser"] * 40):
        sandbox.set_faults(faults)
        statuses: dict[str, list[int]] = {"BTC": [], "OneUser": []}
        for handle in handles:
            statuses[handle].append(get(sandbox, handle, pageSize=20).status)
        by_kol.append(statuses)
    assert by_kol[0] == by_kol[1]
    everything = by_kol[0]["BTC"] + by_kol[0]["OneUser"]
    assert 12 < everything.count(500) + everything.count(429) < 36
    assert everything.count(500) > everything.count(429) > 0


def test_wrong_faults_are_refused_when_they_are_written():
    with pytest.raises(ValueError, match="unknown fault 'sever_error'"):
        Sandbox(faults={"BTC": ["sever_error"]})
    with pytest.raises(ValueError, match="unknown fault 'x'"):
        RandomFaults(0.1, {"x": 1})
    with pytest.raises(ValueError, match="every=0"):
        Fault("reset", every=0)
    with pytest.raises(ValueError, match="kind='balances' must be one of followings, profile"):
        read_faults('{"BTC": {"name": "reset", "kind": "balances"}}')


def test_faults_are_read_from_json():
    text = """{"BTC": ["reset", "", {"name": "loop", "page": 2, "times": null}],
               "*": {"share": 0.2, "weights": {"reset": 1}, "seed": 7}}"""
    assert read_faults(text) == {
        "BTC": [Fault("reset"), Fault(""), Fault("loop", page=2, times=None)],
        "*": [RandomFaults(0.2, {"reset": 1}, seed=7)],
    }


@pytest.mark.parametrize("text", ["[]", "{", '{"BTC": [5]}', '{"BTC": [{"nam": "reset"}]}', '{"BTC": "x"}'])
def test_unreadable_faults_are_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        read_faults(text)
