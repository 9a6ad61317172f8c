"""The API key and the database password are nowhere: not on the screen at the loudest level, not in the log, in
no file of the cache or the job directory, packed or unpacked. And no run prints a warning of Python's."""

from __future__ import annotations

import base64
import html
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from kolspider.sandbox import Fault, profile
from tests.e2e.expected import expected_rows
from tests.e2e.http_servers import http_server, reply
from tests.e2e.project import KEY
from tests.mariadb import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from http.server import BaseHTTPRequestHandler

    from tests.e2e.conftest import MakeProject
    from tests.e2e.processes import Result
    from tests.e2e.project import Project

LOUD = ("-L", "DEBUG", "-s", "STATS_DUMP=True")
WARN = {"PYTHONWARNINGS": "default"}
PASSWORD_BEGINS = "s3cr3t-p"
"""What the password and all of its encodings begin with."""
SECRETS = (KEY, base64.b64encode(KEY.encode()).decode(), PASSWORD_BEGINS)

ECHOED_KEY = "Zq7Xv9Kp2Wm4Tb6Rn8YcLd3Hs5Jg"
PIECES = tuple(ECHOED_KEY[at : at + 6] for at in range(len(ECHOED_KEY) - 5))
"""A part of the key is a leak, too."""


@pytest.fixture
def database_url(server_url: str) -> str:
    """A database that asks for a password; a real Doris may ask for none."""
    assert PASSWORD.startswith(PASSWORD_BEGINS)
    return server_url


def test_a_job_from_its_dry_run_to_its_replay_leaves_no_secret(make_project: MakeProject, database_url: str) -> None:
    # Given a job with users that are set aside, and everything that writes a file switched on
    kols = {"BTC": 450, "ethereum": 320}
    project = make_project(kols, db_url=database_url, unusable=True, follows=True)
    job = ("-s", f"JOBDIR={project.folder / 'job'}", "-s", f"LOG_FILE={project.folder / 'log.txt'}")
    # when it is checked, tried, run and replayed
    results = [
        project.crawl(*LOUD, "-a", "test=1", env=WARN).expect(0),
        project.crawl(*LOUD, "-a", "estimate=1", "-a", f"api_key={KEY}", env=WARN).expect(0),
        project.crawl(*LOUD, "-a", "dry_run=1", "-a", "limit=1", env=WARN).expect(0),
        project.crawl(*LOUD, *job, "-o", f"{project.folder / 'users.jsonl'}", env=WARN).expect(0),
        project.crawl(*LOUD, "-a", "replay=all", "-s", f"KOL_API_KEY={KEY}", env=WARN).expect(0),
        project.scrapy("report", "-o", str(project.folder / "report.html"), env=WARN).expect(0),
        project.scrapy("follows", "top", "--min", "1", "--json", env=WARN).expect(0),
    ]
    # then it is all there, the secrets apart
    assert project.rows() == expected_rows(kols, unusable=True)
    assert project.rejects()
    assert "<svg" in (project.folder / "report.html").read_text()
    assert (project.folder / "job").is_dir()
    assert "kol/api/calls" in (project.folder / "log.txt").read_text()
    assert leaks(SECRETS, results, project) == []
    assert python_warnings(results) == []


def test_failures_of_the_api_leave_no_secret_a_key_given_as_argument_neither(
    make_project: MakeProject, database_url: str
) -> None:
    # Given an API that fails each KOL in another way
    names = ("not_found", "bad_request_list", "error_in_200", "server_error", "reset", "cut_off", "not_json", "loop")
    faults = {name: Fault(name, times=None) for name in names} | {"slowed": "rate_limit_bare"}
    project = make_project(dict.fromkeys((*names, "slowed"), 250), db_url=database_url, faults=faults)
    # when the key is an argument, and there is a job that would keep its arguments
    words = ("-a", f"api_key={KEY}", "-s", f"JOBDIR={project.folder / 'job'}")
    result = project.crawl(*LOUD, *words, env=WARN | {"KOL_API_KEY": ""}).expect(3)
    # then it is used, and nowhere
    assert all(call.key_ok for call in project.api.calls)
    assert leaks(SECRETS, [result], project) == []
    assert python_warnings([result]) == []


