"""What the API answers when it does not answer with a page: each row of its error table and each guard at the
end of a list ends in the state that it should, after a bounded number of calls, and holds up nobody else."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from kolspider.items import Reject
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.sandbox import Fault, Sandbox, entry, followings
from tests.e2e.expected import expected_rows
from tests.e2e.processes import finish, stats, wait_until
from tests.e2e.project import KEY, settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kolspider.sandbox import Call
    from kolspider.sandbox.faults import Step
    from kolspider.store.kols import KolRecord
    from tests.e2e.conftest import MakeProject
    from tests.e2e.databases import Chosen
    from tests.e2e.processes import Result
    from tests.e2e.project import Project

RETRY_TIMES, RETRY_SECS = 3, 0.2
TIMEOUT = 5
"""Seconds in which every answer but those of `timeout` and `slow` comes, on a busy machine, too."""
WHOLE = 450
"""Followings of every KOL here: three pages."""

TRANSIENT = {
    "timeout": "no answer within",
    "server_error": "HTTP 500: Internal Server Error",
    "bad_gateway": "HTTP 502",
    "unavailable": "HTTP 503: Service Unavailable",
    "reset": "onnection",
    "cut_off": "cut off",
    "not_json": "HTTP 200: not JSON",
    "truncated_json": "HTTP 200: not JSON",
}
"""Fault to what the reason says of it: asked for again RETRY_TIMES times."""
IN_200 = {
    "error_in_200": "internal error, try again later",
    "code_not_0": "code is 5001: upstream busy",
    "no_followings": "followings is missing or null, not a list",
    "followings_null": "followings is missing or null, not a list",
    "followings_object": "followings is dict, not a list",
    "no_has_next_page": "has_next_page is missing or null",
}
"""Fault in an answer that was paid for to what the reason says of it: asked for again twice."""
STRIKES = dict.fromkeys(TRANSIENT, RETRY_TIMES) | dict.fromkeys(IN_200, 2)
REASONS = TRANSIENT | IN_200


@dataclass(frozen=True)
class Ending:
    """How a KOL's list goes wrong and what becomes of it."""

    faults: tuple[Step, ...]
    state: str
    reason: str
    calls: int
    users: int
    """How many from the front of the list get into the table."""


BROKEN_OFF = "has_next_page without a cursor"
GUARDS = {
    "no_cursor": Ending((Fault("no_cursor", page=2, times=None),), "partial", BROKEN_OFF, 2, 400),
    "empty_cursor": Ending((Fault("empty_cursor", page=2, times=None),), "partial", BROKEN_OFF, 2, 400),
    "zero_cursor": Ending((Fault("zero_cursor", page=2, times=None),), "partial", BROKEN_OFF, 2, 400),
    "zero_pipe_cursor": Ending((Fault("zero_pipe_cursor", page=1, times=None),), "partial", BROKEN_OFF, 1, 200),
    "same_cursor": Ending((Fault("same_cursor", page=2, times=None),), "partial", "repeated cursor", 2, 400),
    "same_first_cursor": Ending((Fault("same_cursor", page=1, times=None),), "partial", "repeated cursor", 2, 200),
    "endless_loop": Ending(("", Fault("loop", times=None)), "partial", "3 pages in a row without a new", 5, 400),
    "endless_empty": Ending(("", Fault("empty_pages", times=None)), "partial", "3 pages in a row", 4, 200),
}
ENDINGS = GUARDS | {
    "unknown": Ending((), "not_found", 'the API says "user not found"', 1, 0),
    "suspended": Ending((Fault("not_found", times=None),), "not_found", 'the API says "user not found"', 1, 0),
    "gone_on_page_2": Ending((Fault("not_found", page=2, times=None),), "not_found", "user not found", 2, 200),
    "bad_request": Ending((Fault("bad_request", times=None),), "failed", "userName is not valid", 1, 0),
    "bad_request_list": Ending((Fault("bad_request_list", times=None),), "failed", "value is not valid", 1, 0),
    "bad_cursor_once": Ending((Fault("bad_cursor", page=2),), "complete", "", 4, WHOLE),
    "bad_cursor_twice": Ending((Fault("bad_cursor", page=2, times=2),), "complete", "", 6, WHOLE),
    "bad_cursor_always": Ending((Fault("bad_cursor", page=2, times=None),), "failed", "cursor refused again", 6, 200),
    "bad_page_once": Ending((Fault("bad_request_page", page=2),), "complete", "", 4, WHOLE),
    "slow": Ending((Fault("slow", page=2, seconds=0.5, times=None),), "complete", "", 3, WHOLE),
    "too_slow_once": Ending((Fault("slow", page=2, seconds=60),), "complete", "", 4, WHOLE),
    "of_many_kinds": Ending(("error_in_200", "", "reset", "bad_gateway"), "complete", "", 3 + 3, WHOLE),
    "two_empty_pages": Ending(("", Fault("empty_pages", times=2)), "complete", "", 5, WHOLE),
    "protected": Ending((), "complete", "", 1, 0),
    "in_good_health": Ending((), "complete", "", 3, WHOLE),
}
LASTING = [f"l_{fault}" for fault in STRIKES]
PASSING = [f"p_{fault}" for fault in STRIKES]
SLOWEST = ["l_timeout", "p_timeout", "too_slow_once"]
NAMES = SLOWEST + sorted({*LASTING, *PASSING, *ENDINGS} - set(SLOWEST))


