"""Never pay twice, never lose: kills, interrupts, jobs and batches, judged by the rows and the API's call log."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import Fault
from tests.e2e.harness import KEY, expected_rows, finish, kill, rows_of_pages, wait_until
from tests.mariadb import PASSWORD

if TYPE_CHECKING:
    from subprocess import Popen

    from tests.e2e.conftest import MakeProject
    from tests.e2e.harness import Project, Result

AT_ONCE = 8
"""CONCURRENT_REQUESTS: what can be in flight when a process dies."""
COMMITS_OFTEN = ("-s", "KOL_FLUSH_ROWS=300", "-s", "KOL_FLUSH_SECS=0.1")


@pytest.mark.parametrize("seed", [1])
def test_five_kills_lose_no_user_and_buy_again_only_what_was_in_flight(
    make_project: MakeProject, db_url: str, seed: int
) -> None:
    dice = random.Random(f"{seed}{db_url[:6]}")
    kols = {f"kol{number:02}": dice.choice([0, 1, 200, 201, dice.randrange(1200)]) for number in range(30)}
    project = make_project(kols, db_url=db_url, latency=0.08)
    job = project.folder / "job"
    words = [*COMMITS_OFTEN, *(["-s", f"JOBDIR={job}"] if db_url else [])]

    lost: Counter[tuple[str, str]] = Counter()
    for _ in range(5):
        before = len(project.api.calls)
        process = project.start_crawl(*words)
        project.api.wait_for_calls(before + dice.randint(1, 14))
        time.sleep(dice.uniform(0, 0.2))
        kill(process)
        in_flight = project.in_flight(since=before)
        assert len(in_flight) <= AT_ONCE
        lost.update(in_flight)
    project.api.latency = 0
    project.crawl(*words).expect(0)

    assert project.rows() == expected_rows(kols)
    assert project.ended() == dict.fromkeys(kols, "complete")
    bought = project.bought()
    assert bought == Counter(dict.fromkeys(bought, 1)) + lost
    assert 0 < lost.total() <= 5 * AT_ONCE
    if db_url:
        assert [path.name for path in job.iterdir()] == ["job.json"]
        assert_no_secret_in(job / "job.json")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupt_loads_what_has_arrived_and_no_page_is_asked_for_again(
    make_project: MakeProject, how: signal.Signals
) -> None:
    project, process = crawl_with_an_answer_that_never_comes(make_project, timeout=2)

    asked_to_stop = time.monotonic()
    process.send_signal(how)
    finish(process, 20).expect(130)

    assert time.monotonic() - asked_to_stop < 2 + 1.5
    answered = [call for call in project.api.calls if not call.fault]
    assert project.rows() == rows_of_pages(KOLS, answered)
    project.crawl().expect(0)
    assert_all_is_there_and_paid_once(project, but=[("hangs", 2)])


def test_two_ctrl_c_end_at_once_and_only_what_was_in_flight_is_asked_for_again(make_project: MakeProject) -> None:
    project, process = crawl_with_an_answer_that_never_comes(make_project, timeout=60)

    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    asked_to_stop = time.monotonic()
    process.send_signal(signal.SIGINT)
    finish(process, 20).expect(130)

    assert time.monotonic() - asked_to_stop < 3
    in_flight = project.in_flight()
    assert len(in_flight) <= AT_ONCE
    project.crawl().expect(0)
    assert project.rows() == expected_rows(KOLS)
    bought = project.bought()
    assert bought == Counter(dict.fromkeys(bought, 1)) + Counter(in_flight)


def test_a_job_finishes_the_kols_it_chose_whoever_else_works_on_them(make_project: MakeProject) -> None:
    kols = {"alpha": 450, "beta": 201, "gamma": 5, "delta": 5}
    project = make_project(kols)
    folder = project.folder / "jobs" / "a"
    job = ("-a", "limit=3", "-s", f"JOBDIR={folder}")

    project.crawl(*job, "-a", "max_calls=1").expect(1)
    project.crawl("-a", "kols=beta").expect(0)
    project.sql("INSERT INTO twitter_kol (id, user_name) VALUES (-1, 'later')")
    project.api.follow("later", 5)
    result = project.crawl(*job).expect(0)

    assert "3 complete" in result.out
    assert calls_by_kol(project) == {"alpha": 3, "beta": 2, "gamma": 1}
    assert set(project.bought().values()) == {1}
    assert project.rows() == expected_rows({kol: kols[kol] for kol in ("alpha", "beta", "gamma")})
    assert [path.name for path in folder.iterdir()] == ["job.json"]
    assert_no_secret_in(folder / "job.json")


def test_a_job_is_not_continued_with_other_arguments(make_project: MakeProject) -> None:
    project = make_project({"alpha": 450, "beta": 5})
    folder = project.folder / "job"
    project.crawl("-a", "limit=1", "-s", f"JOBDIR={folder}", "-a", "max_calls=1").expect(1)
    begun = (folder / "job.json").read_text()

    result = project.crawl("-a", "limit=2", "-s", f"JOBDIR={folder}").expect(2)

    assert "limit" in one_line(result)
    assert len(project.api.calls) == 1
    assert (folder / "job.json").read_text() == begun


def test_a_job_without_limit_is_what_was_due_when_it_began(make_project: MakeProject) -> None:
    project = make_project({"alpha": 450, "beta": 5, "later": 5}, names=["alpha", "beta"])
    job = ("-s", f"JOBDIR={project.folder / 'job'}")

    project.crawl(*job, "-a", "max_calls=1").expect(1)
    project.sql("INSERT INTO twitter_kol (user_name) VALUES ('later')")
    project.crawl(*job).expect(0)

    assert calls_by_kol(project) == {"alpha": 3, "beta": 1}


def test_failed_kols_come_last_and_do_not_eat_the_next_batches(make_project: MakeProject) -> None:
    kols = {"bad": 5, "gone": 5, "alpha": 5, "beta": 201, "gamma": 5, "delta": 5}
    faults = {"bad": Fault("bad_request", times=None), "gone": Fault("not_found", times=None)}
    project = make_project(kols, faults=faults)
    batches = []
    for code in (3, 0, 0, 3):
        project.api.clear_calls()
        project.crawl("-a", "limit=2").expect(code)
        batches.append(set(calls_by_kol(project)))
    assert batches == [{"bad", "gone"}, {"alpha", "beta"}, {"gamma", "delta"}, {"bad"}]
    assert project.ended() == dict.fromkeys(kols, "complete") | {"bad": "failed", "gone": "not_found"}


def test_a_batch_takes_kols_begun_and_unfinished_first(make_project: MakeProject) -> None:
    kols = {"failed": 5, "new": 5, "begun": 450}
    project = make_project(kols, faults={"failed": "bad_request"})
    project.crawl("-a", "kols=failed,begun", "-a", "max_calls=2").expect(1)
    project.api.clear_calls()

    project.crawl("-a", "limit=2", "-s", "CONCURRENT_REQUESTS=1").expect(0)

    assert [(call.handle, call.page) for call in project.api.calls] == [("begun", 2), ("begun", 3), ("new", 1)]


KOLS = {"hangs": 700} | {f"kol{number}": 650 for number in range(9)}


def crawl_with_an_answer_that_never_comes(make_project: MakeProject, timeout: float) -> tuple[Project, Popen[str]]:
    """A crawl of KOLS in full swing; the second page of one of them was asked for and does not come."""
    hangs = Fault("timeout", page=2)
    project = make_project(KOLS, latency=0.15, faults={"hangs": hangs})
    process = project.start_crawl("-s", f"DOWNLOAD_TIMEOUT={timeout}")
    wait_until(lambda: any(call.fault for call in project.api.calls))
    project.api.wait_for_calls(20)
    return project, process


def assert_all_is_there_and_paid_once(project: Project, but: list[tuple[str, int]]) -> None:
    """Each page was asked for once; those in `but`, by KOL and number, once more."""
    assert project.rows() == expected_rows(KOLS)
    assert project.ended() == dict.fromkeys(KOLS, "complete")
    calls = Counter((call.handle, call.page) for call in project.api.calls)
    assert calls == Counter(dict.fromkeys(calls, 1)) + Counter(but)


def assert_no_secret_in(path) -> None:
    text = path.read_text()
    assert json.loads(text)
    assert KEY not in text
    assert PASSWORD not in json.dumps(json.loads(text), ensure_ascii=False)


def calls_by_kol(project: Project) -> dict[str, int]:
    return dict(Counter(call.handle for call in project.api.calls))


def one_line(result: Result) -> str:
    """What a refused command says: one line and nothing else."""
    (line,) = result.text.splitlines()
    return line
