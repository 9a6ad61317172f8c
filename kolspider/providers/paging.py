"""Where a list ends: the guards against an API that pages forever or loses its way. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.items import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kolspider.providers.base import Page

__all__ = ["End", "Next", "Paging"]

# Empty pages with a valid cursor happen in good lists, and so do endless new cursors over the same users.
_MAX_STALE_PAGES = 3


@dataclass(frozen=True, slots=True)
class Next:
    """The list goes on at this cursor."""

    cursor: str


@dataclass(frozen=True, slots=True)
class End:
    """The list is over."""

    state: State
    """`complete` when the API says so, `partial` when a guard does."""
    reason: str
    """Why it is partial; empty when complete."""
    whole: bool = True
    """Complete, but not whole: everybody from here on is known."""


class Paging:
    """Follows one KOL's list from its first page on."""

    def __init__(self, known: Collection[int] = (), known_stop: int = 1) -> None:
        """known: whom the KOL was known to follow before; so many pages of them in a row end the list."""
        self._known = known
        self._known_stop = known_stop
        self._known_pages = 0
        self.pages = 0
        self._asked: set[str] = set()
        self._seen: set[int] = set()  # as ints: half the memory of the texts
        self._stale_pages = 0
        self._kept_pages = 0
        """Pages of an earlier run that had new accounts."""

    @property
    def users(self) -> int:
        """How many different accounts were seen."""
        return len(self._seen)

    @property
    def new(self) -> int:
        """How many of them were not known."""
        return sum(id_ not in self._known for id_ in self._seen)

    def take(self, cursor_asked: str, page: Page, ids: Iterable[str], *, kept: bool = False) -> Next | End:
        """Where to go after `page`, which was the answer to `cursor_asked`; `ids` are its usable ids.

        Expect the same account on two pages: the list shifts while it is read. `kept`: the page is one of an
        earlier run. Days may lie between that and this run, and where cursors are positions, as many pages as
        were read then can come again behind as many new follows: that many without a new account are no loop.
        Those that were bought of them before count, too, or a loop would be bought on run after run.
        """
        self.pages += 1
        self._asked.add(cursor_asked)
        users_before = self.users
        numbers = set(map(int, ids))
        self._seen |= numbers
        if numbers:  # an empty page says nothing
            # Not whom an earlier page of this reading brought: the list may have shifted, and hide new ones behind.
            self._known_pages = self._known_pages + 1 if all(id_ in self._known for id_ in numbers) else 0
        new = self.users > users_before
        self._stale_pages = 0 if new else self._stale_pages + 1
        self._kept_pages += new and kept

        if not page.more:
            return End(State.COMPLETE, "")
        if self._known_pages == self._known_stop:
            return End(State.COMPLETE, "", whole=False)
        if page.next_cursor is None:
            return End(State.PARTIAL, "has_next_page without a cursor")
        if page.next_cursor in self._asked:
            return End(State.PARTIAL, "repeated cursor")
        if not kept and self._stale_pages >= max(_MAX_STALE_PAGES, self._kept_pages + 1):
            return End(State.PARTIAL, f"{self._stale_pages} pages in a row without a new account")
        return Next(page.next_cursor)
