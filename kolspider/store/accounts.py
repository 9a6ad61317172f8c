"""Who the KOLs are: the ids of their accounts, what the last profile of each said, and what it changed.

A KOL keeps the handle under which it was first known as its key in all tables, whatever its account is called later. A
handle that has become another account's gets a key of its own, such as `btc@2`.
"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from kolspider.items import Kol
from kolspider.providers.base import Account
from kolspider.store.part import Part
from kolspider.store.promise import Pastime, new_follows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kolspider.providers.base import Profile

__all__ = ["KEY_OF_SOURCE", "AccountChange", "Accounts", "Change"]

_DAY = 86_400
_UNKNOWN = 1.0
"""New follows that are expected where no number tells: that a list is read once too often loses nothing."""
_NEXT_KEY = "{0} || '@' || (SELECT 2 + count(*) FROM account WHERE handle > {0} || '@' AND handle < {0} || 'A')"
"""SQL: a key for another account of the same handle. In ASCII, A comes after the at-sign."""
_OWNER = "(SELECT handle FROM account WHERE lower(user_name) = {0} ORDER BY read_at DESC LIMIT 1)"
"""SQL: the key of the KOL whose account has this handle now."""
KEY_OF_SOURCE = f"""
coalesce({_OWNER.format("s.handle")}, CASE WHEN EXISTS (SELECT 1 FROM account a JOIN temp.source t
  ON t.handle = lower(a.user_name) WHERE a.handle = s.handle AND t.handle <> s.handle)
  THEN {_NEXT_KEY.format("s.handle")} END, s.handle)
"""
"""SQL: the key of `s`, a row of the source table with its handle. If the KOL that had it is there under its new name,
the handle is another account's."""


class Change(StrEnum):
    """What became of a KOL's account."""

    RENAMED = "renamed"
    PROTECTED = "protected"
    """Its list can no longer be seen."""
    GONE = "gone"
    """It is suspended, or does not exist any more."""
    BACK = "back"
    """It can be seen again."""
    REPLACED = "replaced"
    """Its handle is another account's."""


class AccountChange(Struct, frozen=True):
    """A change that a look at the profiles found."""

    kol: Kol
    what: Change
    detail: str
    """The new handle of a renamed account, or why it is gone."""
    at: float
    """When it was found, in unix seconds."""


class _Look(Struct, frozen=True):
    """What the last profile said."""

    user_name: str
    following: int | None
    protected: bool
    gone: str
    read_at: float
    promise: float


