"""Profiles by id for what the spider wants to know, in full calls where these cost less."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from kolspider.crawl.profiles import ask_for_profiles
from kolspider.errors import NotAsked, StopRun
from kolspider.items import FollowingsPage, Kol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scrapy.crawler import Crawler

    from kolspider.db.base import Database
    from kolspider.providers.base import ApiError, Profile, ProfileCall
    from kolspider.run.run import Run

__all__ = ["Profiles"]

_Answer = TypeVar("_Answer")

_PROFILES = Kol("", "profiles")


class Profiles:
    """Asks for profiles by id. What comes of accounts that the target table has is good for their rows, too."""

    def __init__(self, crawler: Crawler, run: Run, call: ProfileCall) -> None:
        self._crawler, self._run, self.call = crawler, run, call

    async def of(self, ids: Sequence[str]) -> list[Profile] | ApiError:
        """Return the profiles of these accounts, or why they did not come. Raises NotAsked if the run stops."""
        return await ask_for_profiles(self._crawler, self._run.config, self.call, ids)

    async def filled(self, ids: Sequence[str]) -> list[str]:
        """Return the ids, with more of the target table if the call costs less with them."""
        most, price = self.call.most, self.call.price
        if len(ids) == most or price(most) >= price(len(ids)):
            return [*ids]
        table, wanted = self._run.config.target_table, most - len(ids)
        start = random.randrange(10**18, 2 * 10**18)  # noqa: S311 - no secret: another part of the table each time
        found = await self.ask_database(lambda database: database.some_ids(table, start, most))
        others = [id_ for id_ in found if id_ not in set(ids)][:wanted]
        return [*ids, *others] if len(others) == wanted else [*ids]

    async def page(self, users: Sequence[object]) -> FollowingsPage | None:
        """Return those of these users that the target table has, as a page that is no list; None if it has none."""
        account_id = self._run.config.provider.account_id
        by_id = {str(account_id(user)): user for user in users}
        if not by_id:
            return None
        table = self._run.config.target_table
        known = await self.ask_database(lambda database: database.known_ids(table, list(by_id)))
        found = [user for id_, user in by_id.items() if int(id_) in known]
        return FollowingsPage(_PROFILES, 0, "", found, last=False, is_list=False) if found else None

    async def ask_database(self, question: Callable[[Database], _Answer]) -> _Answer:
        """Return the answer of the database. Raises NotAsked if the run stops, as it does if the database fails."""
        try:
            answer = await self._run.database.ask(question)
        except StopRun as error:
            self._run.stop.fail(error)
            raise NotAsked("the run is stopping") from None
        self._run.work.resume("the database")
        return answer
