"""The way to the store from the event loop, whatever the store is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["Store"]

_Answer = TypeVar("_Answer")


class Store(ABC):
    """Guards all work with the store of a run."""

    @abstractmethod
    def guard(self) -> AbstractContextManager[None]:
        """Turn an error of the store into the end of the run. Raises NotAsked after such an error."""

    async def ask(self, work: Callable[[], _Answer]) -> _Answer:
        """Call what asks or changes the ledger, guarded, and return its answer. Calls are made in their order."""
        with self.guard():
            return work()

    def soon(self, work: Callable[[], object]) -> None:
        """Call what nobody has to wait for, in the same order."""
        with self.guard():
            work()
