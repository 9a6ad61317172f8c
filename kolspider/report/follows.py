"""Who follows whom: whom most KOLs follow, whom they began to share, and how alike their lists are."""

from __future__ import annotations

from dataclasses import dataclass
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
    """What the follows table tells."""

    new_days: ClassVar[int] = _NEW_DAYS
    """How lately `newest` looks back."""
    top: Sequence[Shared]
    newest: Sequence[Shared]
    """Accounts that at least two KOLs began to follow lately."""
    kols: Mapping[str, int]
    """The largest KOLs, and how many accounts each follows."""
    overlap: Mapping[tuple[str, str], int]
    """How many accounts two of these both follow."""

    @classmethod
    def gather(cls, follows: Follows, now: float) -> FollowFacts:
        """Ask the database. Raises what its driver raises."""
        kols = dict(follows.largest(_KOLS))
        return cls(
            top=follows.top(least=2, new_since=None, limit=_TOP),
            newest=follows.top(least=2, new_since=moment(now - _NEW_DAYS * 86_400), limit=_NEWEST),
            kols=kols,
            overlap=follows.overlap(list(kols)) if len(kols) > 1 else {},
        )

    def both(self, one: str, other: str) -> int:
        """How many accounts both follow."""
        return self.overlap.get((one, other), 0) or self.overlap.get((other, one), 0)

    def percent(self, one: str, other: str) -> int:
        """How much of the one's list is in the other's."""
        return round(100 * self.both(one, other) / self.kols[one])

    def heat(self, one: str, other: str) -> int:
        """How strong the colour of their cell is, in percent.

        Any two share the accounts that everybody follows; squaring makes what is more than that stand out.
        """
        most = max(both / min(self.kols[one], self.kols[other]) for (one, other), both in self.overlap.items())
        return round((self.both(one, other) / self.kols[one] / most) ** 2 * 45)

    def side_by_side(self) -> list[str]:
        """Each KOL after the one it is most like: groups show as blocks along the diagonal."""

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
