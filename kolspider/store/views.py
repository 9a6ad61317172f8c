"""Temporary views of the store, as one provider and one target see it, and the SQL that they share with other queries.

In it, `k` is a row of kol, `c` its current reading, `b` the base that an incremental reading adds to (the last full
reading that was fetched), and `l` what the target holds of the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kolspider.providers.base import Provider
    from kolspider.store.connection import Connection

__all__ = ["BASE_IS_CACHED", "BASE_IS_MISSING", "JOIN_BASE", "JOIN_CURRENT", "NEW_SINCE_BASE", "create_views"]

JOIN_CURRENT = "LEFT JOIN crawl c ON c.provider = k.provider AND c.handle = k.handle AND c.generation = k.generation"

_BASE = """
(SELECT max(generation) FROM crawl
 WHERE provider = k.provider AND handle = k.handle AND kind = 'full' AND state = 'fetched')
"""
JOIN_BASE = f"LEFT JOIN crawl b ON b.provider = k.provider AND b.handle = k.handle AND b.generation = {_BASE}"

BASE_IS_CACHED = """
(b.pages = (SELECT count(*) FROM page
  WHERE provider = b.provider AND handle = b.handle AND generation = b.generation))
"""
"""SQL: whether all pages of the base are in the cache."""

BASE_IS_MISSING = (
    f"(coalesce(c.kind, '') = 'incremental' AND NOT coalesce(l.generation >= b.generation OR {BASE_IS_CACHED}, FALSE))"
)
"""SQL: whether the current reading adds to a base that is neither in the target nor in the cache: the list is then
read in full."""

NEW_SINCE_BASE = """
(SELECT coalesce(sum(new), 0) FROM increment i JOIN crawl USING (provider, handle, generation)
 WHERE i.provider = b.provider AND i.handle = b.handle AND i.generation > b.generation
 AND i.generation <= k.generation AND state = 'fetched')
"""
"""SQL: how many accounts the incremental readings that ended properly have found since the base."""


_HAS_EARLIER = f"(k.state IN ('fetching', 'failed') AND coalesce(l.generation >= {_BASE}, FALSE))"
"""SQL: whether a list that is being read again is in the target as its last full reading left it. It does not join the
base, which takes its time with 100,000 KOLs."""


_REASON = """
CASE WHEN k.reason <> '' THEN k.reason WHEN a.gone <> '' THEN a.gone WHEN a.protected THEN 'protected'
  WHEN lower(a.user_name) NOT IN ('', lower(k.user_name)) THEN 'is now @' || a.user_name ELSE '' END
"""
"""SQL: why a list is not as it should be, or what has become of its account."""


def create_views(connection: Connection, provider: Provider, target: int) -> None:
    """Create the views `waiting_page`, `kol_here` and `reading_here` in this connection."""
    loaded = f"LEFT JOIN kol_load l ON l.target = {int(target)} AND l.provider = k.provider AND l.handle = k.handle"
    refused = f"FROM refused WHERE target = {int(target)} AND provider = k.provider AND handle = k.handle"
    for view in (
        f"""
        waiting_page AS         -- pages that are not in the target
        SELECT seq, handle, generation FROM page p WHERE provider = '{provider.family}' AND NOT EXISTS
          (SELECT 1 FROM page_load WHERE seq = p.seq AND target = {int(target)} AND NOT again)
        """,
        f"""
        kol_here AS             -- the KOLs as people see them: a list with every row in the target is complete
        SELECT k.handle, k.user_name, k.generation, {_REASON} AS reason, k.calls, k.started_at, k.finished_at,
          l.loaded_at,
          CASE WHEN k.state = 'fetched' AND l.generation = k.generation AND NOT EXISTS (SELECT 1 {refused})
            THEN 'complete' ELSE k.state END AS state,
          (SELECT count(*) {refused}) AS refused, (SELECT reason {refused} ORDER BY seq LIMIT 1) AS refusal,
          {_so_far("count(*)", "pages", _pages_as_known(provider.page_size))} AS pages,
          {_so_far("coalesce(sum(users), 0)", "users", f"b.users + {NEW_SINCE_BASE}")} AS users,
          l.generation AS loaded, {_HAS_EARLIER} AS has_earlier
        FROM kol k {JOIN_CURRENT} {loaded} LEFT JOIN account a ON a.handle = k.handle
        WHERE k.provider = '{provider.family}'
        """,
        f"""
        reading_here AS         -- each KOL's current reading and its base; that of a full reading is itself
        SELECT k.handle, k.generation, k.state, c.kind,
          CASE WHEN c.kind = 'incremental' THEN b.generation ELSE k.generation END AS base,
          b.pages AS base_pages, b.users AS base_users, {NEW_SINCE_BASE} AS new_since_base,
          {BASE_IS_CACHED} AS base_is_cached, {BASE_IS_MISSING} AS base_is_missing
        FROM kol k {JOIN_CURRENT} {JOIN_BASE} {loaded} WHERE k.provider = '{provider.family}'
        """,
    ):
        connection.execute(f"CREATE TEMP VIEW {view}")


def _so_far(cached: str, ended: str, earlier: str) -> str:
    """SQL: what an unfinished list has in the cache, or what an ended one came to.

    While a list is being read again, it counts as it was before: so it is in the target.
    """
    return (
        f"CASE WHEN {_HAS_EARLIER} THEN (SELECT {earlier} FROM crawl b WHERE b.provider = k.provider "
        f"AND b.handle = k.handle AND b.generation = {_BASE}) "
        f"WHEN k.state = 'fetching' AND coalesce(c.kind, '') <> 'incremental' THEN (SELECT {cached} FROM page "
        f"WHERE provider = k.provider AND handle = k.handle AND generation = k.generation) ELSE k.{ended} END"
    )


def _pages_as_known(size: int) -> str:
    """SQL: the pages of a list of this size a page, with its new users since the base; as `readings.size_with_new`."""

    def full(users: str) -> str:
        return f"max(({users} + {size - 1}) / {size}, 1)"

    return f"b.pages + {full(f'b.users + {NEW_SINCE_BASE}')} - {full('b.users')}"
