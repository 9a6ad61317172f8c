"""Queries about who follows whom, who is new, who is lost and whom most KOLs follow, in SQL for every dialect.

A follow is new if it was first seen after the first whole reading of the KOL's list, so a first reading has none. It is
lost if it was last seen before the last whole reading began: neither a broken nor an incremental reading loses
anybody, and a follow that is seen again is no longer lost.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from functools import cached_property
from itertools import combinations, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kolspider.clock import latest
from kolspider.console.wording import moment
from kolspider.db.base import as_text
from kolspider.db.follow_tables import crawls_table
from kolspider.errors import StopRun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from kolspider.db.base import Database

__all__ = ["IS_NEW", "Edge", "FollowSeen", "Follows", "Shared", "known_ids", "marks"]

_Counted = TypeVar("_Counted")

_OF_KOL = "c.`kol_user_name` = ?"
_FIRST_WHOLE = "COALESCE(c.`first_whole`, '9999-12-31 00:00:00')"
"""Far in the future for a KOL whose list was never read whole, so that none of its follows is new. NULL would do the
same, but a condition must not reject NULL (_follow_after_follow)."""
IS_NEW = f"f.`first_seen` > {_FIRST_WHOLE}"
"""SQL: whether a follow is new."""
_NEW_SINCE = f"{IS_NEW} AND f.`first_seen` >= ?"
_CANDIDATES = 3
"""Candidates counted for each result that is asked for."""
_MOST_CANDIDATES = 5_000
"""Candidates are values of a statement: Doris takes 10,000 (expr_children_limit), SQLite 32,766."""


class FollowSeen(NamedTuple):
    """A follow. What is known of the user comes from the target table; None: it has nothing."""

    kol: str
    user_id: str
    user_name: str | None
    name: str | None
    followers: int | None
    first_seen: str
    last_seen: str


class Edge(NamedTuple):
    """A follow, current or lost. What is known of the user comes from the target table; None: it has nothing."""

    kol: str
    user_id: str
    user_name: str | None
    name: str | None
    followers: int | None
    first_seen: str
    last_seen: str
    missed_since: str | None
    """When the last whole reading began, which no longer has the follow; None: it is not lost."""


class Shared(NamedTuple):
    """A followed user and the number of KOLs that follow it."""

    user_id: str
    user_name: str | None
    name: str | None
    followers: int | None
    kols: int
    newest: str
    """When the newest of these follows was first seen."""


class Follows:
    """Reads the follows table, the crawls table beside it, and the users in the target."""

    def __init__(self, database: Database, follows: str, target: str, without: Collection[str] = ()) -> None:
        """Read these tables; `without` are KOLs that do not count where KOLs are counted. Raises StopRun."""
        if len(without) > _MOST_CANDIDATES:
            raise StopRun(
                f"{len(without):,} KOLs of {follows} are not in the source table: add --all to count them, too"
            )
        self._without = tuple(without)
        self._database = database
        self._latest = moment(latest())
        self._not_lost = (
            f"(c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '{self._latest}')"
        )
        """SQL: whether a follow is not lost. A list that was read in the future, by a wrong clock, loses nobody."""
        self._current = self._not_lost + self._counted()
        self._accounts = target
        self._follows, self._crawls, self._target = map(database.quoted, (follows, crawls_table(follows), target))

    def new(self, *, since: str | None, kol: str | None, limit: int | None = None) -> Iterator[FollowSeen]:
        """Yield the new follows, newest first; since: only those first seen at this moment (UTC, as text) or later."""
        limits = {"f.`first_seen` >= ?": since, _OF_KOL: kol}
        if since and not kol:
            return self._seen(
                self._follow_after_follow, f"f.`first_seen` > {_FIRST_WHOLE}", "first_seen", limits, limit
            )
        return self._seen(self._kol_after_kol, "f.`first_seen` > c.`first_whole`", "first_seen", limits, limit)

    def lost(self, *, since: str | None, kol: str | None) -> Iterator[FollowSeen]:
        """Yield the lost follows, last seen first; since: only of lists read whole at this moment or later."""
        limits = {"c.`last_whole` <= ?": self._latest, "c.`last_whole` >= ?": since, _OF_KOL: kol}
        return self._seen(self._kol_after_kol, "f.`last_seen` < c.`last_whole`", "last_seen", limits)

    @property
    def _kol_after_kol(self) -> str:
        """Join in this order: CROSS JOIN fixes it in SQLite, the other databases choose it themselves."""
        return f"{self._crawls} c CROSS JOIN {self._follows} f ON c.`kol_user_name` = f.`kol_user_name`"

    @property
    def _follow_after_follow(self) -> str:
        """Join in this order, which lets the index on a moment find few follows.

        Every database keeps to it as long as no condition on `c` rejects NULL. With an inner join MariaDB reads all
        follows of each KOL instead.
        """
        return f"{self._follows} f LEFT JOIN {self._crawls} c ON c.`kol_user_name` = f.`kol_user_name`"

    @cached_property
    def _same_account(self) -> str:
        """Compare `id` of the target, `a`, with a `user_id`; formatted with the name of the table that has it."""
        table = self._database.describe(self._accounts)
        id_ = table.columns.get("id") if table else None
        return f"a.`id` = {self._database.as_id('{}.`user_id`', id_) if id_ else '{}.`user_id`'}"

    def _seen(
        self, tables: str, which: str, latest: str, limits: dict[str, str | None], limit: int | None = None
    ) -> Iterator[FollowSeen]:
        wanted = {condition: value for condition, value in limits.items() if value}
        values: list[object] = list(wanted.values())
        columns = "f.`kol_user_name`, f.`user_id`, {}f.`first_seen`, f.`last_seen`"
        where = f"WHERE {' AND '.join([which, *wanted])}"
        order = f"ORDER BY f.`{latest}` DESC, f.`kol_user_name`, f.`user_id`"
        if limit is not None:  # before the accounts are looked up
            tables = f"(SELECT {columns.format('')} FROM {tables} {where} {order} LIMIT ?) f"
            where = ""
            values.append(limit)
        rows = self._database.stream(
            f"SELECT {columns.format('a.`user_name`, a.`name`, a.`followers`, ')} FROM {tables} "
            f"LEFT JOIN {self._target} a ON {self._same_account.format('f')} {where} {order}",
            values,
        )
        with closing(rows):
            for row in rows:
                yield FollowSeen._make((*row[:-2], _moment(row[-2]), _moment(row[-1])))

    def who(self, user_id: str, *, lost: bool = False) -> Iterator[Edge]:
        """Yield the follows of a user, newest first; lost: with those that are lost."""
        return self._edges("f.`user_id` = ?", [user_id], "f.`first_seen` DESC, f.`kol_user_name`", lost=lost)

    def of(self, kol: str, *, lost: bool = False) -> Iterator[Edge]:
        """Yield whom a KOL follows, newest first; lost: with those that are lost."""
        return self._edges("f.`kol_user_name` = ?", [kol], "f.`first_seen` DESC, f.`user_id`", lost=lost)

    def edges(self, kols: Sequence[str], *, lost: bool = False) -> Iterator[Edge]:
        """Yield whom some KOLs follow in the order of the table's key, which no database has to sort."""
        which = f"f.`kol_user_name` IN ({marks(kols)})"
        return self._edges(which, kols, "f.`kol_user_name`, f.`user_id`", lost=lost)

    def _edges(self, which: str, values: Sequence[str], order: str, *, lost: bool) -> Iterator[Edge]:
        rows = self._database.stream(
            "SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, "
            f"f.`last_seen`, CASE WHEN {self._not_lost} THEN NULL ELSE c.`last_whole` END AS `missed_since` "
            f"FROM {self._follow_after_follow} LEFT JOIN {self._target} a ON {self._same_account.format('f')} "
            f"WHERE {which}{'' if lost else f' AND {self._not_lost}'} ORDER BY {order}",
            values,
        )
        with closing(rows):
            for *row, first_seen, last_seen, missed_since in rows:
                missed = None if missed_since is None else _moment(missed_since)
                yield Edge._make((*row, _moment(first_seen), _moment(last_seen), missed))

    def accounts(self, handle: str) -> list[tuple[str, str | None]]:
        """Return id and name of the users that had a handle, given in lower case, when they were last seen."""
        rows = self._database.query(
            f"SELECT a.`id`, a.`name` FROM {self._target} a WHERE LOWER(a.`user_name`) = ? ORDER BY a.`id`", (handle,)
        )
        return [(as_text(id_) or "", name) for id_, name in rows]

    def kols(self) -> list[str]:
        """Return the KOLs that have a follow, in order."""
        rows = self._database.query(f"SELECT DISTINCT f.`kol_user_name` FROM {self._follows} f")
        return sorted(kol for (kol,) in rows)

    def top(self, *, least: int, new_since: str | None, limit: int) -> list[Shared]:
        """Return the users that most KOLs follow; new_since: count only new follows since then."""

        def counted(which: str, values: Sequence[object]) -> list[Shared]:
            return list(self._shared(which, (*values, least, limit), "LIMIT ?"))

        if new_since is not None:
            return counted(_NEW_SINCE + self._counted(), (new_since, *self._without))
        return self._most("user_id", counted, lambda one: one.kols, least, limit)

    def shared(self, *, least: int, new_since: str | None) -> Iterator[Shared]:
        """Yield what `top` returns, without a limit: it may be much."""
        if new_since is not None:
            return self._shared(_NEW_SINCE + self._counted(), (new_since, *self._without, least))
        return self._shared(self._current, (*self._without, least))

    def _shared(self, which: str, values: Sequence[object], limit: str = "") -> Iterator[Shared]:
        rows = self._database.stream(
            "SELECT t.`user_id`, a.`user_name`, a.`name`, a.`followers`, t.`kols`, t.`newest` FROM ("
            "SELECT f.`user_id`, COUNT(*) AS `kols`, MAX(f.`first_seen`) AS `newest` "
            f"FROM {self._follow_after_follow} WHERE {which} GROUP BY f.`user_id` HAVING COUNT(*) >= ? "
            f"{limit and f'ORDER BY `kols` DESC, `newest` DESC, `user_id` {limit}'}"
            f") t LEFT JOIN {self._target} a ON {self._same_account.format('t')} "
            "ORDER BY t.`kols` DESC, t.`newest` DESC, t.`user_id`",
            values,
        )
        with closing(rows):
            for row in rows:
                yield Shared._make((*row[:-1], _moment(row[-1])))

    def largest(self, limit: int) -> list[tuple[str, int]]:
        """Return the KOLs that follow most users, and how many."""

        def counted(which: str, values: Sequence[object]) -> list[tuple[str, int]]:
            rows = self._database.query(
                f"SELECT f.`kol_user_name`, COUNT(*) AS `users` FROM {self._follow_after_follow} WHERE {which} "
                "GROUP BY f.`kol_user_name` ORDER BY `users` DESC, f.`kol_user_name` LIMIT ?",
                (*values, limit),
            )
            return [(kol, int(users)) for kol, users in rows]

        return self._most("kol_user_name", counted, lambda one: one[1], 1, limit)

    def overlap(self, kols: list[str]) -> dict[tuple[str, str], int]:
        """Count the users that each two of some KOLs both follow."""
        rows = self._database.stream(
            f"SELECT f.`user_id`, f.`kol_user_name` FROM {self._follow_after_follow} "
            f"WHERE f.`kol_user_name` IN ({marks(kols)}) AND {self._not_lost} ORDER BY f.`user_id`",
            kols,
        )
        pairs: Counter[tuple[str, str]] = Counter()
        with closing(rows):  # paired here: for a self-join MariaDB reads all KOLs that follow each user
            for _, follows in groupby(rows, key=itemgetter(0)):
                pairs.update(combinations(sorted(kol for _, kol in follows), 2))
        return dict(pairs)

    def last_whole(self) -> dict[str, str]:
        """Return when the last whole reading of each KOL's list began."""
        rows = self._database.query(f"SELECT `kol_user_name`, `last_whole` FROM {self._crawls}")
        return {kol: _moment(at) for kol, at in rows}

    def count_doubtful(self) -> int:
        """Count the KOLs whose last whole reading was in the future, by a wrong clock."""
        ((count,),) = self._database.query(
            f"SELECT COUNT(*) FROM {self._crawls} WHERE `last_whole` > ?", (self._latest,)
        )
        return int(count)

    def knows(self, kol: str) -> bool:
        """Whether the follows table or the crawls table has a row about a KOL."""
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
        """Rank by the number of current follows without checking each follow for being lost.

        An index alone gives the number of follows with the lost ones, which is an upper bound. Only the keys with the
        highest bounds are counted exactly. If the last result beats the lowest of these bounds, no other key can.
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
            found = counted(f"f.`{key}` IN ({marks(keys)}) AND {self._current}", (*keys, *self._without))
            if len(candidates) < room or (len(found) == limit and number(found[-1]) > candidates[-1][1]):
                return found
        return counted(self._current, self._without)

    def _counted(self) -> str:
        """SQL: that a KOL counts; its values are `_without`."""
        return f" AND f.`kol_user_name` NOT IN ({marks(self._without)})" if self._without else ""


def known_ids(database: Database, follows: str, handle: str, before: str) -> frozenset[int]:
    """Return the ids of all users that a KOL was seen to follow before a moment, lost ones included."""
    rows = database.query(
        f"SELECT `user_id` FROM {database.quoted(follows)} WHERE `kol_user_name` = ? AND `first_seen` < ?",
        (handle, before),
    )
    return frozenset(int(id_) for (id_,) in rows)


def _moment(value: object) -> str:
    """Return a moment as it was sent, without the fraction that a DATETIME(6) adds."""
    return str(value)[:19]


def marks(values: Collection[object]) -> str:
    """Return the placeholders of an IN list with these values."""
    return ", ".join("?" * len(values))
