"""Who the KOLs are: the ids of their accounts, and what the last profile of each said."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kolspider.store.database import transaction
from kolspider.store.part import Part

if TYPE_CHECKING:
    from kolspider.items import Kol
    from kolspider.providers.base import Profile

__all__ = ["Accounts"]


class Accounts(Part):
    """Table account. It has no provider: an account has the same id with all of them."""

    def id_of(self, handle: str) -> str:
        """Return the id of the KOL's account; empty if it is not known."""
        return self._value("SELECT id FROM account WHERE handle = ?", handle) or ""

    def note(self, kol: Kol, profile: Profile) -> None:
        """Record what a profile says of a KOL's account. An id that it does not tell stays as it was."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO account (handle, id, user_name, following, protected, gone, read_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (handle) DO UPDATE SET "
                "id = CASE excluded.id WHEN '' THEN id ELSE excluded.id END, user_name = excluded.user_name, "
                "following = excluded.following, protected = excluded.protected, gone = excluded.gone, "
                "read_at = excluded.read_at",
                (
                    kol.handle,
                    profile.id,
                    profile.user_name or kol.user_name,
                    profile.following,
                    profile.protected,
                    profile.gone,
                    time.time(),
                ),
            )
