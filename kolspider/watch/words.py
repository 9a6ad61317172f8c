"""What a run is doing, in words: a block of lines for a terminal, one line for a log. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.console.columns import labelled
from kolspider.console.wording import counted, duration, rough
from kolspider.items import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["List", "Meter", "Now", "block", "cut", "line", "width"]

_LABEL = 10
"""Columns of the label of a line, as in the closing table."""
_LIST = 34
"""Columns of a list that is being read, at least: equally many, so that lists stand below each other."""
_BAR = 20
_MOST_WAITS = 2
_PACE_SECS = 300.0
"""The pace is that of the last few minutes ..."""
_LEAST_SECS = 5.0
"""... and nothing is said of it before."""
_BOLD, _GREEN, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class List:
    """A KOL's list that is being read."""

    user_name: str
    pages: int
    """Read so far ..."""
    of: int | None
    """... of so many, when the list was read before."""
    users: int


@dataclass(frozen=True, slots=True)
class Now:
    """A run at one moment."""

    due: int
    """KOLs to work on."""
    done: Mapping[State, int]
    lists: Sequence[List]
    bought: int
    """Pages."""
    loaded: int
    """Pages that came from the cache, of so many that are to be loaded before anything is bought."""
    to_load: int
    calls: int
    credits: int
    dollars: float
    users: int
    """Read."""
    written: int
    """Rows."""
    waiting: int | None
    """Rows; None in a dry run, which writes none."""
    seconds: float
    """Since the run began."""
    pace: float | None
    """API calls a second; in a replay pages. None as long as nobody knows."""
    left: float | None
    """Seconds."""
    waits: Sequence[str]
    replay: bool


