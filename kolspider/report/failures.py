"""Why lists failed or are incomplete: a few reasons, each with examples and what to do next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.items import State

if TYPE_CHECKING:
    from kolspider.store.kols import Kols, Reason

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
    State.FAILED: Advice("scrapy crawl followings", "tries them again, after all other lists"),
    State.PARTIAL: Advice("scrapy crawl followings -a retry=partial", "buys only the page that broke each list"),
    State.NOT_FOUND: Advice(
        "scrapy crawl followings -a retry=not_found", "checks them again; otherwise they count as done and cost nothing"
    ),
}
_REFUSED_CURSOR = Advice("scrapy crawl followings -a retry=failed", "reads these lists again from page 1")


@dataclass(frozen=True, slots=True)
class Group:
    """KOLs in one state for one reason, whichever page it happened on."""

    state: State
    reason: str
    kols: int
    last_at: float | None
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """Groups that call for the same action."""

    state: State
    advice: Advice
    groups: list[Group]

    @property
    def kols(self) -> int:
        """Number of KOLs in all groups."""
        return sum(group.kols for group in self.groups)


def group(kols: Kols) -> tuple[list[Failed], int]:
    """The largest groups, failed ones first, and the number of KOLs in groups that are not shown."""
    folded: dict[tuple[State, str], list[Reason]] = {}
    for reason in kols.reasons():
        folded.setdefault((reason.state, _WHERE.sub("", reason.reason)), []).append(reason)
    sizes = {key: sum(reason.kols for reason in reasons) for key, reasons in folded.items()}
    shown = sorted(folded, key=lambda key: -sizes[key])[:_SHOWN]
    shown.sort(key=lambda key: (_ORDER.index(key[0]), -sizes[key]))
    found: dict[tuple[State, Advice], Failed] = {}
    for key in shown:
        state, text = key
        advice = _REFUSED_CURSOR if "cursor refused again" in text else _ADVICE[state]
        failed = found.setdefault((state, advice), Failed(state, advice, []))
        failed.groups.append(_group(kols, state, text, folded[key]))
    return list(found.values()), sum(sizes.values()) - sum(failed.kols for failed in found.values())


def _group(kols: Kols, state: State, text: str, reasons: list[Reason]) -> Group:
    examples: list[str] = []
    for reason in reasons:
        if len(examples) < _EXAMPLES:
            examples += kols.examples(state, reason.reason, _EXAMPLES - len(examples))
    return Group(
        state,
        text,
        sum(reason.kols for reason in reasons),
        max((reason.last_at for reason in reasons if reason.last_at), default=None),
        tuple(examples),
    )
