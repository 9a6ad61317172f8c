"""Looks at the profiles of KOLs before their lists are read: who follows more accounts or fewer, and who is who."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from kolspider.console.wording import counted
from kolspider.crawl.profiles import ask_for_profiles
from kolspider.providers.base import ApiError, ApiErrorKind, Profile
from kolspider.spiders.profiles import Profiles
from kolspider.store.accounts import Change

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from scrapy.crawler import Crawler

    from kolspider.items import FollowingsPage, Kol
    from kolspider.providers.base import ProfileCall
    from kolspider.run.run import Run
    from kolspider.store.accounts import AccountChange

__all__ = ["Sweep"]

_Work = TypeVar("_Work")

logger = logging.getLogger(__name__)

_AT_ONCE = 2_000
"""KOLs whose ids are looked for in one query."""


class Sweep:
    """Asks for the profiles of the selected KOLs that are to be looked at, many in a call; the ledger notes them.

    A KOL without an id in the ledger is looked for in the target table by its handle, else its profile is asked for by
    the handle. A call that costs less with more accounts is filled up with accounts of the target table.
    """

    def __init__(self, crawler: Crawler, run: Run, by_id: ProfileCall) -> None:
        self._crawler, self._run, self._most = crawler, run, by_id.most
        self._profiles = Profiles(crawler, run, by_id)
        self._by_name = run.config.provider.profile_by_name
        self._store, self._accounts, self._selection = run.store, run.ledger.accounts, run.ledger.selection
        self.error: ApiError | None = None
        """Why the API gave no profiles: the KOLs that are left are not looked at in this run."""

    async def profiles(self) -> AsyncIterator[FollowingsPage]:
        """Yield the profiles that came and whose accounts are in the target table, for their rows.

        Raises NotAsked if the run stops.
        """
        tally, place = self._run.tally, 0
        try:
            while not self.error and (
                some := await self._store.ask(partial(self._selection.next_to_look_at, place, _AT_ONCE))
            ):
                place, kols = some[-1][0], [due.kol for _, due in some]
                ids = await self._ids(kols)
                known = [kol for kol, id_ in ids.items() if id_]
                unclear = [kol for kol, id_ in ids.items() if not id_]
                parts = [known[start : start + self._most] for start in range(0, len(known), self._most)]
                async for page in self._in_parallel(parts, lambda part: self._look_at(part, ids, unclear)):  # noqa: B023
                    yield page
                async for page in self._in_parallel(unclear, self._look_up):
                    yield page
        finally:  # what was seen before a stop has no news either
            tally.unchanged = await self._store.ask(self._selection.keep_promising)
        logger.info("%s looked at: %s without news", counted(tally.looks, "KOL"), counted(tally.unchanged, "list"))

    async def _ids(self, kols: Sequence[Kol]) -> dict[Kol, str]:
        """Return the ids of KOLs from the ledger, else from the target table; empty where neither has it."""
        ids = await self._store.ask(lambda: {kol: self._accounts.id_of(kol.handle) for kol in kols})
        if others := [kol for kol, id_ in ids.items() if not id_]:
            table, names = self._run.config.target_table, [kol.user_name for kol in others]
            found = await self._profiles.ask_database(lambda database: database.ids_by_name(table, names))
            ids |= {kol: found.get(kol.user_name.lower(), "") for kol in others}
        return ids

    async def _in_parallel(
        self, work: Sequence[_Work], do: Callable[[_Work], Awaitable[list[object]]]
    ) -> AsyncIterator[FollowingsPage]:
        """Do some of the work at a time, and yield the users that came, also before the run stopped: they are paid."""
        for start in range(0, len(work), self._run.config.concurrency):
            if self.error:
                return
            some = work[start : start + self._run.config.concurrency]
            done = await asyncio.gather(*map(do, some), return_exceptions=True)
            for came in done:
                if isinstance(came, list) and (page := await self._profiles.page(came)):
                    yield page
            for error in done:
                if isinstance(error, BaseException):
                    raise error

    async def _look_at(self, kols: Sequence[Kol], ids: dict[Kol, str], unclear: list[Kol]) -> list[object]:
        """Look at the profiles of KOLs by their ids. Returns them; KOLs that they don't tell are added to `unclear`.

        An id of the target table is believed if the account still has the KOL's handle. A KOL whose profile does not
        come may be gone, or its handle may be another account's.
        """
        answer = await self._profiles.of(await self._profiles.filled([ids[kol] for kol in kols]))
        if isinstance(answer, list) and not answer:
            answer = ApiError(ApiErrorKind.CONTRACT_DRIFT, "it has no profile")
        if isinstance(answer, ApiError):
            self._fail(answer)
            return []
        profiles = {profile.id: profile for profile in answer}
        known = await self._store.ask(lambda: {kol for kol in kols if self._accounts.id_of(kol.handle)})
        looks = []
        for kol in kols:
            profile = profiles.get(ids[kol])
            is_sure = kol in known or (profile and _is_of(profile, kol))
            if profile and is_sure:
                looks.append((kol, profile))
            else:
                unclear.append(kol)
        await self._note(looks)
        return [profile.user for profile in answer if not profile.gone]

    async def _look_up(self, kol: Kol) -> list[object]:
        """Look at the profile of a KOL by its handle. Returns it."""
        if self._by_name is None:
            await self._store.ask(lambda: self._selection.looked_at([kol]))  # its list is read instead
            return []
        name, id_ = await self._store.ask(lambda: self._accounts.of(kol))
        answer = await ask_for_profiles(self._crawler, self._run.config, self._by_name, [name])
        if isinstance(answer, ApiError) and answer.kind is ApiErrorKind.NOT_FOUND:
            answer = [Profile("", None, None, None, "not found", None)]
        if not answer:
            answer = ApiError(ApiErrorKind.CONTRACT_DRIFT, "it has no profile")
        if isinstance(answer, ApiError):
            self._fail(answer)
            return []
        profile = answer[0]
        if id_ and profile.id and profile.id != id_:
            await self._store.ask(lambda: self._replace(kol, profile))
            return [profile.user]
        await self._note([(kol, profile)])
        return [] if profile.gone else [profile.user]

    def _replace(self, kol: Kol, profile: Profile) -> None:
        other = self._accounts.replace(kol, profile)
        self._selection.replace(kol, other)
        self._selection.looked_at([other])

    async def _note(self, looks: Sequence[tuple[Kol, Profile]]) -> None:
        def note() -> list[AccountChange]:
            changes = self._accounts.note(looks)
            self._selection.looked_at(kol for kol, _ in looks)
            return changes

        changes = await self._store.ask(note)
        self._run.tally.looks += len(looks)
        for change in changes:
            if change.what is Change.RENAMED:
                table = self._run.config.source_table
                logger.warning("KOL %s is now @%s: update %s", change.kol.user_name, change.detail, table)
            elif change.what is Change.PROTECTED:
                logger.warning("KOL %s: protected, only its followers see its list", change.kol.user_name)

    def _fail(self, error: ApiError) -> None:
        if self.error is None:
            self.error = error
            logger.warning("the API gives no profiles (%s); reading what is known to have changed", error.message)


def _is_of(profile: Profile, kol: Kol) -> bool:
    return not profile.gone and (profile.user_name or "").lower() == kol.user_name.lower()
