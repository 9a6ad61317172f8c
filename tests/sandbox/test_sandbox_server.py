"""The server over real sockets: requests, paging, changing lists, the log, start and stop."""

import gzip
import json
import threading
import time
import urllib.request
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from operator import attrgetter

import pytest

from kolspider.sandbox import Sandbox


@pytest.mark.parametrize("size", [20, 33, 200])
@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 450])
def test_paging_gives_exactly_the_expected_ids_in_order(walk, ids, count, size):
    with Sandbox({"BTC": count}) as sandbox:
        replies = walk(sandbox, size=size)
        assert ids(replies) == sandbox.expected_ids("btc")
        assert len(replies) == max(1, -(-count // size))
        assert replies[-1].json["next_cursor"] in {"", "0"}


def test_answer_has_the_documented_shape(get):
    with Sandbox({"BTC": 250}) as sandbox:
        answer = get(sandbox, "bTc").json
    assert list(answer) == ["code", "status", "msg", "has_next_page", "next_cursor", "followings"]
    assert (answer["code"], answer["status"], answer["msg"]) == (0, "success", "success")
    assert len(answer["followings"]) == 200
    assert "|" in answer["next_cursor"]
    assert not answer["next_cursor"].startswith("0|")


def test_lone_surrogates_arrive_as_escapes(get):
    with Sandbox({"BTC": 200}) as sandbox:
        body = get(sandbox).body
    assert body.isascii()
    assert b"\\ud83d emoji" in body


def test_unknown_kol_is_not_found_and_no_kols_means_the_sample(get):
    with Sandbox({"BTC": 1}) as sandbox:
        assert get(sandbox, "nobody").json == {"status": "error", "msg": "user not found", "data": None}
    with Sandbox() as sandbox:
        assert len(get(sandbox, "VITALIKSAMPLE").json["followings"]) == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"key": ""}, 401),
        ({"key": "other"}, 401),
        ({"path": "/twitter/user/follower"}, 404),
        ({"handle": ""}, 400),
        ({"pageSize": 19}, 400),
        ({"pageSize": 201}, 400),
        ({"pageSize": "many"}, 400),
        ({"cursor": "0"}, 400),
        ({"cursor": "1044684841064967716|2.200.801"}, 400),
    ],
)
def test_wrong_requests_are_refused_with_a_detail(get, request_, status):
    with Sandbox({"BTC": 1}, faults={"*": "reset"}) as sandbox:
        reply = get(sandbox, **request_)
        assert sandbox.calls[0].fault == ""
    assert reply.status == status
    assert reply.json["detail"]


def test_cursor_is_good_for_its_own_kol_only_and_after_a_restart(get):
    kols = {"BTC": 250, "ethereum": 250}
    with Sandbox(kols) as sandbox:
        cursor = get(sandbox).json["next_cursor"]
        assert get(sandbox, "ethereum", cursor=cursor).status == 400
    with Sandbox(kols) as sandbox:
        assert len(get(sandbox, cursor=cursor).json["followings"]) == 50


def test_start_after_stop_serves_at_the_same_url(get):
    sandbox = Sandbox({"BTC": 1})
    with sandbox:
        url = sandbox.url
    with pytest.raises(ConnectionRefusedError):
        get(sandbox)
    with sandbox:
        assert sandbox.url == url
        assert get(sandbox).status == 200


def test_each_week_adds_twenty_accounts_to_a_long_list_and_removes_three():
    first, third, again = (Sandbox({"BTC": 300, "few": 99, "none": 0}) for _ in range(3))
    third.let_weeks_pass(2)
    for _ in range(2):
        again.let_weeks_pass(1)
    before, after = first.expected_ids("BTC"), third.expected_ids("BTC")

    assert len(after) == 300 + 2 * (20 - 3)
    assert not {*after[:40]} & {*before}
    assert after[40:] == [id_ for id_ in before if id_ in {*after}]
    assert third.expected_ids("few") == first.expected_ids("few")
    assert third.expected_ids("none") == []
    assert again.expected_ids("BTC") == after


