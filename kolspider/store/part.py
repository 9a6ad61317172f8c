"""What the parts of the ledger have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kolspider.providers.base import Provider
    from kolspider.store.connection import Connection

__all__ = ["NOTE", "Part"]

NOTE = "INSERT INTO note (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
"""SQL: keeps a number under a name."""


class Part:
    """Some tables of the store with all of their SQL, as one provider and one target see them."""

    def __init__(self, connection: Connection, provider: Provider, target: int) -> None:
        self._db = connection
        self._api = provider
        self._provider = provider.family
        self._target = target

    def _value(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row; None if there is no row."""
        row = self._db.execute(sql, values).fetchone()
        return row[0] if row else None

    def _count(self, sql: str, *values: object) -> int:
        """Return the number that the query counts."""
        return int(self._value(sql, *values))