@dataclass(frozen=True)
class Run:
    """The traces of one run."""

    result: Result
    kols: dict[str, KolRecord]
    calls: list[Call]
    rows: dict[str, object]

    def calls_for(self, kol: str, page: int | None = None) -> list[Call]:
        return [call for call in self.calls if call.handle == kol and page in {None, call.page}]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, chosen: Chosen) -> Iterator[Project]:
    """A project whose KOLs meet each fault on their second page (or where ENDINGS says), for ever or a few times."""
    kols = {name: 0 if name == "protected" else WHOLE for name in NAMES if name != "unknown"}
    faults: dict[str, tuple[Step, ...]] = {name: ending.faults for name, ending in ENDINGS.items()}
    for fault, strikes in STRIKES.items():
        faults[f"l_{fault}"] = (Fault(fault, page=2, times=None),)
        faults[f"p_{fault}"] = (Fault(fault, page=2, times=strikes),)
    folder = tmp_path_factory.mktemp("errors")
    with Sandbox(kols, key=KEY, faults=faults) as sandbox:
        project = chosen.project(folder, sandbox)
        project.init(NAMES)
        yield project
        project.drop_tables()


@pytest.fixture(scope="module")
def faulty(api: Project) -> Run:
    """The run that meets all the faults."""
    words = ("-s", f"RETRY_TIMES={RETRY_TIMES}", "-s", f"KOL_RETRY_SECS={RETRY_SECS}", "-s", "STATS_DUMP=True")
    result = api.crawl(*words, "-s", f"DOWNLOAD_TIMEOUT={TIMEOUT}", timeout=120)
    return Run(result, api.records(), api.api.calls, dict(api.rows()))


@pytest.fixture(scope="module")
def next_run(api: Project, faulty: Run) -> Run:
    """The same command again, when the API is in good health."""
    api.api.clear_calls()
    api.api.set_faults({})
    result = api.crawl()
    return Run(result, api.records(), api.api.calls, dict(api.rows()))


@pytest.mark.parametrize("fault", STRIKES)
def test_a_failure_that_passes_is_asked_again_until_the_page_comes(faulty: Run, fault: str) -> None:
    kol = faulty.kols[f"p_{fault}"]
    assert (kol.state, kol.reason) == ("complete", "")
    assert (kol.pages, kol.users, kol.calls) == (3, WHOLE, 3 + STRIKES[fault])
    assert len(faulty.calls_for(kol.handle, page=2)) == 1 + STRIKES[fault]
    assert len(faulty.calls_for(kol.handle)) == kol.calls


@pytest.mark.parametrize("fault", STRIKES)
def test_a_failure_that_lasts_ends_as_failed_when_the_retries_are_used_up(faulty: Run, fault: str) -> None:
    kol = faulty.kols[f"l_{fault}"]
    assert kol.state == "failed"
    assert kol.reason.startswith("page 2: ")
    assert REASONS[fault] in kol.reason
    assert (kol.pages, kol.users) == (1, 200)
    assert [call.page for call in faulty.calls_for(kol.handle)] == [1] + [2] * (1 + STRIKES[fault])


