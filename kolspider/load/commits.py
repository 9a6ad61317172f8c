"""The commit protocol: tracks which pages are committed, and thereby which KOLs are done.

The order for a batch: its rows are committed, its rejects are on disk, its pages are marked in the ledger, and with
them its alerts are raised. The order for a KOL: the end of its list is in the ledger, all its pages are marked, it is
complete, its pages are deleted if asked.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from kolspider.console.columns import LOG_COLUMNS, cut
from kolspider.console.wording import counted
from kolspider.errors import NotAsked
from kolspider.items import State
from kolspider.load.remarks import Remarks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.alerts.raising import Raising, Sought
    from kolspider.items import FollowingsPage, Kol, MappedPage, Reject
    from kolspider.live.crew import Crew
    from kolspider.live.store import Store
    from kolspider.live.tally import Tally
    from kolspider.live.work import Work
    from kolspider.options.arguments import Arguments
    from kolspider.store.kols import KolRecord
    from kolspider.store.ledger import Ledger
    from kolspider.store.outbox import Draft
    from kolspider.store.refusals import Refusal, What

__all__ = ["Commits"]

logger = logging.getLogger(__name__)

_ENDED = (State.FETCHED, State.COMPLETE, State.PARTIAL, State.NOT_FOUND)


class Commits:
    """Connects the spider, which knows where a list ends, with the writer, which knows what is committed."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        crew: Crew,
        tally: Tally,
        work: Work,
        raising: Raising,
        arguments: Arguments,
        *,
        evict: bool,
    ) -> None:
        self._ledger = ledger
        self._crew = crew
        self._store = store
        self._tally = tally
        self._work = work
        self._dry_run = arguments.dry_run
        self._waits_for_table = not arguments.dry_run and not crew.loads_from_store
        """Whether a list that was read to its end is done only when this process has loaded its pages."""
        self._evict = evict
        self.raising = raising
        self.remarks = Remarks(dry_run=arguments.dry_run, replay=bool(arguments.replay))
        """What the log has of each KOL's users beside the line for its end."""
        self._waiting: Counter[str] = Counter()
        """Number of pages that are handed over and not committed, by handle."""
        self._fetched: dict[str, str] = {}
        """Log line of each list that was read to its end and is not in the target yet, by handle."""
        self._complete: set[str] = set()
        """Handles of the KOLs that were settled as complete and that the log has no line of."""
        self._refused: set[str] = set()
        """Handles of the KOLs with refused rows in this run that no line of the log has named yet."""
        self._has_explained = False

    def handed_over(self, page: FollowingsPage) -> None:
        """Record that a page's rows are in the writer's buffer."""
        if page.is_list:
            self._waiting[page.kol.handle] += 1
            self._complete.discard(page.kol.handle)

    async def known(
        self, pages: Sequence[MappedPage]
    ) -> tuple[dict[tuple[str, int], dict[What, set[str]]], set[int | None], Sought]:
        """Return what the ledger knows of the pages of a batch, before its rows are written. Raises NotAsked.

        The rows that were refused when a page was loaded before, by KOL and page; the pages that were ever loaded, into
        whatever target; and what the pages may tell.
        """
        stored = [(page.page.kol.handle, page.page.seq) for page in pages if page.page.seq is not None]
        of_page, written = self._ledger.refusals.of_page, self._ledger.pages.rejects_written

        def ask() -> tuple[dict[tuple[str, int], dict[What, set[str]]], set[int | None], Sought]:
            before = {(handle, seq): of_page(handle, seq) for handle, seq in stored}
            loaded: set[int | None] = {seq for _, seq in stored if written(seq)}
            return before, loaded, self.raising.sought(pages, before, loaded)

        return await self._store.ask(ask)

    async def committed(
        self,
        pages: Sequence[FollowingsPage],
        rejects: list[tuple[FollowingsPage, Reject]],
        refused: Sequence[Refusal] = (),
        written: Mapping[str, int] | None = None,
        alerts: Sequence[Draft] = (),
    ) -> None:
        """Record that the rows of these pages are committed; rejects.jsonl gets `rejects`, which it does not have yet.

        `refused` are the rows that are not in the target, `written` the accounts that are, each with its page, `alerts`
        what the pages tell.
        """
        self._refused.update(refusal.handle for refusal in refused)
        seqs = [page.seq for page in pages if page.seq is not None]

        def note() -> int:
            size = self._ledger.rejects.append(rejects) if rejects else None
            return self._ledger.note_loaded(seqs, size, refused, written, alerts)

        with suppress(NotAsked):
            self._tally.alerts_raised += await self._store.ask(note)
            numbers = Counter(page.kol.handle for page in pages if page.is_list)
            self._waiting.subtract(numbers)
            await self._finish(*numbers)

    async def list_ended(
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
        if state is State.FETCHED and self._waits_for_table:
            but = f", but {reason}" if reason else ""
            self._fetched[kol.handle] = f"KOL {kol.user_name}: complete{but}, {size}"
        else:
            self._work.done[state] += 1
            if state is State.FETCHED:
                logger.info("KOL %s: fetched, %s", kol.user_name, size)
            else:
                logger.warning("KOL %s: %s, %s", kol.user_name, state, reason)

        def note() -> None:
            self._ledger.kols.end(
                kol.handle, state, reason, pages, users, bought=bought > 0, new=new, doubtful=doubtful
            )
            if state in {State.FETCHED, State.PARTIAL}:
                self._ledger.accounts.was_read(kol.handle)
            if new is not None:
                self._note_savings(kol)
            self._crew.ended(kol.handle)

        with suppress(NotAsked):
            await self._store.ask(note)
            await self._finish(kol.handle)

    def _note_savings(self, kol: Kol) -> None:
        """Count how much more a full reading of the list would have cost."""
        pages, users = self._ledger.kols.size(kol.handle)
        bought = self._ledger.readings.users_bought(kol.handle)
        saved = self._ledger.forecast.cost(pages, users) - self._ledger.forecast.price(bought)
        self._tally.incremental_lists += 1
        self._tally.calls_saved += max(pages - len(bought), 0)
        self._tally.credits_saved += max(saved, 0)

    async def list_had_ended(self, kol: Kol) -> None:
        """Record that only cached pages of the list had to be loaded: it is done once they are committed."""
        with suppress(NotAsked):
            found = await self._store.ask(lambda: self._found_ended(kol.handle))
            if found is None or found.state not in _ENDED:
                return  # a replay loads unfinished lists, too
            size = f"{counted(found.users, 'user')} in {counted(found.pages, 'page')} (0 bought)"
            if found.state in {State.FETCHED, State.COMPLETE} and self._waits_for_table:
                self._fetched[kol.handle] = f"KOL {kol.user_name}: complete, {size}"
            else:
                self._work.done[found.state] += 1
                logger.info("KOL %s: %s, %s", kol.user_name, found.state, size)
            if kol.handle in self._complete:
                await self._settled(kol.handle, State.COMPLETE)
            else:
                await self._finish(kol.handle)

    def _found_ended(self, handle: str) -> KolRecord | None:
        self._crew.ended(handle)
        return self._ledger.kols.find(handle)

    async def close(self) -> None:
        """Name the KOLs with refused rows whose lists did not end in this run, and raise the alerts that are left.

        These are about KOLs, or about lost follows that nobody can be asked about any more.
        """
        with suppress(NotAsked):
            for handle in sorted(self._refused):
                await self._warn_of_refusals(handle)
            if self._crew.leads:
                self._tally.alerts_raised += await self._store.ask(self._raise_what_is_left)

    def _raise_what_is_left(self) -> int:
        now = time.time()
        drafts = [alert.draft() for alert in self.raising.of_kols(now)]
        return self._ledger.outbox.put_of_kols(drafts, now) + self.raising.release()

    async def _finish(self, *handles: str) -> None:
        """Finish those of these KOLs whose list has ended and of which no page waits in the writer."""
        handles = tuple(handle for handle in handles if not self._waiting[handle])
        for handle in handles:
            del self._waiting[handle]
        if self._dry_run or not handles:
            return
        settle = partial(self._ledger.kols.settle_all, handles, evict=self._evict)
        for handle, state in zip(handles, await self._store.ask(settle), strict=True):
            if state is not None:
                await self._settled(handle, state)

    async def _settled(self, handle: str, state: State) -> None:
        """Count and log the end of a list whose pages are all committed."""
        if (line := self._fetched.pop(handle, None)) is None:
            if state is not State.COMPLETE:
                return
            if self._crew.loads_from_store:
                logger.info("KOL %s: complete", handle)
            else:
                self._complete.add(handle)
            return
        self._complete.discard(handle)
        self._work.done[state] += 1
        if handle in self._refused:
            await self._warn_of_refusals(handle)
        elif state is State.COMPLETE:
            logger.info(line)

    async def _warn_of_refusals(self, handle: str) -> None:
        """Log how many rows of the KOL's list are refused, and once a run why: the closing table has all of it."""
        self._refused.discard(handle)
        kol = await self._store.ask(lambda: self._ledger.kols.find(handle))
        if kol is None or not kol.refused:
            return  # a newer row of the account came in after all
        if not self._has_explained:
            self._has_explained = True
            logger.warning("%s", cut(f"the database refuses rows: {kol.refusal}", LOG_COLUMNS))
        logger.warning("KOL %s: %s refused, see rejects.jsonl", kol.user_name, counted(kol.refused, "row"))
