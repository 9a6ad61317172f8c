"""What leaves the machine and when: the pace, the pause after a 429, the stop, the cap, and who gets the key.

Crawls that mostly wait are started together when the module begins, each with a project of its own, and
looked at by their tests later.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.sandbox import Fault, RandomFaults, Sandbox
from tests.e2e.expected import expected_rows
from tests.e2e.http_servers import http_server, reply
from tests.e2e.processes import Result, finish, stats, wait_for_text
from tests.e2e.project import FAST, KEY, ROOT
from tests.tls import self_signed

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from kolspider.sandbox import Call
    from tests.e2e.conftest import MakeProject
    from tests.e2e.databases import Chosen
    from tests.e2e.project import Project

TWELVE = {f"kol{n}": 400 for n in range(12)}
EIGHT = {f"kol{n}": 400 for n in range(8)}
GOOD_PAGE = b'{"status": "success", "has_next_page": false, "next_cursor": "", "followings": []}'


@dataclass
class Crawl:
    """A crawl under way, or at its end, and its log."""

    project: Project
    process: subprocess.Popen[str]
    log: Path

    def finish(self) -> Result:
        return finish(self.process)


class Crawls:
    """Starts crawls, each in a project of its own."""

    def __init__(self, new_folder: Callable[[str], Path], chosen: Chosen, stack: ExitStack) -> None:
        self._new_folder = new_folder
        self._chosen = chosen
        self._stack = stack

    def start(
        self, kols: Mapping[str, int], *words: str, env: Mapping[str, str] | None = None, hold: int = -1, **options: Any
    ) -> Crawl:
        """The crawl command at work, with these options of the sandbox. `hold`: the answers before its calls wait."""
        api = self._stack.enter_context(Sandbox(kols, key=KEY, **options))
        if hold >= 0:
            api.hold(after=hold)
        project = self._chosen.project(self._new_folder("edge"), api)
        project.init(kols)
        self._stack.callback(project.drop_tables)
        log = project.folder / "log"
        process = project.start("crawl", "followings", "-s", f"LOG_FILE={log}", *words, env=env)
        self._stack.callback(end, process)
        return Crawl(project, process, log)


def end(process: subprocess.Popen[str]) -> None:
    """End a crawl that no test waited for."""
    if process.poll() is None:
        process.kill()
    if process.stdout and not process.stdout.closed:
        process.communicate()


@pytest.fixture(scope="module")
def crawls(tmp_path_factory: pytest.TempPathFactory, chosen: Chosen) -> Iterator[Crawls]:
    with ExitStack() as stack:
        yield Crawls(tmp_path_factory.mktemp, chosen, stack)


@pytest.fixture(scope="module", autouse=True)
def waiting(crawls: Crawls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Crawl]:
    """The crawls that take their time."""
    without_header = [Fault("rate_limit_date", seconds=3), Fault("rate_limit_bare", page=2, times=3)]
    once, for_ever = Fault("rate_limit", seconds=2, after=5), Fault("rate_limit_bare", after=2, times=None)
    few_refusals = tmp_path_factory.mktemp("hooks")
    hook = "from kolspider.live import pace\nassert pace._MOST_REFUSALS\npace._MOST_REFUSALS = 4\n"
    (few_refusals / "sitecustomize.py").write_text(hook)
    hooked = {"PYTHONPATH": os.pathsep.join([str(few_refusals), str(ROOT)])}
    return {
        "default pace": crawls.start({"BTC": 600}),
        "pace": crawls.start(EIGHT, "-s", "DOWNLOAD_DELAY=0.3"),
        "pause": crawls.start(dict.fromkeys(EIGHT, 600), "-s", "DOWNLOAD_DELAY=0.15", faults={"*": once}),
        "no header": crawls.start({"BTC": 600}, *FAST, "-s", "KOL_RETRY_SECS=0.3", faults={"BTC": without_header}),
        "for ever": crawls.start(EIGHT, *FAST, env=hooked, faults={"*": for_ever}),
    }


STOPS = {
    "bad_key": (401, "the API refuses the key", 4),
    "forbidden": (403, "the API refuses the key", 0),
    "blocked": (403, "something in front of the API refuses the calls", 0),
    "no_credit": (402, "the API account has no credit left", 4),
    "wrong_path": (404, "there is no followings API at", 0),
    "moved": (301, "there is no followings API at", 0),
}
"""Fault to its status, to what the run says of it, and to the answers before it."""


@dataclass(frozen=True)
class Stopped:
    """A crawl that a refusal ended, as it was then."""

    project: Project
    errors: list[str]
    calls: list[Call]
    at_once: list[Call]
    """The calls when it knew that it was refused."""
    states: dict[str, str]


@pytest.fixture(scope="module")
def stopped(crawls: Crawls) -> dict[str, Stopped]:
    """Crawls of 12 KOLs that are refused from some call on, while others are on their way and in the queue."""
    words = ("-s", "DOWNLOAD_DELAY=0.3", "-s", "KOL_RETRY_SECS=0.05")
    started = {
        fault: crawls.start(TWELVE, *words, hold=good, faults={"*": Fault(fault, after=good, times=None)})
        for fault, (_, _, good) in STOPS.items()
    }
    done = {}
    for fault, crawl in started.items():
        good = STOPS[fault][2]
        crawl.project.wait_for_calls(good + 3)
        crawl.project.api.hold(after=good + (1 if fault == "bad_key" else 2))
        wait_for_text(crawl.log, " ERROR: ")
        at_once = crawl.project.calls_of_the_dead()
        crawl.project.api.release()
        crawl.finish().expect(1)
        calls = crawl.project.api.calls
        done[fault] = Stopped(crawl.project, errors(crawl.log), calls, at_once, crawl.project.ended())
    return done


def test_a_request_on_a_dead_kept_alive_connection_is_not_repeated_behind_our_back(make_project: MakeProject) -> None:
    # Given an API that hangs up, in two ways, when it gets the second and third request on a connection
    faults = [Fault("reset", page=2), Fault("timeout", page=3, seconds=0)]
    project = make_project({"BTC": 600}, faults={"BTC": faults})
    result = project.crawl("-s", "STATS_DUMP=True").expect(0)
    # then every request that the API saw is one that we know of
    assert [call.page for call in project.api.calls] == [1, 2, 2, 3, 3]
    assert stats(result.text)["api/calls"] == 5
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
    assert stats(result.text)["api/calls"] == 12
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


def test_the_account_is_never_charged_more_than_max_usd(make_project: MakeProject) -> None:
    # Given an API that charges for some answers that get lost
    faults = [RandomFaults(0.3, {"cut_off": 1, "truncated_json": 1, "server_error": 1}, seed=2)]
    project = make_project(EIGHT, faults={"*": faults})
    # when a cent may be spent, which is not enough
    result = project.crawl("-a", "max_usd=0.01").expect(1)
    # then the account is charged no more, and not much less: the dearest answer costs 398
    charged = sum(call.credits for call in project.api.calls)
    assert 1000 - 398 * 3 <= charged <= 1000
    assert "(-a max_usd)" in result.err
    assert "-a max_usd=0.01" in result.out.splitlines()[-1]
    assert "the run continues where it stopped" in result.out.splitlines()[-1]
    # and with enough money the work is done
    project.api.set_faults({})
    project.crawl("-a", "max_usd=1").expect(0)
    assert project.rows() == expected_rows(EIGHT)


@pytest.mark.parametrize("fault", STOPS)
def test_a_refusal_stops_the_run_at_once_with_one_clear_line(stopped: dict[str, Stopped], fault: str) -> None:
    run = stopped[fault]
    status, told, good = STOPS[fault]
    (line,) = run.errors
    assert line.startswith(told)
    assert f"HTTP {status}" in line
    # What was in the queue was not sent, only what was on its way,
    assert run.calls == run.at_once
    assert len(run.calls) <= good + 8 + 1  # a place was free where the first KOL failed
    # and no KOL is the worse for it: the two that told are asked again after the others.
    states = Counter(run.states.values())
    assert states["failed"] == (0 if fault == "bad_key" else 2)
    assert set(states) <= {"fetching", "complete", "failed"}


def test_the_run_after_a_recharge_buys_what_is_missing_and_only_that(stopped: dict[str, Stopped]) -> None:
    project = stopped["no_credit"].project
    project.api.set_faults({})
    project.crawl().expect(0)
    good = [(call.handle, call.cursor) for call in project.api.calls if call.status == 200]
    assert len(good) == len(set(good)) == 24
    assert project.rows() == expected_rows(TWELVE)


@pytest.mark.parametrize(
    ("fault", "told"),
    [(Fault("rate_limit", seconds=3000, times=None), "429"), (Fault("server_error", times=None), "HTTP 500")],
)
def test_ctrl_c_does_not_wait_for_the_end_of_a_pause_or_of_a_retry_wait(
    make_project: MakeProject, fault: Fault, told: str
) -> None:
    # Given a run that waits for the better part of an hour
    project = make_project({"BTC": 450, "ethereum": 450}, faults={"*": fault})
    log = project.folder / "log"
    process = project.start_crawl("-s", "KOL_RETRY_SECS=3000", "-s", f"LOG_FILE={log}", "-L", "DEBUG")
    wait_for_text(log, told)
    # when Ctrl-C is pressed
    process.send_signal(signal.SIGINT)
    # then it ends, and the KOLs are as before
    finish(process).expect(130)
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
    assert (here, elsewhere) == ([KEY, KEY], []), "for the balance, and for the page"
    assert "redirected" in result.text
    assert project.ended() == {"btc": "failed"}


def test_a_connection_that_was_idle_is_not_used_again(make_project: MakeProject, tmp_path: Path) -> None:
    # Given an API that keeps connections open, and a limit of 0.2 s for the test's sake
    hook = (
        "from kolspider.crawl import download_handler\n"
        "assert 0 < download_handler._IDLE_SECS <= 4\n"
        "download_handler._IDLE_SECS = 0.2\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    connections: list[object] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        connections.append(request.client_address)
        first = GOOD_PAGE.replace(b"false", b"true").replace(b'"next_cursor": ""', b'"next_cursor": "2"')
        user = b'"followings": [{"id": "%d", "name": "A"}]' % len(connections)
        body = GOOD_PAGE if len(connections) == 2 else first
        reply(request, 200, body.replace(b'"followings": []', user))

    project = make_project({"BTC": 2})
    hooked = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    with http_server(answer) as url:
        # when the second page is asked for a second after the first
        project.crawl("-s", "DOWNLOAD_DELAY=1", env=hooked | {"KOL_API_URL": url}).expect(0)
    # then that is on a connection of its own: the API might have hung up on the first meanwhile
    assert len(set(connections)) == len(connections) == 2


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
        result = project.crawl("-s", "STATS_DUMP=True", env={"KOL_API_URL": url}).expect(1)
        assert seen == []
        assert project.ended() == {"btc": "fetching"}
        (line,) = [line for line in result.err.splitlines() if line[8:11] in {" W ", " E "}]
        assert f"the certificate of {url} is expired, or of a CA that is not known here" in line
        assert "SSL_CERT_FILE" in line
        assert "api/credits_estimated" not in stats(result.text)
        # and it was the certificate alone: once it is trusted, the key is sent
        project.crawl(env={"KOL_API_URL": url, "SSL_CERT_FILE": str(certificate)}).expect(0)
        assert seen == [KEY, KEY], "for the balance, and for the page"


def test_after_429_no_request_is_sent_until_the_pause_is_over_and_then_no_burst(waiting: dict[str, Crawl]) -> None:
    project = waiting["pause"].project
    waiting["pause"].finish().expect(0)
    calls = project.api.calls
    assert project.rows() == expected_rows(dict.fromkeys(EIGHT, 600))
    # But for those on their way when it was answered, one a list, no request at all in the pause, of any KOL;
    (refused,) = (call for call in calls if call.status == 429)
    in_pause = [call.handle for call in calls if refused.at < call.at < refused.at + 2]
    assert len({*in_pause, refused.handle}) == len(in_pause) + 1 <= 8
    # after it no burst.
    after = [call for call in calls if call.at >= refused.at + 2]
    assert len(after) == 8 * 3 + 1 - 6 - len(in_pause)
    assert after[-1].at - refused.at >= 2 + 0.15 * (len(after) - 1)


def test_retry_after_may_be_a_date_and_without_it_the_waits_grow(waiting: dict[str, Crawl]) -> None:
    project = waiting["no header"].project
    waiting["no header"].finish().expect(0)
    calls = project.api.calls
    assert [call.status for call in calls] == [429, 200, 429, 429, 429, 200, 200]
    assert [call.page for call in calls] == [1, 1, 2, 2, 2, 2, 3]
    pauses = [later.at - call.at for call, later in pairwise(calls) if call.status == 429]
    assert pauses[0] >= 1.9  # a date three seconds ahead is given to the second
    assert all(pause >= least for pause, least in zip(pauses[1:], (0.3, 0.6, 1.2), strict=True)), pauses
    assert project.rows() == expected_rows({"BTC": 600})


def test_429_for_ever_stops_the_run_after_a_bounded_number_of_calls(waiting: dict[str, Crawl]) -> None:
    # Given an API that refuses all but the first two calls, and a limit of 4 refusals for the test's sake
    project = waiting["for ever"].project
    waiting["for ever"].finish().expect(1)
    # then it stops after five, and those that were on their way when one of these came
    assert 5 <= sum(call.status == 429 for call in project.api.calls) <= 5 * 8
    (line,) = errors(waiting["for ever"].log)
    assert "429" in line
    assert "5 times in a row" in line
    assert set(project.ended().values()) <= {"fetching"}


def test_who_is_asked_to_wait_for_hours_stops_and_says_for_how_long(make_project: MakeProject) -> None:
    project = make_project({"BTC": 600}, faults={"*": Fault("rate_limit", seconds=7200, page=2)})
    log = project.folder / "log"
    project.crawl("-s", f"LOG_FILE={log}").expect(1)
    assert [call.status for call in project.api.calls] == [200, 429]
    (line,) = errors(log)
    assert "asks to wait 2.0 h" in line
    assert project.ended() == {"btc": "failed"}  # so others come first after that


def test_the_pace_is_kept_however_many_kols_are_at_work_and_each_list_is_in_order(waiting: dict[str, Crawl]) -> None:
    project = waiting["pace"].project
    waiting["pace"].finish().expect(0)
    calls = project.api.calls
    assert len(calls) == 16
    assert calls[-1].time - opened_at(waiting["pace"].log) >= 15 * 0.3
    for kol in EIGHT:
        assert [call.page for call in project.calls_for(kol)] == [1, 2]


def test_calls_are_two_seconds_apart_by_default(waiting: dict[str, Crawl]) -> None:
    project = waiting["default pace"].project
    waiting["default pace"].finish().expect(0)
    calls = project.api.calls
    assert [call.page for call in calls] == [1, 2, 3]
    assert calls[-1].time - opened_at(waiting["default pace"].log) >= 4
    assert project.rows() == expected_rows({"BTC": 600})


def test_cached_pages_do_not_wait_for_the_pace(make_project: MakeProject) -> None:
    project = make_project({"BTC": 2000})
    project.crawl("-a", "max_calls=9").expect(1)
    project.crawl("-s", "DOWNLOAD_DELAY=999").expect(0)  # the only page to buy is the first to be asked for
    assert project.rows() == expected_rows({"BTC": 2000})


def errors(log: Path) -> list[str]:
    """The log's ERROR lines."""
    return [line.partition(" ERROR: ")[2] for line in log.read_text().splitlines() if " ERROR: " in line]


def opened_at(log: Path) -> float:
    """When the log says that the spider was opened, to the second, as a unix time."""
    (line,) = [line for line in log.read_text().splitlines() if line.endswith("Spider opened")]
    return dt.datetime.fromisoformat(line[:19]).astimezone().timestamp()