@pytest.mark.parametrize("name", ENDINGS)
def test_a_list_that_goes_wrong_ends_with_its_state_and_reason_after_so_many_calls(faulty: Run, name: str) -> None:
    ending, kol = ENDINGS[name], faulty.kols[name]
    assert kol.state == ending.state
    assert ending.reason in kol.reason
    assert bool(kol.reason) == bool(ending.reason)
    assert kol.calls == ending.calls == len(faulty.calls_for(name))


def test_every_page_that_came_is_in_the_table_and_nothing_else(faulty: Run) -> None:
    reached = {name: ending.users for name, ending in ENDINGS.items()}
    reached |= dict.fromkeys(LASTING, 200) | dict.fromkeys(PASSING, WHOLE)
    assert faulty.rows == expected_rows(reached)


def test_failed_and_partial_kols_show_in_the_exit_code_and_are_counted(faulty: Run) -> None:
    faulty.result.expect(3)
    counted = stats(faulty.result.text)
    states = Counter(str(kol.state) for kol in faulty.kols.values())
    assert {state: counted[state] for state in states} == states
    assert counted["selected"] == len(NAMES)
    assert counted["api/calls"] == len(faulty.calls)


def test_the_waits_between_retries_grow(faulty: Run) -> None:
    calls = faulty.calls_for("l_server_error", page=2)
    waits = [later.at - earlier.at for earlier, later in pairwise(calls)]
    assert all(wait >= least for wait, least in zip(waits, (0.2, 0.4, 0.8), strict=True)), waits


def test_a_later_run_finishes_the_failed_kols_and_leaves_the_partial_and_the_missing_ones_alone(
    faulty: Run, next_run: Run
) -> None:
    next_run.result.expect(0)
    lasting = [name for name, kol in faulty.kols.items() if kol.state == "failed"]
    assert len(lasting) == len(STRIKES) + 3
    assert {name: str(next_run.kols[name].state) for name in lasting} == dict.fromkeys(lasting, "complete")
    assert {call.handle for call in next_run.calls} == set(lasting)
    for name in set(faulty.kols) - set(lasting):
        assert next_run.kols[name] == faulty.kols[name]
    reached = {name: ending.users for name, ending in ENDINGS.items()} | dict.fromkeys(PASSING, WHOLE)
    assert next_run.rows == expected_rows(reached | dict.fromkeys(lasting, WHOLE))


def test_a_later_run_buys_no_page_that_had_come(faulty: Run, next_run: Run) -> None:
    came = {(call.handle, call.cursor) for call in faulty.calls if call.status == 200 and not call.fault}
    asked = Counter((call.handle, call.cursor) for call in next_run.calls)
    assert set(asked.values()) == {1}
    assert not came & set(asked)


def test_kols_that_wait_for_a_retry_do_not_block_the_others(make_project: MakeProject) -> None:
    # Given seven KOLs whose API calls fail for ever, in front of twenty good ones
    bad = [f"bad{n}" for n in range(7)]
    good = {f"good{n}": 250 for n in range(20)}
    project = make_project(
        dict.fromkeys(bad, 250) | good, faults={name: Fault("server_error", times=None) for name in bad}
    )
    # when they are fetched, and the retries wait for hours
    process = project.start_crawl("-s", "KOL_RETRY_SECS=9999", "-s", "KOL_FLUSH_SECS=0.1")
    # then all the good ones are bought and loaded meanwhile
    wait_until(lambda: len(project.rows()) == len(expected_rows(good)))
    assert {len(project.calls_for(name)) for name in bad} == {1}
    process.send_signal(signal.SIGINT)
    finish(process).expect(130)


