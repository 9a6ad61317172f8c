"""A store whose errors end no run."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

from kolspider.live.crew import Alone
from kolspider.live.store import Store

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["Unguarded", "alone"]


def alone() -> Alone:
    """A process that shares its job with nobody, and has no KOL."""
    return Alone(MagicMock(), Unguarded(), loads=True, everything=False, looks=False)


class Unguarded(Store):
    """Lets every error pass."""

    def guard(self) -> AbstractContextManager[None]:
        return nullcontext()
