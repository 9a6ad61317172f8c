"""What the follows table tells, in SQL that every dialect takes: who is new, who is lost, whom most KOLs follow.

New is who was first seen after a KOL's first whole reading had ended: of a first crawl nobody is. Lost is who was last
seen before the last whole reading began: neither a broken crawl nor an incremental one loses anybody, and who comes
back is not lost any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kolspider.db.spans import crawls_table

if TYPE_CHECKING:
    from kolspider.db.base import Database

__all__ = ["FollowSeen", "Follows", "Shared"]

_OF_KOL = "c.`kol_user_name` = ?"


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

    def new(self, *, since: str | None, kol: str | None) -> list[FollowSeen]:
        """Who was first seen since a moment (UTC, as text), or ever; the newest first."""
        # Since a moment the index on it leads to few rows; else KOL after KOL.
        return self._seen(
            f"{self._follows} f CROSS JOIN {self._crawls} c" if since and not kol else self._kol_after_kol,
            "f.`first_seen` > c.`first_whole`", "first_seen", {"f.`first_seen` >= ?": since, _OF_KOL: kol},
        )  # fmt: skip

    def lost(self, *, since: str | None, kol: str | None) -> list[FollowSeen]:
        """Who is not followed any more, by the lists last read whole since a moment, or ever; the latest first."""
        return self._seen(
            self._kol_after_kol,
            "f.`last_seen` < c.`last_whole`", "last_seen", {"c.`last_whole` >= ?": since, _OF_KOL: kol},
        )  # fmt: skip

    @property
    def _kol_after_kol(self) -> str:
        """To SQLite CROSS JOIN means this order; to the others it is a join like any."""
        return f"{self._crawls} c CROSS JOIN {self._follows} f"

    def _seen(self, tables: str, which: str, latest: str, limits: dict[str, str | None]) -> list[FollowSeen]:
        wanted = {limit: value for limit, value in limits.items() if value}
        where = " AND ".join(["c.`kol_user_name` = f.`kol_user_name`", which, *wanted])
        rows = self._query(
            "SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, "
            f"f.`last_seen` FROM {tables} LEFT JOIN {self._target} a ON a.`id` = f.`user_id` "
            f"WHERE {where} ORDER BY f.`{latest}` DESC, f.`kol_user_name`, f.`user_id`",
            tuple(wanted.values()),
        )
        return [FollowSeen._make((*row[:-2], str(row[-2]), str(row[-1]))) for row in rows]

    def top(self, *, least: int, new_since: str | None, limit: int) -> list[Shared]:
        """The accounts that most KOLs follow, as far as is known; new_since: that most began to follow since then."""
        values: tuple[object, ...] = (least, limit)
        which = "c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole`"
        if new_since is not None:
            values = (new_since, *values)
            which = "f.`first_seen` > c.`first_whole` AND f.`first_seen` >= ?"
        rows = self._query(
            "SELECT t.`user_id`, a.`user_name`, a.`name`, a.`followers`, t.`kols`, t.`newest` FROM ("
            f"SELECT f.`user_id`, COUNT(*) AS `kols`, MAX(f.`first_seen`) AS `newest` FROM {self._follows} f "
            f"LEFT JOIN {self._crawls} c ON c.`kol_user_name` = f.`kol_user_name` WHERE {which} "
            "GROUP BY f.`user_id` HAVING COUNT(*) >= ? ORDER BY `kols` DESC, `newest` DESC, `user_id` LIMIT ?"
            f") t LEFT JOIN {self._target} a ON a.`id` = t.`user_id` "
            "ORDER BY t.`kols` DESC, t.`newest` DESC, t.`user_id`",
            values,
        )
        return [Shared._make((*row[:-1], str(row[-1]))) for row in rows]

    def largest(self, limit: int) -> list[tuple[str, int]]:
        """The KOLs that follow most accounts, and how many."""
        rows = self._query(
            f"SELECT f.`kol_user_name`, COUNT(*) AS `users` FROM {self._follows} f "
            f"LEFT JOIN {self._crawls} c ON c.`kol_user_name` = f.`kol_user_name` "
            "WHERE c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` "
            "GROUP BY f.`kol_user_name` ORDER BY `users` DESC, f.`kol_user_name` LIMIT ?",
            (limit,),
        )
        return [(kol, int(users)) for kol, users in rows]

    def overlap(self, kols: list[str]) -> dict[tuple[str, str], int]:
        """How many accounts each two of some KOLs both follow."""
        marks = ", ".join("?" * len(kols))
        current = "(c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole`)"
        part = (
            f"SELECT f.`kol_user_name`, f.`user_id` FROM {self._follows} f "
            f"LEFT JOIN {self._crawls} c ON c.`kol_user_name` = f.`kol_user_name` "
            f"WHERE f.`kol_user_name` IN ({marks}) AND {current}"
        )
        rows = self._query(
            f"SELECT x.`kol_user_name`, y.`kol_user_name`, COUNT(*) FROM ({part}) x JOIN ({part}) y "
            "ON y.`user_id` = x.`user_id` WHERE x.`kol_user_name` < y.`kol_user_name` "
            "GROUP BY x.`kol_user_name`, y.`kol_user_name`",
            (*kols, *kols),
        )
        return {(one, other): int(users) for one, other, users in rows}

    def last_whole(self) -> dict[str, str]:
        """When the last whole reading of each KOL's list began."""
        return {
            kol: str(at) for kol, at in self._query(f"SELECT `kol_user_name`, `last_whole` FROM {self._crawls}", ())
        }

    def _query(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return self._database.query(sql, values)  # SQLite takes MySQL's quotes, too
