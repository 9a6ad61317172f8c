"""Which rows of stored pages the database of a target refused, so that they are tried again from the cache.

A row is here as long as it is not in the target and no newer row of its account is. So an older page that is tried
again late never leaves an old profile on top of a newer one, and no other page has to be loaded again with it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from kolspider.store.part import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Refusal", "Refusals", "What"]


class What(StrEnum):
    """Which table refused a row."""

    ACCOUNT = "account"
    FOLLOW = "follow"
    READING = "reading"


class Refusal(NamedTuple):
    """A row of a page that the database refused."""

    handle: str
    """The KOL whose list the page belongs to."""
    seq: int
    """The page's place in the order of fetching."""
    what: What
    id: str
    """The account's id; empty for a full reading."""
    reason: str


class Refusals(Part):
    """Table refused."""

    def of_page(self, handle: str, seq: int) -> dict[What, set[str]]:
        """Return the ids of the page's rows that were refused, by table; empty: none."""
        found: dict[What, set[str]] = {}
        for what, id_ in self._db.execute(
            "SELECT what, id FROM refused WHERE target = ? AND provider = ? AND handle = ? AND seq = ?",
            (self._target, self._provider, handle, seq),
        ):
            found.setdefault(What(what), set()).add(id_)
        return found

    def note(self, seqs: Iterable[int], refused: Iterable[Refusal], written: Mapping[str, int]) -> None:
        """Record which rows of these pages were refused this time. Inside a transaction.

        `written` are the accounts whose rows are now in the target, each with the page that its row came with: older
        rows of theirs are not tried again.
        """
        if self._value("SELECT 1 FROM refused LIMIT 1"):
            numbers = tuple(seqs)
            marks = ", ".join("?" * len(numbers)) or "-1"
            self._db.execute(f"DELETE FROM refused WHERE target = ? AND seq IN ({marks})", (self._target, *numbers))
            self._db.executemany(
                "DELETE FROM refused WHERE target = ? AND what = ? AND id = ? AND seq <= ?",
                [(self._target, What.ACCOUNT, id_, seq) for id_, seq in written.items()],
            )
        self._db.executemany(
            "INSERT INTO refused (target, provider, handle, seq, what, id, reason) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (target, provider, handle, seq, what, id) DO UPDATE SET reason = excluded.reason",
            ((self._target, self._provider, *refusal) for refusal in refused),
        )

    def are_in(self, handle: str, generation: int) -> bool:
        """Tell whether rows of the KOL's pages of this generation or a later one were refused."""
        return bool(
            self._value(
                "SELECT 1 FROM refused JOIN page p USING (seq) WHERE target = ? AND refused.provider = ? "
                "AND refused.handle = ? AND generation >= ? LIMIT 1",
                *(self._target, self._provider, handle, generation),
            )
        )

    def count_selected(self) -> int:
        """Count the selected KOLs with refused rows."""
        return self._count(
            "SELECT count(DISTINCT handle) FROM refused WHERE target = ? AND provider = ? "
            "AND handle IN (SELECT handle FROM temp.selected)",
            *(self._target, self._provider),
        )

    def count(self) -> tuple[int, int]:
        """Count all refused rows, and the KOLs that have them."""
        rows, kols = self._db.execute(
            "SELECT count(*), count(DISTINCT handle) FROM refused WHERE target = ? AND provider = ?",
            (self._target, self._provider),
        ).fetchone()
        return rows, kols
