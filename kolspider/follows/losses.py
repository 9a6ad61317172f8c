"""Since when is a follow missed? Pure: by the ledger's readings, and where it knows of none, by the crawls table."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from kolspider.console.wording import moment
from kolspider.items import State
from kolspider.store.readings import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kolspider.follows.queries import FollowSeen
    from kolspider.store.readings import ReadingRecord

__all__ = ["FollowLost", "losses", "whole_readings"]


class FollowLost(NamedTuple):
    """A follow that is no more. Of the account, what the target table holds of it: None when nothing."""

    kol: str
    user_id: str
    user_name: str | None
    name: str | None
    followers: int | None
    first_seen: str
    last_seen: str
    missed_since: str
    """When the first whole reading of the list began that did not find it."""


def losses(
    lost: Iterable[FollowSeen],
    last_whole: Mapping[str, str],
    crawls: Callable[[str], Sequence[ReadingRecord]],
    since: str | None,
) -> list[FollowLost]:
    """The lost follows that are missed since a moment or later, the latest loss first.

    last_whole: of each KOL, when its last whole reading began; crawls: what the ledger knows of a KOL's readings.
    """

    @cache
    def began(kol: str) -> list[str]:
        return [moment(time) for time in whole_readings(crawls(kol))]

    found = []
    for one in lost:
        first = min((at for at in began(one.kol) if at > one.last_seen), default=last_whole[one.kol])
        missed = min(first, last_whole[one.kol])  # a reading that is not in the table yet has missed nobody there
        if since is None or missed >= since:
            found.append(FollowLost(*one, missed))
    found.sort(key=lambda one: (one.kol, one.user_id))
    found.sort(key=lambda one: one.missed_since, reverse=True)
    return found


def whole_readings(crawls: Iterable[ReadingRecord]) -> Iterator[float]:
    """When the readings of a list that found all who are in it began; unix seconds.

    An empty list loses nobody: the account may be protected for a while. The retry of a partial list keeps the good
    pages of that one, as its number of calls tells, so it began when that one did.
    """
    partial: float | None = None
    for crawl in crawls:
        began = crawl.started_at if partial is None or crawl.calls >= crawl.pages else partial
        partial = began if crawl.state == State.PARTIAL else None
        if crawl.kind is Kind.FULL and crawl.state == State.FETCHED and crawl.users:
            yield began