def test_list_that_grows_while_it_is_read_repeats_users_and_loses_none(walk, ids):
    with Sandbox({"BTC": 100}) as sandbox:
        before = sandbox.expected_ids("BTC")
        new = []
        read = ids(walk(sandbox, size=20, between=lambda _: new.extend(sandbox.follow("BTC", 5))))
        assert set(before) <= set(read)
        assert len(read) > len(set(read))
        assert sandbox.expected_ids("BTC")[-100:] == before
        assert not set(new) & set(before)


@pytest.mark.parametrize("take", [slice(0, 10), slice(25, 45), slice(90, 100), slice(0, 100, 7)])
def test_list_that_shrinks_while_it_is_read_loses_nobody_who_stays(walk, ids, take):
    with Sandbox({"BTC": 100}) as sandbox:
        gone = sandbox.expected_ids("BTC")[take]

        def change(page: int) -> None:
            if page == 2:
                sandbox.follow("BTC", 3)
                sandbox.unfollow("BTC", gone)

        read = ids(walk(sandbox, size=20, between=change))
        stayed = sandbox.expected_ids("BTC")[3:]
        assert set(stayed) <= set(read)
        assert not set(gone) & set(stayed)


def read_while_it_changes(walk, ids, cursors, change) -> list[str]:
    """The ids that a reader gets from a list of 100 that changes after the second page of 20."""
    with Sandbox({"BTC": 100}) as sandbox:
        sandbox.cursors = cursors
        return ids(walk(sandbox, size=20, between=lambda page: change(sandbox) if page == 2 else None))


@pytest.mark.parametrize("cursors", ["both", "position", "time"])
def test_any_kind_of_cursor_reads_a_list_that_does_not_change(walk, ids, cursors):
    read = read_while_it_changes(walk, ids, cursors, lambda _sandbox: None)
    assert read == Sandbox({"BTC": 100}).expected_ids("BTC")


def test_cursors_of_position_repeat_users_when_the_list_grew_and_skip_some_when_it_shrank(walk, ids):
    before = Sandbox({"BTC": 100}).expected_ids("BTC")
    grown = read_while_it_changes(walk, ids, "position", lambda sandbox: sandbox.follow("BTC", 7))
    assert grown == before[:40] + before[33:]
    shrunk = read_while_it_changes(walk, ids, "position", lambda sandbox: sandbox.unfollow("BTC", 7))
    assert shrunk == before[:40] + before[47:]
    assert read_while_it_changes(walk, ids, "position", lambda sandbox: sandbox.unfollow("BTC", 90)) == before[:40]


def test_cursors_of_time_neither_repeat_nor_skip(walk, ids):
    before = Sandbox({"BTC": 100}).expected_ids("BTC")

    def change(sandbox: Sandbox) -> None:
        sandbox.follow("BTC", 7)
        sandbox.unfollow("BTC", 5)
        sandbox.unfollow("BTC", before[30:45])  # the last one read, too

    assert read_while_it_changes(walk, ids, "time", change) == before[:40] + before[45:]


def test_cursor_can_be_good_for_pages_of_one_size_only(get, walk, ids):
    with Sandbox({"BTC": 100}) as sandbox:
        assert get(sandbox, pageSize=40, cursor=get(sandbox, pageSize=20).json["next_cursor"]).status == 200
        sandbox.cursors_of_one_size = True
        cursor = get(sandbox, pageSize=20).json["next_cursor"]
        assert [get(sandbox, pageSize=size, cursor=cursor).status for size in (20, 40)] == [200, 400]
        assert ids(walk(sandbox, size=20)) == sandbox.expected_ids("BTC")


def test_list_can_be_out_of_order():
    sandbox = Sandbox({"BTC": 10})
    before = sandbox.expected_ids("BTC")
    sandbox.move_down("btc", 2, 6)
    assert sandbox.expected_ids("BTC") == [*before[2:6], *before[:2], *before[6:]]


def test_unfollow_takes_the_newest(get, ids):
    with Sandbox({"BTC": 5}) as sandbox:
        before = sandbox.expected_ids("BTC")
        sandbox.unfollow("btc", 2)
        assert ids([get(sandbox)]) == before[2:]


def test_revision_can_be_set_while_it_runs(get, ids):
    with Sandbox({"BTC": 50}) as sandbox:
        old = get(sandbox)
        sandbox.revision = 3
        new = get(sandbox)
    assert ids([old]) == ids([new])
    assert old.json != new.json


