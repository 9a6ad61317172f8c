"""What the follows table tells, in SQL that every dialect takes: who is new, who is lost, whom most KOLs follow.

New is who was first seen after a KOL's first whole reading had ended: of a first crawl nobody is. Lost is who was last
seen before the last whole reading began: neither a broken crawl nor an incremental one loses anybody, and who comes
back is not lost any more.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from itertools import combinations, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kolspider.db.spans import crawls_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kolspider.db.base import Database

__all__ = ["FollowSeen", "Follows", "Shared", "known_ids"]

_Counted = TypeVar("_Counted")

_OF_KOL = "c.`kol_user_name` = ?"
_CURRENT = "(c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole`)"
_FIRST_WHOLE = "COALESCE(c.`first_whole`, '9999-12-31 00:00:00')"
"""True for no follow of a KOL that was never read whole; not false for NULL, see _follow_after_follow."""
_NEW_SINCE = f"f.`first_seen` > {_FIRST_WHOLE} AND f.`first_seen` >= ?"
_CANDIDATES = 3
"""For each that is asked for."""
_MOST_CANDIDATES = 5_000
"""They are values of a statement, of which Doris takes 10,000 (expr_children_limit) and SQLite 32,766."""


class FollowSeen(NamedTuple):
    """A follow. Of the account, what the target table holds of it: None when nothing."""

    kol: str
    user_id: str
    user_name: str | None
    name: str | None
    followers: int | None
    first_seen: str
    last_seen: str


class Shared(NamedTuple):
    """An account and how many KOLs follow it."""

    user_id: str
    user_name: str | None
    name: str | None
    followers: int | None
    kols: int
    newest: str
    """When the last of these follows was first seen."""


class Follows:
    """Reads the follows table, the crawls table beside it, and the accounts in the target."""

    def __init__(self, database: Database, follows: str, target: str) -> None:
        self._database = database
        self._follows, self._crawls, self._target = map(database.quoted, (follows, crawls_table(follows), target))

    def new(self, *, since: str | None, kol: str | None) -> Iterator[FollowSeen]:
        """Who was first seen since a moment (UTC, as text), or ever; the newest first."""
        limits = {"f.`first_seen` >= ?": since, _OF_KOL: kol}
        if since and not kol:
            return self._seen(self._follow_after_follow, f"f.`first_seen` > {_FIRST_WHOLE}", "first_seen", limits)
        return self._seen(self._kol_after_kol, "f.`first_seen` > c.`first_whole`", "first_seen", limits)

    def lost(self, *, since: str | None, kol: str | None) -> Iterator[FollowSeen]:
        """Who is not followed any more, by the lists last read whole since a moment, or ever; the latest first."""
        limits = {"c.`last_whole` >= ?": since, _OF_KOL: kol}
        return self._seen(self._kol_after_kol, "f.`last_seen` < c.`last_whole`", "last_seen", limits)

    @property
    def _kol_after_kol(self) -> str:
        """To SQLite CROSS JOIN means this order; to the others it is a join like any."""
        return f"{self._crawls} c CROSS JOIN {self._follows} f ON c.`kol_user_name` = f.`kol_user_name`"

    @property
    def _follow_after_follow(self) -> str:
        """In this order on every database, as long as no condition on `c` is false for NULL: a moment's index leads to
        few follows. With an inner join MariaDB reads all the follows of each KOL instead."""
        return f"{self._follows} f LEFT JOIN {self._crawls} c ON c.`kol_user_name` = f.`kol_user_name`"

    def _seen(self, tables: str, which: str, latest: str, limits: dict[str, str | None]) -> Iterator[FollowSeen]:
        wanted = {limit: value for limit, value in limits.items() if value}
        rows = self._database.stream(
            "SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, "
            f"f.`last_seen` FROM {tables} LEFT JOIN {self._target} a ON a.`id` = f.`user_id` "
            f"WHERE {' AND '.join([which, *wanted])} ORDER BY f.`{latest}` DESC, f.`kol_user_name`, f.`user_id`",
            tuple(wanted.values()),
        )
        with closing(rows):
            for row in rows:
                yield FollowSeen._make((*row[:-2], str(row[-2]), str(row[-1])))

    def top(self, *, least: int, new_since: str | None, limit: int) -> list[Shared]:
        """The accounts that most KOLs follow, as far as is known; new_since: that most began to follow since then."""

        def counted(which: str, values: Sequence[object]) -> list[Shared]:
            return list(self._shared(which, (*values, least, limit), "LIMIT ?"))

        if new_since is not None:
            return counted(_NEW_SINCE, (new_since,))
        return self._most("user_id", counted, lambda one: one.kols, least, limit)

    def shared(self, *, least: int, new_since: str | None) -> Iterator[Shared]:
        """The same without a limit: they may be many."""
        if new_since is not None:
            return self._shared(_NEW_SINCE, (new_since, least))
        return self._shared(_CURRENT, (least,))

    def _shared(self, which: str, values: Sequence[object], limit: str = "") -> Iterator[Shared]:
        rows = self._database.stream(
            "SELECT t.`user_id`, a.`user_name`, a.`name`, a.`followers`, t.`kols`, t.`newest` FROM ("
            "SELECT f.`user_id`, COUNT(*) AS `kols`, MAX(f.`first_seen`) AS `newest` "
            f"FROM {self._follow_after_follow} WHERE {which} GROUP BY f.`user_id` HAVING COUNT(*) >= ? "
            f"{limit and f'ORDER BY `kols` DESC, `newest` DESC, `user_id` {limit}'}"
            f") t LEFT JOIN {self._target} a ON a.`id` = t.`user_id` "
            "ORDER BY t.`kols` DESC, t.`newest` DESC, t.`user_id`",
            values,
        )
        with closing(rows):
            for row in rows:
                yield Shared._make((*row[:-1], str(row[-1])))

    def largest(self, limit: int) -> list[tuple[str, int]]:
        """The KOLs that follow most accounts, and how many."""

        def counted(which: str, values: Sequence[object]) -> list[tuple[str, int]]:
            rows = self._database.query(
                f"SELECT f.`kol_user_name`, COUNT(*) AS `users` FROM {self._follow_after_follow} WHERE {which} "
                "GROUP BY f.`kol_user_name` ORDER BY `users` DESC, f.`kol_user_name` LIMIT ?",
                (*values, limit),
            )
            return [(kol, int(users)) for kol, users in rows]

        return self._most("kol_user_name", counted, lambda one: one[1], 1, limit)

    def overlap(self, kols: list[str]) -> dict[tuple[str, str], int]:
        """How many accounts each two of some KOLs both follow."""
        rows = self._database.stream(
            f"SELECT f.`user_id`, f.`kol_user_name` FROM {self._follow_after_follow} "
            f"WHERE f.`kol_user_name` IN ({_marks(kols)}) AND {_CURRENT} ORDER BY f.`user_id`",
            kols,
        )
        pairs: Counter[tuple[str, str]] = Counter()
        with closing(rows):  # paired here: joined with itself, MariaDB looks at all the KOLs that follow each account
            for _, follows in groupby(rows, key=itemgetter(0)):
                pairs.update(combinations(sorted(kol for _, kol in follows), 2))
        return dict(pairs)

    def last_whole(self) -> dict[str, str]:
        """When the last whole reading of each KOL's list began."""
        rows = self._database.query(f"SELECT `kol_user_name`, `last_whole` FROM {self._crawls}")
        return {kol: str(at) for kol, at in rows}

    def knows(self, kol: str) -> bool:
        """Whether the follows table or the crawls table has a row of a KOL."""
        return any(
            self._database.query(f"SELECT `kol_user_name` FROM {table} WHERE `kol_user_name` = ? LIMIT 1", (kol,))
            for table in (self._follows, self._crawls)
        )

    def _most(
        self,
        key: str,
        counted: Callable[[str, Sequence[object]], list[_Counted]],
        number: Callable[[_Counted], int],
        least: int,
        limit: int,
    ) -> list[_Counted]:
        """Who is first by the number of follows that are not lost, without asking of each follow whether it is.

        An index alone tells how many follows there are of each, lost ones and all: nobody has more. So those with the
        most are counted for certain, and if the last of them would not do, nobody else will.
        """
        room = min(_CANDIDATES * limit, _MOST_CANDIDATES)
        if limit < room:
            candidates = self._database.query(
                f"SELECT `{key}`, COUNT(*) AS `follows` FROM {self._follows} "
                f"GROUP BY `{key}` HAVING COUNT(*) >= ? ORDER BY `follows` DESC LIMIT ?",
                (least, room),
            )
            if not candidates:
                return []
            keys = [row[0] for row in candidates]
            found = counted(f"f.`{key}` IN ({_marks(keys)}) AND {_CURRENT}", keys)
            if len(candidates) < room or (len(found) == limit and number(found[-1]) > candidates[-1][1]):
                return found
        return counted(_CURRENT, ())


def known_ids(database: Database, follows: str, handle: str, before: str) -> frozenset[int]:
    """The accounts that a KOL was seen to follow before a moment, whether it still follows them or not."""
    rows = database.query(
        f"SELECT `user_id` FROM {database.quoted(follows)} WHERE `kol_user_name` = ? AND `first_seen` < ?",
        (handle, before),
    )
    return frozenset(int(id_) for (id_,) in rows)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
