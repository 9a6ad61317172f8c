"""Live state of a run, read by the progress display: lists being read, KOLs done, waits."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from kolspider.items import Kol, State
    from kolspider.providers.paging import Paging
    from kolspider.store.forecast import Expected

__all__ = ["Reading", "Wait", "Work"]


class Reading(Struct, frozen=True):
    """A list that is being read."""

    kol: Kol
    paging: Paging
    expected: Expected


class Wait(Struct, frozen=True):
    """What holds up the run or a KOL. Times are seconds on the monotonic clock."""

    text: str
    why: str
    since: float
    until: float | None
    """None while the end is unknown."""


class Work(Struct):
    """What a run is doing, as those who do it say; everything runs in the event loop."""

    reading: dict[str, Reading] = field(default_factory=dict)
    """The lists that are being read, by handle."""
    done: Counter[State] = field(default_factory=Counter)
    begun_known: float = 0.0
    """Calls expected for the lists begun whose length was known."""
    begun_unknown: float = 0.0
    """Calls expected for the lists begun whose length was not known."""
    new_lists: int = 0
    """Lists of unknown length that were read to their end."""
    new_pages: int = 0
    """Pages of the lists that `new_lists` counts."""
    waits: dict[str, Wait] = field(default_factory=dict)

    def begin(self, kol: Kol, paging: Paging, expected: Expected) -> None:
        """Record that the first page of the KOL's list is requested."""
        if expected.pages is None:
            self.begun_unknown += expected.calls
        else:
            self.begun_known += expected.calls
        self.reading[kol.handle] = Reading(kol, paging, expected)

    def begin_again(self, kol: Kol, paging: Paging) -> None:
        """Record that the same list is read again from page 1."""
        self.reading[kol.handle] = Reading(kol, paging, self.reading[kol.handle].expected)

    def end(self, kol: Kol) -> None:
        """Record that this run requests no more pages of the KOL's list."""
        self.waits.pop(kol.user_name, None)
        reading = self.reading.pop(kol.handle, None)
        if reading is not None and reading.expected.pages is None:
            self.new_lists += 1
            self.new_pages += reading.paging.pages

    def wait(self, who: str, text: str, seconds: float | None = None, *, why: str = "") -> None:
        """Record that `who` waits this long, or until `resume` if `seconds` is None."""
        now = time.monotonic()
        known = self.waits.get(who)
        since = known.since if known and seconds is None else now
        self.waits[who] = Wait(text, why, since, None if seconds is None else now + seconds)

    def resume(self, who: str) -> None:
        """Record that `who` waits no longer."""
        self.waits.pop(who, None)
