"""How many accounts a KOL has probably begun to follow since it was looked at, by the number that it follows. Pure.

The number moves by follows minus unfollows, so one that fell, or is the same, hides as many follows as unfollows. Both
are taken for Poisson-distributed: with rates a and b, and a difference d that is known, k follows stand behind it in
proportion to a^k b^(k-d) / (k! (k-d)!).
"""

from __future__ import annotations

from math import sqrt

from msgspec import Struct

__all__ = ["Pastime", "new_follows"]

_UNFOLLOWS = 0.35
"""Accounts that a KOL unfollows for each that it follows."""
_WORTH = 0.5
"""With fewer new follows expected, a list whose number did not rise is not read."""
_DOUBT_DAYS = 5.0
"""A KOL's own rate is damped by so many days without a follow: chance is large in the first ones."""
_SURE_DAYS = 6.5
"""A KOL that was watched for less time is read whenever its number moved, and only then."""
_MANY = 10_000.0
"""From this product of follows and unfollows on, the mean is near its limit."""
_MOST_TERMS = 1_000


class Pastime(Struct, frozen=True):
    """What a KOL did in the days in which its list was read again and again."""

    new: int
    """Accounts that its incremental readings found."""
    days: float

    @property
    def follows_a_day(self) -> float:
        """Its rate, which is 0 as long as nothing was found."""
        return self.new / (_DOUBT_DAYS + self.days)


def new_follows(rose: int, days: float, past: Pastime) -> float:
    """Estimate the new follows since the last look, or return 0 if they are not worth a reading.

    `rose` is how much the number of followed accounts has risen since, `days` how long ago the look was.
    """
    follows = past.follows_a_day * days
    expected = max(rose, 0) + _hidden(abs(rose), follows, follows * _UNFOLLOWS)
    if past.days < _SURE_DAYS:
        return max(expected, _WORTH) if rose else 0.0
    if rose > 0 or expected >= _WORTH:
        return expected
    return 0.0


def _hidden(difference: int, follows: float, unfollows: float) -> float:
    """Return the expected number of pairs of a follow and an unfollow, beside a difference that is known."""
    product = follows * unfollows
    if product > _MANY:
        return (sqrt(difference**2 + 4 * product) - difference) / 2
    term = weight = 1.0
    mean = 0.0
    for pairs in range(1, _MOST_TERMS):
        term *= product / (pairs * (pairs + difference))
        if term < weight * 1e-9:
            break
        weight += term
        mean += pairs * term
    return mean / weight
