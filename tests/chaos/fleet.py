"""`python -m tests.chaos.fleet [--kills 100] [--seed S]`: three workers on one ledger in PostgreSQL, a sandbox API and
MariaDB. Workers are killed, frozen and cut off from PostgreSQL, PostgreSQL is killed and started again, and the API
refuses calls, in first crawls, refreshes and increments, until there were that many kills. Prints what it took and what
it cost, by the rows and by the API's own log of calls; then how long three workers take against one. Exit code 1 when
anything was lost."""

from __future__ import annotations

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from kolspider.items import Row
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.providers.base import Page
from kolspider.sandbox import Fault, Sandbox
from kolspider.store.pages import unpack
from tests.chaos.network import Network
from tests.e2e.project import CRAWL, KEY, ROOT, Project, settings
from tests.mariadb import MariaDB
from tests.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.sandbox import Call

__all__ = ["Fleet", "FleetToll", "judge", "most_in_a_second"]

AT_ONCE = 8
"""CONCURRENT_REQUESTS: what one worker can have in flight."""
FROZEN_SECS = 8.0
PATIENCE_SECS = 240.0
FAST = settings(CONCURRENT_REQUESTS=AT_ONCE, KOL_RETRY_SECS=0.1, KOL_FLUSH_SECS=1, KOL_PROGRESS=0, RETRY_TIMES=8)
START_AGAIN = 75
"""The exit code of a worker that ends before its job does."""


@dataclass
class FleetToll:
    """What it took, and what it cost."""

    kills: int = 0
    freezes: int = 0
    cuts: int = 0
    """Of the network between a worker and PostgreSQL."""
    restarts: int = 0
    """Of PostgreSQL, after `kill -9` of its postmaster."""
    refusals: int = 0
    """429s."""
    calls: int = 0
    twice: int = 0
    bound: int = 0
    """Pages that can have been in flight at a kill, a freeze or a restart: so many may be bought twice."""
    lost: int = 0
    """Rows that are not in the table, and KOLs that are not complete."""
    older: int = 0
    """Rows that are not as the page that was stored last has them."""
    most: int = 0
    """Calls in one second, at most."""
    in_pause: int = 0
    """Calls inside a Retry-After."""

    def add(self, other: FleetToll) -> None:
        for each in fields(self):
            both = getattr(self, each.name), getattr(other, each.name)
            setattr(self, each.name, max(both) if each.name == "most" else sum(both))


@dataclass
class Worker:
    """A real `scrapy crawl`."""

    process: subprocess.Popen[str]
    log: Path
    network: Network
    frozen_until: float = 0.0


