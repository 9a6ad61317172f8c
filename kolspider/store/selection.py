"""Chooses the KOLs that a run works on, and their order: those begun first, then new ones, failed ones last.

The source table is read once, as a stream, into a temporary table of the ledger's connection, so that 100,000 KOLs
are never in memory, and SQL sorts out blanks, repeats and done ones.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from kolspider.clock import latest
from kolspider.items import Kol
from kolspider.store.accounts import KEY_OF_SOURCE
from kolspider.store.handles import HandleError, normalise
from kolspider.store.part import Part
from kolspider.store.readings import state_of
from kolspider.store.views import BASE_IS_CACHED, BASE_IS_MISSING, JOIN_BASE, JOIN_CURRENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kolspider.items import State
    from kolspider.providers.base import Provider
    from kolspider.store.connection import Connection

__all__ = ["HAS_WORK", "NOT_REACHED", "Due", "Selection", "WaitingPages", "Watch", "Why"]

_AT_ONCE = 500
"""KOLs read from the selection in one query."""
_ALL = 2**62
"""A limit that is none."""


class Why(StrEnum):
    """Why a KOL is due; the order of the members is the order of work."""

    BEGUN = "begun"
    NEW = "new"
    RETRY = "retry"
    REFRESH = "refresh"
    FAILED = "failed"
    REFUSED = "refused"
    """Rows of it were refused by the database: they are tried again, from the cache."""


class Due(Struct, frozen=True):
    """A KOL to work on."""

    kol: Kol
    why: Why
    state: State
    """State of its list in the ledger when it was selected."""
    incremental: bool
    """Whether its list is read only up to where every account is known."""


class WaitingPages(Struct, frozen=True):
    """What a run leaves in the cache that is not in the target: pages of the selected KOLs, and those of others that
    are to be loaded again behind them.
    """

    pages: int
    kols: int
    others: int
    """How many of these KOLs are not selected."""


class Watch(Struct, frozen=True):
    """What is due in a run that watches the number of accounts that each KOL follows. Moments are unix seconds."""

    look_before: float
    """KOLs whose profiles were last seen before this moment are looked at."""
    read_before: float
    """Lists that were last read before this moment are read, whatever the profile says."""


_ENDED_BEFORE = "(k.finished_at < {0} OR k.finished_at > :latest)"
"""SQL: whether a list ended before a moment. One that ended in the future may have: a clock was wrong."""
_SHORT_ONCE = """
(k.state = 'fetched' AND EXISTS (SELECT 1 FROM short_reading r WHERE r.provider = k.provider AND r.handle = k.handle
  AND r.generation = k.generation) AND 1 = (SELECT count(*) FROM short_reading r WHERE r.provider = k.provider
  AND r.handle = k.handle))
"""
"""SQL: whether a list came much shorter than its profile says, and was not read again since."""
_TO_LOOK_AT = """
(:look_before IS NOT NULL AND NOT coalesce(a.read_at BETWEEN :look_before AND :latest, FALSE)
  AND NOT (coalesce(k.state, '') = 'not_found' AND coalesce(a.read_at BETWEEN :read_before AND :latest, FALSE)))
