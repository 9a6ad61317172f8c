"""A block of lines at the bottom of a terminal that is drawn again and again, with the log above it.

Between two writes the cursor stands at the block's first line. So whatever is written next, by us or by anybody,
begins there; a terminal that changes its size takes the cursor along with that line; and after a `kill -9` nothing
is left to be restored.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

__all__ = ["LiveBlock", "is_live"]

_ERASE = "\r\x1b[J"
"""What is below the cursor: the block."""
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
"""A line that is too long, because the terminal has just become narrower, must not become two."""


def is_live(stream: TextIO) -> bool:
    """Whether a block can be drawn there."""
    try:
        return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    except ValueError:  # it is closed
        return False


class LiveBlock:
    """Stands in front of the terminal, as a stream, for everybody who writes to it. Any thread may."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._lines: Sequence[str] = ()
        self._closed = False
        self._handlers: list[logging.StreamHandler[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def open(self) -> None:
        """Take the place of stderr, and of the terminal in the log's handlers."""
        for handler in logging.root.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._stream:
                handler.setStream(self)
                self._handlers.append(handler)
        if sys.stderr is self._stream:
            sys.stderr = self

    def close(self) -> None:
        """Erase the block, and give the terminal back. More than once does no harm."""
        with self._lock:
            self.show(())
            self._closed = True
        for handler in self._handlers:  # without our lock: a thread that logs has the handler's, and may wait for ours
            handler.setStream(self._stream)
        self._handlers.clear()
        if sys.stderr is self:
            sys.stderr = self._stream

    @property
    def size(self) -> os.terminal_size:
        """Columns and rows of the terminal."""
        try:
            found = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            found = os.terminal_size((80, 24))
        return found if found.columns and found.lines else os.terminal_size((80, 24))

    def show(self, lines: Sequence[str]) -> None:
        """Draw the block with these lines, in place of those before."""
        with self._lock:
            if self._closed or lines == self._lines:
                return
            erased = _ERASE if self._lines else ""
            self._lines = lines
            self._put(erased + self._block())

    def write(self, text: str) -> int:
        """Put whole lines above the block."""
        with self._lock:
            if not self._lines:
                self._stream.write(text)
            else:
                self._put(_ERASE + text + ("" if text.endswith("\n") else "\n") + self._block())
        return len(text)

    def _block(self) -> str:
        lines = self._lines[: max(self.size.lines - 1, 1)]
        if not lines or not _in_foreground(self._stream):
            return ""
        up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
        return _NO_WRAP + "\n".join(lines) + f"\r{up}" + _WRAP

    def _put(self, text: str) -> None:
        self._stream.write(text)  # in one piece: neither flickers nor tears
        self._stream.flush()


def _in_foreground(stream: TextIO) -> bool:
    """Whether the terminal is ours: after Ctrl-Z and `bg` it is the shell's."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # not the terminal that controls us
        return True
