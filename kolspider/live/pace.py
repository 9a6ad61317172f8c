"""The pace of requests: when the next one may be sent, none inside a Retry-After, and when a turn would go unused."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from kolspider.errors import StopRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from kolspider.live.stop import Stop
    from kolspider.options.config import Config

__all__ = ["LONGEST_ASKED", "SHARED_SLACK", "AutoPace", "Pace"]

_LONGEST_WAIT = 300.0
LONGEST_ASKED = 3600.0
"""The longest Retry-After, in seconds, that a run waits; a longer one ends it."""
_MOST_REFUSALS = 10
"""The run stops after this many 429s in a row, each after a longer wait, because each may be charged."""
_LONGEST_ANSWER = 30.0
"""Seconds after which a refusal says nothing of the requests before it."""
_SLACK = 0.02
"""Seconds by which a turn may be late, at most an interval, without making the next ones late."""

SHARED_SLACK = 0.035
"""The same where several processes share the pace, and have to agree before each turn."""


class Pace:
    """Decides when the next request may be sent. Times are seconds on the monotonic clock.

    A 429 pauses all requests and doubles the interval between them. Each good answer afterwards takes away a tenth of
    the added interval. Where a KOL is refused again although others were answered meanwhile, the refusal is that KOL's
    own, and holds up nobody else.
    """

    _SHARED: ClassVar[tuple[str, ...]] = ("next_at", "holds", "_refusals", "_paused_at")
    _RATE: ClassVar[tuple[str, ...]] = ("_interval",)
    """What is shared only by processes whose settings ask for the same rate."""

    def __init__(self, interval: float, first_wait: float, slack: float = 0.0) -> None:
        """Begin; with `slack`, a late turn does not delay the others, and the interval makes up for that."""
        self._slack = min(slack, interval)
        # In no second are more requests sent than 1 / interval: the first may be late by `slack`, the last not at all.
        self._usual = self._interval = interval * (1 + self._slack)
        self._asked: float | None = self._usual
        """The interval that the settings ask for; None if it is to be found."""
        self._first_wait = first_wait
        self._refusals = 0
        self._paused_at = float("-inf")
        self.holds = 0
        """How many pauses there were."""
        self._refused_at: dict[str, float] = {}
        """When each KOL was refused last, unless it got a page since."""
        self._good_sent_at = float("-inf")
        self.next_at = float("-inf")
        self._coming: set[str] = set()
        """The lists with a request that is on its way to its turn."""
        self._waiting = 0
        """Requests that wait for their turn, without those that were refused before."""
        self._assured = 0
        """Requests that wait for a turn which is reserved for them: they take no other one."""
        self._refused = 0
        """Requests that were refused, and wait for another turn."""
        self._moved = asyncio.Event()

    @classmethod
    def of(cls, config: Config, found: float | None) -> Pace:
        """Return the pace that the settings ask for; `found` is the rate that an earlier run found, a second."""
        if config.rate == "auto":
            return AutoPace(found or 1.0, config.retry_secs)
        slack = SHARED_SLACK if config.shared_url else _SLACK if config.rate else 0.0
        return cls(config.interval, config.retry_secs, slack)

    def state(self) -> dict[str, Any]:
        """Return what several processes with one key have in common, for `restore`: their turns, and who holds them up.

        Where a KOL was refused is not part of it: only the process that reads its list sends requests of it.
        """
        return {name: getattr(self, name) for name in ("_asked", *self._SHARED, *self._RATE)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what another process has left: its turns and pauses, and its rate if both are to keep the same."""
        for name in (*self._SHARED, *(self._RATE if state["_asked"] == self._asked else ())):
            setattr(self, name, state[name])

    @property
    def rate(self) -> float:
        """Requests a second, as they are sent now; infinite without an interval."""
        return 1 / self._interval if self._interval else float("inf")

    @property
    def found(self) -> float | None:
        """The requests a second that the API was found to allow; None for a fixed pace."""
        return None

    def is_coming(self, handle: str) -> None:
        """Record that a list's next request is on its way, perhaps to the cache."""
        self._coming.add(handle)

    def is_through(self, handle: str) -> None:
        """Record that a list has no request on its way to its turn."""
        self._coming.discard(handle)
        self._moved.set()

    @asynccontextmanager
    async def turn(self, handle: str, *, again: bool) -> AsyncIterator[None]:
        """Note that a list's request waits for its turn, for as long as the block takes.

        One that was refused waits `again`. Another list begins beside it: the refusal may be that list's own.
        """
        self._waiting += not again
        self._refused += again
        self.is_through(handle)
        try:
            yield
        finally:
            self._waiting -= not again
            self._refused -= again
            self._moved.set()

    @contextmanager
    def assured(self) -> Iterator[None]:
        """Note that a request has its turn reserved, for as long as the block takes."""
        self._assured += 1
        self._moved.set()
        try:
            yield
        finally:
            self._assured -= 1

    async def unused(self, stop: Stop) -> None:
        """Wait until the next turn has come, and would go unused. Raises NotAsked if the run stops."""
        while True:
            await stop.sleep(0 if self._refused else self.next_at - time.monotonic())
            if self._coming or self._waiting > self._assured:
                self._moved.clear()
                await self._moved.wait()
            elif self._refused or self.next_at <= time.monotonic():
                return

    def wake(self) -> None:
        """Let `unused` look whether the run stops."""
        self._moved.set()

    def sent(self, now: float) -> None:
        """Record that a request is sent now."""
        self.next_at = max(self.next_at, now - self._slack) + self._interval

    def reserve(self, earliest: float) -> float:
        """Take the next turn, or one at this moment, and return when it comes; it may be used late by the slack."""
        at = max(self.next_at, earliest)
        self.sent(at)
        self.next_at = max(self.next_at, at + self._interval)
        return at

    def answered(self, handle: str, sent_at: float, *, well: bool) -> None:
        """Record an answer that is no refusal to a request sent at `sent_at`; `well` if it may be a page."""
        self._refusals = 0
        self._speed_up(sent_at)
        if well:
            self._refused_at.pop(handle, None)
            self._good_sent_at = max(self._good_sent_at, sent_at)

    def is_own(self, handle: str, now: float) -> bool:
        """Record a refusal of one KOL's request. Tell whether it is the KOL's own: others were answered meanwhile."""
        before = self._refused_at.get(handle)
        self._refused_at[handle] = now
        return before is not None and self._good_sent_at > before

    def refused(self, sent_at: float, now: float, retry_after: float | None) -> float:
        """Record a 429 to a request sent at `sent_at`. Returns the seconds for which nothing may be sent.

        `retry_after` is the wait that the answer asks for, in seconds. Raises StopRun after too many 429s in a row.
        """
        self._refuse_hours(429, retry_after)
        if sent_at >= self._paused_at:  # otherwise it was sent before the pause began: the same refusal
            self._refusals += 1
            self._paused_at = now
            self._slow_down(sent_at)
            if self._refusals > _MOST_REFUSALS:
                raise StopRun(
                    f"the API answered 429 (too fast) {self._refusals} times in a row; wait, check the balance "
                    "(it sets the allowed rate), or raise DOWNLOAD_DELAY"
                )
        growing = min(self._first_wait * 2 ** max(self._refusals - 1, 0), _LONGEST_WAIT)
        return self._hold(now, growing if retry_after is None else retry_after)

    def unavailable(self, now: float, retry_after: float) -> float:
        """Record a 503 that names a wait. Returns the seconds for which nothing may be sent. Raises StopRun."""
        self._refuse_hours(503, retry_after)
        return self._hold(now, retry_after)

    def _slow_down(self, _sent_at: float) -> None:
        self._interval = min(max(self._interval * 2, 0.1), _LONGEST_WAIT)

    def _speed_up(self, _sent_at: float) -> None:
        self._interval = self._usual + (self._interval - self._usual) * 0.9

    def _hold(self, now: float, wait: float) -> float:
        self.next_at = max(self.next_at, now + wait)
        self.holds += 1
        return self.next_at - now

    def _refuse_hours(self, status: int, retry_after: float | None) -> None:
        if retry_after is not None and retry_after > LONGEST_ASKED:
            raise StopRun(
                f"the API answered {status} and asks to wait {retry_after / 3600:.1f} h; "
                "run the same command again after that"
            )


