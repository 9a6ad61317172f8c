"""Turns that several workers take by one pace and under the caps of their job; moments are on the database's clock.

A turn is reserved, slept for, and granted just before it comes. So it is never asked for in vain, and yet a pause that
another worker's 429 began in between, a KOL that was taken over and a cap that was reached hold it up.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import defaultdict, deque
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kolspider.live.bill import Bill
from kolspider.live.pace import SHARED_SLACK, Pace
from kolspider.live.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.fleet.job import SharedJob
    from kolspider.fleet.store import SharedStore
    from kolspider.live.stop import Stop
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config

__all__ = ["SharedBill", "SharedTurns"]

_Answer = TypeVar("_Answer")

_EARLY, _EARLIEST = 0.01, 0.05
"""Seconds before a turn at which it is granted: longer than that takes, and no longer than it must be, because a pause
that begins afterwards comes too late for it."""
_ON_THE_WAY = 0.015
"""Seconds by which one call may take longer to the API than another one."""
_AHEAD = 16
"""Turns that a worker reserves in advance: at 150 calls a second, so many come while one is agreed upon."""
_STALE = 60.0
"""Seconds without a turn after which a pace begins again as the settings say, as it does for a process alone."""
_ROOM_EVERY = 0.1
"""Seconds between two looks whether a cap has room again, once a call was cheaper than it could have been."""
_NOW = "extract(epoch FROM clock_timestamp())::float8"
_UNLIMITED = 2**62


class _Turn(NamedTuple):
    """A turn that is reserved."""

    at: float
    holds: int
    """How many pauses there were."""


class _Grant(NamedTuple):
    """What is said of a turn just before it comes."""

    is_alive: bool
    """Whether this worker is, and the KOL is still its own."""
    is_held: bool
    """Whether a pause has begun since it was reserved."""
    has_room: bool
    """Whether the caps have room for the call."""


class SharedBill(Bill):
    """Counts what the calls of this worker cost, for itself and for its job."""

    settle: Callable[[int, int, int], None] | None = None
    """Tells the job what a call came to: whether it was one (1 or 0), its credits, and those reserved for it."""

    def take_back(self, dearest: int) -> None:
        """Count a call as none: it never left the machine."""
        self._tally.calls -= 1
        super().charge(0, dearest)
        if self.settle:
            self.settle(0, 0, dearest)

    def charge(self, credits_: int, dearest: int) -> None:
        """Record what a call cost."""
        super().charge(credits_, dearest)
        if self.settle:
            self.settle(1, credits_, dearest)


class SharedTurns(Turns):
    """The turns of one worker among several."""

    def __init__(
        self,
        arguments: Arguments,
        config: Config,
        bill: SharedBill,
        stop: Stop,
        talk: SharedStore,
        job: SharedJob,
        found_rate: float | None,
    ) -> None:
        super().__init__(Pace.of(config, found_rate), bill, stop)
        self._talk = talk
        self._job = job
        who = f"{config.provider.name} {config.api_url} {config.api_key}"
        self._key = hashlib.sha256(who.encode()).hexdigest()[:32]
        self._begin: Callable[[], Pace] = lambda: Pace.of(config, found_rate)
        self._shared = self._begin()
        """The pace that all workers have, as this one saw it last."""
        self._in_hand = Lock()
        """Held by whoever works with it: the event loop, or the thread that asks PostgreSQL."""
        self._clock = _Clock()
        self._lead, self._early = 0.0, _EARLY
        """How long it lately took to reserve a turn, and to have it granted."""
        self._latest = SHARED_SLACK - _ON_THE_WAY if self.pace.rate < inf else 1.0
        """Seconds by which a turn may be used late."""
        self._places = asyncio.Semaphore(_AHEAD)
        self._is_capped = arguments.max_calls is not None or arguments.max_usd is not None
        most = arguments.max_credits(config.credit_usd)
        self._caps = {
            "max_calls": _UNLIMITED if arguments.max_calls is None else arguments.max_calls,
            "max_credits": _UNLIMITED if most == inf else int(most),
        }
        self._number = 0
        self._open: defaultdict[int, deque[int]] = defaultdict(deque)
        """The numbers of the calls whose price is not known yet, by the credits that are reserved for each."""
        if self._is_capped:
            bill.settle = self._settle

    async def take(self, handle: str, dearest: int) -> float:
        """Wait for a turn, and take it. Raises NotAsked if the run stops first."""
        async with self._places:
            while True:
                asked_at = time.monotonic()
                turn = await self._talk.ask(self._reserve)
                self._lead = min(max(2 * (time.monotonic() - asked_at), self._lead * 0.95), _EARLIEST)
                with self.pace.assured():
                    if await self._use(turn, handle, dearest):
                        self._bill.send(dearest)
                        return turn.at

    async def _use(self, turn: _Turn, handle: str, dearest: int) -> bool:
        """Wait for a turn that is reserved. Tells whether it may be used, else another one is to be reserved."""
        await self._stop.sleep(self._clock.until(turn.at) - self._early)
        self._number += 1
        number, asked_at = self._number, time.monotonic()
        grant = await self._talk.ask(lambda: self._grant(turn, number, handle, dearest))
        self._early = min(max(2 * (time.monotonic() - asked_at), self._early * 0.95, _EARLY), _EARLIEST)
        if not grant.is_alive:
            self._stop.fail(self._job.worker.taken_over())
            self._refuse("")
        if grant.is_held:
            return False
        if not grant.has_room:
            await self._until_room(dearest)
            return False
        if self._is_capped:
            self._open[dearest].append(number)
        await asyncio.sleep(max(self._clock.until(turn.at), 0))
        # A later call could be one too many in a second; and a process that was frozen may be taken for dead.
        if self._stop.is_set() or self._clock.late(turn.at) > self._latest:
            if self._is_capped:
                self._settle(0, 0, dearest)
            self._refuse("")
            return False
        return True

    async def reached_cap(self, dearest: int) -> str:
        """Say which cap of the job leaves no room for a call that can cost this much; empty if none does."""
        calls, credits_, reserved, _ = await self._talk.ask(self._spent)
        return self._bill.reached(calls, credits_, reserved, dearest)

    async def change(self, do: Callable[[Pace, float], _Answer]) -> _Answer:
        """Tell the pace what an answer says; the other workers hear of it if it is anything to them."""
        with self._in_hand:
            before = self._shared.state()
            answer = do(self._shared, self._clock.now())
            if self._shared.state() == before:
                return answer
            self._shared.restore(before)
        return await self._talk.ask(lambda: self._change(do))

    def _reserve(self) -> _Turn:
        lead = self._lead + self._early
        return _Turn(self._change(lambda pace, now: pace.reserve(now + lead)), self._shared.holds)

    def _change(self, do: Callable[[Pace, float], _Answer]) -> _Answer:
        """Change the pace of all workers."""
        shared, is_changed = self._shared, False
        while not is_changed:
            asked_at = time.monotonic()
            version, state, now = self._job.connection.execute(
                f"SELECT version, state, {_NOW} FROM (SELECT 1) one LEFT JOIN pace ON key = ?", (self._key,)
            ).fetchone()
            self._clock.set(now, asked_at)
            with self._in_hand:
                if state:
                    shared.restore(json.loads(state))
                if not state or now > shared.next_at + _STALE:
                    shared.restore(self._begin().state() | {"next_at": now, "holds": shared.holds})
                answer = do(shared, now)
                values = (json.dumps(shared.state()), shared.holds, self._key)
            if version is None:
                change = "INSERT INTO pace (state, holds, key, version) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING"
                is_changed = self._job.connection.execute(change, values).rowcount == 1
            else:
                change = "UPDATE pace SET state = ?, holds = ?, version = version + 1 WHERE key = ? AND version = ?"
                is_changed = self._job.connection.execute(change, (*values, version)).rowcount == 1
        self.pace.restore(shared.state())
        # From then on a request that comes would find a turn unused: it takes a while to agree upon one.
        self.pace.next_at = time.monotonic() + self._clock.until(shared.next_at) - self._lead - self._early
        return answer

    def _grant(self, turn: _Turn, number: int, handle: str, dearest: int) -> _Grant:
        """Ask whether the turn may be taken, and reserve what the call can cost."""
        values = {
            **self._caps,
            "worker": self._job.worker.id,
            "job": self._job.id,
            "handle": handle,
            "key": self._key,
            "holds": turn.holds,
            "number": number,
            "dearest": dearest,
        }
        asked_at = time.monotonic()
        *grant, now = self._job.connection.execute(_GRANT if self._is_capped else _ASK, values).fetchone()
        self._clock.set(now, asked_at)
        return _Grant(*grant)

    async def _until_room(self, dearest: int) -> None:
        """Wait while an open call may turn out cheaper than it could be, else stop the run for the cap."""
        calls, credits_, reserved, is_open = await self._talk.ask(self._spent)
        if not is_open:
            self._refuse(self._bill.reached(calls, credits_, reserved, dearest))
        await self._stop.sleep(_ROOM_EVERY)

    def _spent(self) -> tuple[int, int, int, bool]:
        """Return the calls and credits of the job, the credits that are reserved, and whether a call is open."""
        found: tuple[int, int, int, bool] = self._job.connection.execute(
            "SELECT calls, credits, reserved, EXISTS (SELECT 1 FROM open_call c JOIN worker w ON w.id = c.worker "
            "WHERE c.job = j.id AND NOT w.dead) FROM job j WHERE id = ?",
            (self._job.id,),
        ).fetchone()
        return found

    def _settle(self, calls: int, credits_: int, dearest: int) -> None:
        number = self._open[dearest].popleft()
        values = {"worker": self._job.worker.id, "number": number, "calls": 1 - calls, "credits": credits_}
        self._talk.soon(lambda: self._job.connection.execute(_SETTLE, values))


_ALIVE = """
EXISTS (SELECT 1 FROM worker WHERE id = :worker AND NOT dead) AND (:handle = '' OR EXISTS
  (SELECT 1 FROM job_kol WHERE job = :job AND handle = :handle AND worker = :worker))
