"""A block of lines at the bottom of a terminal, with the log above it.

Between two writes the cursor stands at the start of the block. So the next output, whoever writes it, begins there; a
terminal that changes its size moves the cursor with that line; and after a `kill -9` nothing has to be restored.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kolspider.console.start import send_nowhere

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

__all__ = ["LiveBlock", "is_live"]

_ERASE = "\r\x1b[J"
"""Erases everything below the cursor, which is the block."""
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
"""Without wrapping, a line that is too long in a terminal that has become narrower does not become two."""


def is_live(stream: TextIO) -> bool:
    """Tell whether a block can be drawn on this stream."""
    try:
        return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    except ValueError:  # it is closed
        return False


class LiveBlock:
    """A stream in front of the terminal: it puts the block below whatever is written to it, by any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._lines: Sequence[str] = ()
        self._closed = False
        self._handlers: list[logging.StreamHandler[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def open(self) -> None:
        """Replace stderr, and the terminal in the handlers of the log."""
        for handler in logging.root.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._stream:
                handler.setStream(self)
                self._handlers.append(handler)
        if sys.stderr is self._stream:
            sys.stderr = self

    def close(self) -> None:
        """Erase the block and restore stderr and the handlers. A second call does nothing."""
        with self._lock:
            self.show(())
            self._closed = True
        for handler in self._handlers:  # outside our lock: a thread that logs may hold the handler's and wait for ours
            handler.setStream(self._stream)
        self._handlers.clear()
        if sys.stderr is self:
            sys.stderr = self._stream

    @property
    def size(self) -> os.terminal_size:
        """The columns and rows of the terminal."""
        try:
            found = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            found = os.terminal_size((80, 24))
        return found if found.columns and found.lines else os.terminal_size((80, 24))

    def show(self, lines: Sequence[str]) -> None:
        """Draw these lines as the block."""
        with self._lock:
            if self._closed or lines == self._lines:
                return
            erased = _ERASE if self._lines else ""
            self._lines = lines
            self._put(erased + self._block())

    def write(self, text: str) -> int:
        """Write whole lines above the block."""
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
        try:
            self._stream.write(text)  # one write, so nothing flickers or tears
            self._stream.flush()
        except OSError:  # the terminal is gone, and the run ends without it
            with suppress(OSError, ValueError):
                send_nowhere(self._stream.fileno())


def _in_foreground(stream: TextIO) -> bool:
    """Tell whether this process may draw: after Ctrl-Z and `bg` the terminal belongs to the shell."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # not our controlling terminal
        return True
