"""A soak: 300 KOLs whose API fails in every way at random, judged by an oracle of its own, which knows nothing but
the API's log of calls and how API.md says that each answer is to be taken.

KOL_TEST_SEEDS is how many seeds are run, 1 by default; a failure names its seed. One takes some ten seconds.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import FAULT_NAMES, Fault, RandomFaults, user_id
from kolspider.sandbox.users import followings
from kolspider.sandbox.world import World, decode_cursor
from tests.e2e.expected import expected_rows
from tests.e2e.project import settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.sandbox import Call
    from kolspider.sandbox.faults import Step
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

    Lists = Mapping[str, list[str]]

RETRY_TIMES, PAGE_SIZE, MOMENT = 3, 200, 0.05
CONFIG = settings(RETRY_TIMES=RETRY_TIMES, KOL_RETRY_SECS=0.02, DOWNLOAD_TIMEOUT=60, KOL_FLUSH_ROWS=5000)
AT_ONCE = 8
"""CONCURRENT_REQUESTS."""

# How API.md says that each fault is to be taken.
STOP = {
    "bad_key",
    "forbidden",
    "blocked",
    "no_credit",
    "wrong_path",
    "moved",
    "not_modified",
}  # have tests of their own
OF_OTHER_TESTS = {"endless", "empty_list", "cut_short", "unavailable_for", "rate_limit_reset", "plan_used_up"}
BROKEN = {"timeout", "reset", "cut_off", "truncated_json", "not_json"}
TRANSIENT = BROKEN | {"server_error", "bad_gateway", "unavailable"}
NO_LIST = {"no_followings", "followings_null", "followings_object"}
DRIFT = NO_LIST | {"no_has_next_page"}
IN_200 = DRIFT | {"error_in_200", "code_not_0"}
RATE = {"rate_limit", "rate_limit_date", "rate_limit_bare"}
BAD = {
    "bad_request",
    "bad_request_list",
    "bad_request_page",
    "bad_cursor",
}  # without a cursor the request, with one the cursor
NO_CURSOR = {"no_cursor", "empty_cursor", "zero_cursor", "zero_pipe_cursor"}
ODD_LISTS = {"same_cursor", "loop", "empty_pages"}  # whole pages all the same
MISSING = {"not_found", "no_such_user"}
A_FEW = {"drift": 2, "error in 200": 2, "bad cursor": 1}
"""Times that these failures are asked for again; the others as often as RETRY_TIMES allows."""
COMMON = dict.fromkeys(sorted(FAULT_NAMES - STOP - OF_OTHER_TESTS - RATE), 1.0) | {"not_found": 2.0, "slow": 2.0}


def test_the_oracle_knows_every_fault() -> None:
    known = STOP | OF_OTHER_TESTS | TRANSIENT | IN_200 | RATE | BAD | NO_CURSOR | ODD_LISTS | MISSING | {"slow"}
    assert known == FAULT_NAMES


@dataclass
class Oracle:
    """What must have become of one KOL, from its calls alone; `hear` them in the order of their arrival.

    `next` is the only cursor that may be asked for now.
    """

    handle: str
    world: World
    lists: Lists
    state: str = "new"
    next: str = ""
    failures: Counter[str] = field(default_factory=Counter)
    """Failures of each kind, for the page at `next`, in this run."""
    restarted: bool = False
    asked: set[str] = field(default_factory=set)
    pages: int = 0
    stale: int = 0
    users: set[str] = field(default_factory=set)
    """Ids that this reading of the list has met."""
    rows: set[str] = field(default_factory=set)
    """Ids of every page that ever came."""
    kept: set[str] = field(default_factory=set)
    """Cursors of the pages of this reading."""
    kept_before: int = 0
    """How many of them an earlier run had read, and with new users: this many may come again if the list grew."""
    new_pages: int = 0

    def new_run(self) -> None:
        """Another run begins; it goes on with a failed list."""
        self.failures.clear()
        self.stale, self.kept_before = 0, self.new_pages
        if self.state == "failed":
            self.state = "fetching"

    def hear(self, call: Call) -> None:
        assert self.state in {"new", "fetching"}, f"{self.handle} is {self.state}, and asked for all the same: {call}"
        assert call.cursor == self.next, f"{self.handle}: not the page that is wanted: {call}"
        assert call.cursor not in self.kept, f"{self.handle}: bought twice: {call}"
        self.state = "fetching"
        if call.status == 429:
            self._fail("rate limit")
        elif call.fault in TRANSIENT:
            self._fail("transient")
        elif call.fault in IN_200:
            self._fail("drift" if call.fault in DRIFT else "error in 200")
        elif call.status == 400:
            self._bad_request(call)
        elif call.fault in MISSING or self.handle not in self.world:
            self.state = "not_found"
        else:
            self._page(call)

    def _fail(self, kind: str) -> None:
        """Count a failure; the one after the last retry ends the list."""
        tries = self.failures.total()
        self.failures[kind] += 1
        if tries >= RETRY_TIMES or self.failures[kind] > A_FEW.get(kind, RETRY_TIMES):
            self.state = "failed"

    def _bad_request(self, call: Call) -> None:
        if not call.cursor:
            self.state = "failed"
            return
        self._fail("bad cursor")
        if self.state != "failed" or self.restarted:
            return
        self.state, self.restarted, self.next = "fetching", True, ""
        self.failures.clear()
        self.pages = self.stale = self.kept_before = self.new_pages = 0
        self.asked, self.users, self.kept = set(), set(), set()

    def _page(self, call: Call) -> None:
        position = decode_cursor(self.handle, call.cursor)
        ids = self.lists[self.handle][position.front : position.front + PAGE_SIZE]
        ids = [] if call.fault == "empty_pages" else ids
        self.pages += 1
        self.failures.clear()
        self.kept.add(call.cursor)
        self.asked.add(call.cursor)
        new = not self.users.issuperset(ids)
        self.users.update(ids)
        self.rows.update(ids)
        self.new_pages += new
        self.stale = 0 if new else self.stale + 1
        page = self.world.page(self.handle, position, PAGE_SIZE)
        given = {"same_cursor": page.own_cursor, "loop": page.again_cursor, "empty_pages": page.again_cursor}
        self.next = given.get(call.fault, page.next_cursor)
        if call.fault in NO_CURSOR:
            self.state = "partial"
        elif not self.next:
            self.state = "complete"
        elif self.next in self.asked or self.stale >= max(3, self.kept_before + 1):
            self.state = "partial"


class Trial:
    """A project and the oracles for its KOLs, run after run."""

    def __init__(self, make_project: MakeProject, seed: int) -> None:
        dice = random.Random(seed)
        kols = {f"kol{n:03}": dice.randrange(60) for n in range(255)}
        kols |= {f"two{n:02}": dice.randint(201, 260) for n in range(30)}
        kols |= {f"five{n:02}": dice.randint(801, 840) for n in range(10)}
        gone = [f"gone{n}" for n in range(5)]
        faults: dict[str, list[Step]] = {
            kol: [RandomFaults(0.8, dict.fromkeys(sorted(TRANSIENT | IN_200), 1.0), seed=seed, seconds=MOMENT)]
            for kol in dice.sample(sorted(kols), 12)  # these keep failing
        }
        for kol in dice.sample([kol for kol in kols if kol.startswith("two") and kol not in faults], 5):
            faults[kol] = [Fault("bad_cursor", page=2, times=4)]
        faults |= {kol: [Fault("", times=None)] for kol in gone}
        faults["*"] = [
            Fault("rate_limit", after=dice.randint(10, 80), seconds=dice.choice([1.2, 1.6])),
            Fault("rate_limit_date", after=dice.randint(150, 250), seconds=2),
            Fault("rate_limit_bare", after=dice.randint(10, 250)),
            RandomFaults(0.2, COMMON, seed=seed, seconds=MOMENT),
        ]
        names = [*kols, *gone]
        dice.shuffle(names)
        self.project: Project = make_project(kols, names=list(names), faults=faults)
        self.cap = dice.randint(60, 160)
        lists = {kol: [user_id(index) for index in followings(kol, count)] for kol, count in kols.items()}
        world = World(kols)
        self.oracles = {name: Oracle(name, world, lists) for name in names}
        self.possible = expected_rows(kols)
        self.calls: list[Call] = []
        """The calls of the last run."""

    def run(self, *words: str, code: int) -> None:
        """One run, every call of which must be one that the oracles expect."""
        self.project.api.clear_calls()

        result = self.project.crawl(*CONFIG, *words, timeout=120)
        assert "Traceback" not in result.text, result.text
        result.expect(code)
        self.calls = self.project.api.calls
        for oracle in self.oracles.values():
            oracle.new_run()
        for call in self.calls:
            self.oracles[call.handle].hear(call)

    def judge(self) -> None:
        """The ledger and the table are as the oracles say."""
        told = {kol: (str(record.state), record.pages, record.users) for kol, record in self.project.records().items()}
        # one that was begun, and whose first call the cap forbade, is as good as new
        expected = {
            kol: (o.state if kol not in told or o.state != "new" else "fetching", o.pages, len(o.users))
            for kol, o in self.oracles.items()
        }
        assert told == {kol: what for kol, what in expected.items() if what[0] != "new"}
        rows = set().union(*(oracle.rows for oracle in self.oracles.values()))
        assert self.project.rows() == {id_: self.possible[id_] for id_ in rows}

    def states(self) -> Counter[str]:
        return Counter(oracle.state for oracle in self.oracles.values())


@pytest.mark.parametrize("seed", range(int(os.environ.get("KOL_TEST_SEEDS", "1"))))
def test_300_kols_end_as_the_answers_to_their_calls_say(make_project: MakeProject, seed: int) -> None:
    trial = Trial(make_project, seed)

    # Given a run whose calls are capped: it makes exactly that many, whatever they were answered with;
    trial.run("-a", f"max_calls={trial.cap}", code=1)
    assert len(trial.calls) == trial.cap
    assert_no_call_in_a_pause(trial.calls)
    made = Counter(call.handle for call in trial.calls)
    trial.judge()

    # one that meets the faults to the end: each KOL has the state that it should, and so has the table;
    trial.run(code=3)
    assert_no_call_in_a_pause(trial.calls)
    assert_calls_a_page_are_bounded(trial.calls)
    made.update(call.handle for call in trial.calls)
    trial.judge()
    assert trial.states().keys() == {"complete", "partial", "not_found", "failed"}

    # and one without faults: what had failed is finished, from the page that was missing, and nothing else is asked.
    due = {kol: oracle.kept.copy() for kol, oracle in trial.oracles.items() if oracle.state == "failed"}
    trial.project.api.set_faults({})
    trial.run(code=0)
    made.update(call.handle for call in trial.calls)
    assert {call.handle for call in trial.calls} == due.keys()
    assert not [call for call in trial.calls if call.cursor in due[call.handle]]
    assert max(Counter((call.handle, call.cursor) for call in trial.calls).values()) == 1
    trial.judge()
    assert trial.states().keys() == {"complete", "partial", "not_found"}
    assert {kol: record.calls for kol, record in trial.project.records().items()} == made


def assert_calls_a_page_are_bounded(calls: Sequence[Call]) -> None:
    """No page was asked for more than 1 + RETRY_TIMES times; a list that was begun again is another."""
    tries: Counter[tuple[str, str]] = Counter()
    refused: set[str] = set()
    for call in calls:
        if call.handle in refused and not call.cursor:
            tries = Counter({page: n for page, n in tries.items() if page[0] != call.handle})
        tries[call.handle, call.cursor] += 1
        assert tries[call.handle, call.cursor] <= 1 + RETRY_TIMES
        (refused.add if call.status == 400 and call.cursor else refused.discard)(call.handle)


def assert_no_call_in_a_pause(calls: Sequence[Call]) -> None:
    """After a 429 nothing arrives until the time it named is over, but for what was on its way: a call of a list."""
    for refused in (call for call in calls if call.status == 429):
        until = {"rate_limit": refused.time + 1.2, "rate_limit_date": float(int(refused.time + 2))}.get(refused.fault)
        early = [call.handle for call in calls if until and refused.time < call.time < until]
        assert len({*early, refused.handle}) == len(early) + 1 <= AT_ONCE, f"{early} in the pause after {refused}"
    times = [call.at for call in calls]
    assert all(earlier <= later for earlier, later in pairwise(times))