def test_failures_of_the_database_leave_no_secret(make_project: MakeProject, database_url: str) -> None:
    project = make_project({"BTC": 250}, db_url=database_url)
    server = urlsplit(database_url)
    right, wrong = quote(PASSWORD, safe=""), "wr0ng-passw0rd"
    at = f"{server.hostname}:{server.port}{server.path}"
    urls = {
        "wrong password": f"{server.scheme}://kol:{wrong}@{at}",
        "nobody there": f"{server.scheme}://kol:{right}@127.0.0.1:1/kol",
        "another dialect": f"{'mysql' if server.scheme == 'doris' else 'doris'}://kol:{wrong}@{at}",
    }
    results = side_by_side(project, {name: ("-s", f"KOL_DB_URL={url}") for name, url in urls.items()})
    assert {name: result.code for name, result in results.items()} == dict.fromkeys(urls, 1)
    for name, result in results.items():
        assert len(told := [line for line in result.err.splitlines() if line.startswith("kolspider: ")]) == 1, name
        assert "://" in told[0], name  # it names the database
    assert leaks((*SECRETS, wrong), results.values(), project) == []
    assert python_warnings(results.values()) == []


def test_wrong_usage_is_one_line_that_repeats_no_secret(make_project: MakeProject) -> None:
    project = make_project({"BTC": 250})
    cases = {
        "unknown argument": ("-a", f"apikey={KEY}"),
        "unknown setting": ("-s", f"KOL_APIKEY={KEY}"),
        "two words": ("-s", f"KOL_API_KEY=Bearer {KEY}"),
        "key as user": ("-s", f"KOL_API_URL=https://user:{KEY}@127.0.0.1:1"),
        "key as query": ("-s", f"KOL_API_URL=https://127.0.0.1:1/?key={KEY}"),
        "password not quoted": ("-s", f"KOL_DB_URL=mysql://kol:{PASSWORD}@127.0.0.1/kol"),
        "bad port": ("-s", f"KOL_DB_URL=doris://kol:{quote(PASSWORD, safe='')}@127.0.0.1:99999/kol"),
    }
    results = {name: project.look("crawl", "followings", *LOUD, *words) for name, words in cases.items()}
    assert leaks(SECRETS, results.values(), project) == []
    assert {name: result.code for name, result in results.items()} == dict.fromkeys(cases, 2)
    assert {name: len(result.err.splitlines()) for name, result in results.items()} == dict.fromkeys(cases, 1)
    assert project.api.calls == []


def test_the_key_that_a_refusal_repeats_is_not_shown(make_project: MakeProject) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        reply(request, 401, json.dumps({"detail": f"the key {request.headers['X-API-Key']} is no good"}).encode())

    project = make_project({"BTC": 250})
    result = crawl_at(project, answer).expect(1)
    assert "the key *** is no good" in result.text
    assert leaks(PIECES, [result], project) == []


def test_the_key_that_an_error_repeats_is_in_no_reason_and_no_log(make_project: MakeProject) -> None:
    # Given an API that repeats the key in its errors
    errors: dict[str, tuple[int, dict[str, object]]] = {
        "in200": (200, {"status": "error", "msg": "the key KEY is busy"}),
        "gone": (200, {"status": "error", "msg": "user not found with KEY"}),
        "code": (200, {"code": "KEY", "message": "see KEY"}),
        "bad": (400, {"detail": [{"loc": ["header", "KEY"], "msg": "KEY is not valid"}]}),
        "boom": (500, {"error": "KEY"}),
    }

    def answer(request: BaseHTTPRequestHandler) -> None:
        status, body = errors[user_of(request)]
        reply(request, status, json.dumps(body).replace("KEY", request.headers["X-API-Key"]).encode())

    project = make_project(dict.fromkeys(errors, 0))
    result = crawl_at(project, answer).expect(3)
    assert set(project.ended().values()) == {"failed", "not_found"}
    assert "the key *** is busy" in project.records()["in200"].reason
    assert leaks(PIECES, [result], project) == []


def test_no_piece_of_the_key_is_left_where_a_long_message_is_cut(make_project: MakeProject) -> None:
    # Given messages that are cut somewhere inside the key
    def answer(request: BaseHTTPRequestHandler) -> None:
        length = int(user_of(request).removeprefix("kol"))
        message = "x" * length + request.headers["X-API-Key"]
        reply(request, 400, json.dumps({"detail": message}).encode())

    project = make_project({f"kol{length}": 0 for length in range(170, 200, 5)})
    result = crawl_at(project, answer).expect(3)
    assert leaks(PIECES, [result], project) == []


def test_the_key_that_a_good_page_repeats_is_not_kept(make_project: MakeProject) -> None:
    # Given an API that puts the key into its answers
    def answer(request: BaseHTTPRequestHandler) -> None:
        page = {"status": "success", "has_next_page": False, "next_cursor": "", "followings": [profile(1), profile(2)]}
        reply(request, 200, json.dumps(page | {"msg": f"served to {request.headers['X-API-Key']}"}).encode())

    project = make_project({"BTC": 2})
    result = crawl_at(project, answer).expect(0)
    assert len(project.rows()) == 2
    assert leaks(PIECES, [result], project) == []


