"""One story: a crawl, a refresh, an incremental one, a load into another table, each killed again and again until
it is done, each judged by the rows and by the API's own log of calls."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from kolspider.sandbox import RandomFaults, Sandbox
from tests.chaos.dying.sitecustomize import POINTS
from tests.e2e.expected import expected_rows
from tests.e2e.processes import finish
from tests.e2e.project import KEY, ROOT, Project, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from subprocess import Popen

    from kolspider.sandbox import Call

__all__ = ["Story", "Toll"]

Asked = tuple[str, str, bool]
"""A page: KOL, cursor, and whether it is one of the full pages with which an increment in small ones began again."""
AT_ONCE = 8
"""CONCURRENT_REQUESTS: what can be in flight when a process dies."""
FAULTS = dict.fromkeys(("reset", "cut_off", "server_error"), 2)
FAULTS |= dict.fromkeys(("truncated_json", "not_json", "bad_gateway", "error_in_200", "rate_limit"), 1)
OFTEN = settings(KOL_FLUSH_ROWS=300, KOL_FLUSH_SECS=0.1, RETRY_TIMES=8, KOL_RETRY_SECS=0.01)
"""Many commits, many chances."""
OF_LOADING = (
    *("a batch", "a commit", "the ledger's note of a batch"),
    *("a list's settling", "the writer's close", "the ledger's close"),
)
"""The points that a run passes which loads cached pages."""


@dataclass
class Toll:
    """What a story took, and what it cost. The last three must be zero."""

    kills: int = 0
    faults: int = 0
    pages: int = 0
    in_flight: int = 0
    """Pages that were asked for when a process died, and whose answer it did not keep: these are bought again."""
    bought_twice: int = 0
    bought_in_vain: int = 0
    """Bought twice although they were not in flight at a kill."""
    rows_lost: int = 0
    rows_wrong: int = 0
    """Rows that differ from the clean run's, or that it does not have."""

    def add(self, other: Toll) -> None:
        """Add another story's toll."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass
class Story:
    """`tell()` it; it raises AssertionError with all that is needed to repeat it."""

    folder: Path
    seed: int
    db_url: str = ""
    """Empty: a SQLite file in the folder."""
    loading: Mapping[str, str] = field(default_factory=dict)
    """Settings: how rows get into the database."""
    kills_each: int = 4
    """Kills in each of its four parts, if the part lives that long."""
    toll: Toll = field(default_factory=Toll)

    def tell(self) -> Toll:
        """Crawl, refresh, refresh what changed, load elsewhere."""
        self._dice = random.Random(self.seed)
        kols = {f"kol{n:02}": self._dice.choice([0, 1, 200, 201, self._dice.randrange(1100)]) for n in range(24)}
        faults = {"*": [RandomFaults(0.1, FAULTS, seed=self.seed, seconds=0.05)]}
        with Sandbox(kols, key=KEY, faults=faults, unusable=True) as api:
            project = Project(
                folder=self.folder,
                api=api,
                db_url=self.db_url or f"sqlite:///{self.folder / 'kol.db'}",
                loading=self.loading,
            )
            if self.db_url:
                project.take_new_tables()
            project.follows = f"{project.target}_follows"
            project.init(kols)
            self._evict = self._dice.random() < 0.25
            evict = ("-s", f"KOL_CACHE_EVICT={self._evict}")
            job = ("-s", f"JOBDIR={self.folder / 'job'}") if self._dice.random() < 0.5 else ()
            try:
                self._part(project, kols, (*job, *evict), revision=0)
                refresh = ("-a", "refresh=0s", "-s", f"JOBDIR={self.folder / 'refresh'}")
                self._part(project, kols, (*refresh, *evict), revision=1)
                new = {kol: self._dice.choice([0, 1, 20, 200, 230]) for kol in kols}
                for kol, number in new.items():
                    api.follow(kol, number)
                kols = {kol: size + new[kol] for kol, size in kols.items()}
                again = ("-a", "refresh=0s", "-a", "incremental=1", "-s", f"JOBDIR={self.folder / 'again'}")
                self._part(project, kols, (*again, *evict), revision=1, generation=2)
                if not self._evict:
                    self._load_elsewhere(project, kols)
            except AssertionError as error:
                error.add_note(f"{self!r}")
                raise
            finally:
                with suppress(Exception):
                    project.sql(f"DROP TABLE `{project.target}`")
                    project.drop_tables()
        return self.toll

    def _part(
        self,
        project: Project,
        kols: Mapping[str, int],
        words: tuple[str, ...],
        revision: int,
        generation: int | None = None,
    ) -> None:
        generation = revision if generation is None else generation
        besides = {"a KOL's beginning" if revision else "a new generation", "a delivery", "the note of a delivery"}
        if "JOBDIR" not in "".join(words):
            besides.add("a job's file")
        project.api.clear_calls()
        project.api.revision = revision
        lost: Counter[Asked] = Counter()
        for _ in range(self.kills_each):
            before = len(project.api.calls)
            project.api.latency = self._dice.choice([0.0, 0.02, 0.05])
            if not self._run_and_die(project, words, self._points(POINTS, besides=besides)):
                break
            in_flight = self._in_flight(project, before, generation)
            assert len(in_flight) <= AT_ONCE, f"{len(in_flight)} pages in flight"
            lost.update(in_flight)
            self._assert_complete_means_complete(project, kols, revision, generation)
        project.api.latency = 0
        self._finish(project, words)
        self._judge_rows(project, kols, revision)
        assert project.ended() == dict.fromkeys(kols, "complete")
        bought = Counter(_asked(project.api.calls))
        twice = bought - Counter(dict.fromkeys(bought, 1))
        self.toll.faults += sum(bool(call.fault) for call in project.api.calls)
        self.toll.pages += bought.total()
        self.toll.in_flight += lost.total()
        self.toll.bought_twice += twice.total()
        self.toll.bought_in_vain += (twice - lost).total()
        assert not twice - lost, f"bought again without need: {twice - lost}"

    def _load_elsewhere(self, project: Project, kols: Mapping[str, int]) -> None:
        """Fill another table from the cache, without a call, and with kills in between."""
        full = project.target
        project.take_another_database()
        project.init(())
        project.api.clear_calls()
        words = ("-a", f"replay={self._dice.choice(['all', 'pending'])}")
        for _ in range(self.kills_each):
            if not self._run_and_die(project, words, self._points(OF_LOADING, besides=())):
                break
            self._assert_complete_means_complete(project, kols, 1, 2)
        self._finish(project, words)
        self._judge_rows(project, kols, 1)
        assert project.api.calls == []
        if self.db_url:
            project.sql(f"DROP TABLE `{full}`")

    def _run_and_die(self, project: Project, words: tuple[str, ...], points: Sequence[str]) -> bool:
        """Run the command until it dies at a named point or at some moment. False when it came to its end."""
        moment = None
        env: dict[str, str] = {}
        if self._dice.random() < 0.75:
            env = {
                "KOL_TEST_DIE_AT": f"{self._dice.choice(points)}:{self._dice.choice([1, 1, 2, 3, 5])}",
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "dying"), str(ROOT)]),
            }
        else:
            moment = len(project.api.calls) + self._dice.randint(1, 14)
        process = project.start_crawl(*OFTEN, *words, env=env)
        if moment is not None:
            self._kill_at(process, project, moment)
        result = finish(process, 120)
        assert "Traceback" not in result.text, result.text
        if result.code == -9:
            self.toll.kills += 1
            return True
        assert result.code in {0, 3}, result.text  # 3: a page that failed too often
        return result.code == 3

    def _points(self, names: Iterable[str], besides: Iterable[str]) -> list[str]:
        """The named points that a run passes."""
        inside = ["inside a batch"]
        if not self.db_url.startswith("mysql:"):
            besides = {*besides, "a commit"}  # SQLite's is inside its batch
        if self.db_url.startswith("doris:"):
            inside = []  # a batch is one INSERT or one Stream Load, which is a commit
        names = [name for name in names if name not in besides]
        return [*inside, *(f"{when} {name}" for name in names for when in ("before", "after"))]

    def _kill_at(self, process: Popen[str], project: Project, moment: int) -> None:
        while process.poll() is None and not _has_begun(
            project
        ):  # a busy machine takes its time until there is a store
            time.sleep(0.01)
        until = time.monotonic() + self._dice.uniform(1.5, 3)
        while process.poll() is None and len(project.api.calls) < moment and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(self._dice.uniform(0, 0.1))
        if process.poll() is None:
            process.kill()

    def _finish(self, project: Project, words: tuple[str, ...]) -> None:
        """Run the same command until nothing is left; a page that failed too often is left to the next run."""
        for _ in range(3):
            result = project.crawl(*OFTEN, *words)
            assert "Traceback" not in result.text, result.text
            if result.code != 3:
                break
        result.expect(0)

    def _in_flight(self, project: Project, since: int, generation: int) -> list[Asked]:
        """The pages that were asked for, and would have come, whose answer was not kept."""
        calls = project.calls_of_the_dead()
        sql = "SELECT handle, cursor, generation > ?1 FROM page WHERE generation >= ?1"
        kept = {(handle, cursor, bool(again)) for handle, cursor, again in project.ledger(sql, generation)}
        done = {
            handle
            for handle, record in project.records().items()  # an increment that began again is deleted with its end
            if record.state == "complete" and (self._evict or record.generation > generation)
        }
        kept |= {page for page in _asked(calls) if page[0] in done}
        before = sum(not call.fault for call in calls[:since])
        return [page for page in _asked(calls)[before:] if page not in kept]

    def _assert_complete_means_complete(
        self, project: Project, kols: Mapping[str, int], revision: int, generation: int
    ) -> None:
        """Check that the table has every row of the KOLs that count as complete, of this reading of their lists."""
        done = {
            handle: kols[handle]
            for handle, record in project.records().items()
            if record.state == "complete" and record.generation >= generation
        }
        rows = project.rows()
        short = [id_ for id_ in expected_rows(done, revision, unusable=True) if id_ not in rows]
        assert not short, f"{len(short)} rows of complete KOLs are not in the table"
        if generation == revision:
            self._assert_pages(project, kols, done, generation)

    def _assert_pages(self, project: Project, kols: Mapping[str, int], done: Iterable[str], generation: int) -> None:
        if self._evict:
            return
        pages = Counter(handle for handle, _ in project.cached(generation))
        for handle in done:
            assert pages[handle] == max(1, -(-kols[handle] // 200)), f"a page of {handle} is missing"

    def _judge_rows(self, project: Project, kols: Mapping[str, int], revision: int) -> None:
        rows, expected = project.rows(), expected_rows(kols, revision, unusable=True)
        lost = expected.keys() - rows.keys()
        wrong = [id_ for id_, row in rows.items() if expected.get(id_) != row]
        self.toll.rows_lost += len(lost)
        self.toll.rows_wrong += len(wrong)
        assert not lost, f"{len(lost)} rows lost"
        assert not wrong, f"{len(wrong)} rows wrong, such as {rows[wrong[0]]}"
        follows = project.sql(f"SELECT kol_user_name, user_id FROM `{project.follows}`")
        assert Counter(follows) == Counter((kol, id_) for kol in kols for id_ in set(project.api.expected_ids(kol)))
        whole = project.sql(f"SELECT kol_user_name FROM `{project.follows}_crawls`")
        assert {kol for (kol,) in whole} == {kol for kol, size in kols.items() if size}
        aside = Counter(repr(line) for line in project.rejects())
        assert max(aside.values(), default=0) <= revision + 1, "a user is set aside twice for one page"


def _asked(calls: Sequence[Call]) -> list[Asked]:
    """The pages of these calls that had no fault."""
    small = {call.handle for call in calls if call.page_size < 200}
    return [
        (call.handle, call.cursor, call.page_size == 200 and call.handle in small) for call in calls if not call.fault
    ]


def _has_begun(project: Project) -> bool:
    """Tell whether any run of the project has got as far as its row in the history."""
    with suppress(sqlite3.OperationalError):
        return bool(project.ledger("SELECT 1 FROM run LIMIT 1"))
    return False
