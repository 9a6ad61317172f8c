"""The file `rejects.jsonl`: users set aside, one JSON line each, written before their page counts as loaded.

In a ledger that several machines share, the same lines are in a table.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING

from kolspider.files import open_own, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kolspider.items import FollowingsPage, Reject
    from kolspider.store.connection import Connection

__all__ = ["RejectsFile", "RejectsTable"]


class RejectsFile:
    """Appends lines to the file and syncs it; drops the lines of a commit that never happened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rejects: Iterable[tuple[FollowingsPage, Reject]]) -> int:
        """Write and sync these rejects. Returns the size of the file in bytes, to be noted with the pages' commit."""
        return self.append_lines(_line(page, reject) for page, reject in rejects)

    def append_lines(self, lines: Iterable[str]) -> int:
        """Write and sync these lines. Returns the size of the file in bytes."""
        is_new = not self.path.exists()
        with os.fdopen(open_own(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
            file.writelines(f"{line}\n".encode() for line in lines)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if is_new:
            sync_directory(self.path.parent)
        return size

    def size(self) -> int:
        """Return the size of the file in bytes; 0 if there is none."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut_to(self, size: int) -> None:
        """Drop the lines beyond a noted size: their pages do not count as loaded, so they will be written again."""
        if self.size() > size:
            with os.fdopen(open_own(self.path, os.O_RDWR), "r+b") as file:
                file.truncate(size)


class RejectsTable:
    """The table `reject` of a ledger that several machines share: whichever loads, the users set aside are there."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def append(self, rejects: Iterable[tuple[FollowingsPage, Reject]]) -> None:
        """Write these rejects durably. A page's are numbered, so they are there once, however often it is loaded."""
        numbers = Counter[int | None]()
        rows = []
        for page, reject in rejects:
            numbers[page.seq] += 1
            rows.append((page.seq, numbers[page.seq], _line(page, reject)))
        with self._db.transaction():
            self._db.executemany("INSERT INTO reject (seq, number, line) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)


def _line(page: FollowingsPage, reject: Reject) -> str:
    line = {
        "kol": page.kol.user_name,
        "page": page.number,
        "cursor": page.cursor,
        "reason": reject.reason,
        "detail": reject.detail,
        "user": reject.user,
    }
    try:
        text = json.dumps(line, allow_nan=False)  # ASCII, so that a lone surrogate in a user can be written
    except (ValueError, RecursionError):  # an infinity (1e999 in the answer), or nested too deeply
        text = json.dumps(line | {"user": _in_words(reject.user)})
    return text


def _in_words(user: object) -> str:
    try:
        return repr(user)
    except RecursionError:
        return "nested too deeply to be written"