@pytest.mark.parametrize("key", ['Zq7/Xv9&Kp2"Wm4+Tb6', "q7/Z"])
def test_no_spelling_of_the_key_gets_from_a_page_into_rows_or_files(make_project: MakeProject, key: str) -> None:
    # Given an API that has the key in every field, in another spelling each time, also of users that are set aside
    spellings = [key, quote(key, safe=""), base64.b64encode(key.encode()).decode(), html.escape(key), json.dumps(key)]

    def answer(request: BaseHTTPRequestHandler) -> None:
        users = [profile(n) | {"name": f"I am {text} ", "location": text} for n, text in enumerate(spellings, 1)]
        page = {"followings": [*users, {"id": "none", "name": key}], "has_next_page": False, "msg": key}
        body = json.dumps(page).replace("/", r"\/").replace("&", r"\u0026")
        reply(request, 200, body.encode())

    project = make_project({"BTC": 2})
    with http_server(answer) as url:
        env = WARN | {"KOL_API_URL": url, "KOL_API_KEY": key, "KOL_SUMMARY_FILE": str(project.folder / "summary.json")}
        results = [project.crawl(*LOUD, "-o", str(project.folder / "users.jsonl"), env=env).expect(0)]
    results += [project.look("kols", "BTC"), project.look("cache", "show", "BTC")]
    names = [row.name for row in project.rows().values()]
    assert [name for name in names if "***" not in str(name)] == []
    assert len(names) == len(spellings)
    assert project.rejects()
    escaped = [json.dumps(text)[1:-1] for text in spellings]
    escaped += [text.replace("/", r"\/").replace("&", r"\u0026") for text in escaped]
    assert leaks([*spellings, *escaped], results, project) == []


def test_a_password_that_was_typed_is_in_no_file_however_short(make_project: MakeProject) -> None:
    project = make_project({})
    url = "KOL_DB_URL=mysql://kol:Qz@127.0.0.1:1/kol"
    words = ("-a", "sandbox=1", "-a", "limit=1", "-s", f"JOBDIR={project.folder / 'job'}", "-s", url)
    results = [
        project.crawl(*words).expect(0),
        project.look("report", "--sandbox", "-o", str(project.folder / "report.html")),
    ]
    assert "KOL_DB_URL=mysql://kol:***@127.0.0.1:1/kol" in (project.folder / "report.html").read_text()
    assert leaks(["kol:Qz@"], results, project) == []


def crawl_at(project: Project, answer: Callable[[BaseHTTPRequestHandler], None]) -> Result:
    """Crawl, loudly, from a server of the test's own."""
    with http_server(answer) as url:
        return project.crawl(*LOUD, "-s", "RETRY_TIMES=1", env=WARN | {"KOL_API_URL": url, "KOL_API_KEY": ECHOED_KEY})


def user_of(request: BaseHTTPRequestHandler) -> str:
    return parse_qs(urlsplit(request.path).query)["userName"][0]


def side_by_side(project: Project, cases: Mapping[str, tuple[str, ...]]) -> dict[str, Result]:
    """Crawl, loudly, with each of these, three at a time, in cache directories of their own."""

    def crawl(name: str) -> Result:
        cache = WARN | {"KOL_CACHE_DIR": str(project.folder / f"cache {name}")}
        return project.crawl(*LOUD, "-a", "fresh=1", *cases[name], env=cache)

    with ThreadPoolExecutor(3) as threads:
        return dict(zip(cases, threads.map(crawl, cases), strict=True))


def leaks(secrets: Iterable[str], results: Iterable[Result], project: Project) -> list[str]:
    """Where one of the secrets is: on the screen, or in a file of the project, packed or not."""
    places = [(f"output {number}", result.text.encode()) for number, result in enumerate(results)]
    files = [path for path in sorted(project.folder.rglob("*")) if path.is_file()]
    places += [(str(path), path.read_bytes()) for path in files]
    if project.store_file in files:
        places += [(f"page {cursor} of {handle}", body) for handle, cursor, body in project.bodies()]
    return [f"{secret} in {name}" for name, content in places for secret in secrets if secret.encode() in content]


def python_warnings(results: Iterable[Result]) -> list[str]:
    """Lines in which Python or a library warns."""
    return [line for result in results for line in result.text.splitlines() if re.search(r"\w+Warning\b", line)]
