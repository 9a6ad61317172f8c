"""The commit protocol: which pages were handed to the database, which are committed, and so which KOLs are done.

The order at the end of a batch is: rows committed, rejects on disk, pages marked in the ledger; at the end of a
KOL: its list's end in the ledger, all of its pages marked, complete, its pages evicted if asked.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from kolspider.console.wording import counted
from kolspider.errors import NotAsked
from kolspider.items import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.items import FollowingsPage, Kol, Reject
    from kolspider.run.run import Run

__all__ = ["Loads"]

logger = logging.getLogger(__name__)

_WHAT_NEXT = {
    State.PARTIAL: "its users so far are kept; -a retry=partial buys only the page that broke the list",
    State.NOT_FOUND: "will not be asked again; -a retry=not_found would",
    State.FAILED: "the next run goes on with it",
}


class Loads:
    """Between the spider, which knows where a list ends, and the writer, which knows what is committed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.pages = 0
        """Handed over so far."""
        self._waiting: dict[str, int] = {}
        """Pages handed over and not committed, by handle."""
        self._whole: dict[str, str] = {}
        """What to log of whole lists once they are in the target, by handle."""

    def handed_over(self, page: FollowingsPage) -> None:
        """The page's rows are in the writer's buffer."""
        self.pages += 1
        self._waiting[page.kol.handle] = self._waiting.get(page.kol.handle, 0) + 1

    def committed(self, pages: Sequence[FollowingsPage], rejects: list[tuple[FollowingsPage, Reject]]) -> None:
        """The rows of these pages are committed; the users set aside are those in rejects."""
        with suppress(NotAsked), self._run.disk():
            size = self._run.rejects.append(rejects) if rejects else None
            self._run.note_loaded([page.seq for page in pages if page.seq is not None], size)
            for _, reject in rejects:
                self._run.count(f"rows/rejected/{reject.reason}")
            for page in pages:
                handle = page.kol.handle
                self._waiting[handle] -= 1
                if not self._waiting[handle]:
                    del self._waiting[handle]
                    self._settle(handle)

    def list_ended(
        self, kol: Kol, state: State, reason: str, *, pages: int, users: int, bought: int, new: int | None = None
    ) -> None:
        """A KOL's list came to its end: fetched, partial, not_found or failed.

        new: of an incremental crawl that ended where everybody is known, how many of the users were not.
        """
        size = f"{counted(users, 'user')} in {counted(pages, 'page')} ({bought} bought)"
        if new is not None:
            size = f"{new:,} new of {size}, the rest is known"
        if state is State.FETCHED and not self._run.arguments.dry_run:
            self._whole[kol.handle] = f"KOL {kol.user_name}: complete, {size}"
        elif state is State.FETCHED:
            logger.info("KOL %s: fetched, %s", kol.user_name, size)
            self._run.work.done[state] += 1
        else:
            self._run.work.done[state] += 1
            logger.warning("KOL %s: %s, %s: %s", kol.user_name, state, reason, _WHAT_NEXT[state])
        with suppress(NotAsked), self._run.disk():
            page_size = self._run.config.provider.page_size
            self._run.kols.end(kol.handle, state, reason, pages, users, bought=bought > 0, page_size=page_size, new=new)
            if new is not None:
                self._note_savings(kol, pages, users)
            self._settle(kol.handle)

    def _note_savings(self, kol: Kol, pages: int, users: int) -> None:
        """What reading the whole list would have cost more, as it is known now, the new ones in it."""
        cost = self._run.forecast.cost
        whole_pages, whole_users = self._run.kols.size(kol.handle)
        self._run.count("incremental/lists")
        self._run.count("incremental/calls_saved", max(whole_pages - pages, 0))
        self._run.count("incremental/credits_saved", max(cost(whole_pages, whole_users) - cost(pages, users), 0))

    def list_had_ended(self, kol: Kol) -> None:
        """The list ended in an earlier run: it may be done already, or will be when its pages are committed."""
        self._run.work.done[State.COMPLETE] += 1
        with suppress(NotAsked), self._run.disk():
            self._settle(kol.handle)

    def _settle(self, handle: str) -> None:
        """If nothing of the KOL waits in the writer, and its list has ended, it may be done."""
        if self._run.arguments.dry_run or handle in self._waiting:
            return
        state = self._run.kols.settle(handle, evict=self._run.config.cache_evict)
        if state is State.COMPLETE and handle in self._whole:
            logger.info(self._whole.pop(handle))
            self._run.work.done[state] += 1
