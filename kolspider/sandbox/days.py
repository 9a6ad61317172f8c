"""Days that pass in the sandbox's world, for benchmarks: who follows whom, and what becomes of the KOLs.

Lengths of lists are log-normal with a median of 772 and σ 1.6, cut off at 9,500, which gives an average of 1,900 and a
90th percentile of 6,000. New follows a day are log-normal over the KOLs with σ 1.5 and an average of 1; a KOL's own
number of them in a day is Poisson-distributed around its rate. Both take the quantiles of the distribution instead of
drawing from it, so that a few hundred KOLs have the average, too.

All changes of a day happen at once: an API that is asked after the day has them all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import NormalDist
from typing import Literal

from kolspider.sandbox.world import State, World

__all__ = ["Day", "Happened", "What", "kols_of_all_lengths", "pass_a_day"]

What = Literal["followed", "unfollowed", "renamed", "protected", "suspended", "restored"]

_MEDIAN, _SIGMA, _LONGEST = 772.0, 1.6, 9_500
_FOLLOWS_SIGMA = 1.5
_UNFOLLOWS = 0.35
"""For each new follow."""
_RENAMED, _PROTECTED, _SUSPENDED = 1 / 2000, 1 / 2000, 1 / 4000
"""How likely that is for a KOL in a day: with 400 KOLs, 6, 6 and 3 in a month."""
_RESTORED = 1 / 10
"""How likely it is in a day that a protected or suspended KOL is there again."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened on a day."""

    day: int
    what: What
    kol: str
    """The KOL's handle before it happened."""
    id: str
    """The KOL's own id."""
    other: str = ""
    """The id of the account that was followed or unfollowed; the new handle of a renamed KOL."""


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on a day, in its order."""

    number: int
    """1 for the first."""
    happened: Sequence[Happened]

    def all(self, what: What) -> list[Happened]:
        """What happened of one kind."""
        return [event for event in self.happened if event.what == what]


def kols_of_all_lengths(number: int = 400, seed: int = 0) -> dict[str, int]:
    """So many KOLs, `kol_1` and so on, with the lengths of their lists; in no order of length."""
    lengths = [min(_LONGEST, round(_MEDIAN * math.exp(_SIGMA * z))) for z in _quantiles(number)]
    Random(f"lengths|{seed}").shuffle(lengths)  # noqa: S311 - no secret
    return {f"kol_{nth}": length for nth, length in enumerate(lengths, 1)}


def pass_a_day(world: World, number: int, seed: int) -> Day:
    """Change the world as a day does. The same seed gives the same days, whatever was asked in between."""
    happened: list[Happened] = []
    rates = _rates([*map(world.key, _all_kols(world))], seed)
    for handle in _all_kols(world):
        key = world.key(handle)
        chance = Random(f"{seed}|{number}|{key}")  # noqa: S311 - no secret
        happened += _day_of(world, number, handle, rates[key], chance)
    return Day(number, happened)


def _day_of(world: World, number: int, handle: str, rate: float, chance: Random) -> list[Happened]:
    profile = world.profile(handle)
    if profile is None:
        return []

    def event(what: What, other: str = "") -> Happened:
        return Happened(number, what, profile.handle, profile.id, other)

    luck = chance.random()
    if profile.state is not State.OPEN:
        if luck >= _RESTORED:
            return []
        world.turn(handle, State.OPEN)
        return [event("restored")]
    length = world.length(handle)
    lost = {chance.randrange(length) for _ in range(_poisson(rate * _UNFOLLOWS, chance)) if length}
    events = [event("unfollowed", id_) for id_ in world.unfollow_at(handle, lost)]
    # The list is newest first, and the day is told in its order.
    events += [event("followed", id_) for id_ in reversed(world.follow(handle, _poisson(rate, chance)))]
    if luck < _RENAMED:
        new = f"{handle}_{number}"
        world.rename(handle, new)
        events.append(event("renamed", new))
    elif luck < _RENAMED + _PROTECTED:
        world.turn(handle, State.PROTECTED)
        events.append(event("protected"))
    elif luck < _RENAMED + _PROTECTED + _SUSPENDED:
        world.turn(handle, State.SUSPENDED)
        events.append(event("suspended"))
    return events


def _all_kols(world: World) -> list[str]:
    return world.handles(State.OPEN, State.PROTECTED, State.SUSPENDED)


def _rates(keys: list[str], seed: int) -> dict[str, float]:
    """New follows a day by KOL."""
    rates = [math.exp(_FOLLOWS_SIGMA * z) for z in _quantiles(len(keys))]
    scale = len(rates) / sum(rates)
    shuffled = sorted(keys, key=lambda key: Random(f"rate|{seed}|{key}").random())  # noqa: S311 - no secret
    return {key: rate * scale for key, rate in zip(shuffled, rates, strict=True)}


def _quantiles(number: int) -> list[float]:
    normal = NormalDist()
    return [normal.inv_cdf((nth + 0.5) / number) for nth in range(number)]


def _poisson(mean: float, chance: Random) -> int:
    """A number of events in a day, by the times between them."""
    number, at = 0, chance.expovariate(1.0)
    while at < mean:
        number += 1
        at += chance.expovariate(1.0)
    return number