class AutoPace(Pace):
    """Finds the rate that the API allows: faster while nothing is refused, one step slower at a 429.

    One 429 is one step, however many requests were under way. What the API took in the second before the refused
    request is what it allows, so from there on the rate grows slowly: a refusal costs a pause.
    """

    _RATE = (*Pace._RATE, "_ceiling", "_step", "_stepped_at", "_on_time")  # noqa: SLF001 - its own base
    _STEP = 0.4
    """How much faster each step is, while nothing was refused; beyond what was refused, steps begin small."""
    _FIRST_STEP = 0.02
    _WINDOW = 1.0
    """Seconds in which an API counts calls."""
    _USUAL_ANSWER = 1.0
    """Seconds in which answers usually come; what was sent before a slower one is forgotten, if several processes
    share the pace."""
    _MARGIN = 0.95
    _PROBING = 0.05 / 400
    """How much faster each good answer makes it, near the rate that was refused: a refusal in some 400 calls."""
    _FIRST_WAIT = 1.0
    """A refusal is part of the search, so the first pause is short."""

    def __init__(self, rate: float, first_wait: float) -> None:
        super().__init__(1 / rate, min(first_wait, self._FIRST_WAIT), _SLACK)
        self._interval = 1 / rate
        self._asked = None
        self._ceiling = float("inf")
        """The rate that was refused last."""
        self._sent: deque[float] = deque()
        """When the requests of the last seconds were sent."""
        self._step = self._STEP
        self._stepped_at = float("-inf")
        self._on_time = False
        """Whether the last turn was used as soon as it came; otherwise the rate is not what holds the run up."""

    def state(self) -> dict[str, Any]:
        """Return also when the requests of the last moments were sent."""
        recent = [round(at, 3) for at in self._sent if at > self._sent[-1] - self._WINDOW - self._USUAL_ANSWER]
        return super().state() | {"sent": recent}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what another process has left, also when its requests were sent if it looks for the rate, too."""
        super().restore(state)
        self._sent = deque(state.get("sent", self._sent))

    @property
    def found(self) -> float | None:
        """The requests a second that the API was found to allow."""
        return self.rate

    def sent(self, now: float) -> None:
        """Record that a request is sent now."""
        self._on_time = now - self.next_at < max(self._interval, _SLACK)
        self._sent.append(now)
        while self._sent[0] < now - _LONGEST_ANSWER:
            self._sent.popleft()
        super().sent(now)

    def _speed_up(self, sent_at: float) -> None:
        if not self._on_time:
            return
        if self.rate >= self._MARGIN * self._ceiling:
            self._interval /= 1 + self._PROBING
            if self.rate > self._ceiling:
                self._ceiling, self._step = float("inf"), self._FIRST_STEP
        elif sent_at >= self._stepped_at + self._WINDOW and self._taken(sent_at) + 1 > self._MARGIN * self.rate:
            # The API has seen a second at this rate.
            self._stepped_at = self._sent[-1]
            self._interval /= min(1 + self._step, self._MARGIN * self._ceiling * self._interval)
            self._step = min(self._step * 2, self._STEP)

    def _taken(self, before: float) -> int:
        """Count the requests that were sent within the second before a moment."""
        return sum(before - self._WINDOW < at < before for at in self._sent)

    def _slow_down(self, sent_at: float) -> None:
        taken = self._taken(sent_at)
        if taken and self._refusals == 1:
            self._ceiling = float(taken)
            self._interval = max(self._interval, 1 / (self._MARGIN * self._ceiling))
        else:
            self._ceiling = self.rate
            self._interval = min(self._interval * 2, _LONGEST_WAIT)