def test_gzip_comes_unasked(get):
    with Sandbox({"BTC": 5}, gzip=True) as sandbox:
        reply = get(sandbox)
    assert reply.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(reply.body))["followings"]) == 5


def test_expected_ids_leave_out_entries_without_a_usable_id(get):
    with Sandbox({"BTC": 200}, unusable=True) as sandbox:
        assert len(get(sandbox).json["followings"]) == 200
        assert len(sandbox.expected_ids("BTC")) == 195


def test_log_has_every_call_and_no_key(get, tmp_path):
    log = tmp_path / "calls.jsonl"
    with Sandbox({"BTC": 250}, log_path=log, faults={"BTC": ["", "server_error"]}) as sandbox:
        begin = time.monotonic()
        cursor = get(sandbox, pageSize=100).json["next_cursor"]
        get(sandbox, cursor=cursor)
        get(sandbox, cursor=cursor)
        get(sandbox, "nobody", key="secret")
        fields = attrgetter("handle", "page", "cursor", "page_size", "status", "fault", "users", "key_ok")
        assert [fields(call) for call in sandbox.calls] == [
            ("btc", 1, "", 100, 200, "", 100, True),
            ("btc", 2, cursor, 200, 500, "server_error", 0, True),
            ("btc", 2, cursor, 200, 200, "", 150, True),
            ("nobody", 1, "", 200, 401, "", 0, False),
        ]
        assert begin <= sandbox.calls[0].at <= sandbox.calls[3].at <= time.monotonic()
        assert abs(sandbox.calls[0].time - time.time()) < 5
        with urllib.request.urlopen(f"{sandbox.url}/_sandbox/calls") as answer:  # noqa: S310
            served = json.load(answer)
        assert sandbox.wait_for_calls(4)
        sandbox.clear_calls()
        assert sandbox.calls == []
        assert not sandbox.wait_for_calls(1, timeout=0.01)
    assert [json.loads(line) for line in log.read_text().splitlines()] == served
    assert len(served) == 4
    assert "secret" not in log.read_text()


def test_latency_delays_each_answer(get):
    with Sandbox({"BTC": 1}, latency=0.1) as sandbox:
        begin = time.monotonic()
        get(sandbox)
        assert time.monotonic() - begin >= 0.1


def test_stop_is_quick_ends_hanging_calls_and_leaves_no_thread(get):
    before = set(threading.enumerate())
    outcome = []

    def hang(handle: str) -> None:
        try:
            outcome.append(get(sandbox, handle))
        except (ConnectionError, OSError) as error:
            outcome.append(type(error))

    with Sandbox({"BTC": 1}, faults={"BTC": "timeout", "X": "slow", "*": "timeout"}, latency=9999) as sandbox:
        clients = [threading.Thread(target=hang, args=[handle]) for handle in ("BTC", "X", "Y", "Z")]
        for client in clients:
            client.start()
        assert sandbox.wait_for_calls(4, timeout=60)
    for client in clients:
        client.join()
    assert len(outcome) == 4
    assert all(isinstance(kind, type) for kind in outcome)
    assert set(threading.enumerate()) == before
    sandbox.stop()


def test_held_calls_are_logged_and_answered_once_they_are_let_go(get):
    with Sandbox({"BTC": 1}) as sandbox, ThreadPoolExecutor(2) as threads:
        sandbox.hold(after=1)
        assert get(sandbox).status == 200
        held = [threads.submit(get, sandbox) for _ in range(2)]
        assert sandbox.wait_for_calls(3, timeout=60)
        assert not any(call.done() for call in held)
        sandbox.hold(after=2)
        assert len(wait(held, 60, FIRST_COMPLETED).done) == 1
        sandbox.release()
        assert [call.result(60).status for call in held] == [200, 200]


def test_a_failed_start_raises_and_leaves_no_thread(tmp_path):
    before = set(threading.enumerate())
    with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"), Sandbox(address=("127.0.0.1", port)):
            pass
    with pytest.raises(FileNotFoundError), Sandbox(log_path=tmp_path / "none" / "log"):
        pass
    assert set(threading.enumerate()) == before