class Fleet:
    """Workers that are started again when they die, until their job is done."""

    def __init__(self, project: Project, words: Sequence[str], networks: Sequence[Network]) -> None:
        """Start a worker behind each of these networks."""
        self._project = project
        self._words = words
        self._number = 0
        self.workers: list[Worker] = []
        self.is_done = False
        """Whether a worker has come to the end of the job."""
        for network in networks:
            self.start(network)

    def start(self, network: Network) -> None:
        log = self._project.folder / f"worker{self._number}.log"
        self._number += 1
        url = re.sub(r"(?<=127\.0\.0\.1:)\d+", str(network.port), self._project.env["KOL_SHARED_URL"])
        with log.open("w") as output:
            process = subprocess.Popen(
                [*CRAWL, *FAST, *self._words],
                cwd=ROOT,
                env=self._project.environment() | {"KOL_SHARED_URL": url},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )
        self.workers.append(Worker(process, log, network))

    def tend(self) -> bool:
        """Wake those that are frozen long enough, and start another for each that died. Tells whether any is left."""
        for worker in list(self.workers):
            if 0 < worker.frozen_until < time.monotonic():
                worker.process.send_signal(signal.SIGCONT)
                worker.frozen_until = 0
            if (code := worker.process.poll()) is None:
                continue
            self.workers.remove(worker)
            text = worker.log.read_text()
            assert "Traceback" not in text, text[-6000:]
            assert code in {0, -signal.SIGKILL, START_AGAIN}, text[-4000:]
            self.is_done |= code == 0
            if not self.is_done:
                self.start(worker.network)
        return bool(self.workers)

    def end(self) -> None:
        """Kill whoever is left."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()

    def running(self) -> list[Worker]:
        """The workers that run, and are not frozen."""
        return [one for one in self.workers if one.process.poll() is None and not one.frozen_until]


@dataclass
class Story:
    """A first crawl, a refresh and increments by three workers, with trouble all the time. Asserts nothing."""

    folder: Path
    seed: int
    db_url: str
    postgres: Postgres
    rate: int = 20
    kols: int = 24

    def tell(self) -> FleetToll:
        dice = self._dice = random.Random(self.seed)
        sizes = {
            f"kol{n:02}": dice.choice([0, 1, 200, 201, *(dice.randrange(1500) for _ in range(4))])
            for n in range(self.kols)
        }
        toll = FleetToll()
        with Sandbox(sizes, key=KEY, latency=0.05) as api:
            project = Project(folder=self.folder, api=api, db_url=self.db_url)
            project.take_new_tables()
            project.follows = f"{project.target}_follows"
            project.init(sizes)
            project.env["KOL_SHARED_URL"] = self.postgres.url(schema=f"story_{self.seed}")
            toll.add(self._part(project, ()))
            toll.add(self._part(project, ("-a", "refresh=0s")))
            for kol in sizes:
                api.follow(kol, dice.choice([0, 1, 20, 200, 230]))
            toll.add(self._part(project, ("-a", "refresh=0s", "-a", "incremental=1")))
            toll.lost += len(project.rows().keys() ^ {id_ for kol in sizes for id_ in api.expected_ids(kol)})
        return toll

    def _part(self, project: Project, words: Sequence[str]) -> FleetToll:
        toll, dice, api = FleetToll(), self._dice, project.api
        api.clear_calls()
        until, next_at = time.monotonic() + PATIENCE_SECS, dice.randint(1, 30)
        with ExitStack() as stack:
            networks = [stack.enter_context(Network(self.postgres.port)) for _ in range(3)]
            fleet = Fleet(project, (*settings(KOL_RATE=self.rate, JOBDIR=f"job{len(words)}"), *words), networks)
            stack.callback(fleet.end)
            while fleet.tend():
                assert time.monotonic() < until, f"still running: {self!r} {[one.log for one in fleet.workers]}"
                time.sleep(0.05)
                api.revision += 1  # so that it shows which of two pages with an account is in the table
                if len(api.calls) < next_at or not fleet.running() or fleet.is_done:
                    continue
                self._trouble(fleet, toll, api)
                next_at = len(api.calls) + dice.randint(5, 40)
        judge(project, self.postgres, toll)
        return toll

    def _trouble(self, fleet: Fleet, toll: FleetToll, api: Sandbox) -> None:
        what = self._dice.choice(["kill"] * 6 + ["freeze"] * 2 + ["cut", "restart", "refuse"])
        one = self._dice.choice(fleet.running())
        if what == "kill":
            one.process.kill()
            toll.kills += 1
        elif what == "freeze":
            one.process.send_signal(signal.SIGSTOP)
            one.frozen_until = time.monotonic() + FROZEN_SECS
            toll.freezes += 1
        elif what == "cut":
            one.network.cut_until = time.monotonic() + FROZEN_SECS
            toll.cuts += 1
        elif what == "restart":
            self.postgres.kill()
            time.sleep(self._dice.uniform(0, 2))
            self.postgres.start()
            toll.restarts += 1
        else:
            api.set_faults({"*": [Fault("rate_limit")]})
            toll.refusals += 1
        toll.bound += 0 if what == "refuse" else AT_ONCE * (3 if what == "restart" else 1)


def judge(project: Project, postgres: Postgres, toll: FleetToll) -> None:
    """Count what a part cost, by the table, the ledger, and the API's log of calls."""
    good = [call for call in project.api.calls if not call.fault]
    toll.calls += len(project.api.calls)
    asked = Counter((call.handle, call.cursor, call.page_size) for call in good)
    toll.twice += len(good) - len(asked)
    toll.most = max(toll.most, most_in_a_second(project.api.calls))
    toll.in_pause += _in_pause(project.api.calls)
    rows, expected = project.rows(), _expected(project, postgres)
    toll.lost += len(expected.keys() - rows.keys())
    toll.older += sum(rows[id_] != row for id_, row in expected.items() if id_ in rows)
    toll.lost += sum(state != "complete" for state in project.ended().values())


