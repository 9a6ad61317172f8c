"""Files and folders that are written completely or not at all, and are on disk when a function returns."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["make_directory", "open_own", "sync_directory", "write_atomically"]


def make_directory(directory: Path) -> None:
    """Make the directory and its parents, where they are missing. Raises OSError."""
    if not directory.is_dir():
        make_directory(directory.parent)
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def write_atomically(path: Path, text: str) -> None:
    """Replace the file's content, completely or not at all; a link to it stays. Raises OSError.

    What is no file, such as a pipe or /dev/null, can't be replaced: it is written to. So is the file that standard
    output or error goes to, whose other lines would be lost.
    """
    if _is_written_to(path):
        _write_to(path, text)
        return
    path = Path(os.path.realpath(path))
    make_directory(path.parent)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    unfinished.unlink(missing_ok=True)  # of a process that was killed
    try:
        with unfinished.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_directory(path.parent)


def _is_written_to(path: Path) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(found.st_mode) or any(_is_open_as(descriptor, found) for descriptor in (1, 2))


def _is_open_as(descriptor: int, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(found, os.fstat(descriptor))
    except OSError:  # it is closed
        return False


def _write_to(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)  # a pipe that nobody reads would block
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def open_own(path: Path, flags: int) -> int:
    """Open a file of the cache directory. A link is refused, for it may lead to somebody else's. Raises OSError."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, "it is a link, and may lead to somebody else's file", str(path)) from None


def sync_directory(directory: Path) -> None:
    """Write the directory to disk; until then a new file in it may have no name there. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