def test_users_without_a_usable_id_are_set_aside_once_with_kol_and_cursor(make_project: MakeProject) -> None:
    kols = {"BTC": 450, "ethereum": 320}
    project = make_project(kols, unusable=True)
    assert_adds_up(project, "-a", "dry_run=1")
    assert project.rejects() == []
    first = assert_adds_up(project)
    aside = expected_rejects(project, kols)
    assert set_aside(project) == aside
    assert project.rows() == expected_rows(kols, unusable=True)
    reasons: Counter[str] = Counter()
    for (_, _, reason, _), times in aside.items():
        reasons[f"rows/rejected/{reason}"] += times
    assert len(reasons) == 3
    assert {name: n for name, n in first.items() if name.startswith("rows/rejected/")} == reasons

    # when the pages are loaded again from the cache
    again = assert_adds_up(project, "-a", "replay=all")
    # then each of them counts again, and is on file once
    assert {name: again[name] for name in reasons} == reasons
    assert set_aside(project) == aside


def assert_adds_up(project: Project, *words: str) -> dict[str, int]:
    """Run a crawl that tells of each user that it reads what became of it: in the closing table, the summary file, the
    stats and the history. Returns the stats."""
    path = project.folder / "summary.json"
    dry = "dry_run=1" in words
    result = project.crawl(*words, *settings(STATS_DUMP=True, KOL_SUMMARY_FILE=path)).expect(0)
    (line,) = (line for line in result.out.splitlines() if line.startswith("users "))
    read, *became = (int(number.replace(",", "")) for number in re.findall(r"(\d[\d,]*) (?!counts|values)[a-z]", line))
    assert read == sum(became) > 0, line
    assert re.search(r" set aside \(bad_id, no_id, not_an_object\)", line)
    assert ("not written" in line) is dry
    assert ("rejects.jsonl" in result.text) is not dry
    users = json.loads(path.read_text())["users"]
    aside = sum(users["set_aside"].values())
    found = stats(result.text)
    assert (users["read"], users["written"], users["repeated"]) == (
        found["users/read"],
        found.get("rows/upserted", 0),
        found.get("rows/repeated", 0),
    )
    assert users["read"] == read
    assert dry or read == users["written"] + users["repeated"] + aside
    assert aside == sum(number for name, number in found.items() if name.startswith("rows/rejected/"))
    with closing(sqlite3.connect(project.cache / "kolspider.sqlite3")) as store:
        history = store.execute("SELECT users, rows, rejects FROM run ORDER BY id DESC LIMIT 1").fetchone()
    assert history == (read, users["written"], aside)
    return found


def test_users_set_aside_are_on_file_once_after_kill_9_and_a_torn_line(make_project: MakeProject) -> None:
    kols = {"BTC": 850, "ethereum": 850}
    project = make_project(kols, unusable=True)
    # Given a run that was killed half-way, in the middle of a line
    project.kill_crawl(6, "-s", "KOL_FLUSH_ROWS=1")
    with (project.cache / "rejects.jsonl").open("a") as file:
        file.write('{"kol": "BTC", "page": 3, "cur')
    # when the same command finishes the work
    project.crawl("-s", "KOL_FLUSH_ROWS=1").expect(0)
    # then each user without an id is on file once, and all the others are in the table
    assert set_aside(project) == expected_rejects(project, kols)
    assert project.rows() == expected_rows(kols, unusable=True)


def set_aside(project: Project) -> Counter[tuple[str, str, str, str]]:
    """What rejects.jsonl says: (KOL, cursor, reason, user), how often."""
    return Counter(
        (line["kol"], line["cursor"], line["reason"], json.dumps(line["user"])) for line in project.rejects()
    )


def expected_rejects(project: Project, kols: Mapping[str, int]) -> Counter[tuple[str, str, str, str]]:
    """What rejects.jsonl should say of the lists of these KOLs."""
    cursors = {(call.handle, call.page): call.cursor for call in project.api.calls}
    mapper, adapter = Mapper(), provider("twitterapi_io")
    found: Counter[tuple[str, str, str, str]] = Counter()
    for kol, count in kols.items():
        for place, index in enumerate(followings(kol, count, unusable=True)):
            user = entry(index)
            mapped = mapper.map_user(adapter.followed_user(user), user)
            if isinstance(mapped, Reject):
                found[kol, cursors[kol.lower(), place // 200 + 1], mapped.reason, json.dumps(user)] += 1
    return found
