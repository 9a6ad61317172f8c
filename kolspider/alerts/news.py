"""What the follows table says of new and lost follows, with what rules look at: SQL for every dialect.

A follow is new exactly if `scrapy follows new` shows it, and lost if `scrapy follows lost` does. So a rule tells of a
page what a backtest tells of the table.
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, NamedTuple

from kolspider.alerts.alert import Account
from kolspider.follows.queries import IS_NEW, Follows, marks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

__all__ = ["News", "Sighting", "crossings"]

_AT_ONCE = 1000
"""Values of one IN list: Doris takes 10,000."""
_TEXT = "CAST({} AS CHAR(19))"
"""A moment as text: PyMySQL takes longer to make it one than to read all the rest of a row."""
_PROFILE = f"a.`user_name`, a.`name`, a.`followers`, a.`description`, {_TEXT.format('a.`created_at_time`')}"
_FIRST, _LAST = _TEXT.format("f.`first_seen`"), _TEXT.format("f.`last_seen`")
_SIGHTING = f"f.`kol_user_name`, {_FIRST}, {_LAST}, f.`user_id`, {_PROFILE}"
_UNKNOWN = (None,) * 5
"""Of an account whose profile was not read."""
_NEW_SINCE = "f.`first_seen` > c.`first_whole` AND f.`first_seen` >= ?"
"""IS_NEW, KOL after KOL: 10 million follows are read faster so than one by one in the order of time."""
_BY_ACCOUNT = "ORDER BY f.`user_id`, f.`first_seen`, f.`kol_user_name`"


class Sighting(NamedTuple):
    """A follow, with the account as the target table has it. Times are UTC, `YYYY-MM-DD HH:MM:SS`."""

    kol: str
    first_seen: str
    last_seen: str
    account: Account


class News(Follows):
    """Reads the follows table, the crawls table beside it, and the accounts in the target."""

    def on_pages(self, pages: Collection[tuple[str, str]]) -> list[Sighting]:
        """Return the new follows that these pages brought first, by KOL and the moment they were read."""
        moments, kols = sorted({at for _, at in pages}), sorted({kol for kol, _ in pages})
        rows = self._sightings(
            f"{IS_NEW} AND f.`first_seen` IN ({marks(moments)}) AND f.`kol_user_name` IN ({marks(kols)})",
            [*moments, *kols],
        )
        return [row for row in rows if (row.kol, row.first_seen) in pages]

    def of_accounts(self, ids: Collection[str], kols: Collection[str]) -> Iterator[Sighting]:
        """Yield every new follow of these accounts, account by account, the earliest first; no `kols`: of all KOLs."""
        which, ordered = f"{IS_NEW}{_of(kols)}", sorted(ids)
        for start in range(0, len(ordered), _AT_ONCE):
            part = ordered[start : start + _AT_ONCE]
            of_part = f"{which} AND f.`user_id` IN ({marks(part)})"
            yield from self._sightings(of_part, [*sorted(kols), *part], _BY_ACCOUNT)

    def lost_between(self, kol: str, since: str, until: str) -> list[Sighting]:
        """Return the follows of a KOL that were last seen at `since` or later, and before `until`."""
        which = "f.`kol_user_name` = ? AND f.`last_seen` >= ? AND f.`last_seen` < ?"
        return list(self._sightings(which, [kol, since, until]))

    def since(self, moment: str, kols: Collection[str], followers: tuple[int, int] | None) -> Iterator[Sighting]:
        """Yield the new follows that were first seen at this moment or later, the earliest first.

        followers: only of accounts with so many, from and to.
        """
        which, order = f"{_NEW_SINCE}{_of(kols)}", "ORDER BY f.`first_seen`, f.`kol_user_name`, f.`user_id`"
        if followers:  # COALESCE: a condition that rejects NULL would let MariaDB begin with the accounts
            which += " AND COALESCE(a.`followers`, -1) BETWEEN ? AND ?"
        return self._sightings(which, [moment, *sorted(kols), *(followers or ())], order, self._kol_after_kol)

    def by_account(self, kols: Collection[str], least: int) -> Iterator[Sighting]:
        """Yield every new follow of the accounts with at least so many, account by account, the earliest first.

        Of the accounts only the id is read. Few are told of many: their profiles are asked for by `profiles`.
        """
        rows = self._database.stream(
            f"SELECT {_FIRST}, f.`kol_user_name`, f.`user_id` FROM {self._kol_after_kol} "
            f"WHERE f.`first_seen` > c.`first_whole`{_of(kols)} ORDER BY f.`user_id`",
            sorted(kols),
        )
        with closing(rows):
            for id_, group in groupby(rows, key=itemgetter(2)):
                of_account = list(group)
                if len(of_account) >= least:  # sorted here: by more keys, a database takes longer to sort millions
                    account = Account(id_, *_UNKNOWN)
                    yield from (Sighting(kol, first, "", account) for first, kol, _ in sorted(of_account))

    def profiles(self, ids: Collection[str]) -> dict[str, Account]:
        """Return these accounts as the target table has them, by id."""
        found: dict[str, Account] = {}
        ordered = sorted(ids)
        for start in range(0, len(ordered), _AT_ONCE):
            part = ordered[start : start + _AT_ONCE]
            rows = self._database.query(
                f"SELECT f.`user_id`, {_PROFILE} FROM "
                f"(SELECT DISTINCT `user_id` FROM {self._follows} WHERE `user_id` IN ({marks(part)})) f "
                f"LEFT JOIN {self._target} a ON {self._same_account.format('f')}",
                part,
            )
            found.update((row[0], Account(*row)) for row in rows)
        return found

    def lost_since(self, moment: str, kols: Collection[str]) -> Iterator[Sighting]:
        """Yield the lost follows of the lists that were read whole at this moment or later."""
        which = f"f.`last_seen` < c.`last_whole` AND c.`last_whole` <= ? AND c.`last_whole` >= ?{_of(kols)}"
        order = "ORDER BY f.`last_seen`, f.`kol_user_name`, f.`user_id`"
        return self._sightings(which, [self._latest, moment, *sorted(kols)], order, self._kol_after_kol)

    def _sightings(
        self, which: str, values: Sequence[object], order: str = "", tables: str | None = None
    ) -> Iterator[Sighting]:
        rows = self._database.stream(
            f"SELECT {_SIGHTING} FROM {tables or self._follow_after_follow} "
            f"LEFT JOIN {self._target} a ON {self._same_account.format('f')} WHERE {which} {order}",
            values,
        )
        with closing(rows):
            for kol, first, last, *account in rows:
                yield Sighting(kol, first, last, Account(*account))


def crossings(sightings: Iterable[Sighting], least: int, within: int) -> Iterator[tuple[str, list[str], Account]]:
    """Yield when enough KOLs began to follow an account within some seconds, which KOLs these are, and the account.

    The sightings are ordered by account and moment. An account is told when the count reaches `least`. KOLs that join
    within the same time after that are not told; later, `least` KOLs that have not been told cross again.
    """
    for _, of_account in groupby(sightings, key=lambda one: one.account.id):
        window: deque[tuple[float, str]] = deque()
        told = None
        for seen, at_once in groupby(of_account, key=attrgetter("first_seen")):
            together, now = list(at_once), datetime.fromisoformat(f"{seen}+00:00").timestamp()
            window.extend((now, one.kol) for one in together)
            while now - window[0][0] > within:
                window.popleft()
            if len(window) >= least and (told is None or now - told > within):
                told = now
                yield seen, [kol for _, kol in window], together[0].account


def _of(kols: Collection[str]) -> str:
    return f" AND f.`kol_user_name` IN ({marks(kols)})" if kols else ""