def most_in_a_second(calls: Sequence[Call]) -> int:
    """The most calls that arrived within a second."""
    at, most, first = sorted(call.at for call in calls), 0, 0
    for last, moment in enumerate(at):
        while at[first] <= moment - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def _in_pause(calls: Sequence[Call]) -> int:
    """Count the calls inside the second of a Retry-After, but for those that were on their way."""
    refused = [call.at for call in calls if call.fault == "rate_limit"]
    return sum(at + 0.25 < call.at < at + 1 for at in refused for call in calls)


def _expected(project: Project, postgres: Postgres) -> dict[str, Row]:
    """The rows of all stored pages, of each account those of the page that was stored last."""
    api, mapper, rows = provider("twitterapi_io"), Mapper(), dict[str, Row]()
    schema = project.env["KOL_SHARED_URL"].rpartition("schema=")[2] or "kolspider"
    with closing(postgres.connect()) as connection:
        pages = connection.execute(f"SELECT cursor, body FROM {schema}.page ORDER BY seq").fetchall()
    for cursor, packed in pages:
        page = api.parse(200, unpack(packed) or b"", cursor)
        assert isinstance(page, Page)
        for raw in page.users:
            row = mapper.map_user(api.followed_user(raw), raw)
            if isinstance(row, Row):
                rows[row.id] = row
    return rows


def _race(folder: Path, db_url: str, postgres: Postgres, size: int, rate: int = 60) -> tuple[float, float]:
    """Return how long so many workers take for the same lists, from the first call on, and the share of the rate."""
    sizes = {f"kol{n:03}": 900 for n in range(5 * rate)}
    with Sandbox(sizes, key=KEY, latency=0.3) as api:
        project = Project(folder=folder, api=api, db_url=db_url)
        project.take_new_tables()
        project.init(sizes)
        project.env["KOL_SHARED_URL"] = postgres.url(schema=f"race_{size}")
        with ExitStack() as stack:
            networks = [stack.enter_context(Network(postgres.port)) for _ in range(size)]
            fleet = Fleet(project, settings(KOL_RATE=rate, CONCURRENT_REQUESTS=64), networks)
            stack.callback(fleet.end)
            while fleet.tend():
                time.sleep(0.05)
        at = sorted(call.at for call in api.calls)
        # The last lists end one after the other: the share is of the time until then.
        most = int(len(at) * 0.9)
        print(f"{size} workers: most calls in a second {most_in_a_second(api.calls)}")
        return at[-1] - at[0], (most - 1) / (at[most - 1] - at[0]) / rate


def main() -> int:
    """Tell stories, seed after seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fleet", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many kills of workers are enough (100)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first story; the next has the next")
    parser.add_argument("--no-race", action="store_true", help="leave out three workers against one")
    options = parser.parse_args()
    toll, seed = FleetToll(), options.seed
    with ExitStack() as stack:
        mariadb, postgres = stack.enter_context(MariaDB()), stack.enter_context(Postgres(durable=True))
        while toll.kills < options.kills:
            with tempfile.TemporaryDirectory() as folder:
                part = Story(Path(folder), seed, mariadb.url, postgres).tell()
            print(f"seed {seed}: {part}", flush=True)
            toll.add(part)
            seed += 1
        heads = ("kills", "freezes", "cuts", "restarts", "429s", "calls", "bought twice (bound)", "lost", "older won")
        print(f"| {' | '.join((*heads, 'most in 1 s', 'in a pause'))} |\n{'|--:' * 11}|")
        print(
            f"| {toll.kills} | {toll.freezes} | {toll.cuts} | {toll.restarts} | {toll.refusals} | {toll.calls:,} | "
            f"{toll.twice} ({toll.bound}) | {toll.lost} | {toll.older} | {toll.most} | {toll.in_pause} |"
        )
        if not options.no_race:
            for size in (1, 3):
                with tempfile.TemporaryDirectory() as folder:
                    secs, share = _race(Path(folder), mariadb.url, postgres, size)
                print(f"{size} workers at 60 calls a second: {secs:.1f} s, {share:.0%} of the rate")
    is_good = not (toll.lost or toll.older or toll.in_pause or toll.most > Story.rate) and toll.twice <= toll.bound
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
