"""What leaves the machine and when: the pace, the pause after a 429, the stop, the cap, and who gets the key.

Crawls that mostly wait are started together when the module begins, each with a project of its own, and
looked at by their tests later.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import signal
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, combinations
from math import inf
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scrapy.http import Response

from kolspider.crawl.edge import Pace, _retry_after
from kolspider.errors import StopRun
from kolspider.sandbox import Fault, RandomFaults, Sandbox
from tests.e2e.harness import (
    FAST,
    KEY,
    ROOT,
    Result,
    expected_rows,
    finish,
    gaps,
    http_server,
    reply,
    stats,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from kolspider.sandbox import Call
    from tests.e2e.conftest import MakeProject
    from tests.e2e.databases import Chosen
    from tests.e2e.harness import Project

    Program = tuple[str, ...]

SCRAPY = ("-m", "scrapy")
JITTER = 0.3
"""Seconds by which a call may be seen late on a busy machine, so that the next ones seem to come too early."""
TWELVE = {f"kol{n}": 400 for n in range(12)}
EIGHT = {f"kol{n}": 400 for n in range(8)}
GOOD_PAGE = b'{"status": "success", "has_next_page": false, "next_cursor": "", "followings": []}'


@dataclass
class Crawl:
    """A crawl under way, or at its end."""

    project: Project
    process: subprocess.Popen[str]

    def finish(self) -> Result:
        return finish(self.process)


class Crawls:
    """Starts crawls, each in a project of its own."""

    def __init__(self, new_folder: Callable[[str], Path], chosen: Chosen, stack: ExitStack) -> None:
        self._new_folder = new_folder
        self._chosen = chosen
        self._stack = stack

    def start(self, kols: Mapping[str, int], *words: str, program: Program = SCRAPY, **options: Any) -> Crawl:
        """The crawl command at work, in a new project whose sandbox has these options."""
        folder = self._new_folder("edge")
        api = self._stack.enter_context(Sandbox(kols, key=KEY, **options))
        project = self._chosen.project(folder, api)
        project.init(kols)
        self._stack.callback(project.drop_tables)
        return self.go_on(project, *words, program=program)

    def go_on(self, project: Project, *words: str, program: Program = SCRAPY) -> Crawl:
        """The crawl command at work in a project that is there."""
        process = subprocess.Popen(
            [sys.executable, *program, "crawl", "followings", *words],
            cwd=ROOT,
            env=project.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(end, process)
        return Crawl(project, process)


def end(process: subprocess.Popen[str]) -> None:
    """A crawl that no test waited for ends with the module."""
    if process.poll() is None:
        process.kill()
    if process.stdout and not process.stdout.closed:
        process.communicate()


@pytest.fixture(scope="module")
def crawls(tmp_path_factory: pytest.TempPathFactory, chosen: Chosen) -> Iterator[Crawls]:
    with ExitStack() as stack:
        yield Crawls(tmp_path_factory.mktemp, chosen, stack)


@pytest.fixture(scope="module", autouse=True)
def waiting(crawls: Crawls) -> dict[str, Crawl]:
    """The crawls that take their time."""
    six_pages = crawls.start({"BTC": 2000}, *FAST, "-a", "max_calls=6")
    six_pages.finish().expect(1)
    six_pages.project.api.clear_calls()
    few_refusals = (
        "import kolspider.crawl.edge as d; d._MOST_REFUSALS = 4; from scrapy.cmdline import execute; execute()"
    )
    without_header = [Fault("rate_limit_date", seconds=3), Fault("rate_limit_bare", page=2, times=3)]
    once, for_ever = Fault("rate_limit", seconds=2, after=5), Fault("rate_limit_bare", after=2, times=None)
    return {
        "default pace": crawls.go_on(six_pages.project),
        "pace": crawls.start(EIGHT, "-s", "DOWNLOAD_DELAY=0.3"),
        "pause": crawls.start(dict.fromkeys(EIGHT, 600), "-s", "DOWNLOAD_DELAY=0.15", faults={"*": once}),
        "no header": crawls.start({"BTC": 600}, *FAST, "-s", "KOL_RETRY_SECS=0.3", faults={"BTC": without_header}),
        "for ever": crawls.start(EIGHT, *FAST, program=("-c", few_refusals), faults={"*": for_ever}),
    }


STOPS = {
    "bad_key": (401, "the API refuses the key"),
    "forbidden": (403, "the API refuses the key"),
    "no_credit": (402, "the API account has no credit left"),
    "wrong_path": (404, "there is no followings API at"),
}


@dataclass(frozen=True)
class Stopped:
    """A crawl that a refusal ended, as it was then."""

    project: Project
    result: Result
    calls: list[Call]
    states: dict[str, str]


@pytest.fixture(scope="module")
def stopped(crawls: Crawls) -> dict[str, Stopped]:
    """Crawls of 12 KOLs that are refused from the fifth call on, while others are on their way and in the queue."""
    # Two are on their way and six in the queue, which would take 1.8 s to empty, when the refusal comes.
    words = ("-s", "DOWNLOAD_DELAY=0.3", "-s", "KOL_RETRY_SECS=0.05")
    started = {
        fault: crawls.start(TWELVE, *words, latency=0.5, faults={"*": Fault(fault, after=4, times=None)})
        for fault in STOPS
    }
    return {
        fault: Stopped(crawl.project, crawl.finish(), crawl.project.api.calls, crawl.project.ended())
        for fault, crawl in started.items()
    }


def test_a_request_on_a_dead_kept_alive_connection_is_not_repeated_behind_our_back(make_project: MakeProject) -> None:
    # Given an API that hangs up, in two ways, when it gets the second and third request on a connection
    faults = [Fault("reset", page=2), Fault("timeout", page=3, seconds=0)]
    project = make_project({"BTC": 600}, faults={"BTC": faults})
    result = project.crawl("-s", "STATS_DUMP=True").expect(0)
    # then every request that the API saw is one that we know of
    assert [call.page for call in project.api.calls] == [1, 2, 2, 3, 3]
    assert stats(result)["api/calls"] == 5
    assert project.records()["btc"].calls == 5


def test_max_calls_is_exact_and_counts_retries(make_project: MakeProject) -> None:
    # Given an API that fails every third call, in all the ways that are tried again
    faults = [
        Fault("rate_limit_bare", after=3),
        RandomFaults(0.3, {"server_error": 1, "reset": 2, "error_in_200": 1, "cut_off": 1}, seed=1),
    ]
    project = make_project(EIGHT, faults={"*": faults})
    # when 12 calls are allowed
    result = project.crawl("-a", "max_calls=12", "-s", "STATS_DUMP=True").expect(1)
    # then 12 are made
    assert len(project.api.calls) == 12
    assert stats(result)["api/calls"] == 12
    assert "the cap of 12 API calls is reached and work is left" in result.text
    assert "failed" not in project.ended().values()
    good = {(call.handle, call.page) for call in project.api.calls if call.status == 200 and not call.fault}
    # and when just as many are allowed as there are pages left
    project.api.clear_calls()
    project.api.set_faults({})
    project.crawl("-a", f"max_calls={16 - len(good)}").expect(0)
    # then the work is done, and no page was bought twice
    assert {(call.handle, call.page) for call in project.api.calls}.isdisjoint(good)
    assert len(project.api.calls) == 16 - len(good)
    assert project.rows() == expected_rows(EIGHT)


def test_a_refused_key_stops_the_run_and_the_next_one_with_a_good_key_goes_on(make_project: MakeProject) -> None:
    kols = {f"kol{n}": 250 for n in range(30)}
    project = make_project(kols)
    result = project.crawl(env={"KOL_API_KEY": "some-other-key"}).expect(1)
    assert len(project.api.calls) <= 8  # as many as may be on their way at once
    (line,) = errors(result)
    assert line.startswith("the API refuses the key (HTTP 401")
    assert line.endswith("check KOL_API_KEY")
    project.crawl().expect(0)
    assert project.rows() == expected_rows(kols)


@pytest.mark.parametrize("fault", STOPS)
def test_a_refusal_stops_the_run_at_once_with_one_clear_line(stopped: dict[str, Stopped], fault: str) -> None:
    run = stopped[fault]
    run.result.expect(1)
    status, told = STOPS[fault]
    (line,) = errors(run.result)
    assert line.startswith(told)
    assert f"HTTP {status}" in line
    # What was in the queue was not sent, only what was on its way;
    refused = next(call for call in run.calls if call.fault)
    assert [call for call in run.calls if call.at > refused.at + 0.5 + 0.4] == []
    assert len(run.calls) <= 4 + 1 + 3
    # and no KOL is the worse for it.
    assert set(run.states.values()) <= {"fetching", "complete"}


def test_the_run_after_a_recharge_buys_what_is_missing_and_only_that(stopped: dict[str, Stopped]) -> None:
    project = stopped["no_credit"].project
    project.api.latency = 0
    project.api.set_faults({})
    project.crawl().expect(0)
    good = [(call.handle, call.cursor) for call in project.api.calls if call.status == 200]
    assert len(good) == len(set(good)) == 24
    assert project.rows() == expected_rows(TWELVE)


@pytest.mark.parametrize("fault", [Fault("rate_limit", seconds=60, times=None), Fault("server_error", times=None)])
def test_ctrl_c_does_not_wait_for_the_end_of_a_pause_or_of_a_retry_wait(
    make_project: MakeProject, fault: Fault
) -> None:
    # Given a run that waits for 60 s
    project = make_project({"BTC": 450, "ethereum": 450}, faults={"*": fault})
    process = project.start_crawl("-s", "KOL_RETRY_SECS=60")
    assert project.api.wait_for_calls(1, timeout=30)
    time.sleep(0.5)
    # when Ctrl-C is pressed
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    # then it ends, and the KOLs are as before
    finish(process, timeout=30).expect(130)
    assert time.monotonic() - pressed < 10
    assert len(project.api.calls) <= 2
    assert set(project.ended().values()) == {"fetching"}


def test_a_proxy_for_http_in_the_environment_does_not_get_the_key(make_project: MakeProject) -> None:
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.path)
        reply(request, 200, GOOD_PAGE)

    project = make_project({"BTC": 250})
    with http_server(answer) as proxy:
        names = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
        project.crawl(env=dict.fromkeys(names, proxy) | {"no_proxy": "", "NO_PROXY": ""}).expect(0)
    assert seen == []
    assert project.rows() == expected_rows({"BTC": 250})


def test_a_redirect_is_not_followed(make_project: MakeProject) -> None:
    # Given an API that sends us elsewhere
    project = make_project({"BTC": 250})
    here: list[str | None] = []
    elsewhere: list[str] = []

    def take_note(request: BaseHTTPRequestHandler) -> None:
        elsewhere.append(request.path)
        reply(request, 200, GOOD_PAGE)

    with http_server(take_note) as other:

        def redirect(request: BaseHTTPRequestHandler) -> None:
            here.append(request.headers["X-API-Key"])
            reply(request, 302, headers={"Location": other + request.path})

        with http_server(redirect) as url:
            result = project.crawl(env={"KOL_API_URL": url}).expect(1)
    # then the key stays here, and the run stops and says so
    assert (here, elsewhere) == ([KEY], [])
    assert "redirected" in result.text
    assert project.ended() == {"btc": "fetching"}


def test_a_server_with_a_certificate_of_its_own_making_gets_no_request(
    make_project: MakeProject, tmp_path: Path
) -> None:
    project = make_project({"BTC": 250})
    seen: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers["X-API-Key"])
        reply(request, 200, GOOD_PAGE)

    certificate, context = self_signed(tmp_path)
    with http_server(answer, tls=context) as url:
        # when nobody vouches for the server, the key is not shown to it
        result = project.crawl("-s", "RETRY_TIMES=1", env={"KOL_API_URL": url}).expect(3)
        assert seen == []
        assert "certificate" in project.records()["btc"].reason
        assert "certificate" in result.text
        # and it was the certificate alone: once it is trusted, the key is sent
        project.crawl(env={"KOL_API_URL": url, "SSL_CERT_FILE": str(certificate)}).expect(0)
        assert seen == [KEY]


def test_after_429_no_request_is_sent_until_the_pause_is_over_then_slower_then_faster(
    waiting: dict[str, Crawl],
) -> None:
    project = waiting["pause"].project
    waiting["pause"].finish().expect(0)
    calls = project.api.calls
    assert project.rows() == expected_rows(dict.fromkeys(EIGHT, 600))
    at = next(n for n, call in enumerate(calls) if call.status == 429)
    # but for those on their way when it was answered, no request at all in the pause, of any KOL, whatever was queued;
    on_their_way = [call for call in calls[at + 1 :] if call.at - calls[at].at < JITTER]
    assert len(on_their_way) <= JITTER / 0.15
    after = calls[at + 1 + len(on_their_way) :]
    assert after[0].at - calls[at].at >= 2
    # no burst after it: at first half as fast as before, then step by step as fast again.
    assert len(after) == 8 * 3 + 1 - 6 - len(on_their_way)
    assert_pace(after, [0.15 + 0.15 * 0.9**n for n in range(len(after) - 1)])
    assert min(gaps(after)[-6:]) < 0.27


def test_retry_after_may_be_a_date_and_without_it_the_waits_grow(waiting: dict[str, Crawl]) -> None:
    project = waiting["no header"].project
    waiting["no header"].finish().expect(0)
    calls = project.api.calls
    assert [call.status for call in calls] == [429, 200, 429, 429, 429, 200, 200]
    assert [call.page for call in calls] == [1, 1, 2, 2, 2, 2, 3]
    pauses = [gap for gap, call in zip(gaps(calls), calls, strict=False) if call.status == 429]
    assert 1.9 <= pauses[0] < 10  # a date three seconds ahead is given to the second
    assert all(pause >= least for pause, least in zip(pauses[1:], (0.3, 0.6, 1.2), strict=True)), pauses
    assert project.rows() == expected_rows({"BTC": 600})


def test_429_for_ever_stops_the_run_after_a_bounded_number_of_calls(waiting: dict[str, Crawl]) -> None:
    # Given an API that refuses all but the first two calls, and a limit of 4 refusals for the test's sake
    project, result = waiting["for ever"].project, waiting["for ever"].finish().expect(1)
    # then nobody else went on meanwhile
    refused = [call for call in project.api.calls if call.status == 429]
    assert 5 <= len(refused) <= 5 + 2 * 8  # and those that were on their way when one of these came
    (line,) = errors(result)
    assert "429" in line
    assert "5 times in a row" in line
    assert set(project.ended().values()) <= {"fetching"}


def test_who_is_asked_to_wait_for_hours_stops_and_says_for_how_long(make_project: MakeProject) -> None:
    project = make_project({"BTC": 600}, faults={"*": Fault("rate_limit", seconds=7200, page=2)})
    result = project.crawl().expect(1)
    assert [call.status for call in project.api.calls] == [200, 429]
    (line,) = errors(result)
    assert "asks to wait 2.0 h" in line
    assert project.ended() == {"btc": "fetching"}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("1.5", 1.5), ("9" * 400, inf), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
    + [(nothing, None) for nothing in ("", "soon", "-1", "nan", "1e3", "٣", "0x10")],
)
def test_retry_after_is_read_whatever_it_holds(header: str, seconds: float | None) -> None:
    assert _retry_after(Response("http://x", headers={"Retry-After": header})) == seconds


def test_429_for_ever_is_bounded_by_default_too() -> None:
    pace, now, refusals = Pace(interval=2, first_wait=5), 0.0, 0
    try:
        while refusals < 100:
            refusals += 1
            pace.sent(now)
            now += pace.refused(now, now, None)
    except StopRun:
        pass
    assert 5 <= refusals <= 20
    assert now < 3600


def test_the_pace_is_exact_however_many_kols_are_at_work_and_each_list_is_in_order(waiting: dict[str, Crawl]) -> None:
    project = waiting["pace"].project
    waiting["pace"].finish().expect(0)
    calls = project.api.calls
    assert len(calls) == 16
    assert {call.handle for call in calls[:8]} == set(EIGHT)
    assert_pace(calls, [0.3] * 15)
    assert median(gaps(calls)) < 0.4
    for kol in EIGHT:
        assert [call.page for call in project.calls_for(kol)] == [1, 2]


def test_calls_are_two_seconds_apart_by_default_and_cached_pages_do_not_wait(
    waiting: dict[str, Crawl],
) -> None:
    # Given a list of ten pages, six of them bought; when the rest is bought at the default pace
    project, result = waiting["default pace"].project, waiting["default pace"].finish().expect(0)
    calls = project.api.calls
    # then the six pages took no 12 s,
    assert calls[0].time - opened_at(result) < 8
    # and the four others are exactly two seconds apart
    assert [call.page for call in calls] == [7, 8, 9, 10]
    assert_pace(calls, [2] * 3)
    assert median(gaps(calls)) < 2.3
    assert project.rows() == expected_rows({"BTC": 2000})


def assert_pace(calls: Sequence[Call], least: Sequence[float]) -> None:
    """From any call to any later one it took at least what is between them."""
    due = [0.0, *accumulate(least)]
    for (first, began), (later, end) in combinations(zip(calls, due, strict=True), 2):
        assert later.at - first.at >= end - began - JITTER, gaps(calls)


def errors(result: Result) -> list[str]:
    """The log's ERROR lines."""
    return [line.partition(" ERROR: ")[2] for line in result.err.splitlines() if " ERROR: " in line]


def opened_at(result: Result) -> float:
    """When the log says that the spider was opened, as a unix time."""
    (line,) = [line for line in result.err.splitlines() if line.endswith("Spider opened")]
    return dt.datetime.fromisoformat(line[:19]).astimezone().timestamp()


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody vouches for, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return pem, context
