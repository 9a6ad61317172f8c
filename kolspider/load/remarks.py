"""Logs, in one line a KOL, how many of its users were set aside and how many values were cut."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec import Struct

from kolspider.console.wording import counted

if TYPE_CHECKING:
    from kolspider.items import Kol

__all__ = ["Remarks"]

logger = logging.getLogger(__name__)


class _Remark(Struct):
    """What there is to say of one KOL's list; the closing table has the reasons and the columns."""

    kol: Kol
    set_aside: int = 0
    """Users without a row."""
    cut: int = 0
    """Values that were cut to fit."""

    def log(self, *, dry_run: bool) -> None:
        name, users = self.kol.user_name, counted(self.set_aside, "user")
        cut = f"{counted(self.cut, 'value')} cut to fit"
        if self.set_aside and self.cut:
            logger.warning("KOL %s: %s set aside, %s", name, users, cut)
        elif self.set_aside:
            logger.warning("KOL %s: %s set aside%s", name, users, "" if dry_run else ", see rejects.jsonl")
        else:
            logger.info("KOL %s: %s", name, cut)


class Remarks:
    """Counts what there is to log of each KOL until its list is through: no list logs a line for each row.

    A replay loads a list that was read again several times, so it logs all at its end.
    """

    def __init__(self, *, dry_run: bool = False, replay: bool = False) -> None:
        self._dry_run = dry_run
        """Whether rejects.jsonl is not written."""
        self._replay = replay
        self._logged: set[str] = set()
        """Handles of the KOLs that have had their line."""
        self._remarks: dict[str, _Remark] = {}

    def set_aside(self, kol: Kol, users: int) -> None:
        """Record that users of this KOL's list have no row."""
        if users:
            self._of(kol).set_aside += users

    def cut(self, kol: Kol, values: int) -> None:
        """Record that values were cut."""
        if values:
            self._of(kol).cut += values

    def list_is_through(self, kol: Kol) -> None:
        """Log what was recorded of the KOL, if anything."""
        if not self._replay and (remark := self._remarks.pop(kol.handle, None)):
            self._log(remark)

    def end(self) -> None:
        """Log what is left: lists that broke off, or whose last page came earlier."""
        for remark in self._remarks.values():
            self._log(remark)
        self._remarks.clear()

    def _log(self, remark: _Remark) -> None:
        """Log a KOL's line, unless it has had one: of its cached pages, before its list was read again."""
        if remark.kol.handle not in self._logged:
            self._logged.add(remark.kol.handle)
            remark.log(dry_run=self._dry_run)

    def _of(self, kol: Kol) -> _Remark:
        return self._remarks.setdefault(kol.handle, _Remark(kol))
