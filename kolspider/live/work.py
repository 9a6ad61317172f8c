"""What a run is at just now: lists being read, KOLs done, waits. Kept by those who do it, for who watches."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kolspider.items import Kol, State
    from kolspider.providers.paging import Paging
    from kolspider.store.forecast import Expected

__all__ = ["Reading", "Wait", "Work"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A list on its way, page by page."""

    kol: Kol
    paging: Paging
    expected: Expected


@dataclass(frozen=True, slots=True)
class Wait:
    """What keeps the run, or a KOL, from going on. Times are seconds on the monotonic clock."""

    text: str
    why: str
    since: float
    until: float | None
    """None when nobody knows."""


@dataclass(slots=True)
class Work:
    """All but `wait` and `resume` is called in the event loop's thread."""

    reading: dict[str, Reading] = field(default_factory=dict)
    """By handle."""
    done: Counter[State] = field(default_factory=Counter)
    begun_calls: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})
    """The calls that were expected of the lists begun: of those whose length was known (True), and of the others."""
    new_lists: int = 0
    """Lists of unknown length that were read to their end ..."""
    new_pages: int = 0
    """... and how many pages they had."""
    waits: dict[str, Wait] = field(default_factory=dict)

    def begin(self, kol: Kol, paging: Paging, expected: Expected) -> None:
        """The KOL's list is asked for now."""
        self.begun_calls[expected.pages is not None] += expected.calls
        self.reading[kol.handle] = Reading(kol, paging, expected)

    def begin_again(self, kol: Kol, paging: Paging) -> None:
        """The same list once more, from page 1."""
        self.reading[kol.handle] = Reading(kol, paging, self.reading[kol.handle].expected)

    def end(self, kol: Kol) -> None:
        """Nothing more of the KOL's list is asked for in this run."""
        self.waits.pop(kol.user_name, None)
        reading = self.reading.pop(kol.handle, None)
        if reading is not None and reading.expected.pages is None:
            self.new_lists += 1
            self.new_pages += reading.paging.pages

    def wait(self, who: str, text: str, seconds: float | None = None, *, why: str = "") -> None:
        """`who` waits; for an outage without an end that is known, until resume()."""
        now = time.monotonic()
        known = self.waits.get(who)
        since = known.since if known and seconds is None else now
        self.waits[who] = Wait(text, why, since, None if seconds is None else now + seconds)

    def resume(self, who: str) -> None:
        """It goes on."""
        self.waits.pop(who, None)
