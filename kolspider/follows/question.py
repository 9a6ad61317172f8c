"""The options of `scrapy follows`, checked and understood."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from kolspider.console.wording import moment
from kolspider.errors import WrongUsage
from kolspider.options.arguments import age, listed_kols

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["LEAST", "TOP", "Question"]

LEAST = 2
"""Default of `top --min`."""
TOP = 100
"""Rows in the table of `top` without --limit."""
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}:[0-9]{2})?")
_OF = {"--since": ("new", "lost"), "--kol": ("new", "lost"), "--min": ("top",), "--new-in": ("top",)}


@dataclass(frozen=True, slots=True)
class Question:
    """A question about who follows whom."""

    what: str
    """new, lost or top"""
    since: str | None
    kols: tuple[str, ...]
    """Handles; empty: all KOLs."""
    least: int
    new_since: str | None
    gone_count: bool
    """Whether KOLs count that are no longer in the source table."""
    limit: int | None
    cut: int | None
    """Number of rows shown without --limit; None: all."""

    @classmethod
    def of(cls, what: str, opts: argparse.Namespace) -> Question:
        """Parse the options. Raises WrongUsage."""
        if opts.json and opts.csv:
            raise WrongUsage("--json or --csv, not both")
        for option, of in _OF.items():
            if getattr(opts, option.removeprefix("--").replace("-", "_")) is not None and what not in of:
                raise WrongUsage(f"{option} goes with `scrapy follows {' | '.join(of)}`")
        if opts.all and what != "top":
            raise WrongUsage("--all goes with `scrapy follows top`")
        limit = _number("--limit", opts.limit)
        return cls(
            what,
            _moment("--since", opts.since),
            _handles(opts.kol or ()),
            _number("--min", opts.min) or LEAST,
            _moment("--new-in", opts.new_in),
            opts.all,
            limit,
            TOP if what == "top" and not (limit or opts.json or opts.csv) else None,
        )

    @property
    def nothing(self) -> str:
        """The message for an empty result."""
        if self.new_since:
            return f"no account has at least {self.least:,} KOLs that began to follow it since {self.new_since}"
        if self.what == "top":
            return f"no account is followed by at least {self.least:,} KOLs"
        if self.since:
            return f"no {self.what} follows since {self.since}"
        if self.what == "new":
            return "no new follows: nobody was first seen after a KOL's list was first read whole"
        return "no lost follows: the last whole reading of each KOL's list found everybody seen before"


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
