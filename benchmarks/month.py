"""A month in the life of some KOLs: what a daily look costs, and when it knows of a new follow.

    .venv/bin/python -m benchmarks.month                              400 KOLs, 30 days, every way; an hour or two
    .venv/bin/python -m benchmarks.month --kols 60 --days 10          a small month to try it
    .venv/bin/python -m benchmarks.month --only watch,killed          some of the ways

Each day the sandbox's world changes (kolspider/sandbox/days.py), all moments in the ledger become a day older, and the
real command runs. What it cost is what the sandbox's meter counted, by twitterapi.io's price list. `killed` is `watch`
with a `kill -9` in each day's run, which is then started again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from kolspider.sandbox import Sandbox
from kolspider.sandbox.days import kols_of_all_lengths
from tests.e2e.project import KEY, Project
from tests.e2e.rounds import make_ledger_older

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.sandbox.calls import Call
    from kolspider.sandbox.days import Day

DAY = 86_400
CREDIT_USD = 0.00001
WAYS = {
    "full": ("refresh=12h",),
    "incremental": ("refresh=12h", "incremental=1"),
    "watch": ("watch=1d",),
    "killed": ("watch=1d",),
}
"""The arguments of each day's run."""
LATE = 7
"""Days within which a follow has to be known."""


@dataclass
class Month:
    """A project whose KOLs live through days, and who is known when."""

    project: Project
    way: str
    seed: int
    owners: dict[str, str]
    """The KOLs, as they were called at first, by the ids of their accounts."""
    days: int = 0
    first: int = 0
    """Credits of the first readings, before the month began."""
    spent: int = 0
    """Credits of the days."""
    calls: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    """Credits of calls that a killed run had made, and the next one made again."""
    closed: set[str] = field(default_factory=set)
    """KOLs that are protected or suspended."""
    pending: dict[tuple[str, str], int] = field(default_factory=dict)
    """The day of each new follow, by KOL and id, that nobody knows of yet."""
    waited: Counter[int] = field(default_factory=Counter)
    """Number of follows by the days until they were known."""
    _killed: int = 0
    """Number of calls that the day's killed run made."""
    unseen: int = 0
    """Follows that could not be known: the KOL unfollowed again, or closed its list on that day."""

    def begin(self) -> None:
        """Read all lists for the first time."""
        words = WAYS[self.way] if self.way in {"watch", "killed"} else ()
        self._run(words)
        self.first = self._count()

    def pass_a_day(self) -> None:
        """Let a day pass, look, and note what is known now."""
        self.days += 1
        day = self.project.api.let_a_day_pass(self.seed)
        make_ledger_older(self.project, DAY)
        self.project.api.clear_calls()
        self._note(day)
        words = WAYS[self.way]
        if self.way == "killed":
            self._kill(words)
        self._run(words)
        self.spent += self._count()
        self._see()

    def _run(self, words: Sequence[str]) -> None:
        arguments = [word for argument in words for word in ("-a", argument)]
        result = self.project.crawl(*arguments, timeout=3_600)
        assert result.code in {0, 3}, result.text

    def _kill(self, words: Sequence[str]) -> None:
        """Kill a run somewhere in its first calls, and count what it paid for and did not keep."""
        arguments = [word for argument in words for word in ("-a", argument)]
        answers = Random(f"{self.seed}|{self.days}").randrange(max(1, min(12, len(self.owners) // 10)))
        self.project.kill_crawl(answers, *arguments)
        self._killed = len(self.project.calls_of_the_dead())

    def _count(self) -> int:
        calls = self.project.calls_of_the_dead()
        self.calls.update(call.kind for call in calls)
        lost, again = (Counter(map(_asked, some)) for some in (calls[: self._killed], calls[self._killed :]))
        self.repeated += sum(credits_ * number for (*_, credits_), number in (lost & again).items())
        self._killed = 0
        return sum(call.credits for call in calls)

    def _note(self, day: Day) -> None:
        for event in day.happened:
            kol, follow = self.owners[event.id], (self.owners[event.id], event.other)
            match event.what:
                case "followed":
                    self.pending[follow] = self.days
                case "unfollowed" if self.pending.pop(follow, None):
                    self.unseen += 1
                case "protected" | "suspended":
                    self.closed.add(kol)
                    hidden = [follow for follow in self.pending if follow[0] == kol]
                    self.unseen += len(hidden)
                    for follow in hidden:
                        del self.pending[follow]
                case "restored":
                    self.closed.discard(kol)

    def _see(self) -> None:
        known = set(self.project.sql(f"SELECT kol_user_name, user_id FROM `{self.project.follows}`"))
        for follow in [follow for follow in self.pending if follow in known]:
            self.waited[self.days - self.pending.pop(follow)] += 1

    @property
    def lost(self) -> int:
        """Follows that nobody knows of although the time for it is over."""
        return sum(self.days - day >= LATE for day in self.pending.values())

    def usd(self) -> float:
        """Dollars for 1,000 KOLs in 30 days."""
        return self.spent * CREDIT_USD * 30 / self.days * 1_000 / len(self.owners)

    def row(self) -> str:
        """A row of the table."""
        known, total = self.waited.total(), self.waited.total() + self.lost
        within = sum(count for days, count in self.waited.items() if days <= LATE)
        calls = sum(self.calls.values())
        return (
            f"| {self.way} | {self.days} | {calls:,} | {self.spent:,} | ${self.usd():.2f} "
            f"| {self.waited[0] / (known + len(self.pending) or 1):.1%} | {within / (total or 1):.1%} | {self.lost} "
            f"| {self.unseen} | ${self.first * CREDIT_USD * 1_000 / len(self.owners):.2f} |"
        )


def _asked(call: Call) -> tuple[str, str, str, int, int]:
    return call.kind, call.handle, call.cursor, call.accounts, call.credits


def live(way: str, kols: int, days: int, seed: int, folder: Path) -> Month:
    """Let a month pass."""
    lengths = kols_of_all_lengths(kols, seed)
    with Sandbox(lengths, key=KEY, people="plausible") as api:
        project = Project(folder=folder, api=api, db_url=f"sqlite:///{folder / 'kol.db'}")
        project.follows = f"{project.target}_follows"
        project.init(list(lengths))
        month = Month(project, way, seed, {api.id_of(kol): kol for kol in lengths})
        month.begin()
        for _ in range(days):
            month.pass_a_day()
            print(f"{way} day {month.days}: {month.spent:,} credits, ${month.usd():.2f}", flush=True)
    return month


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kols", type=int, default=400)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--full-days", type=int, default=3, help="of the way `full`: each day costs the same")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(WAYS), help="ways, separated by commas")
    options = parser.parse_args()
    months: dict[str, Month] = {}
    rows: dict[str, dict[str, object]] = {}
    for way in options.only.split(","):
        days = min(options.days, options.full_days) if way == "full" else options.days
        with tempfile.TemporaryDirectory(prefix="month-") as folder:
            months[way] = live(way, options.kols, days, options.seed, Path(folder))
            rows[way] = dict(months[way].project.rows())
    print("| way | days | calls | credits | 1,000 KOLs, 30 days | known that day | in 7 days | lost | unseen | first |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for month in months.values():
        print(month.row())
    if {"watch", "killed"} <= months.keys():
        killed, watch = months["killed"], months["watch"]
        print(f"killed every day: the rows are {'the same' if rows['killed'] == rows['watch'] else 'NOT the same'};")
        print(f"{killed.spent - watch.spent:,} credits more, of which calls in flight {killed.repeated:,}")


if __name__ == "__main__":
    main()
