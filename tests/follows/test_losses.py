"""Since when a follow is missed: by the first whole reading that began after it was last seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.follows.losses import losses
from kolspider.follows.queries import FollowSeen
from kolspider.items import State
from kolspider.store.readings import Kind, ReadingRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def day(number: int, seconds: int = 0) -> str:
    return f"2026-11-{number:02} 08:00:{seconds:02}"


def crawl(
    number: int, state: State = State.FETCHED, kind: Kind = Kind.FULL, *, users: int = 300, calls: int = 2
) -> ReadingRecord:
    began = 1_793_520_000.9 + (number - 1) * 86_400  # day(1), and a part of a second
    return ReadingRecord(kind, state, began, began + 60, 2, users, calls, None)


def lost(user_id: str, last_seen: str, kol: str = "a") -> FollowSeen:
    return FollowSeen(kol, user_id, None, None, None, day(1), last_seen)


def told(
    seen: Sequence[FollowSeen], crawls: Mapping[str, Sequence[ReadingRecord]], since: str | None = None
) -> list[tuple[str, str]]:
    last_whole = {"a": day(22, 5), "b": day(20)}
    found = losses(seen, last_whole, lambda kol: crawls.get(kol, ()), since)
    return [(f"{one.kol}{one.user_id}", one.missed_since) for one in found]


def test_it_is_the_first_whole_reading_after_the_follow_was_last_seen() -> None:
    # Given a, read whole on days 1, 8 and 22, and in part on day 15, and b, of which the ledger knows nothing
    ledger = {"a": [crawl(1), crawl(8), crawl(15, kind=Kind.INCREMENTAL), crawl(22)]}
    seen = [
        lost(user_id, last_seen, kol)
        for user_id, last_seen, kol in zip(
            "123456", [day(1), day(1, 1), day(8, 30), day(15, 1), day(2), day(8)], "aaaaba", strict=True
        )
    ]

    # then the latest loss stands first, and what the ledger does not know is since the last whole reading
    everything = [*((f"a{n}", day(22)) for n in "346"), ("b5", day(20)), *((f"a{n}", day(8)) for n in "12")]
    assert told(seen, ledger) == everything
    assert told(seen, ledger, since=day(20)) == everything[:4]
    assert told(seen, ledger, since=day(22, 1)) == []
    assert told(seen, {}, since=day(22, 1)) == [(f"a{n}", day(22, 5)) for n in "12346"]


def test_who_was_not_looked_for_or_not_yet_in_the_table_is_not_missed() -> None:
    for state in (State.PARTIAL, State.FAILED, State.FETCHING, State.NOT_FOUND):
        assert told([lost("1", day(1, 9))], {"a": [crawl(1), crawl(8, state), crawl(22)]}) == [("a1", day(22))]
    # a protected account's list is empty, and loses nobody
    assert told([lost("1", day(1, 9))], {"a": [crawl(1), crawl(8, users=0), crawl(22)]}) == [("a1", day(22))]
    # that of day 25 waits in the cache
    assert told([lost("1", day(1, 9))], {"a": [crawl(1), crawl(25)]}) == [("a1", day(22, 5))]


def test_a_retried_list_began_with_the_pages_that_it_keeps() -> None:
    # Given a list whose first page is of day 1 and its second of day 3, and one read anew on day 3
    kept = [crawl(1, State.PARTIAL), crawl(2, State.PARTIAL, calls=1), crawl(3, calls=1), crawl(22)]
    anew = [crawl(1, State.PARTIAL), crawl(3, calls=2), crawl(22)]

    # then an account of the first page was still there in the one, and is missed in the other
    assert told([lost("1", day(1))], {"a": kept}) == [("a1", day(22))]
    assert told([lost("1", day(1))], {"a": anew}) == [("a1", day(3))]
