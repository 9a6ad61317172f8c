"""Why lists did not come to a good end, as few reasons with examples and what to do next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.items import State

if TYPE_CHECKING:
    from kolspider.store.overview import Overview, Reason

__all__ = ["Advice", "Failed", "Group", "group"]

_WHERE = re.compile(r"^page \d+: ")
_SHOWN = 12
_EXAMPLES = 6
_ORDER = (State.FAILED, State.PARTIAL, State.NOT_FOUND)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to run next, and what that does."""

    command: str
    does: str


_ADVICE = {
    State.FAILED: Advice("scrapy crawl followings", "tries them again, after the others"),
    State.PARTIAL: Advice("scrapy crawl followings -a retry=partial", "buys only the page that broke each list"),
    State.NOT_FOUND: Advice(
        "scrapy crawl followings -a retry=not_found", "asks again; without it they count as done and cost nothing"
    ),
}
_REFUSED_CURSOR = Advice("scrapy crawl followings -a retry=failed", "begins these lists anew from page 1")


@dataclass(frozen=True, slots=True)
class Group:
    """KOLs in one state for one reason, whatever page it met them on."""

    state: State
    reason: str
    kols: int
    last_at: float | None
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The groups for which the same is to be done."""

    state: State
    advice: Advice
    groups: list[Group]

    @property
    def kols(self) -> int:
        """In all of its groups."""
        return sum(group.kols for group in self.groups)


def group(overview: Overview) -> tuple[list[Failed], int]:
    """The largest groups, failed ones first, and how many KOLs of those taken in are in none of them."""
    folded: dict[tuple[State, str], list[Reason]] = {}
    for reason in overview.reasons():
        folded.setdefault((reason.state, _WHERE.sub("", reason.reason)), []).append(reason)
    sizes = {key: sum(reason.kols for reason in reasons) for key, reasons in folded.items()}
    shown = sorted(folded, key=lambda key: -sizes[key])[:_SHOWN]
    shown.sort(key=lambda key: (_ORDER.index(key[0]), -sizes[key]))
    found: dict[tuple[State, Advice], Failed] = {}
    for key in shown:
        state, said = key
        advice = _REFUSED_CURSOR if "cursor refused again" in said else _ADVICE[state]
        failed = found.setdefault((state, advice), Failed(state, advice, []))
        failed.groups.append(_group(overview, state, said, folded[key]))
    return list(found.values()), sum(sizes.values()) - sum(failed.kols for failed in found.values())


def _group(overview: Overview, state: State, said: str, reasons: list[Reason]) -> Group:
    examples: list[str] = []
    for reason in reasons:
        if len(examples) < _EXAMPLES:
            examples += overview.examples(state, reason.reason, _EXAMPLES - len(examples))
    return Group(
        state,
        said,
        sum(reason.kols for reason in reasons),
        max((reason.last_at for reason in reasons if reason.last_at), default=None),
        tuple(examples),
    )
