"""What is asked of `scrapy follows`, and its options, checked and understood."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from kolspider.console.wording import moment
from kolspider.errors import WrongUsage
from kolspider.options.arguments import age, handle_of, listed_kols

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["LEAST", "TOP", "Question", "What"]

LEAST = 2
"""Default of `top --min`."""
TOP = 100
"""Rows in the table of `top` without --limit."""
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}:[0-9]{2})?")
_ID = re.compile("[0-9]{1,20}")


class What(StrEnum):
    """What is asked."""

    NEW = "new"
    """Whom KOLs began to follow."""
    LOST = "lost"
    """Whom they no longer follow."""
    TOP = "top"
    """Whom most of them follow."""
    WHO = "who"
    """Which of them follow an account."""
    OF = "of"
    """Whom one of them follows."""
    EDGES = "edges"
    """Every follow."""


_TAKES = {
    "--since": (What.NEW, What.LOST),
    "--kol": (What.NEW, What.LOST),
    "--min": (What.TOP,),
    "--new-in": (What.TOP,),
    "--all": (What.TOP, What.WHO, What.EDGES),
    "--lost": (What.WHO, What.OF, What.EDGES),
    "--why": (What.LOST,),
}
_NAMES = {What.WHO: "an account: its handle or its id", What.OF: "a KOL"}


@dataclass(frozen=True, slots=True)
class Question:
    """A question about who follows whom."""

    what: What
    account: str
    """The id of the account that `who` asks about, or its handle with an at-sign, in lower case."""
    since: str | None
    kols: tuple[str, ...]
    """Handles; empty: all KOLs."""
    least: int
    new_since: str | None
    gone_count: bool
    """Whether KOLs count that are no longer in the source table."""
    lost: bool
    """Whether lost follows are part of the answer."""
    why: bool
    """Whether it says why they are gone."""
    limit: int | None
    cut: int | None
    """Number of rows shown without --limit; None: all."""

    @classmethod
    def of(cls, args: Sequence[str], opts: argparse.Namespace) -> Question:
        """Parse the arguments and options. Raises WrongUsage."""
        what, *named = args or [""]
        if what not in set(What):
            raise WrongUsage(f"scrapy follows takes one of {', '.join(What)}; `scrapy follows -h` shows examples")
        what = What(what)
        if len(named) != (what in _NAMES):
            raise WrongUsage(f"scrapy follows {what} takes {_NAMES.get(what, 'no name')}; options begin with --")
        if opts.json and opts.csv:
            raise WrongUsage("--json or --csv, not both")
        for option, of in _TAKES.items():
            if getattr(opts, option.removeprefix("--").replace("-", "_")) and what not in of:
                raise WrongUsage(f"{option} goes with `scrapy follows {' | '.join(of)}`")
        limit = _number("--limit", opts.limit)
        return cls(
            what,
            _account(named[0]) if what is What.WHO else "",
            _moment("--since", opts.since),
            (handle_of(named[0]),) if what is What.OF else _handles(opts.kol or ()),
            _number("--min", opts.min) or LEAST,
            _moment("--new-in", opts.new_in),
            opts.all,
            opts.lost or what is What.LOST,
            opts.why,
            limit,
            TOP if what is What.TOP and not (limit or opts.json or opts.csv) else None,
        )

    @property
    def nothing(self) -> str:
        """The message for an empty result."""
        with_lost = "" if self.lost else "; --lost shows lost follows, too"
        with_gone = "" if self.gone_count else "; --all counts KOLs that left the source table, too"
        match self.what:
            case What.WHO:
                of_digits = "" if self.account.startswith("@") else f"; if that is a handle: @{self.account}"
                found = f"no KOL follows {self.account}{with_lost}{with_gone}{of_digits}"
            case What.OF:
                (kol,) = self.kols
                found = f"no follow of {kol} is known: `scrapy kols {kol}` says how far its list was read{with_lost}"
            case What.EDGES:
                found = f"no KOL follows anybody{with_lost}{with_gone}"
            case What.TOP if self.new_since:
                found = f"no account has at least {self.least:,} KOLs that began to follow it since {self.new_since}"
            case What.TOP:
                found = f"no account is followed by at least {self.least:,} KOLs"
            case _ if self.since:
                found = f"no {self.what} follows since {self.since}"
            case What.NEW:
                found = "no new follows: nobody was first seen after a KOL's list was first read whole"
            case What.LOST:
                found = "no lost follows: the last whole reading of each KOL's list found everybody seen before"
        return found


def _account(typed: str) -> str:
    """Return an id as it is, and a handle or a link in lower case behind an at-sign."""
    return typed if _ID.fullmatch(typed) else f"@{handle_of(typed)}"


def _moment(option: str, typed: str | None) -> str | None:
    """Convert an age or a date to the tables' text."""
    if typed is None:
        return None
    try:
        if _DATE.fullmatch(typed):
            return str(datetime.fromisoformat(typed))
        return moment(max(time.time() - age(typed), 0))
    except ValueError:
        raise WrongUsage(
            f"{option} {typed} is neither an age such as 7d (units: s, m, h, d, w) nor a date, UTC, such as "
            "2026-11-24 or '2026-11-24 08:00:00'"
        ) from None


def _handles(typed: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple({kol.handle: None for names in typed for kol in listed_kols(names)})
    except ValueError as error:
        raise WrongUsage(f"--kol {','.join(typed)} {error} (example: --kol BTC,ethereum)") from None


def _number(option: str, typed: str | None) -> int | None:
    if typed is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", typed) or int(typed) == 0:
        raise WrongUsage(f"{option} {typed} is not a whole number from 1 up")
    return int(typed)
