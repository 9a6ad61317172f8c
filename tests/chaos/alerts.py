"""One story of alerts: weeks in which KOLs follow and unfollow, each read by runs that are killed again and again, and
told to a receiver that comes and goes; judged by what has arrived, by the lists of the API, and by a backtest."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kolspider.sandbox import Sandbox
from tests.e2e.mailbox import Mailbox, follow_pairs, mailbox, pass_a_second, write_rules
from tests.e2e.processes import finish
from tests.e2e.project import KEY, ROOT, Project, settings

if TYPE_CHECKING:
    from subprocess import Popen

__all__ = ["AlertStory", "AlertToll"]

RULES = """
[[rule]]
name = "new"
event = "new_follow"
[[rule]]
name = "lost"
event = "lost_follow"
[[rule]]
name = "why"
event = "lost_follow"
why = ["unfollowed", "protected", "suspended", "gone"]
[[rule]]
name = "shared"
event = "shared_follow"
min = 2
within = "48h"
"""
OFTEN = settings(KOL_FLUSH_ROWS=100, KOL_FLUSH_SECS=0.05)
"""Many commits, many chances."""
WHERE = (
    *("the ledger's note of a batch", "a batch", "a delivery", "the note of a delivery", "a list's end"),
    *("the note of what lost accounts tell", "the release of alerts"),
)


@dataclass
class AlertToll:
    """What a story took, and what it came to. The last must be zero."""

    kills: int = 0
    alerts: int = 0
    twice: int = 0
    """Deliveries of an alert beyond its first, under the same id."""
    lost: int = 0

    def add(self, other: AlertToll) -> None:
        """Add another story's toll."""
        self.kills += other.kills
        self.alerts += other.alerts
        self.twice += other.twice
        self.lost += other.lost


@dataclass
class AlertStory:
    """`tell()` it; it raises AssertionError with all that is needed to repeat it."""

    folder: Path
    seed: int
    db_url: str = ""
    """Empty: a SQLite file in the folder."""
    weeks: int = 3
    kills_each: int = 4
    """Kills in each week, if its runs live that long."""
    toll: AlertToll = field(default_factory=AlertToll)

    def tell(self) -> AlertToll:
        """Read lists for some weeks, and compare."""
        self._dice = random.Random(self.seed)
        kols = {f"kol{n}": self._dice.choice([120, 150, 230, 420]) for n in range(5)}
        with Sandbox(kols, key=KEY) as api, mailbox() as box:
            project = Project(folder=self.folder, api=api, db_url=self.db_url or f"sqlite:///{self.folder / 'kol.db'}")
            if self.db_url:
                project.take_new_tables()
            project.follows = f"{project.target}_follows"
            project.init(kols)
            write_rules(project, RULES, box.webhook, box.chat)
            try:
                project.crawl().expect(0)
                new: set[tuple[str, str]] = set()
                lost: set[tuple[str, str]] = set()
                for _ in range(self.weeks):
                    before = follow_pairs(project, list(kols))
                    api.let_weeks_pass(1)
                    pass_a_second(project)
                    after = follow_pairs(project, list(kols))
                    new, lost = new | (after - before), lost | (before - after)
                    self._a_week(project, box)
                self._judge(project, box, new, lost)
            except AssertionError as error:
                error.add_note(f"{self!r}")
                raise
            finally:
                with suppress(Exception):
                    project.drop_tables()
        return self.toll

    def _a_week(self, project: Project, box: Mailbox) -> None:
        """Read each list once, with kills in between, while the receiver answers as it likes."""
        words: tuple[str, ...] = ("-a", "refresh=0s", "-s", f"JOBDIR={self.folder / f'job{self._dice.random()}'}")
        for _ in range(self.kills_each):
            box.status = self._dice.choice([200, 200, 200, 500])
            if not self._run_and_die(project, box, words):
                break
        box.status = 200
        project.crawl(*OFTEN, *words).expect(0)

    def _run_and_die(self, project: Project, box: Mailbox, words: tuple[str, ...]) -> bool:
        """Run until the process dies at a named point or at some moment. False when it came to its end."""
        env: dict[str, str] = {}
        at_random = self._dice.random() < 0.25
        if not at_random:
            point = f"{self._dice.choice(['before', 'after'])} {self._dice.choice(WHERE)}"
            env = {
                "KOL_TEST_DIE_AT": f"{point}:{self._dice.choice([1, 1, 1, 2, 3])}",
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "dying"), str(ROOT)]),
            }
        process = project.start_crawl(*OFTEN, *words, env=env)
        if at_random:
            self._kill_soon(process, box)
        result = finish(process, 120)
        assert "Traceback" not in result.text, result.text
        self.toll.kills += result.code == -9
        assert result.code in {0, -9}, result.text
        return result.code == -9

    def _kill_soon(self, process: Popen[str], box: Mailbox) -> None:
        """Kill it about when the receiver hears something."""
        heard, until = len(box.posts), time.monotonic() + self._dice.uniform(2, 4)
        while process.poll() is None and len(box.posts) == heard and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(self._dice.uniform(0, 0.05))
        if process.poll() is None:
            process.kill()

    def _judge(self, project: Project, box: Mailbox, new: set[tuple[str, str]], lost: set[tuple[str, str]]) -> None:
        arrived = Counter(box.ids)
        by_rule = {
            rule: {(one["kols"][0], one["account"]["id"]) for one in box.alerts if one["rule"] == rule}
            for rule in ("new", "lost", "why")
        }
        told: set[str] = set()  # by processes of their own: stories are told side by side
        for rule in ("new", "lost", "why", "shared"):
            backtest = project.scrapy("alerts", "backtest", rule, "--since", "1d", "--json").expect(0).out
            told |= {one["id"] for one in json.loads(backtest)}
        self.toll.alerts += len(told)
        self.toll.twice += arrived.total() - len(arrived)
        self.toll.lost += len(told - arrived.keys())
        for rule, expected in {"new": new, "lost": lost, "why": lost}.items():
            found = by_rule[rule]
            assert found == expected, (
                f"{rule}: {sorted(expected - found)} not told, {sorted(found - expected)} of nothing"
            )
        reasons: dict[str, set[str]] = {}
        for one in box.alerts:
            reasons.setdefault(one["id"], set()).add(one["why"])
        assert all(len(of_one) == 1 for of_one in reasons.values()), "an alert has two reasons"
        asked = Counter(call.kind for call in project.api.calls)["profiles"]
        assert asked <= self.weeks + self.toll.kills, "more calls for profiles than weeks and kills"
        assert set(arrived) == told, f"{len(told - arrived.keys())} lost, {len(arrived.keys() - told)} of nothing"
        messages = Counter(text for _, text in box.messages)
        ids = [text.rpartition("(message ")[2] for text in messages]
        assert len(set(ids)) == len(ids), "two messages under one id"
        assert project.scrapy("alerts", "pending").expect(0).out == "no alert is pending\n"
