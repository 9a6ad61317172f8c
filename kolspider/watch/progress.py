"""How far a run has come: puts together what its parts know, and estimates what is left."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from kolspider.store.forecast import Total, rest_of_list
from kolspider.watch.words import ListProgress, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kolspider.live.stop import Stop
    from kolspider.live.tally import Tally
    from kolspider.live.work import Work
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config
    from kolspider.store.ledger import Ledger

__all__ = ["Pace", "RunProgress"]

_PACE_SECS = 300.0
"""The pace is that of the last minutes."""
_LEAST_SECS = 5.0
"""A shorter time gives no pace."""
_TRUST = 5
"""The expected length of a list weighs as much as this many lists of unknown length that were read in this run."""


class Pace:
    """Measures how fast a counter grows."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, count: int) -> None:
        """Record the counter at this moment, in seconds."""
        seen = self._seen
        if len(seen) > 1 and now - seen[-2][0] <= 1:
            seen.pop()  # one a second is enough
        seen.append((now, count))
        while len(seen) > 2 and now - seen[1][0] >= _PACE_SECS:
            seen.popleft()

    @property
    def a_second(self) -> float | None:
        """The growth in a second; None while it is unknown."""
        if not self._seen:
            return None
        (begin, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - begin) if end - begin >= _LEAST_SECS and after > before else None


class RunProgress:
    """Takes snapshots of one run."""

    def __init__(
        self,
        arguments: Arguments,
        config: Config,
        ledger: Ledger,
        tally: Tally,
        work: Work,
        stop: Stop,
        rows_waiting: Callable[[], int] | None,
    ) -> None:
        """Ask the ledger what the run will take, before a list is begun: that changes what the ledger expects.

        `rows_waiting` returns how many rows are not written yet; None in a dry run. Raises sqlite3.Error.
        """
        self._arguments, self._config, self._ledger = arguments, config, ledger
        self._tally, self._work, self._stop, self._rows_waiting = tally, work, stop, rows_waiting
        self._began = time.monotonic()
        self._pace = Pace()
        self._pace.note(self._began, 0)
        self._due = sum(ledger.selection.count_by_why().values())
        self._total = Total() if arguments.replay else ledger.forecast.total()

    def now(self) -> Snapshot:
        """Return the run as it is at this moment."""
        tally, to_load, replay = self._tally, self._ledger.pages.to_load, bool(self._arguments.replay)
        now = time.monotonic()
        self._pace.note(now, tally.cache_hits if replay else tally.calls)
        left = max(to_load - tally.cache_hits, 0) if replay else self._calls_left()
        return Snapshot(
            tally=tally,
            due=self._due,
            done=self._work.done,
            lists=[
                ListProgress(reading.kol.user_name, reading.paging.pages, reading.expected.pages, reading.paging.users)
                for reading in self._work.reading.values()
            ],
            to_load=to_load,
            waiting=self._rows_waiting() if self._rows_waiting else None,
            dollars=tally.credits * self._config.credit_usd,
            seconds=now - self._began,
            pace=self._pace.a_second,
            left=self._time_left(left),
            waits=list(self._waits(now)),
            replay=replay,
        )

    def _time_left(self, left: float) -> float | None:
        """Return the seconds that this many calls will take, in a replay this many pages; None if unknown."""
        if left <= 0 or self._stop.is_set():
            return None
        if pace := self._pace.a_second:
            return left / pace
        return None if self._arguments.replay else left * self._config.interval or None

    def _calls_left(self) -> float:
        """Estimate the calls left: a list read before has kept its length, a new one has the average of this run's."""
        work, total, usual = self._work, self._total, self._ledger.forecast.average.pages
        left, unknown = max(total.calls_known - work.begun_known, 0.0), list[int]()
        for reading in work.reading.values():
            if reading.expected.pages is None:
                unknown.append(reading.paging.pages)
            else:
                left += max(reading.expected.pages - reading.paging.pages, 1)
        seen = work.new_pages + sum(max(pages, usual) for pages in unknown)
        mean = (usual * _TRUST + seen) / (_TRUST + work.new_lists + len(unknown))
        left += max(total.calls_average - work.begun_unknown, 0.0) * mean / usual
        left += sum(rest_of_list(mean, pages) for pages in unknown)
        cap = self._arguments.max_calls
        return left if cap is None else min(left, max(cap - self._tally.calls, 0))

    def _waits(self, now: float) -> Iterator[str]:
        """Yield what is waited for: first the API and the database, whose names have a space, then the KOLs."""
        for _, wait in sorted(self._work.waits.copy().items(), key=lambda pair: " " not in pair[0]):
            if wait.until is None:
                yield f"{wait.text}: {now - wait.since:.0f} s so far"
            elif wait.until > now:
                yield f"{wait.text} in {wait.until - now:.0f} s{wait.why and f': {wait.why}'}"