class Meter:
    """Measures the pace of a counter."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, count: int) -> None:
        """The counter stands so; now is in seconds."""
        seen = self._seen
        if len(seen) > 1 and now - seen[-2][0] <= 1:
            seen.pop()  # one a second is enough
        seen.append((now, count))
        while len(seen) > 2 and now - seen[1][0] >= _PACE_SECS:
            seen.popleft()

    @property
    def a_second(self) -> float | None:
        """None before anything can be said."""
        if not self._seen:
            return None
        (begin, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - begin) if end - begin >= _LEAST_SECS and after > before else None


def line(now: Now) -> str:
    """For a log."""
    return ", ".join(_parts_of_line(now))


def _parts_of_line(now: Now) -> Iterator[str]:
    if now.replay:
        yield f"{now.loaded:,} of {counted(now.to_load, 'page')} from the cache"
    else:
        yield f"{sum(now.done.values()):,} of {counted(now.due, 'KOL')}"
        yield from _troubles(now)
        yield counted(now.calls, "call")
    if now.waiting is None:
        yield f"{now.users:,} users read"
    else:
        yield f"{now.written:,} users written"
        yield f"{now.waiting:,} waiting"
    if not now.replay:
        yield f"about ${now.dollars:.2f}"
    if now.pace is not None:
        yield _pace(now)
    if now.left is not None:
        yield f"about {rough(now.left)} left"
    yield from now.waits


def block(now: Now, columns: int, rows: int, *, colour: bool) -> list[str]:
    """For a terminal of this size: lines that are shorter than it is wide, and fewer than it has rows."""
    lines = list(_lines(now, columns, most_lists=max(1, min(4, rows - 12))))
    if rows > len(lines) + 6:
        lines.insert(0, "")  # off the log above it
    lines = [cut(text, columns - 1) for text in lines[: max(rows - 2, 1)]]
    return [_coloured(text) for text in lines] if colour else lines


def _lines(now: Now, columns: int, most_lists: int) -> Iterator[str]:
    done = sum(now.done.values())
    part = now.loaded / (now.to_load or 1) if now.replay else done / (now.due or 1)
    bar = f"[{'#' * int(_BAR * min(part, 1)):-<{_BAR}}]"
    if now.replay:
        yield labelled("KOLs", f"{bar} {now.due:,} to load")
        yield labelled("pages", ", ".join([f"{now.loaded:,} of {now.to_load:,} from the cache", *_paces(now)]))
    else:
        yield labelled("KOLs", ", ".join([f"{bar} {done:,} of {now.due:,} done", *_troubles(now)]))
        of = f" of {now.to_load:,}" if now.loaded < now.to_load else ""
        yield labelled(
            "pages", ", ".join([f"{now.bought:,} bought", f"{now.loaded:,}{of} from the cache", *_paces(now)])
        )
    if now.waiting is None:
        yield labelled("users", f"{now.users:,} read (not written: dry run)")
    else:
        yield labelled("users", f"{now.written:,} written, {now.waiting:,} waiting to be written")
    if not now.replay:
        yield labelled("API", f"{counted(now.calls, 'call')}, about {now.credits:,} credits (${now.dollars:.2f})")
    left = "" if now.left is None else f", about {rough(now.left)} left"
    yield labelled("time", f"{duration(int(now.seconds)).replace('.0', '')}{left}")
    for nth, text in enumerate(_lists(now.lists, columns - _LABEL, most_lists)):
        yield labelled("reading" if nth == 0 else "", text)
    for nth, text in enumerate(now.waits[:_MOST_WAITS]):
        beyond = len(now.waits) - _MOST_WAITS
        more = f" (and {beyond} more)" if nth == _MOST_WAITS - 1 and beyond > 0 else ""
        yield labelled("waiting" if nth == 0 else "", text + more)


def _lists(lists: Sequence[List], columns: int, most: int) -> Iterator[str]:
    """The lists that are being read, as a table."""
    a_row = max(columns // _LIST, 1)
    wide = columns // a_row
    shown = lists if len(lists) <= a_row * most else lists[: a_row * most - 1]
    cells = [_list(one, wide - 2) for one in shown]
    if beyond := len(lists) - len(shown):
        cells.append(f"and {beyond:,} more")
    for first in range(0, len(cells), a_row):
        row = cells[first : first + a_row]
        yield "".join(cell + " " * (wide - width(cell)) for cell in row).rstrip()


def _list(one: List, columns: int) -> str:
    """As much of it as there is room for."""
    read = f" page {one.pages:,}" if one.pages else " begun"
    of = f" of {one.of:,}" if one.of and 0 < one.pages <= one.of else ""
    users = f", {one.users:,}" if one.pages else ""
    unit = " users" if one.pages else ""
    room = columns - width(one.user_name)
    for text in (read + of + users + unit, read + users + unit):
        if len(text) <= room:
            return one.user_name + text
    return cut(one.user_name, columns - len(read + users)) + read + users


def _troubles(now: Now) -> Iterator[str]:
    for state in (State.PARTIAL, State.NOT_FOUND, State.FAILED):
        if count := now.done.get(state):
            yield f"{count:,} {state}"


def _paces(now: Now) -> Iterator[str]:
    if now.pace is not None:
        yield _pace(now)


def _pace(now: Now) -> str:
    assert now.pace is not None  # noqa: S101 - looked at by the caller
    a_minute = now.pace * 60
    return f"{a_minute:,.0f} {'pages' if now.replay else 'calls'}/min" if a_minute >= 1 else "less than 1 call/min"


def width(text: str) -> int:
    """How many columns a terminal takes for it."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def cut(text: str, columns: int) -> str:
    """`text` in so many columns; what a terminal would take for a command is a blank."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    if width(text) <= columns:
        return text
    room = max(columns - 3, 0)
    kept = 0
    for place, char in enumerate(text):
        kept += _width(char)
        if kept > room:
            return text[:place] + "..."[: max(columns, 0)]
    return text


def _coloured(text: str) -> str:
    label, rest = text[:_LABEL], text[_LABEL:]
    if label.startswith("waiting"):
        return f"{_YELLOW}{text}{_PLAIN}"
    return f"{_BOLD}{label}{_PLAIN}" + re.sub(r"^\[(#+)", rf"[{_GREEN}\1{_PLAIN}", rest)
