"""The log of the calls to the sandbox: in memory, and in a file that survives the process."""

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO

__all__ = ["Call", "CallLog", "Kind"]

Kind = Literal["followings", "profile", "profiles", "balance"]
"""What a call asks for: a page of a list, one account's profile, those of several, what the customer has left."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request and its answer. It is logged before the answer is sent, so an answered call is always in the log."""

    at: float
    """Arrival as time.monotonic()."""
    time: float
    """Arrival as Unix time."""
    handle: str
    """The account in lower case; empty if the request named none, or several, or one by its id that nobody has."""
    page: int
    """The page of the list, 1 for the first; 0 if the cursor is not valid, or the call is for no list."""
    cursor: str
    page_size: int
    status: int
    """The HTTP status; 0 if no answer was sent."""
    fault: str
    """The fault's name; empty for a normal answer, even if that refuses a wrong request."""
    users: int
    """The number of list entries in the answer; 0 if it is incomplete, or the call is for no list."""
    credits: int
    """What the customer is charged, in units of the contract."""
    key_ok: bool
    kind: Kind = "followings"
    accounts: int = 1
    """The number of accounts that the call asks about."""


class CallLog:
    """The calls in order of arrival, written by the server's thread and read by any."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._calls: list[Call] = []
        self._changed = threading.Condition()

    def open(self) -> None:
        """Open the file to append to it."""
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
        """Forget the calls so far, but not those in the file."""
        with self._changed:
            self._calls.clear()

    def wait_for(self, number: int, timeout: float) -> bool:
        """Wait until there are this many calls; False on timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._calls) >= number, timeout)
