"""Why accounts are lost: what their profiles said after a list was read that no longer has them."""

from __future__ import annotations

import time
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kolspider.store.part import Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kolspider.providers.base import Profile

__all__ = ["Explanation", "LostAccounts", "Reason"]


class Reason(StrEnum):
    """Why a follow is gone."""

    UNFOLLOWED = "unfollowed"
    """The account is there for everybody, so the KOL no longer follows it."""
    PROTECTED = "protected"
    """The account is there for its followers alone: it may have removed the KOL."""
    SUSPENDED = "suspended"
    GONE = "gone"
    """The API no longer knows the account, or does not say why it can't be seen."""

    @classmethod
    def by(cls, profile: Profile | None) -> Reason:
        """Return what a profile tells; None: the API left it out."""
        if profile is None or profile.gone:
            return cls.SUSPENDED if profile and "suspend" in profile.gone.lower() else cls.GONE
        return cls.PROTECTED if profile.protected else cls.UNFOLLOWED


class Explanation(NamedTuple):
    """What is known of a lost account."""

    reason: Reason
    user_name: str
    """Its handle then; empty if it was not told."""

    def new_name(self, user_name: str | None) -> str:
        """Return the account's new handle; empty if it still has this one, as far as that is known."""
        return self.user_name if user_name and user_name.lower() != self.user_name.lower() else ""


class LostAccounts(Part):
    """Table lost_account. It has no provider: an account has the same id with all of them."""

    def note(self, profiles: Iterable[tuple[str, Profile | None]]) -> list[Explanation]:
        """Record what the profiles of accounts, given by id, tell now. Returns that."""
        now = time.time()
        found = [(id_, Explanation(Reason.by(one), (one and one.user_name) or "")) for id_, one in profiles]
        with self._db.transaction(in_turn=True):
            self._db.executemany(
                "INSERT INTO lost_account (id, read_at, reason, user_name) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (id, read_at) DO NOTHING",
                [(id_, now, *one) for id_, one in found],
            )
        return [one for _, one in found]

    def of(self, id_: str, missed_since: str) -> Explanation | None:
        """Return what is known of an account that a list lacks since this moment: UTC, `YYYY-MM-DD HH:MM:SS`."""
        row = self._db.execute(
            "SELECT reason, user_name FROM lost_account WHERE id = ? AND read_at >= ? ORDER BY read_at LIMIT 1",
            (id_, datetime.fromisoformat(f"{missed_since}+00:00").timestamp()),
        ).fetchone()
        return Explanation(Reason(row[0]), row[1]) if row else None
