"""An alert: what a rule tells about an account or a KOL, with an id that is the same whenever it is found. Pure."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct, to_builtins

from kolspider.store.outbox import Draft

__all__ = ["NOT_KNOWN", "Account", "Alert", "Event", "OnPage", "alert_id"]

NOT_KNOWN = "not known"
"""Why a follow is gone that was asked for and not told."""


class Event(StrEnum):
    """What a rule waits for."""

    NEW_FOLLOW = "new_follow"
    """A KOL whose list was known whole began to follow an account."""
    SHARED_FOLLOW = "shared_follow"
    """Several KOLs began to follow the same account within some time."""
    LOST_FOLLOW = "lost_follow"
    """A full reading no longer has an account that the one before had."""
    KOL_GONE = "kol_gone"
    """The API says that a KOL whose list was read before does not exist or is suspended."""
    KOL_RENAMED = "kol_renamed"
    """The account of a KOL has another handle."""
    KOL_PROTECTED = "kol_protected"
    """A KOL's list can no longer be seen."""

    @property
    def is_of_follows(self) -> bool:
        """Whether it is about follows, and so needs the follows table."""
        return self.value.endswith("_follow")


class Account(NamedTuple):
    """A followed account, as the target table has it. None: the table has nothing."""

    id: str
    user_name: str | None
    name: str | None
    followers: int | None
    description: str | None
    created_at: str | None
    """UTC, `YYYY-MM-DD HH:MM:SS`."""


class OnPage(Struct, frozen=True):
    """The page that an alert stands on."""

    kol: str
    number: int
    """1 for the first page of a list."""
    read_at: str
    """UTC, `YYYY-MM-DD HH:MM:SS`."""


class Alert(Struct, frozen=True):
    """What a rule tells once."""

    id: str
    rule: str
    event: Event
    seen: str
    """UTC, `YYYY-MM-DD HH:MM:SS`: when it was first seen, or of a lost follow, last seen."""
    account: Account | None
    """None if the alert is about a KOL itself."""
    kols: tuple[str, ...]
    """Handles in lower case, in the order in which they were seen."""
    detail: str = ""
    """What else there is to say of a KOL, or of a lost account."""
    why: str = ""
    """Why a follow is gone: a Reason, or NOT_KNOWN; empty if the rule does not ask."""
    page: OnPage | None = None
    """None in a backtest, and for an alert about a KOL itself."""

    def as_dict(self) -> dict[str, Any]:
        """Return what a webhook gets."""
        account = self.account and self.account._asdict()
        return {**to_builtins(self), "kols": list(self.kols), "account": account}

    def draft(self, lost_since: str = "") -> Draft:
        """Return it as the outbox keeps it; lost_since: it waits until its account, lost since then, was asked for."""
        account = self.account.id if self.account and lost_since else ""
        return Draft(self.id, self.rule, json.dumps(self.as_dict(), ensure_ascii=False), account, lost_since)


def alert_id(rule: str, event: Event, *key: str) -> str:
    """Return the id of what a rule of this name tells about this key."""
    return hashlib.sha256("\0".join((rule, event, *key)).encode()).hexdigest()[:16]
