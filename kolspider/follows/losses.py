"""Since when a lost follow is missed, by the ledger's readings, or by the crawls table where the ledger has none."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from kolspider.console.wording import moment
from kolspider.items import State
from kolspider.store.readings import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kolspider.follows.queries import Edge, Follows, FollowSeen
    from kolspider.store.ledger import Ledger
    from kolspider.store.lost import LostAccounts
    from kolspider.store.readings import ReadingRecord

__all__ = ["FollowLost", "dated", "explained", "losses", "unexplained", "whole_readings"]


class FollowLost(NamedTuple):
    """A follow that ended. What is known of the user comes from the target table; None: it has nothing."""

    kol: str
    user_id: str
    user_name: str | None
    name: str | None
    followers: int | None
    first_seen: str
    last_seen: str
    missed_since: str
    """When the first whole reading without this follow began."""
    why: str = ""
    """What the account's profile told after that, if it was asked for."""
    new_name: str = ""
    """The account's handle then, if that is another one."""


def losses(
    lost: Iterable[FollowSeen],
    last_whole: Mapping[str, str],
    readings: Callable[[str], Sequence[ReadingRecord]],
    since: str | None,
) -> list[FollowLost]:
    """Return the lost follows that were first missed at a moment or later, the latest loss first.

    last_whole: when the last whole reading of each KOL's list began; readings: the ledger's readings of a KOL's list.
    """
    missed_since = _missed_since(readings)
    found = []
    for one in lost:
        missed = missed_since(one.kol, one.last_seen, last_whole[one.kol])
        if since is None or missed >= since:
            found.append(FollowLost(*one, missed))
    found.sort(key=lambda one: (one.kol, one.user_id))
    found.sort(key=lambda one: one.missed_since, reverse=True)
    return found


def explained(lost: Iterable[FollowLost], accounts: LostAccounts) -> Iterator[FollowLost]:
    """Yield the lost follows, with why each is gone where that is known."""
    for one in lost:
        known = accounts.of(one.user_id, one.missed_since)
        yield one._replace(why=known.reason, new_name=known.new_name(one.user_name)) if known else one


def unexplained(follows: Follows, ledger: Ledger, since: str | None, kols: Iterable[str]) -> list[FollowLost]:
    """Return the follows lost at a moment or later of which nobody knows yet why, one of each account.

    kols: only by these; none: by any.
    """
    lost = [row for kol in tuple(kols) or (None,) for row in follows.lost(since=since, kol=kol)]
    found = explained(losses(lost, follows.last_whole(), ledger.readings.of_kol, since), ledger.lost)
    return list({one.user_id: one for one in found if not one.why}.values())


def dated(follows: Iterable[Edge], readings: Callable[[str], Sequence[ReadingRecord]]) -> Iterator[Edge]:
    """Yield the follows, the lost ones with the moment that `losses` gives them."""
    missed_since = _missed_since(readings)
    for one in follows:
        missed = one.missed_since and missed_since(one.kol, one.last_seen, one.missed_since)
        yield one._replace(missed_since=missed) if missed else one


def _missed_since(readings: Callable[[str], Sequence[ReadingRecord]]) -> Callable[[str, str, str], str]:
    """Return what says since when a follow is missed: of a KOL, last seen then, the last whole reading began then."""

    @cache
    def began(kol: str) -> list[str]:
        return [moment(time) for time in whole_readings(readings(kol))]

    # The ledger may lack the last reading in the table, and may have one that is not loaded yet.
    return lambda kol, last_seen, last_whole: min([last_whole, *(at for at in began(kol) if at > last_seen)])


def whole_readings(readings: Iterable[ReadingRecord]) -> Iterator[float]:
    """Yield when each whole reading of a list began, in unix seconds.

    An empty list does not count, because the KOL may be protected for a while. The retry of a partial list that kept
    the good pages, and so has fewer calls than pages, began when the partial reading did.
    """
    partial: float | None = None
    for reading in readings:
        began = reading.started_at if partial is None or reading.calls >= reading.pages else partial
        partial = began if reading.state == State.PARTIAL else None
        if reading.kind is Kind.FULL and reading.state == State.FETCHED and reading.users and not reading.short:
            yield began
