"""Never pay twice, never lose: kills, interrupts, jobs and batches, judged by the rows and the API's call log."""

from __future__ import annotations

import json
import re
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

from kolspider.sandbox import Fault
from tests.e2e.expected import expected_rows, rows_of_pages
from tests.e2e.processes import finish, wait_for_text, wait_until
from tests.e2e.project import KEY
from tests.mariadb import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import Popen

    from tests.e2e.conftest import MakeProject
    from tests.e2e.processes import Result
    from tests.e2e.project import Project

AT_ONCE = 8
"""CONCURRENT_REQUESTS: what can be in flight when a process dies."""


def test_a_list_whose_last_commit_was_all_that_a_dead_run_did_is_complete_after_the_next(
    make_project: MakeProject,
) -> None:
    project = make_project({"alpha": 450, "beta": 5})
    project.crawl().expect(0)
    calls = project.api.calls
    with project.store() as store:  # what a kill between the mark on its last page and the mark on the list leaves
        store.execute("DELETE FROM kol_load")
    assert project.ended() == {"alpha": "fetched", "beta": "fetched"}

    project.crawl().expect(0)

    assert project.ended() == {"alpha": "complete", "beta": "complete"}
    assert project.api.calls == calls


def test_an_interrupt_loads_what_has_arrived_and_no_page_is_asked_for_again(make_project: MakeProject) -> None:
    project = make_project(KOLS, faults={"hangs": Fault("timeout", page=2, times=2, seconds=999)})
    for how in (signal.SIGINT, signal.SIGTERM):
        # Given answers on their way, one of which never comes
        process, log = start_until_an_answer_does_not_come(project, timeout=6)
        process.send_signal(how)
        wait_for_text(log, how.name)
        project.api.release()
        finish(process).expect(130)

        assert project.rows() == rows_of_pages(KOLS, (call for call in project.api.calls if not call.fault))
    project.crawl().expect(0)

    assert project.rows() == expected_rows(KOLS)
    assert project.ended() == dict.fromkeys(KOLS, "complete")
    calls = Counter((call.handle, call.page) for call in project.api.calls)
    assert calls == Counter(dict.fromkeys(calls, 1)) + Counter({("hangs", 2): 2})


def test_two_ctrl_c_end_at_once_and_only_what_was_in_flight_is_asked_for_again(make_project: MakeProject) -> None:
    project = make_project(KOLS, faults={"hangs": Fault("timeout", page=2, seconds=999)})
    began = time.monotonic()
    process, log = start_until_an_answer_does_not_come(project, timeout=999)

    process.send_signal(signal.SIGINT)
    wait_for_text(log, "SIGINT")
    process.send_signal(signal.SIGINT)
    stopped = finish(process).expect(130)

    (took,) = re.findall(r"^time +([\d.]+) s$", stopped.out, re.MULTILINE)
    assert 0 < float(took) <= time.monotonic() - began
    project.api.release()
    in_flight = project.in_flight()
    assert 0 < len(in_flight) <= AT_ONCE
    project.crawl().expect(0)
    assert project.rows() == expected_rows(KOLS)
    bought = project.bought()
    assert bought == Counter(dict.fromkeys(bought, 1)) + Counter(in_flight)


def test_a_job_finishes_the_kols_it_chose_and_no_others(make_project: MakeProject) -> None:
    kols = {"alpha": 450, "beta": 201, "gamma": 5, "omega": 5}
    project = make_project(kols)
    folder = project.folder / "jobs" / "a"
    job = ("-a", "limit=3", "-s", f"JOBDIR={folder}")

    project.crawl(*job, "-a", "max_calls=1").expect(1)
    project.crawl("-a", "kols=beta").expect(0)
    put_first(project, "aardvark")
    project.api.follow("aardvark", 5)
    file, calls = (folder / "job.json").read_text(), project.api.calls
    refused = project.crawl("-a", "limit=2", "-s", f"JOBDIR={folder}").expect(2)
    assert "limit" in the_line(refused)
    assert str(folder) in the_line(refused)
    assert ((folder / "job.json").read_text(), project.api.calls) == (file, calls)
    result = project.crawl(*job).expect(0)

    assert "3 complete" in result.out
    assert calls_by_kol(project) == {"alpha": 3, "beta": 2, "gamma": 1}
    assert set(project.bought().values()) == {1}
    assert project.rows() == expected_rows({kol: kols[kol] for kol in ("alpha", "beta", "gamma")})
    assert [path.name for path in folder.iterdir()] == ["job.json"]
    assert_no_secret_in(folder / "job.json")


def test_batches_take_kols_begun_first_then_new_ones_and_failed_ones_last(make_project: MakeProject) -> None:
    kols = {"bad": 5, "gone": 5, "good": 5, "jumped": 450, "last": 201}  # in this order by id, and by name
    faults = {"bad": Fault("bad_request", times=None), "gone": Fault("not_found", times=None)}
    project = make_project(kols, faults=faults)
    project.crawl("-a", "kols=jumped", "-a", "max_calls=1").expect(1)
    batches = []
    for code in (3, 0, 3):
        project.api.clear_calls()
        project.crawl("-a", "limit=2", "-s", "CONCURRENT_REQUESTS=1").expect(code)
        batches.append(list(calls_by_kol(project)))
    assert batches == [["jumped", "bad"], ["gone", "good"], ["last", "bad"]]
    assert project.ended() == dict.fromkeys(kols, "complete") | {"bad": "failed", "gone": "not_found"}


KOLS = {"hangs": 700} | {f"kol{number}": 650 for number in range(9)}


def put_first(project: Project, kol: str) -> None:
    """A KOL before all others of the source, which stand in the order of their names, too."""
    if project.dialect == "mysql":  # where ids begin with 1
        project.sql(f"UPDATE `{project.source}` SET id = id + 1 ORDER BY id DESC")
    ids = {"sqlite": "-1", "mysql": "1"}
    columns, values = ("id, ", f"{ids[project.dialect]}, ") if project.dialect in ids else ("", "")
    project.sql(f"INSERT INTO `{project.source}` ({columns}user_name) VALUES ({values}'{kol}')")


def start_until_an_answer_does_not_come(project: Project, timeout: float) -> tuple[Popen[str], Path]:
    """A crawl in full swing and its log: a page was asked for that the API never answers, others are held back."""
    before, log = len(project.api.calls), project.folder / f"log {len(project.api.calls)}"
    process = project.start_crawl_and_hold(10, "-s", f"DOWNLOAD_TIMEOUT={timeout}", "-s", f"LOG_FILE={log}")
    wait_until(lambda: any(call.fault for call in project.api.calls[before:]))
    return process, log


def assert_no_secret_in(path: Path) -> None:
    text = path.read_text()
    assert json.loads(text)
    assert KEY not in text
    assert PASSWORD not in json.dumps(json.loads(text), ensure_ascii=False)


def calls_by_kol(project: Project) -> dict[str, int]:
    return dict(Counter(call.handle for call in project.api.calls))


def the_line(result: Result) -> str:
    """The one line of a refused command, beside Scrapy's own log."""
    (line,) = (line for line in result.text.splitlines() if "[scrapy." not in line)
    return line
