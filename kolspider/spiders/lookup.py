"""Looks up the ids of KOLs before their lists are asked for, where the provider needs them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kolspider.crawl.profiles import ask_for_profiles
from kolspider.providers.base import Account, ApiError, ApiErrorKind, Profile
from kolspider.store.selection import Why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scrapy.crawler import Crawler

    from kolspider.items import Kol
    from kolspider.providers.base import ProfileCall
    from kolspider.run.run import Run
    from kolspider.store.selection import Due

__all__ = ["Lookup"]


class Lookup:
    """Finds ids in the ledger, else asks the API, for several KOLs in a call where it can be asked so."""

    def __init__(self, crawler: Crawler, run: Run) -> None:
        self._crawler, self._run, self._store = crawler, run, run.store
        provider = run.config.provider
        self._call = provider.profile_by_name if provider.needs_id else None

    async def accounts(self, due: AsyncIterator[Due | None]) -> AsyncIterator[tuple[Due, Account | ApiError]]:
        """Yield each KOL with its account, or with why there is none; its id is empty where none is known or needed.

        Raises NotAsked if the run stops.
        """
        if self._call is None:
            async for one in due:
                if one:
                    yield one, await self._known(one)
            return
        async for batch in self._batches(due, self._call.most):
            unknown = [one.kol for one, id_ in batch if not id_]
            errors = await self._look_up(self._call, unknown)
            for one, _ in batch:
                yield one, errors.get(one.kol.handle) or await self._known(one)

    async def _batches(self, due: AsyncIterator[Due | None], most: int) -> AsyncIterator[list[tuple[Due, str]]]:
        """Yield KOLs, so many at a time, each with its id as far as it is known."""
        batch: list[tuple[Due, str]] = []
        async for one in due:
            if one:
                batch.append((one, await self._store.ask(partial(self._id, one.kol))))
            if batch and (one is None or len(batch) == most):
                yield batch
                batch = []
        if batch:
            yield batch

    async def _known(self, due: Due) -> Account | ApiError:
        return await self._store.ask(lambda: self._account(due))

    def _account(self, due: Due) -> Account | ApiError:
        ledger, is_again = self._run.ledger, due.why is Why.RETRY
        if ledger.selection.watch and not is_again and (gone := ledger.accounts.gone(due.kol.handle)):
            return ApiError(ApiErrorKind.NOT_FOUND, gone)  # a look has just found that
        return ledger.accounts.of(due.kol)

    def _id(self, kol: Kol) -> str:
        return self._run.ledger.accounts.id_of(kol.handle)

    async def _look_up(self, call: ProfileCall, kols: list[Kol]) -> dict[str, ApiError]:
        """Note the ids of these KOLs in the ledger. Returns the errors by handle."""
        if not kols:
            return {}
        answer = await ask_for_profiles(self._crawler, self._run.config, call, [kol.user_name for kol in kols])
        if isinstance(answer, ApiError):
            return {kol.handle: answer for kol in kols}
        by_name = {profile.user_name.lower(): profile for profile in answer if profile.user_name}
        errors: dict[str, ApiError] = {}
        for kol in kols:
            profile = answer[0] if len(kols) == len(answer) == 1 else by_name.get(kol.user_name.lower())
            if profile is None and len(kols) > 1:  # an answer for several may leave out one of them
                errors |= await self._look_up(call, [kol])
            elif error := await self._note(kol, profile):
                errors[kol.handle] = error
        return errors

    async def _note(self, kol: Kol, profile: Profile | None) -> ApiError | None:
        if profile is None:
            return ApiError(ApiErrorKind.NOT_FOUND, "user not found")
        await self._store.ask(lambda: self._run.ledger.accounts.note([(kol, profile)]))
        if profile.gone:
            return ApiError(ApiErrorKind.NOT_FOUND, profile.gone)
        return None if profile.id else ApiError(ApiErrorKind.CONTRACT_DRIFT, "the profile has no id")
