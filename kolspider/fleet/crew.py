"""The workers of a job: who reads which list, who loads, and when all of it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.items import State
from kolspider.live.crew import Crew, Round
from kolspider.options.arguments import Replay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kolspider.fleet.job import SharedJob
    from kolspider.fleet.store import SharedStore
    from kolspider.live.stop import Stop
    from kolspider.options.arguments import Arguments
    from kolspider.store.ledger import Ledger
    from kolspider.store.selection import Due

__all__ = ["SharedCrew"]

_LOOK_EVERY = 0.5
"""Seconds between two looks at what is to be done."""
_ALL = 10**9
"""More KOLs than a job has."""


class SharedCrew(Crew):
    """This worker among those of its job. Each of them buys, and one at a time loads what all of them bought.

    So pages are loaded in the order in which they were stored, whoever bought them.
    """

    loads_from_store = True

    def __init__(
        self,
        job: SharedJob,
        talk: SharedStore,
        store: SharedStore,
        ledger: Ledger,
        stop: Stop,
        arguments: Arguments,
        *,
        evict: bool,
    ) -> None:
        """`talk` is the connection for the agreement with others: no batch holds it up."""
        self._job = job
        self._talk = talk
        self._store = store
        self._ledger = ledger
        self._stop = stop
        self._loads = not arguments.dry_run
        self._evict = evict
        self._replays_all = arguments.replay is Replay.ALL
        self.leads = False
        """Whether this worker is the one that loads."""

    async def rounds(self) -> AsyncIterator[Round]:
        """Yield a round whenever this worker is the one that loads, until the job is over."""
        has_tried_refused = False
        while not await self._talk.ask(self._job.is_over):
            is_all_read, work = await self._talk.ask(self._outlook)
            if work:
                work.refused = not has_tried_refused
                has_tried_refused = True
                if work.looks:
                    await self._store.ask(self._ledger.selection.skip_seen)
                yield work
                if work.looks:
                    await self._store.ask(self._job.looked)
                elif work.everything:
                    await self._talk.ask(self._job.replayed)
            if is_all_read and not (work and work.is_more_likely) and (work or not self._loads):
                if self._loads:
                    await self._store.ask(self._settle_rest)
                await self._talk.ask(self._finish)
            else:
                await self._stop.sleep(_LOOK_EVERY)

    def _outlook(self) -> tuple[bool, Round | None]:
        """Return whether all lists are read, and what this worker is to do for all, if it is the one."""
        is_all_read, looks = self._job.is_all_read(), not self._job.is_looked()
        if not (self._loads or looks):
            return is_all_read, None
        self.leads = self.leads or self._job.lead()
        if not self.leads:
            return is_all_read, None
        everything = self._replays_all and not self._job.is_replayed()
        return is_all_read, Round(self._loads, everything, looks=looks)

    def _finish(self) -> None:
        if self._job.is_all_read():  # a page that turned out to be damaged is bought again first
            self._job.finish()

    def _settle_rest(self) -> None:
        """Settle the lists of which a worker died between the last write and that."""
        self.show()
        for kol in self._ledger.kols.selected_in((State.FETCHED, State.PARTIAL), _ALL):
            self._ledger.kols.settle(kol.handle, evict=self._evict)

    async def due(self) -> AsyncIterator[Due | None]:
        """Yield KOLs as they are claimed: the next ones, and those of workers that died."""
        if self._ledger.selection.watch:
            while not await self._talk.ask(self._job.is_looked):
                await self._stop.sleep(_LOOK_EVERY)
            await self._store.ask(self._job.show)
        while not await self._talk.ask(self._job.is_all_read):
            while (one := await self._talk.ask(self._job.claim)) is not None:
                yield one
            yield None
            await self._stop.sleep(_LOOK_EVERY)

    def begun(self, handle: str) -> None:
        self._ledger.selection.mark_reached(handle)
        self._job.note(handle, "reached = TRUE")

    def ended(self, handle: str) -> None:
        self._job.ended(handle)

    def damaged(self, handle: str) -> None:
        self._job.note(handle, "done = FALSE, why = 'begun', state = 'fetching', reached = FALSE")

    def show(self) -> None:
        self._job.show()
