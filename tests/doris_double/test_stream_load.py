"""The double's Stream Load, by raw HTTP: first the FE, then the BE."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.doris_double import PASSWORD, USER
from tests.doris_double.conftest import ONE_REPLICA, connect

if TYPE_CHECKING:
    from tests.doris_double import DorisDouble

BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
PATH = "/api/kol/t/_stream_load"
HEAD = {"Authorization": BASIC, "Expect": "100-continue", "format": "json", "strict_mode": "true"}
BY_LINE = {**HEAD, "read_json_by_line": "true", "columns": "id, name, `following`"}


def put(base: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """PUT as http.client does: the body at once, whatever was expected."""
    address = urlsplit(base)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request("PUT", PATH, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def load(doris: DorisDouble, rows: list[dict[str, Any]], **headers: str) -> dict[str, Any]:
    """To the BE, as the FE would have sent us."""
    body = "\n".join(map(json.dumps, rows)).encode()
    status, _, answer = put(doris.be_http, BY_LINE | headers, body)
    assert status == 200
    return dict(json.loads(answer))


def test_the_front_end_sends_an_empty_put_to_the_back_end(doris: DorisDouble) -> None:
    status, headers, _ = put(doris.http, HEAD)

    target = urlsplit(headers["Location"])
    assert (status, target.path, target.username) == (307, PATH, USER)
    assert f"http://127.0.0.1:{target.port}" == doris.be_http


def test_the_front_end_refuses_a_wrong_password_and_a_missing_expect(doris: DorisDouble) -> None:
    wrong = base64.b64encode(b"kol:wrong").decode()
    status, _, body = put(doris.http, {**HEAD, "Authorization": f"Basic {wrong}"})
    assert (status, json.loads(body)["code"]) == (401, 401)

    status, _, body = put(doris.http, {"Authorization": BASIC})
    assert status == 200
    assert json.loads(body) == {"status": "FAILED", "msg": "There is no 100-continue header"}


def test_from_3_1_3_the_front_end_resets_who_sends_it_the_body(doris: DorisDouble, doris31: DorisDouble) -> None:
    with pytest.raises(ConnectionError):
        put(doris31.http, HEAD, b"{}" * 1000)
    assert put(doris.http, HEAD, b"{}" * 1000)[0] == 307


def test_rows_are_loaded(doris: DorisDouble) -> None:
    answer = load(doris, [{"id": "1", "name": "a", "following": 3}, {"id": "2", "name": None, "x": 1}], label="one")

    assert (answer["Status"], answer["Label"], answer["NumberLoadedRows"]) == ("Success", "one", 2)
    assert doris.query('SELECT id, name, "following" FROM kol.t ORDER BY id') == [("1", "a", 3), ("2", None, None)]
    (entry,) = doris.loads
    assert (entry.via, entry.path, entry.rows, entry.bytes) == ("stream", "plain", 2, answer["LoadBytes"])


def test_the_body_is_asked_for(doris: DorisDouble) -> None:
    body = b'{"id": "1", "name": "a"}'
    head = {**HEAD, "read_json_by_line": "true", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    address = urlsplit(doris.be_http)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as client:
        client.sendall(f"PUT {PATH} HTTP/1.1\r\n{lines}\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(body)
        assert b'"Status": "Success"' in client.recv(10000)


def test_the_back_end_wants_the_password_again(doris: DorisDouble) -> None:
    _, _, body = put(doris.be_http, {key: value for key, value in BY_LINE.items() if key != "Authorization"})

    assert json.loads(body)["Status"] == "Fail"
    assert "NOT_AUTHORIZED" in json.loads(body)["Message"]


def test_a_bad_row_fails_the_load_and_the_error_log_says_why(doris: DorisDouble) -> None:
    answer = load(doris, [{"id": "1", "name": "a"}, {"id": "2", "name": "too long"}], label="bad")

    assert (answer["Status"], answer["NumberFilteredRows"]) == ("Fail", 1)
    assert "too many filtered rows" in answer["Message"]
    assert doris.count("t") == 0
    with urllib.request.urlopen(answer["ErrorURL"], timeout=60) as log:  # noqa: S310 - the double's own address
        text = log.read().decode()
    assert text.startswith("Reason: column_name[name], the length of input is too long than schema.")
    assert "src line [];" in text
    assert load(doris, [{"id": "1", "name": "a"}], label="bad")["Status"] == "Success"  # the label is free again


def test_a_label_is_loaded_once(doris: DorisDouble) -> None:
    load(doris, [{"id": "1", "name": "a"}], label="once")

    answer = load(doris, [{"id": "1", "name": "b"}], label="once")

    assert (answer["Status"], answer["ExistingJobStatus"]) == ("Label Already Exists", "FINISHED")
    assert doris.query("SELECT name FROM kol.t") == [("a",)]


def test_a_reserved_word_in_the_columns_needs_its_quotes(doris: DorisDouble) -> None:
    answer = load(doris, [{"id": "1", "following": 1}], columns="id, following")

    assert answer["Status"] == "Fail"
    assert "mismatched input 'following'" in answer["Message"]


def test_partial_columns_and_new_keys(doris: DorisDouble, doris31: DorisDouble) -> None:
    for double in (doris, doris31):
        load(double, [{"id": "1", "theirs": 7}], columns="id, theirs")
        assert load(double, [{"id": "1", "name": "b"}], partial_columns="true")["Status"] == "Success"
        assert double.query("SELECT id, name, theirs FROM kol.t") == [("1", "b", 7)]
        assert double.loads[-1].path == "partial"
    new = [{"id": "2", "name": "c"}]
    assert load(doris, new, partial_columns="true")["Status"] == "Fail"
    assert load(doris31, new, partial_columns="true", partial_update_new_key_behavior="ERROR")["Status"] == "Fail"
    assert load(doris31, new, partial_columns="true")["Status"] == "Success"


def test_with_cluster_by_partial_columns_are_refused(doris: DorisDouble) -> None:
    with closing(connect(doris)) as db, db.cursor() as cursor:
        cursor.execute("DROP TABLE `t`")
        cursor.execute(
            "CREATE TABLE `t` (`id` VARCHAR(8) NOT NULL, `name` VARCHAR(6)) UNIQUE KEY(`id`) CLUSTER BY (`name`) "
            f"DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({ONE_REPLICA})"
        )
    rows = [{"id": "1", "name": "a"}]

    assert "with cluster keys" in load(doris, rows, columns="id, name", partial_columns="true")["Message"]
    assert load(doris, rows, columns="id, name")["Status"] == "Success"


def test_who_may_load_into_which_table(doris: DorisDouble) -> None:
    doris.create_user("loader", "x", tables=["kol.other"])
    who = {**HEAD, "Authorization": "Basic " + base64.b64encode(b"loader:x").decode()}

    assert "LOAD" in json.loads(put(doris.http, who)[2])["msg"]
    assert "LOAD" in json.loads(put(doris.be_http, who)[2])["Message"]


def test_a_load_that_nobody_ends_keeps_its_label(doris: DorisDouble) -> None:
    doris.fail_next("left", seconds=0)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        load(doris, [{"id": "1"}], label="left")

    answer = load(doris, [{"id": "1"}], label="left")

    assert answer["ExistingJobStatus"] == "RUNNING"
    assert "status [PREPARE]." in answer["Message"]


def test_faults_of_a_load(doris: DorisDouble) -> None:
    rows = [{"id": "1", "name": "a"}]

    doris.fail_next("committed")
    assert load(doris, rows)["Status"] == "Publish Timeout"
    assert doris.count("t") == 1
    doris.fail_next("fail")
    answer = load(doris, rows)
    assert answer["Status"] == "Fail"
    assert answer["ErrorURL"].startswith(doris.be_http)
    doris.fail_next("too_many_version")
    assert "E-235" in load(doris, rows)["Message"]
    doris.fail_next("label_running")
    assert load(doris, rows, label="x")["ExistingJobStatus"] == "RUNNING"


@pytest.mark.parametrize(
    ("fault", "rows", "again"), [("drop_before", 0, "Success"), ("drop_after", 1, "Label Already Exists")]
)
def test_a_connection_dropped_before_or_after_the_commit(doris: DorisDouble, fault: str, rows: int, again: str) -> None:
    doris.fail_next(fault)

    with pytest.raises((ConnectionError, http.client.HTTPException)):
        load(doris, [{"id": "1", "name": "a"}], label=fault)
    assert doris.count("t") == rows
    assert load(doris, [{"id": "1", "name": "a"}], label=fault)["Status"] == again


def test_a_back_end_that_is_not_there(doris: DorisDouble) -> None:
    doris.fail_next("be_unreachable")

    _, headers, _ = put(doris.http, HEAD)
    target = urlsplit(headers["Location"])
    with pytest.raises(ConnectionRefusedError):
        put(f"http://127.0.0.1:{target.port}", BY_LINE)
    assert put(doris.http, HEAD)[1]["Location"].partition("@")[2].startswith(doris.be_http.removeprefix("http://"))
