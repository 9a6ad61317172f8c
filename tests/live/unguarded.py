"""A store whose errors end no run."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from kolspider.live.store import Store

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["Unguarded"]


class Unguarded(Store):
    """Lets every error pass."""

    def guard(self) -> AbstractContextManager[None]:
        return nullcontext()