"""
_HELD = "(SELECT holds FROM pace WHERE key = :key) <> :holds"
_ASK = f"SELECT {_ALIVE}, {_HELD}, TRUE, {_NOW}"
_GRANT = f"""
WITH is_told AS (SELECT {_ALIVE} AS alive, {_HELD} AS held, EXISTS (SELECT 1 FROM open_call WHERE worker = :worker
  AND number = :number) AS again), room AS (
  UPDATE job SET calls = calls + 1, reserved = reserved + :dearest FROM is_told WHERE id = :job AND alive AND NOT held
  AND NOT again AND calls < :max_calls AND credits + reserved + :dearest <= :max_credits RETURNING id
), call AS (
  INSERT INTO open_call (worker, number, job, credits) SELECT :worker, :number, id, :dearest FROM room
)
SELECT alive, held, again OR EXISTS (SELECT 1 FROM room), {_NOW} FROM is_told
"""
_SETTLE = """
WITH call AS (DELETE FROM open_call WHERE worker = :worker AND number = :number RETURNING job, credits)
UPDATE job SET calls = calls - :calls, credits = job.credits + :credits, reserved = reserved - call.credits
FROM call WHERE job.id = call.job
"""


class _Clock:
    """The clock of the database, by the answer that took the least time of the last ones."""

    _DRIFT = 1e-4
    """Seconds a second by which two clocks may go apart: more than they do."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._error = inf
        self._set_at = 0.0

    def set(self, now: float, asked_at: float) -> None:
        """Take in the moment that an answer names."""
        came_at = time.monotonic()
        ahead, error = now - came_at, came_at - asked_at
        known = self._error + self._DRIFT * (came_at - self._set_at) if self._error < inf else inf
        is_other = abs(ahead - self._ahead) > error + known  # another server, or its clock was set
        if error <= known or is_other:
            self._ahead, self._error, self._set_at = ahead, error, came_at

    def now(self) -> float:
        """Return the moment that is now, at the earliest."""
        return time.monotonic() + self._ahead

    def late(self, moment: float) -> float:
        """Return by how much it may be later than a moment."""
        return self.now() + self._error - moment

    def until(self, moment: float) -> float:
        """Return the seconds until a moment."""
        return moment - self.now()
