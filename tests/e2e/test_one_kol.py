"""One KOL's odd answers are its own failure: they stop nobody else, cost a bounded number of calls, and come last."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import Fault, Sandbox
from tests.e2e.expected import expected_rows
from tests.e2e.processes import stats
from tests.e2e.project import KEY, ROOT, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kolspider.sandbox import Call
    from kolspider.store.kols import KolRecord
    from tests.e2e.conftest import MakeProject
    from tests.e2e.databases import Chosen
    from tests.e2e.processes import Result

RETRY_TIMES = 2
GOOD = {f"good{n}": 250 for n in range(12)}


@dataclass(frozen=True)
class Odd:
    """What one KOL is always answered with, and what becomes of it."""

    fault: Fault
    state: str
    reason: str
    calls: int = 1


def always(name: str, page: int | None = None) -> Fault:
    return Fault(name, times=None, page=page)


ODD = {
    "balance": Odd(always("no_credit"), "failed", "HTTP 402: Credits is not enough"),
    "forbidden": Odd(always("forbidden"), "failed", "HTTP 403: API key is not allowed"),
    "blocked": Odd(always("blocked"), "failed", "HTTP 403: Cloudflare, error code 1010"),
    "moved": Odd(always("moved"), "failed", "HTTP 301: redirected"),
    "unchanged": Odd(always("not_modified"), "failed", "HTTP 304: not modified"),
    "no_path": Odd(always("wrong_path"), "not_found", "HTTP 404: Not Found"),
    "no_user": Odd(always("no_such_user"), "not_found", "HTTP 404: User not found"),
    "too_fast": Odd(always("rate_limit_bare"), "failed", "HTTP 429: Too Many Requests", 1 + RETRY_TIMES),
    "expired": Odd(always("bad_cursor", page=2), "failed", "cursor refused again", 2 * 3),
    "endless": Odd(always("endless"), "partial", "no end after 30 pages; -a retry=partial reads on", 30),
}
# The first call of a run is for the odd one whose answer looks most as if it were about everybody.
NAMES = [name for name in chain(*zip_longest(ODD, GOOD)) if name]


@dataclass(frozen=True)
class Run:
    """The traces of one run."""

    result: Result
    kols: dict[str, KolRecord]
    calls: list[Call]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, chosen: Chosen) -> Iterator[list[Run]]:
    """Three runs of the same command; before the second one, two KOLs are added."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "sitecustomize.py").write_text("from kolspider.providers import paging\npaging._MOST_PAGES = 30\n")
    env = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    kols = GOOD | dict.fromkeys(ODD, 450) | {"late": 250, "later": 250}
    with Sandbox(kols, key=KEY, faults={name: odd.fault for name, odd in ODD.items()}) as sandbox:
        project = chosen.project(folder, sandbox)
        project.init(NAMES)
        done = []
        for names in ([], ["late"], ["later"]):
            project.init(names)
            sandbox.clear_calls()
            # One KOL after the other, so that the order of the calls is that of the KOLs.
            words = settings(RETRY_TIMES=RETRY_TIMES, CONCURRENT_REQUESTS=1, STATS_DUMP=True)
            result = project.crawl(*words, env=env)
            done.append(Run(result, project.records(), sandbox.calls))
        assert project.rows().items() >= expected_rows(GOOD | {"late": 250, "later": 250}).items()
        yield done
        project.drop_tables()


def test_everybody_else_is_complete_after_the_first_run(runs: list[Run]) -> None:
    runs[0].result.expect(3)
    assert {str(runs[0].kols[name].state) for name in GOOD} == {"complete"}
    assert Counter(call.handle for call in runs[0].calls if call.handle in GOOD) == dict.fromkeys(GOOD, 2)


@pytest.mark.parametrize("name", ODD)
def test_each_odd_kol_has_its_own_state_and_reason_after_few_calls(runs: list[Run], name: str) -> None:
    odd, kol = ODD[name], runs[0].kols[name]
    assert kol.state == odd.state
    assert odd.reason in kol.reason
    calls = [call for call in runs[0].calls if call.handle == name]
    assert kol.calls == len(calls) == odd.calls
    if name != "expired":  # which buys its list once more
        assert max(Counter(call.cursor for call in calls).values()) <= 1 + RETRY_TIMES


