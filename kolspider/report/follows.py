"""Who follows whom: whom most KOLs follow, whom they began to share, and how alike their lists are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.console.wording import counted, moment, short
from kolspider.report.charts import row
from kolspider.report.html import Html, data, element, join
from kolspider.report.parts import bar_row, bars, section, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.follows.queries import Follows, Shared

__all__ = ["FollowFacts", "newest", "overlap", "shared"]

_TOP, _NEWEST, _KOLS = 15, 10, 12
_NEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class FollowFacts:
    """What the follows table tells."""

    top: Sequence[Shared]
    newest: Sequence[Shared]
    """Accounts that at least two KOLs began to follow lately."""
    kols: Sequence[tuple[str, int]]
    """The largest KOLs, and how many accounts each follows."""
    overlap: Mapping[tuple[str, str], int]
    """How many accounts two of these both follow."""

    @classmethod
    def gather(cls, follows: Follows, now: float) -> FollowFacts:
        """Ask the database. Raises what its driver raises."""
        kols = follows.largest(_KOLS)
        return cls(
            top=follows.top(least=2, new_since=None, limit=_TOP),
            newest=follows.top(least=2, new_since=moment(now - _NEW_DAYS * 86_400), limit=_NEWEST),
            kols=kols,
            overlap=follows.overlap([kol for kol, _ in kols]) if len(kols) > 1 else {},
        )

    def both(self, one: str, other: str) -> int:
        """How many accounts both follow."""
        return self.overlap.get((one, other), 0) or self.overlap.get((other, one), 0)


def shared(facts: FollowFacts) -> Html | None:
    """The accounts that most KOLs follow."""
    if not facts.top:
        return None
    most = facts.top[0].kols
    rows = [bar_row(_name(one), row(one.kols, most, "fetching"), f"{one.kols:,}") for one in facts.top]
    return section(
        "shared", "Accounts that most KOLs follow", bars("KOLs that follow it", ["Account", "", "KOLs"], rows)
    )


def newest(facts: FollowFacts) -> Html | None:
    """Whom several KOLs began to follow lately."""
    if not facts.newest:
        return None
    rows = [
        element(
            "tr",
            element("th", _name(one), scope="row"),
            element("td", f"{one.kols:,}", class_="n"),
            element("td", one.newest[:10], class_="n"),
        )
        for one in facts.newest
    ]
    title = f"New follows that KOLs share, last {_NEW_DAYS} days"
    return section("new-follows", title, table("", ["Account", "KOLs", "Latest"], rows, "new-follows"))


def _name(one: Shared) -> Html:
    followers = f" {short(one.followers)} followers" if one.followers is not None else ""
    return join([data(one.user_name or one.user_id), element("small", followers) if followers else None])


def overlap(facts: FollowFacts) -> Html | None:
    """A map of the largest KOLs: how much of the one's list is in the other's, alike ones side by side."""
    if len(facts.kols) < 2 or not facts.overlap:
        return None
    sizes = dict(facts.kols)
    order = _side_by_side(facts)
    rows, most = [], max(both / min(sizes[one], sizes[other]) for (one, other), both in facts.overlap.items())
    for nth, one in enumerate(order, 1):
        cells = [_cell(facts, one, other, sizes[one], most) for other in order]
        head = join([element("small", f"{nth} "), data(one)])
        rows.append(element("tr", element("th", head, scope="row"), *cells))
    told = (
        f"of the accounts that the KOL of a row follows, percent that the KOL of a column follows, too ({len(order)} "
    )
    return section(
        "overlap",
        "How alike KOLs are",
        table(f"{told}largest KOLs)", ["KOL", *map(str, range(1, len(order) + 1))], rows, "heat"),
        wide=True,
    )


def _cell(facts: FollowFacts, one: str, other: str, size: int, most: float) -> Html:
    if one == other:
        return element("td", "", class_="self")
    both = facts.both(one, other)
    share = both / size
    tip = f"{one} and {other} both follow {counted(both, 'account')}"
    # Any two share the accounts that everybody follows: what is more than that is what shows.
    return element("td", f"{100 * share:.0f}", title=tip, style=f"--heat:{(share / most) ** 2 * 45:.0f}%")


def _side_by_side(facts: FollowFacts) -> list[str]:
    """Each KOL after the one it is most like: groups show as blocks along the diagonal."""
    sizes = dict(facts.kols)

    def likeness(one: str, other: str) -> float:
        both = facts.both(one, other)
        return both / max(sizes[one] + sizes[other] - both, 1)

    left = list(sizes)
    order = [left.pop(0)]
    while left:
        nearest = max(left, key=lambda kol: likeness(order[-1], kol))
        left.remove(nearest)
        order.append(nearest)
    return order
