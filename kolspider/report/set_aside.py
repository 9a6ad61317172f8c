"""rejects.jsonl in numbers. The file is read as a stream; of a huge file, only the end is read."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kolspider.errors import StopRun

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Rejected", "SetAside", "read"]

_MOST = 50_000_000
"""Bytes read at most: about a second of work."""


@dataclass(slots=True)
class Rejected:
    """Users set aside for one reason."""

    users: int = 0
    kols: Counter[str] = field(default_factory=Counter)
    detail: str = ""
    """Details of the last one."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """What rejects.jsonl, or its end, holds."""

    size: int
    is_whole: bool
    by_reason: dict[str, Rejected]

    @property
    def users(self) -> int:
        """Number of users in the part that was read."""
        return sum(rejected.users for rejected in self.by_reason.values())


def read(path: Path) -> SetAside:
    """Read the file, while a run may be writing it. Raises StopRun."""
    found: dict[str, Rejected] = {}
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _MOST, 0))
            if size > _MOST:
                file.readline()  # the rest of a line
            for line in file:
                _take(line, found)
    except FileNotFoundError:
        return SetAside(0, True, {})
    except OSError as error:
        raise StopRun(f"{path} can't be read: {error.strerror}") from None
    return SetAside(size, size <= _MOST, dict(sorted(found.items(), key=lambda item: -item[1].users)))


def _take(line: bytes, found: dict[str, Rejected]) -> None:
    try:
        reject = json.loads(line)
        reason, kol, detail = str(reject["reason"]), str(reject["kol"]), str(reject.get("detail") or "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # the line that is being written
    rejected = found.setdefault(reason[:80], Rejected())
    rejected.users += 1
    rejected.kols[kol[:80]] += 1
    rejected.detail = detail[:200]
