"""Allows one run at a time on a cache directory, by an OS lock: it ends with its process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from kolspider.errors import StopRun, WrongUsage
from kolspider.files import make_directory, open_own

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOCK_NAME", "DirectoryLock"]

LOCK_NAME = "lock"

_LINK = "{path} is a link, and may lead to somebody else's file; delete it, then run the same command again"


class DirectoryLock:
    """Holds `<directory>/lock`. Raises WrongUsage if another process holds it, StopRun if it can't be made."""

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK_NAME
        try:
            make_directory(directory)
            self.is_new = not path.exists()
            self._file = os.fdopen(open_own(path, os.O_RDWR | os.O_CREAT), "r+", encoding="utf-8")
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StopRun(_LINK.format(path=path)) from None
            raise StopRun(f"the cache directory {directory} can't be used: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = self._file.read(20).strip()
            self._file.close()
            who = f" (process {pid})" if pid.isdigit() else ""
            raise WrongUsage(f"another run{who} holds {directory}; wait for it, or stop it with one Ctrl-C") from None
        except OSError as error:
            self._file.close()
            raise StopRun(f"{path} can't be locked: {error.strerror}; put KOL_CACHE_DIR on a local disk") from None
        if os.fstat(self._file.fileno()).st_nlink > 1:
            self._file.close()
            raise StopRun(_LINK.format(path=path))
        with suppress(OSError):  # a full disk: the number only tells the next process which one holds the lock
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n")
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Release the lock: the next run can begin."""
        with suppress(OSError):  # the number that did not fit on a full disk
            self._file.close()
