"""Who follows whom: accounts that many KOLs follow, new shared ones, and how much the KOLs' lists overlap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from kolspider.console.wording import moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.follows.queries import Follows, Shared

__all__ = ["FollowFacts"]

_TOP, _NEWEST, _KOLS = 15, 10, 12
_NEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class FollowFacts:
    """What the page shows of the follows table."""

    new_days: ClassVar[int] = _NEW_DAYS
    """How many days `newest` looks back."""
    top: Sequence[Shared]
    newest: Sequence[Shared]
    """Accounts that at least two KOLs have followed lately."""
    kols: Mapping[str, int]
    """The largest KOLs, with the number of accounts each follows."""
    overlap: Mapping[tuple[str, str], int]
    """Number of accounts that two of these KOLs both follow."""
    spellings: Mapping[str, str] = field(default_factory=dict)
    """How the source table spells the handles of KOLs that are not in lower case there."""

    def spelled(self, spellings: Mapping[str, str]) -> FollowFacts:
        """Return the same with the KOLs as the source table spells them."""
        return replace(self, spellings=spellings)

    def name(self, kol: str) -> str:
        """Return the handle as the source table spells it."""
        return self.spellings.get(kol, kol)

    @classmethod
    def gather(cls, follows: Follows, now: float) -> FollowFacts:
        """Query the database. Raises what its driver raises."""
        kols = dict(follows.largest(_KOLS))
        return cls(
            top=follows.top(least=2, new_since=None, limit=_TOP),
            newest=follows.top(least=2, new_since=moment(now - _NEW_DAYS * 86_400), limit=_NEWEST),
            kols=kols,
            overlap=follows.overlap(list(kols)) if len(kols) > 1 else {},
        )

    def both(self, one: str, other: str) -> int:
        """Number of accounts that both follow."""
        return self.overlap.get((one, other), 0) or self.overlap.get((other, one), 0)

    def percent(self, one: str, other: str) -> int:
        """Percent of the accounts `one` follows that `other` also follows."""
        return round(100 * self.both(one, other) / self.kols[one])

    def heat(self, one: str, other: str) -> int:
        """Strength of the cell's colour, in percent.

        Any two KOLs share the accounts that everybody follows; squaring makes overlaps beyond that stand out.
        """
        most = max(both / min(self.kols[one], self.kols[other]) for (one, other), both in self.overlap.items())
        return round((self.both(one, other) / self.kols[one] / most) ** 2 * 45)

    def side_by_side(self) -> list[str]:
        """The KOLs ordered so that each follows the one it is most like: groups form blocks along the diagonal."""

        def likeness(one: str, other: str) -> float:
            both = self.both(one, other)
            return both / max(self.kols[one] + self.kols[other] - both, 1)

        left = list(self.kols)
        order = [left.pop(0)]
        while left:
            nearest = max(left, key=lambda kol: likeness(order[-1], kol))
            left.remove(nearest)
            order.append(nearest)
        return order
