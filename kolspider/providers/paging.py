"""Decides where a list ends, with guards against an API that pages forever or contradicts itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from kolspider.items import State

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from kolspider.providers.base import Page

__all__ = ["NOBODY", "RUN", "End", "Known", "Next", "Paging"]

RUN = 10
"""Number of known accounts in their known order that prove that a list has met its known part.

An account that was unfollowed and followed again stands at the front: it is known, and may have new ones behind it. So
all ten must be such accounts, followed again in the opposite order, before one new account is missed. Ten also leave
room for ten new ones on a page of 20.
"""

_MAX_STALE_PAGES = 3
"""Number of pages without a new account that end a list: good lists have empty pages with a valid cursor, and broken
ones have endless new cursors over the same users."""
_MOST_PAGES = 500
"""Pages of a list, 100,000 accounts, that are bought in one run however short the other lists are: real lists that are
longer are rare, and a list that never ends costs $1."""


class Next(Struct, frozen=True):
    """The list continues at this cursor."""

    cursor: str


class End(Struct, frozen=True):
    """The list is over."""

    state: State
    """`complete` if the API says so, `partial` if a guard does."""
    reason: str
    """Why the list is partial; empty if it is complete."""
    full: bool = True
    """Whether the list was read to its end, not only up to known accounts."""


class Known(Struct, frozen=True):
    """The accounts that a KOL was known to follow before a reading."""

    ids: Container[int]
    places: Mapping[int, int] | None = None
    """The place of each of them in the list as it is known, newest follow first; None if the order is not known."""

    @staticmethod
    def newest_first(ids: Iterable[int]) -> Known:
        """Return the accounts in this order. Of an account that comes twice, the first place counts.

        So the pages of an incremental reading come before those of older ones: an account that was followed again
        stands where the newer reading saw it.
        """
        places = {id_: place for place, id_ in enumerate(dict.fromkeys(ids))}
        return Known(places, places)


NOBODY = Known(())


class Paging:
    """Follows one KOL's list from its first page on."""

    def __init__(
        self, known: Known = NOBODY, known_stop: int = 1, *, small_pages: bool = False, longest: int = 0
    ) -> None:
        """Begin a list; `known_stop` pages in a row that meet its known part end it.

        A page meets the known part when it ends with RUN accounts in their known order, unfollowed ones left out, or
        when it holds only known accounts; the latter proves nothing if the reading asks for `small_pages`. `longest`
        is the number of pages of the longest list known. Ten times as many that are bought in one run end the list,
        too.
        """
        self._known = known
        self._known_stop = known_stop
        self._small_pages = small_pages
        self._run = 0
        """Number of known accounts in their known order at the end of what was read."""
        self._last_place = 0
        self._most_pages = max(_MOST_PAGES, 10 * longest)
        self._bought_pages = 0
        self._known_pages = 0
        self.pages = 0
        self._asked: set[str] = set()
        self._seen: set[int] = set()  # as ints: half the memory of the texts
        self._stale_pages = 0
        self._kept_pages = 0
        """Number of pages of an earlier run that had new accounts."""

    @property
    def users(self) -> int:
        """Number of different accounts that were seen."""
        return len(self._seen)

    @property
    def new(self) -> int:
        """Number of accounts that were seen and not known."""
        return sum(id_ not in self._known.ids for id_ in self._seen)

    def take(self, cursor_asked: str, page: Page, ids: Iterable[str], *, kept: bool = False) -> Next | End:
        """Decide what follows `page`, the answer to `cursor_asked`; `ids` are its usable ids, in its order.

        The same account may be on two pages, because the list shifts while it is read. `kept` marks a page of an
        earlier run. Days may have passed since, and if cursors are positions, as many pages as were read then can come
        again after as many new follows: that many pages without a new account are no loop. Those of them that were
        bought before count too, or each run would buy on in a loop.
        """
        self.pages += 1
        self._asked.add(cursor_asked)
        numbers = dict.fromkeys(map(int, ids))
        if numbers:  # an empty page proves nothing
            self._known_pages = self._known_pages + 1 if self._meets_known(numbers) else 0
        new = not self._seen.issuperset(numbers)
        self._seen.update(numbers)
        self._stale_pages = 0 if new else self._stale_pages + 1
        self._kept_pages += new and kept
        self._bought_pages += not kept

        if not page.more:
            return End(State.COMPLETE, "")
        if self._known_pages == self._known_stop:
            return End(State.COMPLETE, "", full=False)
        if reason := self._broken(page.next_cursor, kept=kept):
            return End(State.PARTIAL, reason)
        return Next(page.next_cursor or "")

    def _meets_known(self, page: Iterable[int]) -> bool:
        """Tell whether nobody new can stand behind these accounts, in a list that grows at its front only.

        Accounts of an earlier page of this reading are not new to it, and not known for that: the list may have
        shifted, with new ones behind.
        """
        if self._known.places is not None:
            for id_ in page:
                if id_ in self._seen:
                    continue
                place = self._known.places.get(id_)
                if place is None:
                    self._run = 0
                    continue
                self._run = self._run + 1 if place > self._last_place else 1
                self._last_place = place
            if self._run >= RUN:
                return True
        return not self._small_pages and all(id_ in self._known.ids for id_ in page)

    def _broken(self, next_cursor: str | None, *, kept: bool) -> str:
        """Say why the list does not go on although the API says that it does; empty if it goes on."""
        if next_cursor is None:
            return "has_next_page without a cursor"
        if next_cursor in self._asked:
            return "repeated cursor"
        if not kept and self._stale_pages >= max(_MAX_STALE_PAGES, self._kept_pages + 1):
            return f"{self._stale_pages} pages in a row without a new account"
        if self._bought_pages == self._most_pages:
            return f"no end after {self._most_pages:,} pages; -a retry=partial reads on"
        return ""
