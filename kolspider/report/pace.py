"""The pace of a run over time, from samples of its counters."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from kolspider.console.wording import clock, day, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.store.runs import RunRecord, Sample

__all__ = ["Pace", "pace_of"]

_MOST = 90
"""Points in a plot, at most."""
_FEWEST_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """Pages or users per minute, in equal stretches of time."""

    run: RunRecord
    what: str
    """`pages` bought; in a replay, `users` loaded."""
    a_minute: tuple[float, ...]
    seconds: float
    """Length of the whole run."""
    count: int

    @property
    def average(self) -> float:
        """Average per minute."""
        return 60 * self.count / self.seconds

    @property
    def stretch(self) -> float:
        """Seconds that one point stands for."""
        return self.seconds / len(self.a_minute)

    @property
    def labels(self) -> list[str]:
        """The start, the middle and the end of the run, as the plot names them."""
        if self.seconds < 300:
            return ["0 s", duration(self.seconds / 2), duration(self.seconds)]
        times = [self.run.started_at + self.seconds * share for share in (0, 0.5, 1)]
        return [f"{day(time)} {clock(time)}" if self.seconds > 86_400 else clock(time) for time in times]


def pace_of(run: RunRecord, samples: Sequence[Sample]) -> Pace | None:
    """The pace of a run; None when it did nothing or was too short to have one."""
    what, count = ("pages", run.done.pages) if run.done.pages else ("users", run.done.users)
    ends = max(run.updated_at, samples[-1].at if samples else 0.0)
    seconds = ends - run.started_at
    if len(samples) < _FEWEST_SAMPLES or not count or seconds <= 0:
        return None
    points = [(run.started_at, 0.0)]
    for sample in samples:
        if sample.at > points[-1][0]:  # a clock may be set back
            points.append((sample.at, float(getattr(sample, what))))
    steps = min(_MOST, max(len(points) - 1, 1))
    edges = [_at(points, run.started_at + seconds * n / steps) for n in range(steps + 1)]
    a_minute = tuple(max(b - a, 0.0) * 60 * steps / seconds for a, b in pairwise(edges))
    return Pace(run, what, a_minute, seconds, count)


def _at(points: Sequence[tuple[float, float]], time: float) -> float:
    """The counter at a time, on a straight line between two samples."""
    place = bisect_left(points, (time,))
    if place == 0:
        return points[0][1]
    if place == len(points):
        return points[-1][1]
    (before, low), (after, high) = points[place - 1], points[place]
    return low + (high - low) * (time - before) / (after - before)
