"""Who does a run's job: this process alone, or several (fleet/crew.py) that share its KOLs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kolspider.live.store import Store
    from kolspider.store.selection import Due, Selection

__all__ = ["Alone", "Crew", "Round"]


class Round(Struct):
    """Work that one process does for all: pages of the store are loaded, then profiles are looked at."""

    loads: bool
    everything: bool = False
    """Whether all pages of the selected KOLs are loaded, not only those that wait."""
    refused: bool = True
    """Whether the rows are tried again that the database refused."""
    looks: bool = False
    """Whether the profiles of the KOLs that are watched are looked at."""
    loaded: int = 0
    """Pages that were loaded."""

    @property
    def is_more_likely(self) -> bool:
        """Whether there may be more to do after it."""
        return self.everything or self.looks or self.loaded > 0


class Crew(ABC):
    """Shares out the work of a job."""

    loads_from_store = False
    """Whether a page that is bought waits in the store until the process that loads has come to it."""

    leads = True
    """Whether this process is the one that loads, and sends what the pages tell."""

    @abstractmethod
    def rounds(self) -> AsyncIterator[Round]:
        """Yield what this process is to load and to look at; each is done when the next one is asked for."""

    @abstractmethod
    def due(self) -> AsyncIterator[Due | None]:
        """Yield the KOLs whose lists this process reads; None whenever there is none for the moment."""

    @abstractmethod
    def begun(self, handle: str) -> None:
        """Record that the list of a KOL is begun. It is called where the ledger is asked."""

    @abstractmethod
    def ended(self, handle: str) -> None:
        """Record that the list of a KOL has ended. It is called where the ledger is asked."""

    @abstractmethod
    def damaged(self, handle: str) -> None:
        """Record that a page of a KOL's list has to be bought again. It is called where the ledger is asked."""

    @abstractmethod
    def show(self) -> None:
        """Bring the selection up to date with what others did. It is called where the ledger is asked."""


class Alone(Crew):
    """One process."""

    def __init__(self, selection: Selection, store: Store, *, loads: bool, everything: bool, looks: bool) -> None:
        self._selection = selection
        self._store = store
        self._round = Round(loads, everything, looks=looks)

    async def rounds(self) -> AsyncIterator[Round]:
        yield self._round

    async def due(self) -> AsyncIterator[Due | None]:
        place = 0
        while some := await self._store.ask(partial(self._selection.next_due, place)):
            for place, one in some:  # noqa: B007 - the next query starts after the last
                yield one

    def begun(self, handle: str) -> None:
        self._selection.mark_reached(handle)

    def ended(self, handle: str) -> None:
        """Do nothing: nobody else waits for it."""

    def damaged(self, handle: str) -> None:
        """Do nothing: the KOL's turn is still to come."""

    def show(self) -> None:
        """Do nothing: nobody else changes it."""
