"""Turns a page into rows of who follows whom. Pure: a page gives the same rows whenever it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.console.wording import moment
from kolspider.items import Follow, WholeReading
from kolspider.providers.users import ids_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.items import FollowingsPage

__all__ = ["mapped_follows", "whole_reading"]


def mapped_follows(page: FollowingsPage, account_id: Callable[[object], object]) -> list[Follow]:
    """Return a follow for each account of the page that has a usable id."""
    seen = moment(page.fetched_at)
    ids = dict.fromkeys(filter(None, ids_of(page.users, account_id)))
    return [Follow(page.kol.handle, id_, seen, seen) for id_ in ids]


def whole_reading(page: FollowingsPage) -> WholeReading | None:
    """Return the full reading that ends with this page; None if none does."""
    if page.full_reading_began is None:
        return None
    return WholeReading(page.kol.handle, moment(page.fetched_at), moment(page.full_reading_began))