class Accounts(Part):
    """Tables account and account_change. They have no provider: an account has the same id with all of them."""

    def id_of(self, handle: str) -> str:
        """Return the id of the KOL's account; empty if it is not known."""
        return self._value("SELECT id FROM account WHERE handle = ?", handle) or ""

    def of(self, kol: Kol) -> Account:
        """Return the KOL's account by its name now, as far as it is known."""
        name, id_ = self._db.execute(
            "SELECT max(user_name), max(id) FROM account WHERE handle = ?", (kol.handle,)
        ).fetchone()
        is_new = name and name.lower() != kol.user_name.lower()
        return Account(name if is_new else kol.user_name, id_ or "")

    def key_of(self, handle: str) -> str:
        """Return the key of the KOL whose account has this handle, in lower case; the handle itself if none has."""
        return self._value(f"SELECT {_OWNER.format('?')}", handle) or handle

    def renamed(self) -> dict[str, str]:
        """Return the keys of KOLs by the handles, in lower case, that their accounts have now, where these differ."""
        differs = "lower(user_name) NOT IN ('', handle)"
        return dict(self._db.execute(f"SELECT lower(user_name), handle FROM account WHERE {differs} ORDER BY read_at"))

    def following(self, handle: str) -> int | None:
        """Return how many accounts the KOL follows by its last profile; None if it is not known."""
        found: int | None = self._value("SELECT following FROM account WHERE handle = ?", handle)
        return found

    def gone(self, handle: str) -> str:
        """Say why the KOL's account can't be seen, by its last profile; empty if it can."""
        return self._value("SELECT gone FROM account WHERE handle = ?", handle) or ""

    def is_protected(self, handle: str) -> bool:
        """Tell whether the KOL's list is for its followers alone, by its last profile."""
        return bool(self._value("SELECT protected FROM account WHERE handle = ?", handle))

    def note(self, looks: Iterable[tuple[Kol, Profile]]) -> list[AccountChange]:
        """Record what profiles say of KOLs' accounts. Returns what changed. An id that is not told stays as it was."""
        now, changes = time.time(), list[AccountChange]()
        with self._db.transaction(in_turn=True):
            for kol, profile in looks:
                before = self._last_look(kol.handle)
                changes += self._changed(kol, profile, before, now)
                following = profile.following
                if following is None and before:
                    following = before.following
                self._db.execute(
                    "INSERT INTO account (handle, id, user_name, following, protected, gone, read_at, promise) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (handle) DO UPDATE SET "
                    "id = CASE excluded.id WHEN '' THEN account.id ELSE excluded.id END, "
                    "user_name = excluded.user_name, following = excluded.following, "
                    "protected = excluded.protected, gone = excluded.gone, "
                    "read_at = excluded.read_at, promise = excluded.promise",
                    (
                        *(kol.handle, profile.id, profile.user_name or (before or kol).user_name, following),
                        *(profile.protected, profile.gone, now, self._promise(kol, profile, before, now)),
                    ),
                )
            self._keep(changes)
        return changes

    def replace(self, kol: Kol, profile: Profile) -> Kol:
        """Record that the KOL's handle is another account's, whose list has another key. Returns it with that key."""
        with self._db.transaction(in_turn=True):
            key = self._value(f"SELECT {_NEXT_KEY.format('?1')}", kol.handle)
            self._keep([AccountChange(kol, Change.REPLACED, profile.id, time.time())])
            why = "its handle is another account's"
            self._db.execute("UPDATE account SET user_name = '', gone = ? WHERE handle = ?", (why, kol.handle))
            other = Kol(key, kol.user_name)
            self.note([(other, profile)])
        return other

    def claim(self) -> None:
        """Keep the keys that handles of the source table got because they are other accounts' now."""
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO account (handle, id, user_name, gone, read_at) "
                "SELECT handle, '', user_name, '', 0 FROM temp.source WHERE handle LIKE '%@%' ON CONFLICT DO NOTHING"
            )

    def was_read(self, handle: str) -> None:
        """Record that the KOL's list was read: what was promised before the reading began is found."""
        with self._db.transaction():
            self._db.execute(
                "UPDATE account SET promise = 0 WHERE handle = ?1 AND promise > 0 AND read_at <= "
                "(SELECT started_at FROM crawl WHERE provider = ?2 AND handle = ?1 ORDER BY generation DESC LIMIT 1)",
                (handle, self._provider),
            )

    def changes(self, since: float) -> list[AccountChange]:
        """Return what looks found changed from this moment on, in unix seconds, the first change first."""
        rows = self._db.execute(
            "SELECT c.handle, coalesce(k.user_name, c.handle), c.what, c.detail, c.at FROM account_change c "
            "LEFT JOIN kol k ON k.provider = ? AND k.handle = c.handle WHERE c.at >= ? ORDER BY seq",
            (self._provider, since),
        )
        return [
            AccountChange(Kol(handle, user_name), Change(what), detail, at)
            for handle, user_name, what, detail, at in rows
        ]

    def _last_look(self, handle: str) -> _Look | None:
        row = self._db.execute(
            "SELECT user_name, following, coalesce(protected, FALSE), gone, read_at, promise FROM account "
            "WHERE handle = ? AND read_at > 0",
            (handle,),
        ).fetchone()
        return _Look(*row) if row else None

    def _changed(self, kol: Kol, profile: Profile, before: _Look | None, now: float) -> Iterator[AccountChange]:
        """Yield what a profile says that the one before did not say."""
        name = profile.user_name
        if before and name and name.lower() != before.user_name.lower():
            yield AccountChange(kol, Change.RENAMED, name, now)
        if profile.gone and not (before and before.gone):
            yield AccountChange(kol, Change.GONE, profile.gone, now)
        elif profile.protected and not (before and before.protected):
            yield AccountChange(kol, Change.PROTECTED, "", now)
        elif before and (before.gone or before.protected) and not (profile.gone or profile.protected):
            yield AccountChange(kol, Change.BACK, "", now)

    def _keep(self, changes: Iterable[AccountChange]) -> None:
        self._db.executemany(
            "INSERT INTO account_change (handle, at, what, detail) VALUES (?, ?, ?, ?)",
            [(change.kol.handle, change.at, change.what, change.detail) for change in changes],
        )

    def _promise(self, kol: Kol, profile: Profile, before: _Look | None, now: float) -> float:
        """Return how many new follows a reading of the list promises now."""
        if profile.gone or profile.protected:
            return before.promise if before else 0.0
        if before is None or before.gone or before.protected or None in {before.following, profile.following}:
            return (before.promise if before else 0.0) + _UNKNOWN
        rose = (profile.following or 0) - (before.following or 0)
        days = max(now - before.read_at, 0.0) / _DAY
        return before.promise + new_follows(rose, days, self._past(kol.handle))

    def _past(self, handle: str) -> Pastime:
        """Return what the KOL did since its list was first read to its end."""
        new, seconds = self._db.execute(
            "SELECT coalesce(sum(i.new), 0), coalesce(max(c.started_at) - min(c.started_at), 0) FROM crawl c "
            "LEFT JOIN increment i USING (provider, handle, generation) "
            "WHERE c.provider = ? AND c.handle = ? AND c.state = 'fetched'",
            (self._provider, handle),
        ).fetchone()
        return Pastime(new, seconds / _DAY)
