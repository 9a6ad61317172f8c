"""Stream Load's client against servers that behave oddly: where the password goes, and what an answer means."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.db.base import DbErrorKind
from kolspider.db.doris import http as client
from kolspider.db.doris.http import Address, StreamLoad, StreamLoadError
from kolspider.db.doris.stream import StreamLoadDatabase
from kolspider.db.mysql import Server
from kolspider.db.url import open_database
from tests.db.conftest import row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATH = "/api/kol/t/_stream_load"
OK = {"Status": "Success", "TxnId": 7, "Label": "l"}
PASSWORD = "hunter2/@:%"


class Request(BaseHTTPRequestHandler):
    """Notes what it was asked, and answers as the test says."""

    server: Stub
    protocol_version = "HTTP/1.1"
    timeout = 60

    def handle_expect_100(self) -> bool:
        return True  # the answer decides whether the body is asked for

    def do_PUT(self) -> None:
        self.server.asked.append(self)
        self.server.answer(self)

    do_GET = do_PUT  # noqa: N815 - the base class names it so

    def body(self) -> bytes:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.rfile.read(int(self.headers["Content-Length"]))

    def reply(self, status: int, body: object = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Stub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[Request], object]) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answer = answer
        self.asked: list[Request] = []

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.server_address[1])


@contextmanager
def serving(answer: Callable[[Request], object]) -> Iterator[Stub]:
    with Stub(answer) as stub:
        threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield stub
        stub.shutdown()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def pair(stack: ExitStack, be: Callable[[Request], object], location: str = "") -> tuple[StreamLoad, Stub, Stub]:
    """A client, an FE that redirects, and the BE."""
    back = stack.enter_context(serving(be))
    where = location or f"http://kol:hunter2%2F%40%3A%25@{back.url}{PATH}?"
    front = stack.enter_context(serving(lambda request: request.reply(307, Location=where)))
    return StreamLoad(front.address, "kol", PASSWORD), front, back


def answering(told: object, status: int = 200) -> Callable[[Request], None]:
    def answer(request: Request) -> None:
        request.body()
        request.reply(status, told)

    return answer


def load(loader: StreamLoad) -> str:
    return loader.load(PATH, {"label": "l"}, b'{"id": "1"}')


def test_the_body_goes_to_the_back_end_alone_and_the_password_to_both(stack: ExitStack) -> None:
    bodies: list[bytes] = []

    def be(request: Request) -> None:
        bodies.append(request.body())
        request.reply(200, OK)

    loader, front, back = pair(stack, be)

    assert load(loader) == "label l, txnId 7, Success"
    assert bodies == [b'{"id": "1"}']
    for stub, length in ((front, "0"), (back, "11")):
        (asked,) = stub.asked
        assert asked.headers["Content-Length"] == length
        assert asked.headers["Expect"] == "100-continue"
        assert asked.headers["Authorization"] == client.basic("kol", PASSWORD)
    assert "@" not in back.asked[0].path


def test_further_headers_go_to_both_and_their_values_are_not_shown(stack: ExitStack) -> None:
    _, front, back = pair(stack, answering(OK))
    headers = {"redirect-policy": "public", "x-gate": "hunter3"}
    db = StreamLoadDatabase(Server("fe", 9030, "kol", "db", PASSWORD, ()), front.address, headers)

    assert db._http.load(PATH, {"label": "l"}, b"{}") == "label l, txnId 7, Success"

    for stub in (front, back):
        assert {name: stub.asked[0].headers[name] for name in headers} == headers
    told = db.explain(StreamLoadError(DbErrorKind.FATAL, "public hunter3"))
    assert told.endswith(": public ***")


def test_a_proxy_that_limits_the_size_of_a_load_is_named(stack: ExitStack) -> None:
    loader, _, _ = pair(stack, lambda request: request.reply(413, b"<html>too large"))

    with pytest.raises(
        StreamLoadError, match=r"HTTP 413 without a status; a proxy on the way .* KOL_FLUSH_ROWS"
    ) as caught:
        load(loader)
    assert caught.value.kind is DbErrorKind.FATAL


def test_no_proxy_of_the_environment_is_used(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    loader, _, _ = pair(stack, answering(OK))
    assert "Success" in load(loader)


@pytest.mark.parametrize(
    "location",
    [
        "",
        "https://be:1/api/kol/t/_stream_load",
        "http:///api/kol/t/_stream_load",
        "http://be:x/a/_stream_load",
        "ftp://be/_stream_load",
        "http://be:8040/elsewhere",
        "/api/kol/t/_stream_load",
        "http://b\x01e/a/_stream_load",
        f"http://{'b' * 64}/a/_stream_load",
        "http://b..e/a/_stream_load",
        "http://b\xe9/a/_stream_load",
    ],
)
def test_a_redirect_to_no_back_end_is_fatal_and_not_repeated(stack: ExitStack, location: str) -> None:
    front = stack.enter_context(serving(lambda request: request.reply(307, Location=f"{location}?s3cr3t")))

    with pytest.raises(StreamLoadError, match="redirects to no http:// address") as caught:
        load(StreamLoad(front.address, "kol", PASSWORD))

    assert caught.value.kind is DbErrorKind.FATAL
    assert "s3cr3t" not in str(caught.value)


def test_a_redirect_of_the_back_end_is_not_followed(stack: ExitStack) -> None:
    thief = stack.enter_context(serving(answering(OK)))
    loader, _, _ = pair(stack, lambda request: request.reply(307, Location=f"http://{thief.url}{PATH}"))

    with pytest.raises(StreamLoadError):
        load(loader)
    assert thief.asked == []


@pytest.mark.parametrize(
    ("status", "answer", "kind", "text"),
    [
        (401, {"msg": "Unauthorized", "code": 401}, DbErrorKind.FATAL, "Access denied"),
        (200, {"msg": "Unauthorized", "code": 401}, DbErrorKind.FATAL, "Access denied"),
        (200, {"status": "FAILED", "msg": "Access denied; you need the (LOAD) privilege"}, DbErrorKind.FATAL, "LOAD"),
        (
            200,
            {"status": "FAILED", "msg": "There is no 100-continue header"},
            DbErrorKind.FATAL,
            "takes .* away: KOL_D",
        ),
        (200, {"status": "FAILED", "msg": "No backend load available"}, DbErrorKind.LOST, "No backend"),
        (500, b"", DbErrorKind.LOST, "500"),
        (503, b"", DbErrorKind.LOST, "503"),
        (400, {"msg": "No backend"}, DbErrorKind.FATAL, "No backend"),
        (399, {"msg": "No backend"}, DbErrorKind.LOST, "No backend"),
        (200, {"status": "FAILED", "msg": "something new"}, DbErrorKind.LOST, "something new"),
        (404, b"", DbErrorKind.FATAL, "404"),
        (413, b"<html>too large", DbErrorKind.FATAL, "HTTP 413; a proxy on the way limits the size"),
        (400, b"<p>Invalid header host", DbErrorKind.FATAL, "takes no IPv6 address: write a host name"),
    ],
)
def test_what_the_front_end_refuses(
    stack: ExitStack, status: int, answer: object, kind: DbErrorKind, text: str
) -> None:
    front = stack.enter_context(serving(lambda request: request.reply(status, answer)))

    with pytest.raises(StreamLoadError, match=text) as caught:
        load(StreamLoad(front.address, "kol", PASSWORD))
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("told", "good"),
    [
        ({"Status": "Success"}, True),
        ({"Status": "Publish Timeout"}, True),
        ({"Status": "Label Already Exists", "ExistingJobStatus": "FINISHED"}, True),
        ({"Status": "Label Already Exists", "ExistingJobStatus": "RUNNING"}, False),
        ({"Status": "Label Already Exists", "ExistingJobStatus": "PRECOMMITTED"}, False),
        ({"Status": "Label Already Exists", "Message": "status=[TXN_STATUS_VISIBLE]"}, True),
        ({"Status": "Label Already Exists", "Message": "status=[TXN_STATUS_PREPARED]"}, False),
        ({"Status": "Label Already Exists", "Message": "relate to txn [9], status [VISIBLE]."}, True),
        ({"Status": "Label Already Exists", "Message": "relate to txn [9], status [ABORTED]."}, False),
        ({"Status": "Label Already Exists", "Message": "relate to txn [9]"}, False),
        ({"Status": "Fail", "Message": "[E-235] too many"}, False),
        (b"<html>gateway", False),
        (b"[" * 100_000, False),
        ({}, False),
    ],
)
def test_what_the_back_end_says_of_a_load(stack: ExitStack, told: Any, good: bool) -> None:
    loader, _, _ = pair(stack, answering(told))

    if good:
        assert load(loader).startswith("label l, txnId ")
        return
    with pytest.raises(StreamLoadError) as caught:
        load(loader)
    assert caught.value.kind is DbErrorKind.LOST


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 309])
def test_the_back_end_is_where_a_redirect_leads(stack: ExitStack, status: int) -> None:
    where = "http://be/api/kol/t/_stream_load?a=b"
    front = stack.enter_context(serving(lambda request: request.reply(status, Location=where)))
    loader = StreamLoad(front.address, "kol", PASSWORD)
    if status in {301, 302, 307, 308}:
        assert loader._back_end(PATH) == (Address("be", 8040), "/api/kol/t/_stream_load?a=b")
        return
    with pytest.raises(StreamLoadError, match=f"refuses the load: HTTP {status}"):
        loader._back_end(PATH)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, DbErrorKind.FATAL),
        (499, DbErrorKind.FATAL),
        (500, DbErrorKind.LOST),
        (503, DbErrorKind.LOST),
        (302, DbErrorKind.LOST),
    ],
)
def test_a_back_end_that_answers_without_a_status_is_at_fault_or_we_are(
    stack: ExitStack, status: int, kind: DbErrorKind
) -> None:
    loader, _, _ = pair(stack, answering(b"", status))
    with pytest.raises(StreamLoadError, match=f"answered HTTP {status} without a status") as caught:
        load(loader)
    assert caught.value.kind is kind


def test_a_load_of_fewer_rows_than_were_sent_is_refused_and_halved(stack: ExitStack) -> None:
    loader, _, _ = pair(stack, answering({"Status": "Success", "NumberTotalRows": 3, "NumberLoadedRows": 2}))
    with pytest.raises(StreamLoadError, match="2 of 3 rows") as caught:
        load(loader)
    assert caught.value.kind is DbErrorKind.REFUSED


def test_a_back_end_that_refuses_before_the_body_is_heard(stack: ExitStack) -> None:
    """As it does what is wrong with the headers; the body, here 20 MB, is not sent."""
    told = {"Status": "Fail", "Message": "[NOT_AUTHORIZED]no valid Basic authorization"}
    loader, _, _ = pair(stack, lambda request: request.reply(200, told))

    with pytest.raises(StreamLoadError, match="NOT_AUTHORIZED") as caught:
        loader.load(PATH, {"label": "l"}, b"x" * 20_000_000)
    assert caught.value.kind is DbErrorKind.FATAL


def test_a_back_end_that_says_nothing_is_not_waited_for_for_ever(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_SECS", 0.2)
    monkeypatch.setattr(client, "GO_AHEAD_SECS", 0.1)
    over = threading.Event()
    loader, _, back = pair(stack, lambda _: over.wait(5))

    with pytest.raises(StreamLoadError, match="timed out") as caught:
        load(loader)
    over.set()
    assert caught.value.kind is DbErrorKind.LOST
    assert str(caught.value).startswith(back.url)


# --- the error log ----------------------------------------------------------------------------------------------

FAIL = {"Status": "Fail", "Message": "[DATA_QUALITY_ERROR]too many filtered rows", "NumberFilteredRows": 1}
LOG = (
    "Reason: column_name[name], the length of input is too long than schema. first 32 bytes of input str: [xx] "
    "schema length: 4; actual length: 5; . src line []; \n"
)
FILTERED = "Fail: [DATA_QUALITY_ERROR]too many filtered rows"


def with_log(stack: ExitStack, log: str, url: str = "", **told: Any) -> tuple[StreamLoadDatabase, Stub]:
    def be(request: Request) -> None:
        if request.command == "GET":
            request.reply(200, log.encode())
            return
        request.body()
        request.reply(200, FAIL | {"ErrorURL": url or f"http://{back.url}/api/_load_error_log?file=a"} | told)

    loader, _, back = pair(stack, be)
    db = open_database("doris://kol:hunter2@fe/kol", base=None, stream_load=Address("fe", 1))  # type: ignore[arg-type]
    assert isinstance(db, StreamLoadDatabase)
    db._http = loader
    return db, back


def refused(db: StreamLoadDatabase) -> str:
    with pytest.raises(StreamLoadError) as caught:
        db._load("t", [row("1")], partial=False)
    assert db.error_kind(caught.value) is DbErrorKind.REFUSED
    return str(caught.value)


def test_the_error_log_says_why_and_is_asked_without_a_password(stack: ExitStack) -> None:
    db, back = with_log(stack, f"{LOG}Reason: another. src line []; \n")

    assert refused(db) == f"{FILTERED}; {LOG.strip()}"
    get = back.asked[-1]
    assert (get.command, get.path) == ("GET", "/api/_load_error_log?file=a")
    assert get.headers["Authorization"] is None


def test_a_reason_in_the_answer_is_enough(stack: ExitStack) -> None:
    db, back = with_log(stack, LOG, FirstErrorMsg="too long")
    assert refused(db) == f"{FILTERED}; too long"
    assert [asked.command for asked in back.asked] == ["PUT"]


def test_an_error_log_elsewhere_is_left_alone(stack: ExitStack) -> None:
    other = stack.enter_context(serving(lambda request: request.reply(200, LOG.encode())))
    port = other.server_address[1]
    for url in (f"http://localhost:{port}/log", f"ftp://127.0.0.1:{port}/", "http://[", f"https://127.0.0.1:{port}/x"):
        db, _ = with_log(stack, LOG, url=url)
        assert refused(db) == FILTERED
    assert other.asked == []


# --- labels -----------------------------------------------------------------------------------------------------


def test_a_batch_keeps_its_label_until_its_outcome_is_known(stack: ExitStack) -> None:
    script = iter([{"Status": "Fail", "Message": "timeout"}, OK, OK, {"Status": "Fail", "Message": "timeout"}, OK])
    db, back = with_log(stack, "")

    def answer(request: Request) -> None:
        answering(next(script))(request)

    back.answer = answer
    for rows in ([row("1")], [row("1")], [row("1")], [row("2")], [row("3")]):
        with suppress(StreamLoadError):
            db._load("t", rows, partial=False)

    labels = [asked.headers["label"] for asked in back.asked]
    assert labels[0] == labels[1]
    assert len(set(labels)) == 4  # the same rows again are another batch, once the first is in


def test_what_an_error_shows_holds_no_password() -> None:
    server = Server("fe", 9030, "kol", "db", PASSWORD, (PASSWORD,))
    db = StreamLoadDatabase(server, Address("fe", 1))
    told = db.explain(StreamLoadError(DbErrorKind.FATAL, f"{PASSWORD} {client.basic('kol', PASSWORD)}"))
    assert PASSWORD not in told
    assert client.basic("kol", PASSWORD)[6:] not in told
