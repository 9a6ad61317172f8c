"""Reads pages back from the cache, to load them into the table."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from kolspider.clock import latest
from kolspider.items import FollowingsPage, Kol, usable_id
from kolspider.providers.base import Page
from kolspider.store.refusals import What

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kolspider.live.crew import Crew
    from kolspider.live.store import Store
    from kolspider.live.tally import Tally
    from kolspider.providers.base import Provider
    from kolspider.store.ledger import Ledger
    from kolspider.store.pages import CachedPage

__all__ = ["CachedPages"]

logger = logging.getLogger(__name__)


class CachedPages:
    """Reads pages back from the store, and keeps track of damaged ones."""

    def __init__(self, ledger: Ledger, provider: Provider, store: Store, crew: Crew, tally: Tally) -> None:
        self._ledger = ledger
        self._provider = provider
        self._store = store
        self._crew = crew
        self._tally = tally
        self.damaged: set[str] = set()
        """Handles of the KOLs with a damaged page, which is bought again when their turn comes."""
        self._known_damage = set[int]()
        self._seq = 0
        """The last page that was read to be loaded."""
        self._with_gaps: set[tuple[str, int]] = set()
        """Handle and generation of each list with a damaged page: such a list does not show who is lost."""

    async def read(self, *, everything: bool, refused: bool = True) -> AsyncIterator[FollowingsPage]:
        """Yield the pages to load, in the order of fetching, so that no older profile overwrites a newer one.

        These are all pages of the selected KOLs if `everything` is set, else those that wait, the loaded ones that were
        fetched after them, and if `refused` is set, of other pages the users whose rows the database refused. Without
        it, only pages that have come since the last time are looked for: of a million pages, a look takes seconds.
        Raises NotAsked.
        """
        pages, seq = self._ledger.pages, 0
        choose = partial(pages.choose_waiting, refused=refused, behind=0 if refused else self._seq)
        await self._store.ask(pages.choose_all if everything else choose)
        while found := await self._store.ask(partial(self._next, seq)):
            seq, page = found
            self._seq = max(self._seq, seq)
            if page is not None:
                yield page

    def _next(self, seq: int) -> tuple[int, FollowingsPage | None] | None:
        """Return the number of the next page behind this one, and the page; None for the page if it is damaged."""
        cached = self._ledger.pages.next_to_load(seq)
        return None if cached is None else (cached.seq, self._page(cached))

    def _page(self, cached: CachedPage) -> FollowingsPage | None:
        answer = None if cached.body is None else self._provider.parse(200, cached.body, cached.cursor)
        if isinstance(answer, Page):
            users, only_rows = answer.users, None
            if cached.only_refused:
                refused = self._ledger.refusals.of_page(cached.handle, cached.seq)
                ids = set().union(*refused.values())
                users = [user for user in users if usable_id(self._provider.account_id(user)) in ids]
                only_rows = frozenset(refused.get(What.ACCOUNT, ()))
            return FollowingsPage(
                Kol(cached.handle, cached.user_name),
                cached.number,
                cached.cursor,
                users,
                not answer.more,
                cached.seq,
                # If a wrong clock fetched it in the future, it counts as fetched now.
                cached.fetched_at if cached.fetched_at <= latest() else time.time(),
                None if answer.more else self.full_reading_began(cached.handle, cached.generation),
                only_rows,
                is_selected=cached.is_selected,
            )
        if cached.seq in self._known_damage:
            return None  # it is looked for again until it is bought again
        self._known_damage.add(cached.seq)
        self._with_gaps.add((cached.handle, cached.generation))
        self._tally.cache_damaged += 1
        logger.warning("KOL %s: page %d in the cache is damaged", cached.user_name, cached.number)
        if self._ledger.kols.will_buy_again(cached.handle, cached.generation):
            self.damaged.add(cached.handle)
            self._crew.damaged(cached.handle)
        else:
            self._ledger.pages.drop(cached.seq)
        return None

    def full_reading_began(self, handle: str, generation: int) -> float | None:
        """Return when the reading that ends with this page began, in unix seconds.

        None if a page of it is missing, or if it is doubtful or short: none of these shows who is lost.
        """
        if (handle, generation) in self._with_gaps:
            return None
        readings = self._ledger.readings
        if readings.is_doubtful(handle, generation) or readings.is_short(handle, generation):
            return None
        return self._ledger.pages.full_reading_began(handle, generation)
