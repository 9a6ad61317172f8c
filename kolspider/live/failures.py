"""Tells what fails for one KOL from what fails for everybody."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kolspider.console.wording import counted
from kolspider.errors import StopRun
from kolspider.providers.base import ApiErrorKind

if TYPE_CHECKING:
    from kolspider.live.stop import Stop

__all__ = ["Failures"]

_OF_THE_RUN = {
    ApiErrorKind.FORBIDDEN: "the API refuses the key{said}; check KOL_API_KEY",
    ApiErrorKind.BLOCKED: "something in front of the API refuses the calls{said}, because of this machine's address or "
    "a proxy rather than the key; try another network, then run the same command again",
    ApiErrorKind.NO_CREDIT: "the API account has no credit left{said}; recharge it, then run the same command again",
    ApiErrorKind.WRONG_PATH: "there is no followings API at {url}{said}; check KOL_API_URL",
    ApiErrorKind.REDIRECTED: "there is no followings API at {url}{said}; check KOL_API_URL",
}
"""What these errors mean if every KOL has them."""
_ENOUGH = 2
"""KOLs with such an error that are not one KOL's."""


class Failures:
    """Follows the lists as they end, and stops the run when what fails is not the KOL.

    An error of `_OF_THE_RUN` is the KOL's own once the API has given a page in this run; before that, a second KOL is
    tried. The balance can run out during a run, so there only a page counts that was asked for after the error.
    Besides, KOL_STOP_AFTER KOLs that failed one after the other in the same way are no accident.
    """

    def __init__(self, stop: Stop, stop_after: int, api_url: str) -> None:
        self._stop = stop
        self._stop_after = stop_after
        self._api_url = api_url
        self.page_came = False
        """Whether the API has given a page in this run."""
        self._kind = ""
        self._failed_at = float("-inf")
        self._message = ""
        self.in_a_row: list[str] = []
        """The KOLs that failed last, one after the other in the same way."""
        self.stopped_by = ""
        """The kind of the error that turned out to be everybody's: it says nothing about the KOLs it still hits."""
        self.some_list_is_good = False
        """Whether a list with accounts ended well in this run."""

    def note_page(self, sent_at: float) -> None:
        """Record a page that was bought with a call that was sent at this moment, on the monotonic clock."""
        self.page_came = True
        if self._kind == ApiErrorKind.NO_CREDIT and sent_at > self._failed_at:
            self.in_a_row.clear()

    def note_good(self, users: int) -> None:
        """Record a list that ended, or a KOL that does not exist: neither is a failure."""
        self.in_a_row.clear()
        self.some_list_is_good |= users > 0

    def note_failed(self, handle: str, kind: str, message: str) -> bool:
        """Record that a KOL failed. Tell whether the run stops because too many did in a row."""
        if kind != self._kind:
            self._kind = kind
            self.in_a_row.clear()
        self._message, self._failed_at = message, time.monotonic()
        self.in_a_row.append(handle)
        may_be_of_the_run = not self.page_came or kind == ApiErrorKind.NO_CREDIT
        if kind in _OF_THE_RUN and may_be_of_the_run and len(self.in_a_row) >= _ENOUGH:
            self._stop_all()
        elif 0 < self._stop_after <= len(self.in_a_row):
            self._stop.fail(
                StopRun(
                    f"{counted(len(self.in_a_row), 'KOL')} in a row failed in the same way ({self._message}); they are "
                    "tried again after the others: run the same command again when that is over (KOL_STOP_AFTER)"
                )
            )
            return True
        return False

    def note_end(self) -> None:
        """Record that no KOL is left to try: what could not be told from a failure of the run is one."""
        if self.in_a_row and self._kind in _OF_THE_RUN and not self.page_came and not self._stop.is_set():
            self._stop_all()

    def _stop_all(self) -> None:
        self.stopped_by = self._kind
        text = _OF_THE_RUN[ApiErrorKind(self._kind)]
        self._stop.fail(StopRun(text.format(said=f" ({self._message})", url=self._api_url)))
