"""Workers on one ledger, without a crawl: who is dead, who reads, who may write, whose turn it is, what caps allow."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from kolspider.errors import NotAsked
from kolspider.fleet import worker
from kolspider.fleet.fleet import Fleet
from kolspider.fleet.job import _HELD_ELSEWHERE
from kolspider.fleet.overview import workers
from kolspider.fleet.store import SharedStore
from kolspider.fleet.tables import LEASE_SECS
from kolspider.items import Kol, State
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.options.arguments import Arguments
from kolspider.providers import provider
from kolspider.providers.base import Profile
from kolspider.store.connection import LedgerAway
from kolspider.store.ledger import Ledger
from kolspider.store.selection import Watch, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kolspider.fleet.turns import SharedBill, SharedTurns
    from kolspider.options.config import Config
    from kolspider.store.postgres import PostgresConnection
    from tests.postgres import Postgres

API = provider("twitterapi_io")
KOLS = ["btc", "eth", "sol"]


class Machine:
    """A worker with a ledger of its own."""

    def __init__(
        self, stack: ExitStack, folder: Path, url: str, arguments: Arguments, rate: float | str | None
    ) -> None:
        self.ledger = Ledger.open(folder, API, "here", shared_url=url)
        stack.callback(self.ledger.close)
        config = SimpleNamespace(
            shared_url=url,
            db_retry_secs=5.0,
            provider=API,
            jobdir=None,
            rate=rate,
            interval=1 / rate if isinstance(rate, float) else 0.0,
            retry_secs=1.0,
            api_url="http://api",
            api_key="secret",
            credit_usd=0.00001,
            cache_evict=False,
        )
        self.stop, self.tally = Stop(), Tally()
        self.fleet = stack.enter_context(Fleet(arguments, cast("Config", config), self.ledger, self.stop))
        self.is_opener = self.fleet.open_job("here")
        if self.is_opener:
            self.ledger.selection.read(KOLS)
            self.ledger.selection.choose_due(
                now=time.time(), refresh_before=None, retry=(), limit=None, keep_done=False
            )
            self.fleet.job.publish(7.0)
        else:
            self.fleet.job.join()

    @property
    def db(self) -> PostgresConnection:
        return self.fleet.job.connection

    def turns(self) -> tuple[SharedBill, SharedTurns]:
        return self.fleet.turns(self.tally)

    def be_silent(self) -> None:
        """Give no further sign of life, as a process that was killed."""
        self.fleet.heart.stop()
        late = f"clock_timestamp() - interval '{LEASE_SECS + 1} s'"
        self.db.execute(f"UPDATE worker SET seen_at = {late} WHERE id = ?", (self.fleet.worker.id,))


@pytest.fixture
def machine(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Machine]]:
    monkeypatch.setattr(worker, "BEAT_SECS", 3600)  # the tests say who is silent
    url = postgres.url(schema=f"fleet_{time.time_ns()}")
    with ExitStack() as stack:
        yield lambda rate=None, **arguments: Machine(stack, tmp_path, url, Arguments(**arguments), rate)


def bury(one: Machine) -> None:
    """Bury the silent, as if the server were up for long."""
    up = "pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => ?)"
    assert up in worker.LATE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "LATE", worker.LATE.replace(up, "? > 0"))
        worker.bury(one.db)


def test_nothing_of_postgresql_is_imported_without_need() -> None:
    commands = "cache, crawl, follows, kols, report"
    loaded = f"from kolspider.commands import {commands}; import sys; print('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], stdout=subprocess.PIPE, check=True).stdout == b"False\n"


def test_each_kol_is_read_by_one_worker_and_a_dead_ones_by_another(machine: Callable[..., Machine]) -> None:
    first, second = machine(), machine()
    assert (first.is_opener, second.is_opener) == (True, False)
    assert second.fleet.job.began_at == 7.0
    claimed = [one.fleet.job.claim() for one in (first, second, second, first)]
    assert [due and (due.kol.handle, due.why) for due in claimed] == [*((kol, Why.NEW) for kol in KOLS), None]

    first.ledger.kols.begin(Kol("btc", "btc"))
    first.fleet.crew.begun("btc")
    first.be_silent()
    bury(second)
    again = second.fleet.job.claim()
    assert again
    assert (again.kol.handle, again.why, again.state) == ("btc", Why.BEGUN, State.FETCHING)
    for kol in KOLS:
        assert not second.fleet.job.is_all_read()
        second.fleet.crew.ended(kol)
    assert second.fleet.job.is_all_read()
    assert [one.name for one in workers(second.db)] == [second.fleet.worker.name]


def test_a_claim_does_not_look_through_the_kols_of_other_jobs(machine: Callable[..., Machine]) -> None:
    """A claim is made in turn, so no page is stored meanwhile: with two jobs of 100,000 KOLs it took half a second."""
    one = machine()
    one.db.execute(
        "INSERT INTO job_kol SELECT job, n, 'kol' || n, 'kol', 'new', 'new', FALSE, FALSE, FALSE, NULL, FALSE "
        "FROM generate_series(1, 5000) n, (VALUES (98), (99)) jobs(job)"
    )
    plan = one.db.execute(f"EXPLAIN SELECT 1 FROM job_kol q WHERE job = 98 AND NOT {_HELD_ELSEWHERE} LIMIT 1")
    assert "job_kol_held" in "".join(line for (line,) in plan)


def test_a_profile_that_a_dead_worker_has_seen_is_not_bought_again(machine: Callable[..., Machine]) -> None:
    first, second = machine(), machine()
    for one in (first, second):
        one.ledger.selection.watch = Watch(look_before=time.time() - 60, read_before=0.0)
        one.ledger.connection.execute("UPDATE temp.selected SET to_look_at = TRUE, why = 'refresh'")
    seen = Kol("btc", "btc")
    first.ledger.accounts.note([(seen, Profile("1", "btc", 5, False, "", None))])
    first.ledger.selection.looked_at([seen])
    first.be_silent()
    bury(second)

    async def left() -> list[str]:
        work = await anext(aiter(second.fleet.crew.rounds()))
        assert work.looks
        return [due.kol.handle for _, due in second.ledger.selection.next_to_look_at(0, 10)]

    assert asyncio.run(left()) == ["eth", "sol"]


def test_who_was_taken_for_dead_writes_nothing_but_pages_that_were_paid_for(machine: Callable[..., Machine]) -> None:
    first, second = machine(), machine()
    first.be_silent()
    bury(second)
    with pytest.raises(Exception, match="gave no sign of life"):
        first.ledger.kols.begin(Kol("btc", "btc"))
    with pytest.raises(Exception, match="gave no sign of life"):
        first.fleet.job.claim()
    with pytest.raises(Exception, match="gave no sign of life"):
        first.fleet.check()
    assert first.ledger.pages.put(Kol("btc", "btc"), 0, "", 1, 0, b"{}", fetched_at=1.0)
    assert second.ledger.kols.find("btc") is None
    second.fleet.check()


def test_a_late_page_of_a_worker_that_was_frozen_takes_no_newer_ones_place(machine: Callable[..., Machine]) -> None:
    first, second = machine(), machine()
    newer = second.ledger.pages.put(Kol("btc", "btc"), 0, "", 1, 0, b'{"newer": 1}', fetched_at=2.0)
    first.be_silent()
    bury(second)
    assert first.ledger.pages.put(Kol("btc", "btc"), 0, "", 1, 0, b"{}", fetched_at=3.0) == newer
    assert second.ledger.pages.get("btc", 0, "") == (newer, b'{"newer": 1}')


def test_nobody_is_buried_right_after_the_server_began(machine: Callable[..., Machine], postgres: Postgres) -> None:
    first, second = machine(), machine()
    first.be_silent()
    postgres.stop()
    postgres.start()
    second.fleet.talk.repeat(lambda: worker.bury(second.db))
    assert len(workers(second.db)) == 2


def test_one_loads_until_it_dies(machine: Callable[..., Machine]) -> None:
    first, second = machine(), machine()
    assert [one.fleet.job.lead() for one in (first, second, first)] == [True, False, True]
    first.be_silent()
    bury(second)
    assert second.fleet.job.lead()


def test_turns_of_several_workers_keep_one_pace(machine: Callable[..., Machine]) -> None:
    machines = [machine(rate=50.0) for _ in range(2)]

    async def story() -> list[float]:
        turns = [one.turns()[1] for one in machines for _ in range(1)]
        return await asyncio.gather(*(one.take("", 1) for one in turns for _ in range(15)))

    at = sorted(asyncio.run(story()))
    apart = [later - earlier for earlier, later in pairwise(at)]
    assert min(apart) > 0.0199


@pytest.mark.parametrize("rates", [(50.0, 50.0), (50.0, "auto"), ("auto", 50.0)])
def test_a_pause_of_one_is_a_pause_of_all(machine: Callable[..., Machine], rates: tuple[float | str, ...]) -> None:
    machines = [machine(rate=rate) for rate in rates]

    async def story() -> tuple[float, float]:
        (_, mine), (_, others) = (one.turns() for one in machines)
        at = await mine.take("", 1)
        reserved = asyncio.ensure_future(others.take("", 1))
        until = await mine.change(lambda pace, now: now + pace.refused(at, now, 0.7))
        await reserved
        return until, await others.take("", 1)

    until, next_at = asyncio.run(story())
    assert next_at >= until


def test_a_worker_with_other_arguments_says_that_it_does_a_job_of_its_own(
    machine: Callable[..., Machine], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        machine(limit=2)
    assert "another job" not in caplog.text
    assert machine(limit=3).is_opener
    assert "another job is at work on this ledger" in caplog.text


def test_a_run_that_waits_says_what_is_away_and_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    away = [LedgerAway("the ledger can't be used: refused"), LedgerAway("the same")]

    def work() -> int:
        if away:
            raise away.pop()
        return 7

    server = SimpleNamespace(reconnect=lambda: None)
    with closing(SharedStore(cast("PostgresConnection", server), Stop(), 60.0)) as store:
        assert store.repeat(work) == 7
    assert caplog.messages == ["the same; no call is made until it is back", "the shared ledger is back"]


def test_a_kol_that_was_taken_over_is_not_asked_for(machine: Callable[..., Machine]) -> None:
    first, second = machine(), machine()
    claimed = first.fleet.job.claim()
    assert claimed

    async def story() -> None:
        _, turns = first.turns()
        assert await turns.take(claimed.kol.handle, 1)
        first.be_silent()
        bury(second)
        with pytest.raises(NotAsked):
            await turns.take(claimed.kol.handle, 1)

    asyncio.run(story())
    assert "taken over" in str(first.stop.error)


@pytest.mark.parametrize(("caps", "most"), [({"max_calls": 5}, 5), ({"max_usd": 0.003}, 5)])
def test_caps_are_those_of_the_job(machine: Callable[..., Machine], caps: dict[str, Any], most: int) -> None:
    """A call costs up to 60 credits here, and those of a dead worker count with that."""
    machines = [machine(**caps) for _ in range(2)]

    async def story() -> int:
        (_, dying), (bill, turns) = (one.turns() for one in machines)
        await dying.take("", 60)
        machines[0].be_silent()
        bury(machines[1])
        calls = 1
        while not machines[1].stop.is_set():
            try:
                await turns.take("", 60)
            except NotAsked:
                break
            bill.charge(60, 60)
            calls += 1
        assert await turns.reached_cap(60), "also for who asks before a call that must not end the run"
        assert not bill.reached_cap(60), "alone it would have room"
        return calls

    assert asyncio.run(story()) == most
    assert "work is left" in str(machines[1].stop.error)


def test_the_key_is_nowhere_in_the_ledger(machine: Callable[..., Machine]) -> None:
    one = machine(rate=50.0)
    asyncio.run(one.turns()[1].change(lambda pace, now: pace.unavailable(now, 0.1)))
    ((key, state),) = one.db.execute("SELECT key, state FROM pace").fetchall()
    assert "secret" not in key + state
    assert json.loads(state)["holds"] == 1
