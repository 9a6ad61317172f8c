"""The log of calls that the sandbox got: in memory for tests, in a file when a process is to be killed."""

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

__all__ = ["Call", "CallLog"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request and how it was answered. Logged before the answer is sent: who has one finds it here."""

    at: float
    """time.monotonic() of its arrival."""
    time: float
    """The same as a unix time."""
    handle: str
    """Lower case; empty when none was named."""
    page: int
    """The page of the list, 1 for the first; 0 when the request makes no sense."""
    cursor: str
    page_size: int
    status: int
    """0: no answer was sent."""
    fault: str
    """The fault's name; empty for a normal answer, an earned error included."""
    users: int
    """List entries that were sent, in a whole answer."""
    key_ok: bool


class CallLog:
    """The calls in the order of arrival. Written by the server's thread, read by any."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._calls: list[Call] = []
        self._changed = threading.Condition()

    def open(self) -> None:
        """Open the file, to append."""
        if self._path:
            self._file = self._path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Close the file; the calls stay readable."""
        if self._file:
            self._file.close()
            self._file = None

    def add(self, call: Call) -> int:
        """Log a call. Returns how many there are now."""
        with self._changed:
            if self._file:
                self._file.write(json.dumps(asdict(call)) + "\n")
                self._file.flush()
            self._calls.append(call)
            self._changed.notify_all()
            return len(self._calls)

    def all(self) -> list[Call]:
        """A copy of the calls so far."""
        with self._changed:
            return list(self._calls)

    def clear(self) -> None:
        """Forget the calls so far; the file keeps them."""
        with self._changed:
            self._calls.clear()

    def wait_for(self, number: int, timeout: float) -> bool:
        """Wait until there are this many calls; False when they did not come in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._calls) >= number, timeout)
