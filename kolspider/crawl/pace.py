"""The pace of requests: a fixed interval, slower after a 429, and no request inside a Retry-After."""

from __future__ import annotations

from kolspider.errors import StopRun

__all__ = ["LONGEST_ASKED", "Pace"]

_LONGEST_WAIT = 300.0
LONGEST_ASKED = 3600.0
"""The longest Retry-After, in seconds, that a run waits; a longer one ends it."""
_MOST_REFUSALS = 10
"""The run stops after this many 429s in a row, each after a longer wait, because each may be charged."""


class Pace:
    """Decides when the next request may be sent. Times are seconds on the monotonic clock.

    A 429 pauses all requests and doubles the interval between them. Each good answer afterwards takes away a tenth of
    the added interval. Where a KOL is refused again although others were answered meanwhile, the refusal is that KOL's
    own, and holds up nobody else.
    """

    def __init__(self, interval: float, first_wait: float) -> None:
        self._usual = interval
        self._interval = interval
        self._first_wait = first_wait
        self._refusals = 0
        self._paused_at = float("-inf")
        self._refused_at: dict[str, float] = {}
        """When each KOL was refused last, unless it got a page since."""
        self._good_sent_at = float("-inf")
        self.next_at = float("-inf")

    def sent(self, now: float) -> None:
        """Record that a request is sent now."""
        self.next_at = now + self._interval

    def answered(self, handle: str, sent_at: float, *, well: bool) -> None:
        """Record an answer that is no refusal to a request sent at `sent_at`; `well` if it may be a page."""
        self._refusals = 0
        self._interval = self._usual + (self._interval - self._usual) * 0.9
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
            self._interval = min(max(self._interval * 2, 0.1), _LONGEST_WAIT)
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

    def _hold(self, now: float, wait: float) -> float:
        self.next_at = max(self.next_at, now + wait)
        return self.next_at - now

    def _refuse_hours(self, status: int, retry_after: float | None) -> None:
        if retry_after is not None and retry_after > LONGEST_ASKED:
            raise StopRun(
                f"the API answered {status} and asks to wait {retry_after / 3600:.1f} h; "
                "run the same command again after that"
            )
