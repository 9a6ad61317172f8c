"""The commit protocol: tracks which pages are committed, and thereby which KOLs are done.

The order for a batch: its rows are committed, its rejects are on disk, its pages are marked in the ledger, and with
them its alerts are raised. The order for a KOL: the end of its list is in the ledger, all its pages are marked, it is
complete, its pages are deleted if asked.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from kolspider.console.columns import LOG_COLUMNS, cut
from kolspider.console.wording import counted
from kolspider.errors import NotAsked
from kolspider.items import State
from kolspider.load.remarks import Remarks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.alerts.raising import Raising
    from kolspider.items import FollowingsPage, Kol, Reject
    from kolspider.live.disk import Disk
    from kolspider.live.tally import Tally
    from kolspider.live.work import Work
    from kolspider.store.ledger import Ledger
    from kolspider.store.outbox import Draft
    from kolspider.store.refusals import Refusal

__all__ = ["Commits"]

logger = logging.getLogger(__name__)

_ENDED = (State.FETCHED, State.COMPLETE, State.PARTIAL, State.NOT_FOUND)


class Commits:
    """Connects the spider, which knows where a list ends, with the writer, which knows what is committed."""

    def __init__(
        self, ledger: Ledger, disk: Disk, tally: Tally, work: Work, raising: Raising, *, dry_run: bool, evict: bool
    ) -> None:
        self._ledger = ledger
        self._disk = disk
        self._tally = tally
        self._work = work
        self._dry_run = dry_run
        self._evict = evict
        self.raising = raising
        self.remarks = Remarks()
        """What the log has of each KOL's users beside the line for its end."""
        self._waiting: dict[str, int] = {}
        """Number of pages that are handed over and not committed, by handle."""
        self._fetched: dict[str, str] = {}
        """Log line of each list that was read to its end and is not in the target yet, by handle."""
        self._refused: set[str] = set()
        """Handles of the KOLs with refused rows in this run that no line of the log has named yet."""
        self._has_explained = False

    def handed_over(self, page: FollowingsPage) -> None:
        """Record that a page's rows are in the writer's buffer."""
        if page.is_list:
            self._waiting[page.kol.handle] = self._waiting.get(page.kol.handle, 0) + 1

    def committed(
        self,
        pages: Sequence[FollowingsPage],
        rejects: list[tuple[FollowingsPage, Reject]],
        refused: Sequence[Refusal] = (),
        written: Mapping[str, int] | None = None,
        alerts: Sequence[Draft] = (),
    ) -> None:
        """Record that the rows of these pages are committed; the users set aside are those in `rejects`.

        `refused` are the rows that are not in the target, `written` the accounts that are, each with its page, `alerts`
        what the pages tell.
        """
        self._refused.update(refusal.handle for refusal in refused)
        with suppress(NotAsked), self._disk.guard():
            size = self._ledger.rejects.append(rejects) if rejects else None
            seqs = [page.seq for page in pages if page.seq is not None]
            self._tally.alerts_raised += self._ledger.note_loaded(seqs, size, refused, written, alerts)
            self._tally.rows_rejected.update(reject.reason for _, reject in rejects)
            for page in pages:
                if not page.is_list:
                    continue
                handle = page.kol.handle
                self._waiting[handle] -= 1
                if not self._waiting[handle]:
                    del self._waiting[handle]
                    self._settle(handle)

    def list_ended(
        self,
        kol: Kol,
        state: State,
        reason: str,
        *,
        pages: int,
        users: int,
        bought: int,
        new: int | None = None,
        doubtful: bool = False,
    ) -> None:
        """Record the end of a KOL's list: fetched, partial, not_found or failed.

        `new` is set for an incremental reading that reached known accounts: how many of its users were not known.
        `doubtful` is a reading that failed only because it is so much shorter than the list was.
        """
        size = f"{counted(users, 'user')} in {counted(pages, 'page')} ({bought} bought)"
        if new is not None:
            size = f"{new:,} new of {counted(users, 'user')}, {counted(pages, 'page')} ({bought} bought)"
        if state is State.FETCHED and not self._dry_run:
            but = f", but {reason}" if reason else ""
            self._fetched[kol.handle] = f"KOL {kol.user_name}: complete{but}, {size}"
        else:
            self._work.done[state] += 1
            if state is State.FETCHED:
                logger.info("KOL %s: fetched, %s", kol.user_name, size)
            else:
                logger.warning("KOL %s: %s, %s", kol.user_name, state, reason)
        with suppress(NotAsked), self._disk.guard():
            self._ledger.kols.end(
                kol.handle, state, reason, pages, users, bought=bought > 0, new=new, doubtful=doubtful
            )
            if state in {State.FETCHED, State.PARTIAL}:
                self._ledger.accounts.was_read(kol.handle)
            if new is not None:
                self._note_savings(kol)
            self._settle(kol.handle)

    def _note_savings(self, kol: Kol) -> None:
        """Count how much more a full reading of the list would have cost."""
        pages, users = self._ledger.kols.size(kol.handle)
        bought = self._ledger.readings.users_bought(kol.handle)
        saved = self._ledger.forecast.cost(pages, users) - self._ledger.forecast.price(bought)
        self._tally.incremental_lists += 1
        self._tally.calls_saved += max(pages - len(bought), 0)
        self._tally.credits_saved += max(saved, 0)

    def list_had_ended(self, kol: Kol) -> None:
        """Record that only cached pages of the list had to be loaded: it is done once they are committed."""
        with suppress(NotAsked), self._disk.guard():
            found = self._ledger.kols.find(kol.handle)
            if found is None or found.state not in _ENDED:
                return  # a replay loads unfinished lists, too
            size = f"{counted(found.users, 'user')} in {counted(found.pages, 'page')} (0 bought)"
            if found.state in {State.FETCHED, State.COMPLETE} and not self._dry_run:
                self._fetched[kol.handle] = f"KOL {kol.user_name}: complete, {size}"
            else:
                self._work.done[found.state] += 1
                logger.info("KOL %s: %s, %s", kol.user_name, found.state, size)
            self._settle(kol.handle)

    def close(self) -> None:
        """Name the KOLs with refused rows whose lists did not end in this run, and raise the alerts that are left.

        These are about KOLs, or about lost follows that nobody can be asked about any more.
        """
        with suppress(NotAsked), self._disk.guard():
            for handle in sorted(self._refused):
                self._warn_of_refusals(handle)
            now = time.time()
            drafts = [alert.draft() for alert in self.raising.of_kols(now)]
            self._tally.alerts_raised += self._ledger.outbox.put_of_kols(drafts, now) + self.raising.release()

    def _settle(self, handle: str) -> None:
        """Finish the KOL if its list has ended and none of its pages waits in the writer."""
        if self._dry_run or handle in self._waiting:
            return
        state = self._ledger.kols.settle(handle, evict=self._evict)
        if state is None or handle not in self._fetched:
            return
        self._work.done[state] += 1
        line = self._fetched.pop(handle)
        if handle in self._refused:
            self._warn_of_refusals(handle)
        elif state is State.COMPLETE:
            logger.info(line)

    def _warn_of_refusals(self, handle: str) -> None:
        """Log how many rows of the KOL's list are refused, and once a run why: the closing table has all of it."""
        self._refused.discard(handle)
        kol = self._ledger.kols.find(handle)
        if kol is None or not kol.refused:
            return  # a newer row of the account came in after all
        if not self._has_explained:
            self._has_explained = True
            logger.warning("%s", cut(f"the database refuses rows: {kol.refusal}", LOG_COLUMNS))
        logger.warning("KOL %s: %s refused, see rejects.jsonl", kol.user_name, counted(kol.refused, "row"))