@pytest.mark.parametrize("number", [1, 2])
def test_in_later_runs_the_odd_ones_come_last(runs: list[Run], number: int) -> None:
    new = ["", "late", "later"][number]
    assert runs[number].result.code == 3
    assert runs[number].kols[new].state == "complete"
    handles = list(dict.fromkeys(call.handle for call in runs[number].calls))
    assert handles[0] == new
    assert set(handles[1:]) == {name for name, odd in ODD.items() if odd.state == "failed"}


def test_what_one_kol_is_refused_holds_up_nobody(make_project: MakeProject) -> None:
    # Given one KOL that is refused for ever, with a wait each time, and one that a 503 asks to wait
    odd = {"odd": Fault("rate_limit", seconds=1, times=None), "busy": Fault("unavailable_for", seconds=1)}
    project = make_project(GOOD | {"odd": 250, "busy": 250}, names=["odd", "busy", *GOOD], faults=odd)
    result = project.crawl("-s", "STATS_DUMP=True", "-s", "DOWNLOAD_DELAY=0.1").expect(3)
    # then that KOL has failed after its calls, and the others are complete
    assert {kol: state for kol, state in project.ended().items() if state != "complete"} == {"odd": "failed"}
    assert len(project.calls_for("odd")) == 5
    assert "no request for" in result.text  # until others are answered between two refusals: tests/live/test_pace.py
    assert project.calls_for("busy")[1].at - project.calls_for("busy")[0].at >= 1
    assert stats(result.text)["api/errors/rate_limit"] == 5


def test_refusals_between_good_answers_do_not_add_up(make_project: MakeProject, tmp_path: Path) -> None:
    # Given a limit of 4 refusals in a row, and an API that refuses every second call
    (tmp_path / "sitecustomize.py").write_text("from kolspider.live import pace\npace._MOST_REFUSALS = 4\n")
    project = make_project({"a": 1200}, faults={"*": Fault("rate_limit", seconds=0, every=2, times=None)})
    project.crawl(env={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}).expect(0)
    assert project.rows() == expected_rows({"a": 1200})
    assert sum(call.status == 429 for call in project.api.calls) == 5


@pytest.mark.parametrize("fault", ["unavailable", "wrong_path"])
def test_an_api_that_fails_for_everybody_stops_the_run(make_project: MakeProject, fault: str) -> None:
    # Given an API that works for the first KOL only
    names = {f"kol{n}": 150 for n in range(40)}
    project = make_project(names, faults={"*": Fault(fault, after=1, times=None)})
    words = settings(RETRY_TIMES=1, CONCURRENT_REQUESTS=1, KOL_STOP_AFTER=6)
    result = project.crawl(*words).expect(1)
    # then six KOLs failed, and nobody is missing for good
    assert "6 KOLs in a row failed in the same way" in result.text
    failed = {kol for kol, state in project.ended().items() if state == "failed"}
    assert Counter(project.ended().values()) == {"complete": 1, "failed": 6}
    assert len(project.api.calls) <= 1 + 6 * 2
    # and when it works again, the rest is bought, the failed ones last.
    project.api.set_faults({})
    project.crawl(*words).expect(0)
    assert {call.handle for call in project.api.calls[-6:]} == failed
    assert set(project.ended().values()) == {"complete"}


def test_a_call_that_never_left_the_machine_is_none(make_project: MakeProject) -> None:
    # Given an API that nobody answers for
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        project = make_project({f"kol{n}": 250 for n in range(12)})
        summary = project.folder / "summary.json"
        words = settings(RETRY_TIMES=1, KOL_SUMMARY_FILE=summary)
        result = project.crawl("-a", "max_calls=1", *words, env={"KOL_API_URL": url})
    # then nothing was called, so no cap is reached and nothing is charged
    assert "max_calls" not in result.text.replace("-a max_calls=1", "")
    told = json.loads(summary.read_text())
    assert (told["calls"], told["credits_estimated"]) == (0, 0)
    assert {kol.calls for kol in project.records().values()} == {0}


def test_a_job_retries_a_partial_list_once(make_project: MakeProject) -> None:
    # Given a list that breaks off each time, and a job that retries it
    project = make_project({"alpha": 450, "beta": 450}, faults={"alpha": always("no_cursor", page=2)})
    project.crawl("-a", "kols=alpha").expect(3)
    job = ("-a", "retry=partial", "-s", f"JOBDIR={project.folder / 'job'}")
    project.crawl(*job).expect(3)
    assert [call.page for call in project.calls_for("alpha")] == [1, 2, 2]
    calls = len(project.api.calls)
    # when the job goes on, then nothing is left to buy
    project.crawl(*job).expect(3)
    assert len(project.api.calls) == calls
