"""The whole job into Doris, by INSERT and by Stream Load, while Doris does what it does on bad days.

Tests with `doris` run unchanged against a real one (KOL_TEST_DORIS_URL, KOL_TEST_DORIS_HTTP); those with
`doris_double` need faults, which only the double has.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.doris_double import PASSWORD, DorisDouble, Fault
from tests.e2e.databases import CHOSEN
from tests.e2e.expected import expected_rows
from tests.e2e.http_servers import http_server, reply
from tests.e2e.processes import kill, stats, wait_until
from tests.e2e.project import SMALL_BATCHES

if TYPE_CHECKING:
    from email.message import Message
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.e2e.conftest import Doris, MakeProject
    from tests.e2e.project import Project

WAYS = {"doris": ["insert"], "doris-stream": ["stream_load"]}.get(CHOSEN, ["insert", "stream_load"])
KOLS = {f"kol{number:02}": (number * 137) % 460 for number in range(30)}
ROW_LINE = re.compile(r"(\d[\d,]*) rows? of .* upserted in \d+ ms \((\d+) rows, [\d,]+ bytes, label \S+, txnId \S+, ")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def double(doris_double: DorisDouble) -> DorisDouble:
    doris_double.clear_faults()
    doris_double.clear_logs()
    return doris_double


def loading(project: Project, way: str, http: str) -> Project:
    """The project, with rows on this way."""
    if way == "stream_load" and not http:
        pytest.skip("KOL_TEST_DORIS_HTTP is not set")
    project.env |= {"KOL_DORIS_LOAD": way, "KOL_DORIS_HTTP": http}
    return project


def clean(double: DorisDouble, text: str) -> None:
    """Check that nothing undefined in Doris was done, and that no secret is in the output."""
    assert double.violations == []
    assert "Traceback" not in text
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "Basic "):
        assert secret not in text


def test_thirty_kols_and_each_flush_is_logged(make_project: MakeProject, doris: Doris, way: str) -> None:
    project = loading(make_project(KOLS, db_url=doris.url), way, doris.http)

    result = project.crawl("-s", "KOL_FLUSH_ROWS=1000").expect(0)

    assert project.rows() == expected_rows(KOLS)
    flushes = ROW_LINE.findall(result.err)
    assert flushes, result.err
    assert all(int(rows.replace(",", "")) == int(sent) for rows, sent in flushes)
    if doris.double:
        loads = [load for load in doris.double.loads if load.table == project.target]
        assert {load.via for load in loads} == {"stream" if way == "stream_load" else "insert"}
        assert len(loads) == len(flushes)
        clean(doris.double, result.text)


def test_thirty_kols_through_one_fault_after_another(make_project: MakeProject, double: DorisDouble, way: str) -> None:
    project = loading(make_project(KOLS, db_url=double.url()), way, double.http)
    faults = [Fault.TOO_MANY_VERSION, Fault.TXN_LIMIT, Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.COMMITTED]
    if way == "stream_load":
        faults += [Fault.BE_UNREACHABLE, Fault.FAIL, Fault.LABEL_RUNNING]
    for number, fault in enumerate(faults):
        # The check at the start asks the FE, too.
        double.fail_next(fault, after=1 if fault is Fault.BE_UNREACHABLE else min(number, 1))

    result = project.crawl("-s", "STATS_DUMP=True", "-s", "KOL_FLUSH_ROWS=200", "-s", "KOL_FLUSH_SECS=0.05").expect(0)

    text = result.text
    assert double.faults_left == 0
    assert project.rows() == expected_rows(KOLS)
    assert project.rejects() == []
    assert set(project.bought().values()) == {1}
    waited_for = len(faults) - len({Fault.COMMITTED, Fault.FAIL} & set(faults))
    assert stats(text)["db/retries"] == text.count("the database is away") == waited_for
    clean(double, text)


def test_kill_9_in_mid_run_loses_no_user(make_project: MakeProject, doris: Doris, way: str) -> None:
    kols = {"BTC": 1600, "ethereum": 1400}
    project = loading(make_project(kols, db_url=doris.url), way, doris.http)
    run, log = project.start_logged(answers=4)
    wait_until(lambda: bool(project.rows()))
    killed = kill(run)
    project.api.release()
    assert len(project.rows()) < len(expected_rows(kols)), log.read_text()
    lost = Counter(project.in_flight())

    result = project.crawl(*SMALL_BATCHES).expect(0)

    assert project.rows() == expected_rows(kols)
    assert project.bought() - lost == Counter(dict.fromkeys(project.bought(), 1))
    if doris.double:
        clean(doris.double, killed.text + log.read_text() + result.text)


def test_a_user_who_may_only_read_is_reported_before_the_first_call(
    make_project: MakeProject, double: DorisDouble, way: str
) -> None:
    project = loading(make_project({"BTC": 450}, db_url=double.url()), way, double.http)
    double.create_user("reader", PASSWORD, read_only=True)
    project.db_url = double.url(user="reader")

    result = project.crawl().expect(1)

    (line,) = (line for line in result.err.splitlines() if line.startswith("kolspider: "))
    assert "denied" in line
    assert "; this user lacks a privilege: GRANT it" in line
    assert project.api.calls == []
    clean(double, result.text)


def test_a_front_end_that_is_not_there_is_reported_before_the_first_call(
    make_project: MakeProject, double: DorisDouble, tmp_path: Path
) -> None:
    project = loading(make_project({"BTC": 3}, db_url=double.url()), "stream_load", "http://127.0.0.1:9")

    result = project.crawl().expect(1)

    assert "127.0.0.1:9: [Errno 111] Connection refused" in result.err
    assert project.api.calls == []
    clean(double, result.text)


def test_a_proxy_before_the_front_end_is_named_before_the_first_call(
    make_project: MakeProject, double: DorisDouble
) -> None:
    asked: list[Message] = []

    def proxy(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.headers)
        reply(request, 200, b'{"status": "FAILED", "msg": "There is no 100-continue header"}')

    with http_server(proxy) as url:
        project = loading(make_project({"BTC": 3}, db_url=double.url()), "stream_load", url)
        project.env["KOL_DORIS_HEADERS"] = "redirect-policy: public; X-Gate: opensesame"
        result = project.crawl().expect(1)

    assert "a proxy on the way takes the header Expect away: KOL_DORIS_HTTP must lead to the FE itself" in result.err
    assert project.api.calls == []
    assert [(head["redirect-policy"], head["x-gate"]) for head in asked] == [("public", "opensesame")]
    assert "opensesame" not in result.text
    clean(double, result.text)


def test_a_load_of_which_nobody_knows_stops_the_run_and_counts_for_nothing(
    make_project: MakeProject, double: DorisDouble
) -> None:
    project = loading(make_project({"BTC": 450}, db_url=double.url()), "stream_load", double.http)
    double.fail_next(Fault.LEFT, seconds=0)

    stopped = project.crawl("-s", "KOL_DB_RETRY_SECS=3").expect(1)  # enough for a second attempt

    assert "the first attempt under this label is RUNNING; nothing is lost" in stopped.text
    assert project.rows() == {}

    result = project.crawl().expect(0)

    assert project.rows() == expected_rows({"BTC": 450})
    assert set(project.bought().values()) == {1}
    clean(double, stopped.text + result.text)
