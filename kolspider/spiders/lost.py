"""Asks why follows are gone: the profiles of lost accounts tell, once the lists are read."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from kolspider.console.wording import counted
from kolspider.crawl.profile_request import ProfileRequest
from kolspider.errors import StopRun
from kolspider.providers.base import ApiError
from kolspider.spiders.profiles import Profiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from scrapy.crawler import Crawler

    from kolspider.items import FollowingsPage
    from kolspider.providers.base import Profile, ProfileCall
    from kolspider.run.run import Run

__all__ = ["LostAccounts"]

logger = logging.getLogger(__name__)

_FEW = 5
"""Accounts that may all be gone; an answer without a profile of more says nothing of them."""


class LostAccounts:
    """Asks for the accounts that alerts wait for, or for all that `-a why` names; the ledger notes what they tell."""

    def __init__(self, crawler: Crawler, run: Run, by_id: ProfileCall) -> None:
        self._run, self._most = run, by_id.most
        self._profiles = Profiles(crawler, run, by_id)

    async def profiles(self) -> AsyncIterator[FollowingsPage]:
        """Yield the profiles that came and whose accounts are in the target table, for their rows.

        Raises NotAsked if the run stops.
        """
        store, ledger = self._run.store, self._run.ledger
        ids = list(dict.fromkeys([*self._run.lost, *await store.ask(ledger.unexplained)]))
        for start in range(0, len(ids), self._most):
            asked = ids[start : start + self._most]
            answer = await self._ask(asked)
            if isinstance(answer, str):
                self._give_up(answer, len(ids) - start)
                return
            by_id = {profile.id: profile for profile in answer}
            found = await store.ask(partial(ledger.lost.note, [(id_, by_id.get(id_)) for id_ in asked]))
            self._run.tally.lost.update(one.reason for one in found)
            if page := await self._profiles.page([profile.user for profile in answer if not profile.gone]):
                yield page
        if ids:
            logger.info("%s asked for", counted(len(ids), "lost account"))

    async def _ask(self, ids: Sequence[str]) -> list[Profile] | str:
        """Return the profiles of these accounts, without those that are not there, or why nobody knows."""
        asked, run = await self._profiles.filled(ids), self._run
        dearest = ProfileRequest(self._profiles.call, asked).dearest(run.config.provider)
        if run.arguments.why is None and (cap := await run.turns.reached_cap(dearest)):
            return cap  # all lists are read, so the run does not end with that
        answer = await self._profiles.of(asked)
        if isinstance(answer, ApiError):
            return answer.message
        if not answer and len(asked) > _FEW:
            return f"the API has none of {len(asked)} profiles"
        return answer

    def _give_up(self, why: str, left: int) -> None:
        accounts = counted(left, "lost account")
        if self._run.arguments.why is not None:
            self._run.stop.fail(StopRun(f"{accounts} not asked for ({why}): run the same command again"))
        else:
            logger.warning("%s not asked for, so alerts go without a reason: %s", accounts, why)
