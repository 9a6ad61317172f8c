"""Weeks in the life of some KOLs, who follow and unfollow between two runs, and who is seen when, by an oracle of its
own: it knows the lists and the rule that ends an incremental crawl, and nothing of the store."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kolspider.console.wording import moment
from kolspider.db.follow_tables import spans

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tests.e2e.project import Project

__all__ = ["Rounds", "make_ledger_older", "make_older"]

WEEK = 7 * 86_400
MOMENTS = (
    "page.fetched_at",
    "kol.started_at",
    "kol.finished_at",
    "crawl.started_at",
    "crawl.ended_at",
    "kol_load.loaded_at",
    "account.read_at",
    "account_change.at",
    "lost_account.read_at",
)
"""All times in the ledger."""


@dataclass
class Rounds:
    """Counts weeks; `full` and `incremental` note what a crawl that just ran has seen."""

    project: Project
    week: int = 0
    seen: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """(KOL, id) to the weeks in which it was first and last seen."""
    whole: dict[str, tuple[int, int]] = field(default_factory=dict)
    """KOL to the weeks of its first and its last whole crawl."""
    weeks: dict[str, list[int]] = field(default_factory=dict)
    """KOL to the weeks of all its whole crawls."""
    order: dict[str, list[str]] = field(default_factory=dict)
    """KOL to all that were ever seen, newest follow first."""

    def full(self, kols: Iterable[str]) -> None:
        """Note that these lists were read whole."""
        for kol in kols:
            ids = self.project.api.expected_ids(kol)
            self._see(kol, ids)
            self.order[kol] = ids
            if ids:
                self.whole[kol] = (self.whole.get(kol, (self.week, 0))[0], self.week)
                self.weeks.setdefault(kol, []).append(self.week)

    def incremental(
        self, kols: Iterable[str], *, full_pages: Collection[str] = (), in_order: bool = True
    ) -> dict[str, int]:
        """Note that these lists were read up to where everybody is known. Returns the number of pages of each.

        They were read in pages of 20, from page 1 again in full ones once that costs as much; those of `full_pages` in
        full ones at once. Without the order in which they are known, only a page of known accounts ends a list.
        """
        pages: dict[str, int] = {}
        for kol in kols:
            ids, pages[kol] = self.project.api.expected_ids(kol), 0
            read = 0
            for size, most in ((200, 999),) if kol in full_pages else ((20, 4), (200, 999)):
                read = size * next(
                    (nth for nth in range(1, most + 1) if self._ends(kol, ids, size, nth, in_order=in_order)), most
                )
                pages[kol] += read // size
                if read < size * most or self._ends(kol, ids, size, most, in_order=in_order):
                    break
            if read >= len(ids):
                self.full([kol])
            else:
                self._see(kol, ids[:read])
                self.order[kol] = list(dict.fromkeys([*ids[:read], *self.order[kol]]))
        return pages

    def _ends(self, kol: str, ids: list[str], size: int, nth: int, *, in_order: bool) -> bool:
        """Whether a reading ends at its n-th page: with the list, with ten accounts that are known and stand as they
        are known to stand, or with a full page of known ones.
        """
        places = {id_: place for place, id_ in enumerate(self.order[kol])}
        here = [places.get(id_, -1) for id_ in ids[: size * nth]]
        is_run = in_order and len(here) >= 10 and -1 not in here[-10:] and here[-10:] == sorted(here[-10:])
        return size * nth >= len(ids) or is_run or (size == 200 and -1 not in here[-size:])

    def _see(self, kol: str, ids: Iterable[str]) -> None:
        for id_ in ids:
            self.seen[kol, id_] = (self.seen.get((kol, id_), (self.week, 0))[0], self.week)

    def new(self, since: int = 0) -> set[tuple[str, str]]:
        """Follows that came after the KOL's first whole crawl, and in this week or later."""
        known = {key: first for key, (first, _) in self.seen.items() if key[0] in self.whole}
        return {key for key, first in known.items() if first > self.whole[key[0]][0] and first >= since}

    def lost(self) -> set[tuple[str, str]]:
        """Follows that the KOL's last whole crawl did not see, nor any crawl since."""
        return {key for key, (_, last) in self.seen.items() if key[0] in self.whole and last < self.whole[key[0]][1]}

    def missed_since(self) -> dict[tuple[str, str], int]:
        """The week in which a whole crawl first missed each lost follow."""
        return {key: min(week for week in self.weeks[key[0]] if week > self.seen[key][1]) for key in self.lost()}

    def shared(self) -> dict[str, int]:
        """Accounts that at least two KOLs follow, and how many do."""
        count = Counter(id_ for _, id_ in self.seen.keys() - self.lost())
        return {id_: kols for id_, kols in count.items() if kols > 1}

    def assert_seen(self) -> None:
        """Check that the tables agree, to the week."""
        project = self.project
        rows = project.sql(f"SELECT kol_user_name, user_id, first_seen, last_seen FROM `{project.follows}`")
        found = {(kol, id_): (self.week_of(first), self.week_of(last)) for kol, id_, first, last in rows}
        assert len(found) == len(rows)
        assert found == self.seen
        rows = project.sql(f"SELECT kol_user_name, first_whole, last_whole FROM `{project.follows}_crawls`")
        assert {kol: (self.week_of(first), self.week_of(last)) for kol, first, last in rows} == self.whole

    def week_of(self, text: object) -> int:
        """The week of a moment in the tables."""
        at = datetime.fromisoformat(str(text)).replace(tzinfo=UTC).timestamp()
        return self.week - round((time.time() - at) / WEEK)

    def pass_a_week(self) -> None:
        """Make all that is remembered a week older, and start the API again."""
        project = self.project
        project.api.stop()
        project.api.start()
        project.api.clear_calls()
        self.week += 1
        make_older(project, WEEK)


def make_older(project: Project, seconds: float) -> None:
    """Make all that is remembered older, as if this time had passed since."""
    make_ledger_older(project, seconds)
    with closing(project.database()) as database:
        for table, span in spans(project.follows):
            rows = project.sql(f"SELECT {', '.join(span.columns)} FROM `{table}`")
            project.empty(table)
            if rows:
                database.connect()
                older = [(*row[:-2], *(_before(text, seconds) for text in row[-2:])) for row in rows]
                database.widen(table, span, older)


def make_ledger_older(project: Project, seconds: float) -> None:
    """Make what the ledger remembers older, but not the follows tables."""
    with project.store() as store:
        for column in MOMENTS:
            table, _, name = column.partition(".")
            store.execute(f"UPDATE {table} SET {name} = {name} - ?", (seconds,))


def _before(text: object, seconds: float) -> str:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", str(text))
    return moment(datetime.fromisoformat(str(text)).replace(tzinfo=UTC).timestamp() - seconds)