"""
"""SQL: whether a KOL's profile is to be seen first. Accounts that are gone are looked at as rarely as lists."""
_PROMISES = f"""
(a.gone <> '' AND k.state <> 'not_found' OR a.gone = '' AND NOT coalesce(a.protected, FALSE) AND (
  a.promise > 0 OR {_ENDED_BEFORE.format(":read_before")}
  OR {_SHORT_ONCE} OR (:full_before IS NOT NULL AND NOT coalesce(b.ended_at BETWEEN :full_before AND :latest, FALSE))))
"""
"""SQL: whether a KOL that was looked at has news: new follows, or none for so long that its list is read again, or that
it is gone."""
_WATCHED = f"(:look_before IS NOT NULL AND ({_TO_LOOK_AT} OR {_PROMISES}))"
_WHY = f"""
CASE
  WHEN k.handle IS NULL OR k.state = 'new' THEN 'new'
  WHEN k.state = 'failed' AND 'failed' IN ({{retry}}) AND {_ENDED_BEFORE.format(":now")}
    THEN 'retry'
  WHEN k.state = 'failed' THEN 'failed'
  WHEN k.state = 'fetching' THEN 'begun'
  WHEN k.state IN ({{retry}}) AND {_ENDED_BEFORE.format(":now")} THEN 'retry'
  WHEN :refresh_before IS NOT NULL AND ({_ENDED_BEFORE.format(":refresh_before")} OR {_SHORT_ONCE}) THEN 'refresh'
  WHEN EXISTS (SELECT 1 FROM temp.waiting_page w WHERE w.handle = k.handle) THEN 'begun'
  WHEN EXISTS (SELECT 1 FROM refused r WHERE r.target = :target AND r.provider = k.provider AND r.handle = k.handle)
       THEN 'refused'
  WHEN k.state IN ('fetched', 'partial') AND coalesce(l.generation, -1) <> k.generation AND EXISTS
       (SELECT 1 FROM page p WHERE p.provider = k.provider AND p.handle = k.handle) THEN 'begun'
  WHEN {_WATCHED} THEN 'refresh'
END
"""
"""SQL: why a KOL is due; NULL if it is not. It has a place for the states of which lists are tried again."""
NOT_REACHED = "(NOT reached AND coalesce(why IN ('retry', 'refresh', 'failed'), FALSE))"
"""SQL: whether a selected KOL still is as an earlier run left it, though its list is to be read."""
HAS_WORK = "(why IS NOT NULL AND NOT (to_look_at AND why = 'refresh'))"
"""SQL: whether a selected KOL has work; one without a look that was due is not read."""
_MAY_BE_INCREMENTAL = f"""
(:incremental AND NOT {_SHORT_ONCE} AND ((:follows AND l.generation >= b.generation) OR {BASE_IS_CACHED})
  AND (:full_before IS NULL OR b.ended_at BETWEEN :full_before AND :latest))
"""
"""SQL: whether the cache or the follows table tells whom a KOL follows, by a full reading that is recent enough."""


class Selection(Part):
    """The KOLs of a run, in the temporary table `selected` of the ledger's connection."""

    def __init__(self, connection: Connection, provider: Provider, target: int) -> None:
        super().__init__(connection, provider, target)
        self.skipped: Counter[str] = Counter()
        """How many rows of the source table name no KOL, or one named before: `blank`, `repeated`, `invalid`."""
        self.invalid_example = ""
        self.refresh_before: float | None = None
        """Lists that were finished before this moment, in unix seconds, are due; None without a refresh."""
        self.watch: Watch | None = None
        """What the run watches; None if it looks at no profile. It is set before `choose_due`."""
        self.full_before: float | None = None
        """Lists whose last full reading ended before this moment, in unix seconds, are read in full."""
        self.left = 0
        """Number of KOLs that are due but beyond the limit: the next run takes them."""
        self.is_of_job = False
        """Whether the KOLs are those of a named job."""
        self.is_the_source = False
        """Whether all of the source table was taken in."""
        connection.execute("CREATE TEMP TABLE source (handle TEXT PRIMARY KEY, user_name TEXT, position INTEGER)")
        connection.execute(
            "CREATE TEMP TABLE selected (place INTEGER PRIMARY KEY, handle TEXT UNIQUE, user_name TEXT, "
            "why TEXT, state TEXT, incremental BOOLEAN NOT NULL DEFAULT FALSE, "
            "base_is_missing BOOLEAN NOT NULL DEFAULT FALSE, "
            "to_look_at BOOLEAN NOT NULL DEFAULT FALSE, following INTEGER, reached BOOLEAN NOT NULL DEFAULT FALSE)"
        )

    def read(self, user_names: Iterable[str | None]) -> None:
        """Take in the handles of the source table."""
        rows = self._rows_of(user_names)
        while some := list(islice(rows, _AT_ONCE)):
            added = self._db.executemany("INSERT INTO temp.source VALUES (?, ?, ?) ON CONFLICT DO NOTHING", some)
            if repeated := len(some) - added.rowcount:
                self.skipped["repeated"] += repeated
        self._recognise()
        self._db.analyze("temp.source")

    def _rows_of(self, user_names: Iterable[str | None]) -> Iterator[tuple[str, str, int]]:
        """Yield the KOLs that the source names, with their place in it; what names none is counted."""
        for position, raw in enumerate(user_names):
            try:
                kol = normalise(raw)
            except HandleError:
                self.skipped["invalid"] += 1
                self.invalid_example = self.invalid_example or str(raw)[:60]
                continue
            if kol is None:
                self.skipped["blank"] += 1
            else:
                yield kol.handle, kol.user_name, position

    def _recognise(self) -> None:
        """Give each handle the key of the KOL whose account has it now: accounts are renamed."""
        if not self._value("SELECT 1 FROM account WHERE lower(user_name) <> handle LIMIT 1"):
            return
        self._db.execute(
            f"CREATE TEMP TABLE keyed AS SELECT {KEY_OF_SOURCE} AS handle, user_name, position FROM temp.source s"
        )
        self._db.execute("DELETE FROM temp.source")
        self._db.execute(
            "INSERT INTO temp.source SELECT * FROM temp.keyed WHERE TRUE ORDER BY position ON CONFLICT DO NOTHING"
        )
        self._db.execute("DROP TABLE temp.keyed")

    def read_cached(self, *, waiting_only: bool) -> None:
        """Take in the KOLs that have pages in the cache; with `waiting_only`, pages that are not in the target, or
        not with all rows.
        """
        self._db.execute(
            "INSERT INTO temp.source SELECT p.handle, coalesce(min(k.user_name), p.handle), min(p.seq) FROM page p "
            "LEFT JOIN kol k ON k.provider = p.provider AND k.handle = p.handle "
            "WHERE p.provider = ? AND (NOT ? OR p.seq IN (SELECT seq FROM temp.waiting_page) "
            "OR p.seq IN (SELECT seq FROM refused WHERE target = ?)) GROUP BY p.handle",
            (self._provider, waiting_only, self._target),
        )

    def keep_only(self, handles: Iterable[str]) -> None:
        """Drop all KOLs that were taken in, except these."""
        self._db.execute("CREATE TEMP TABLE wanted (handle TEXT PRIMARY KEY)")
        self._db.executemany(
            "INSERT INTO temp.wanted VALUES (?) ON CONFLICT DO NOTHING", [(handle,) for handle in handles]
        )
        self._db.execute("DELETE FROM temp.source WHERE handle NOT IN (SELECT handle FROM temp.wanted)")
        self._db.execute("DROP TABLE temp.wanted")

    def choose_all(self, limit: int | None) -> None:
        """Select every KOL that was taken in, in order: for a replay."""
        self._db.execute(
            "INSERT INTO temp.selected (handle, user_name, why, state) "
            "SELECT handle, user_name, 'begun', 'fetching' FROM temp.source ORDER BY position LIMIT ?",
            (_ALL if limit is None else limit,),
        )

    def choose_due(
        self,
        *,
        now: float,
        refresh_before: float | None,
        retry: Iterable[State],
        limit: int | None,
        keep_done: bool,
        incremental: bool = False,
        full_every: int | None = None,
        follows: bool = False,
    ) -> None:
        """Select the KOLs that are due.

        `now` is when the job (or run) began, in unix seconds; lists that were finished before `refresh_before` are
        read again. `keep_done` selects the others too, as KOLs without work: those of a job count in its outcome.
        `incremental` reads a list whose users are known only as far as it changed, unless its last full reading is
        more than `full_every` seconds ago; `follows` tells whether the target has a follows table, which knows the
        users. If `watch` is set, KOLs are selected to be looked at, and those whose lists are due without a look.
        """
        self.refresh_before = refresh_before
        self.full_before = None if full_every is None else now - full_every
        tried_again = ", ".join(f"'{state}'" for state in retry) or "''"
        order = ", ".join(f"('{why}', {rank})" for rank, why in enumerate(Why))
        self._db.execute(
            f"""
            WITH rank(why, rank) AS (VALUES {order}), judged AS (
              SELECT s.handle, s.user_name, s.position, k.state, k.started_at, k.finished_at, k.restarts, c.kind,
                {_WHY.format(retry=tried_again)} AS why, {_MAY_BE_INCREMENTAL} AS may_be_incremental,
                {BASE_IS_MISSING} AS base_is_missing, {_TO_LOOK_AT} AS to_look_at, coalesce(a.read_at, 0) AS looked_at
              FROM temp.source s
              LEFT JOIN kol k ON k.provider = :provider AND k.handle = s.handle {JOIN_CURRENT} {JOIN_BASE}
              LEFT JOIN kol_load l ON l.target = :target AND l.provider = k.provider AND l.handle = k.handle
              LEFT JOIN account a ON a.handle = s.handle
            )
            INSERT INTO temp.selected (handle, user_name, why, state, incremental, base_is_missing, to_look_at)
            SELECT handle, user_name, why, coalesce(state, 'new'), coalesce(
                CASE WHEN why = 'refresh' THEN may_be_incremental
                ELSE kind = 'incremental' AND NOT base_is_missing
                  AND NOT (why = 'retry' AND state = 'failed' AND restarts = 2) END, FALSE), base_is_missing, to_look_at
            FROM judged LEFT JOIN rank USING (why)
            WHERE why IS NOT NULL OR :keep_done
            ORDER BY coalesce(state, '') = 'failed', coalesce(rank, 99),
              coalesce(CASE why WHEN 'begun' THEN started_at WHEN 'new' THEN position
                ELSE CASE WHEN :look_before IS NULL THEN finished_at ELSE looked_at END END, 0), position
            """,
            {
                **self._watch_values(),
                "target": self._target,
                "now": now,
                "refresh_before": refresh_before,
                "keep_done": keep_done,
                "incremental": incremental,
                "follows": follows,
            },
        )
        if limit is not None:
            cut = self._db.execute("DELETE FROM temp.selected WHERE place > ?", (limit,))
            self.left = cut.rowcount
        self._db.analyze("temp.selected")

    def next_to_look_at(self, place: int, number: int) -> list[tuple[int, Due]]:
        """Return the first selected KOLs behind this place whose profiles are to be seen, with their places."""
        return self._behind(place, "to_look_at", number)

    def to_measure(self, number: int) -> list[str]:
        """Return the handles of the first selected KOLs whose list is read in full and whose profile nobody saw."""
        rows = self._db.execute(
            "SELECT user_name FROM temp.selected WHERE why IN ('new', 'refresh', 'begun', 'retry') AND NOT incremental "
            "AND NOT to_look_at AND handle NOT IN (SELECT handle FROM account WHERE following IS NOT NULL) "
            "ORDER BY place LIMIT ?",
            (number,),
        )
        return [user_name for (user_name,) in rows]

    def measure(self, lengths: Mapping[str, int]) -> None:
        """Record how many accounts KOLs follow by their rows in the target, by handle in lower case."""
        self._db.executemany(
            "UPDATE temp.selected SET following = ? WHERE handle = ?",
            [(following, handle) for handle, following in lengths.items()],
        )

    def following(self, handle: str) -> int | None:
        """Return how many accounts a selected KOL follows by its profile; None if nobody has seen it."""
        found: int | None = self._value(
            "SELECT coalesce((SELECT following FROM account WHERE handle = ?1), "
            "(SELECT following FROM temp.selected WHERE handle = ?1))",
            handle,
        )
        return found

    def looked_at(self, kols: Iterable[Kol]) -> None:
        """Record that the profiles of selected KOLs were seen, or that nobody can see them."""
        self._db.executemany(
            "UPDATE temp.selected SET to_look_at = FALSE WHERE handle = ?", [(kol.handle,) for kol in kols]
        )

    def skip_seen(self) -> None:
        """Look at none of the selected KOLs whose profiles a worker has seen that died before it could say so."""
        self._db.execute(
            "UPDATE temp.selected SET to_look_at = FALSE WHERE to_look_at "
            "AND handle IN (SELECT handle FROM account WHERE read_at BETWEEN :look_before AND :latest)",
            self._watch_values(),
        )

    def replace(self, kol: Kol, other: Kol) -> None:
        """Select another account's list, which is new, in place of a KOL's that has lost its handle to it."""
        self._db.execute(
            "UPDATE temp.selected SET handle = ?, why = 'new', state = 'new', incremental = FALSE, "
            "base_is_missing = FALSE WHERE handle = ?",
            (other.handle, kol.handle),
        )

    def keep_promising(self) -> int:
        """Drop the reading of lists that a look found without news, and order the others by the new follows that they
        promise. Returns how many lists without news there are.
        """
        news = (
            f"(NOT EXISTS (SELECT 1 FROM account WHERE handle = s.handle) OR EXISTS "
            f"(SELECT 1 FROM kol k {JOIN_BASE} JOIN account a ON a.handle = k.handle "
            f" WHERE k.provider = :provider AND k.handle = s.handle AND {_PROMISES}))"
        )
        done = self._db.execute(
            f"UPDATE temp.selected AS s SET why = NULL WHERE why = 'refresh' AND NOT to_look_at AND NOT {news}",
            self._watch_values(),
        )
        self._db.execute(
            "UPDATE temp.selected AS s SET place = r.place FROM (SELECT handle, max(place) OVER () + row_number() OVER "
            " (ORDER BY CASE why WHEN 'refresh' THEN (SELECT min(place) FROM temp.selected WHERE why = 'refresh') "
            "  ELSE place END, coalesce((SELECT promise FROM account a WHERE a.handle = q.handle), 0) DESC, place) "
            " AS place FROM temp.selected q) r WHERE r.handle = s.handle"
        )
        return done.rowcount

    def _watch_values(self) -> dict[str, object]:
        """Return the parameters of the SQL about what is watched."""
        return {
            "provider": self._provider,
            "latest": latest(),
            "look_before": self.watch.look_before if self.watch else None,
            "read_before": self.watch.read_before if self.watch else None,
            "full_before": self.full_before,
        }

    def begin_long_lists_early(self, at_once: float) -> None:
        """Let the run end with its shortest lists: a list is read page by page, `at_once` lists at a time.

        Nothing outlasts the others that begins while they have `at_once` times as many pages as the longest list. The
        lists behind this point are read longest first, after those that are begun: their cursors do not last for ever.
        The others keep their order. A list that failed before stays behind them.
        """
        if at_once <= 1:
            return
        self._db.execute(
            """
            WITH expected AS (
              SELECT place, why, CASE WHEN why = 'failed' THEN 0 WHEN incremental THEN 1 WHEN k.pages > 0 THEN k.pages
                ELSE coalesce(a.following, s.following, :usual) / :size + 1 END AS pages
              FROM temp.selected s LEFT JOIN kol k ON k.provider = :provider AND k.handle = s.handle
              LEFT JOIN account a ON a.handle = s.handle WHERE why IS NOT NULL
            ), ordered AS (
              SELECT place, why, pages, sum(pages) OVER (ORDER BY place DESC) - pages
                < max(pages) OVER () * :at_once AS is_last
              FROM expected
            ), turns AS (
              SELECT place, row_number() OVER (ORDER BY is_last,
                CASE WHEN is_last AND why <> 'begun' THEN -pages END NULLS FIRST, place) AS turn
              FROM ordered
            )
            UPDATE temp.selected SET place = -turn FROM turns WHERE selected.place = turns.place
            """,
            {
                "usual": self._api.usual_users,
                "size": self._api.page_size,
                "provider": self._provider,
                "at_once": at_once,
            },
        )
        self._db.execute("UPDATE temp.selected SET place = place + ? WHERE place > 0", (self.count(),))
        self._db.execute("UPDATE temp.selected SET place = -place WHERE place < 0")

    def count_source(self) -> int:
        """Count the KOLs that were taken in."""
        return self._count("SELECT count(*) FROM temp.source")

    def states_of_source(self) -> dict[State, int]:
        """Count the KOLs that were taken in by state; those that were never begun are left out."""
        rows = self._db.execute(
            "SELECT state, count(*) FROM temp.kol_here WHERE handle IN (SELECT handle FROM temp.source) GROUP BY state"
        )
        return {state_of(state): count for state, count in rows}

    def count_unbegun(self) -> int | None:
        """Count the KOLs of the source table that were never begun; None if it was not read."""
        if not self.is_the_source:
            return None
        return self._count(
            "SELECT count(*) FROM temp.source WHERE handle NOT IN (SELECT handle FROM kol WHERE provider = ?)",
            self._provider,
        )

    def finished_in_the_future(self) -> tuple[int, str, float]:
        """Count the KOLs taken in whose list was finished in the future, by a wrong clock; and name one, and when."""
        count, user_name, at = self._db.execute(
            "SELECT count(*), min(s.user_name), max(k.finished_at) FROM temp.source s "
            "JOIN kol k ON k.provider = ? AND k.handle = s.handle WHERE k.finished_at > ?",
            (self._provider, latest()),
        ).fetchone()
        return count, user_name or "", at or 0.0

    def count_gone(self) -> int:
        """Count the KOLs taken in whose list was read for another target only, and has no page in the cache."""
        return self._count(
            "SELECT count(*) FROM temp.source s WHERE EXISTS (SELECT 1 FROM temp.kol_here k "
            "WHERE k.handle = s.handle AND state IN ('fetched', 'partial') AND coalesce(loaded, -1) <> generation) "
            "AND NOT EXISTS (SELECT 1 FROM page p WHERE p.provider = ? AND p.handle = s.handle)",
            self._provider,
        )

    def bought_elsewhere(self) -> tuple[int, list[str]]:
        """Count the selected KOLs whose list was only bought from other families, and name these in order."""
        rows = self._db.execute(
            "SELECT handle, provider FROM kol WHERE provider <> ?1 AND state = 'fetched' "
            "AND handle IN (SELECT handle FROM temp.selected WHERE why IS NOT NULL) "
            "AND handle NOT IN (SELECT handle FROM kol WHERE provider = ?1)",
            (self._provider,),
        ).fetchall()
        return len({handle for handle, _ in rows}), sorted({family for _, family in rows})

    def count_with_id(self) -> int:
        """Count the selected KOLs with work whose id is known."""
        return self._count(
            "SELECT count(*) FROM temp.selected JOIN account USING (handle) WHERE why IS NOT NULL AND id <> ''"
        )

    def count_by_why(self) -> dict[Why, int]:
        """Count the selected KOLs by the reason why they are due."""
        counts = dict(self._db.execute("SELECT why, count(*) FROM temp.selected GROUP BY why"))
        return {why: counts[why] for why in Why if why in counts}

    def mark_reached(self, handle: str) -> None:
        """Record that the run begins to read the list of a selected KOL."""
        self._db.execute("UPDATE temp.selected SET reached = TRUE WHERE handle = ?", (handle,))

    def count(self) -> int:
        """Count the selected KOLs."""
        return self._count("SELECT count(*) FROM temp.selected")

    def count_not_reached(self) -> int:
        """Count the selected KOLs whose lists were to be read again, or tried again, and were not begun."""
        return self._count(f"SELECT count(*) FROM temp.selected WHERE {NOT_REACHED}")

    def count_waiting(self) -> int:
        """Count the selected KOLs with cached pages that are not in the target."""
        return self._count(
            "SELECT count(DISTINCT handle) FROM temp.waiting_page WHERE handle IN (SELECT handle FROM temp.selected)"
        )

    def waiting_pages(self) -> WaitingPages:
        """Count the pages that were to be loaded and are not in the target."""
        others = "SELECT 1 FROM page_load l WHERE l.seq = w.seq AND l.target = ? AND l.again"
        row = self._db.execute(
            "SELECT count(*), count(DISTINCT w.handle), count(DISTINCT CASE WHEN s.handle IS NULL THEN w.handle END) "
            "FROM temp.waiting_page w LEFT JOIN temp.selected s ON s.handle = w.handle "
            f"WHERE s.handle IS NOT NULL OR EXISTS ({others})",
            (self._target,),
        ).fetchone()
        return WaitingPages(*row)

    def handles(self) -> Iterator[str]:
        """Yield the handles of all selected KOLs as the source spells them, in order."""
        for due in self._read("TRUE"):
            yield due.kol.user_name

    def due(self) -> Iterator[Due]:
        """Yield the selected KOLs that have work, in order; they are read a few hundred at a time."""
        yield from self._read(HAS_WORK)

    def next_due(self, place: int) -> list[tuple[int, Due]]:
        """Return the first selected KOLs behind this place that have work, with their places."""
        return self._behind(place, HAS_WORK, _AT_ONCE)

    def _read(self, which: str) -> Iterator[Due]:
        place = 0
        while some := self._behind(place, which, _AT_ONCE):
            for place, due in some:  # noqa: B007 - the next query starts after the last
                yield due

    def _behind(self, place: int, which: str, number: int) -> list[tuple[int, Due]]:
        rows = self._db.execute(
            f"SELECT place, handle, user_name, why, state, incremental FROM temp.selected WHERE place > ? AND {which} "
            "ORDER BY place LIMIT ?",
            (place, number),
        )
        return [
            (place, Due(Kol(handle, user_name), Why(why or Why.BEGUN), state_of(state), bool(incremental)))
            for place, handle, user_name, why, state, incremental in rows
        ]
