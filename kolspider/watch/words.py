"""What a run is doing, in words: a block of lines for a terminal, a line or two for a log. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from kolspider.console.columns import LOG_COLUMNS, cut, labelled, width
from kolspider.console.wording import counted, dollars, duration, rough, short
from kolspider.items import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kolspider.live.tally import Tally

__all__ = ["ListProgress", "Snapshot", "block", "log_lines"]

_LABEL = 10
"""Columns of the label of a line, as in the closing table."""
_LIST = 34
"""The least columns of a list that is being read; lists stand below each other."""
_BAR = 20
_MOST_WAITS = 2
_BOLD, _GREEN, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[0m"


class ListProgress(Struct, frozen=True):
    """A KOL's list that is being read."""

    user_name: str
    pages: int
    """Pages read so far."""
    of: int | None
    """Pages of the list when it was read before; None if it never was."""
    users: int


class Snapshot(Struct, frozen=True):
    """A run at one moment."""

    tally: Tally
    due: int
    """KOLs that the run works on."""
    done: Mapping[State, int]
    """KOLs that the run has done, by state."""
    lists: Sequence[ListProgress]
    to_load: int
    """Cached pages that the run loads before it buys any."""
    waiting: int | None
    """Rows that wait to be written; None in a dry run, which writes none."""
    dollars: float
    seconds: float
    """Seconds since the run began."""
    pace: float | None
    """API calls a second, or pages a second in a replay; None while it is unknown."""
    left: float | None
    """Seconds until the end, estimated; None while they are unknown."""
    waits: Sequence[str]
    replay: bool


def log_lines(now: Snapshot) -> Iterator[str]:
    """Yield the line for a log, as long as there is room, and one for what is waited for, if anything is."""
    text, *rest = _parts_of_line(now)
    for part in rest:
        if len(text) + 2 + len(part) <= LOG_COLUMNS:
            text += f", {part}"
    yield text
    if now.waits:
        beyond = f" (and {len(now.waits) - 1} more)" if len(now.waits) > 1 else ""
        yield f"waiting: {cut(now.waits[0], LOG_COLUMNS - len(beyond) - 9)}{beyond}"


def _parts_of_line(now: Snapshot) -> Iterator[str]:
    tally = now.tally
    if now.replay:
        yield f"{tally.cache_hits:,} of {counted(now.to_load, 'page')} from the cache"
    else:
        yield f"{sum(now.done.values()):,} of {counted(now.due, 'KOL')}"
        yield from _troubles(now)
        yield counted(tally.calls, "call")
        yield dollars(now.dollars)
    if now.left is not None and not now.waits:
        yield f"{rough(now.left)} left"
    yield f"{short(tally.users_read)} users read" if now.waiting is None else f"{short(tally.rows_upserted)} rows"


def block(now: Snapshot, columns: int, rows: int, *, colour: bool) -> list[str]:
    """Return the lines for a terminal of this size: fewer than its rows, each shorter than its width."""
    lines = list(_lines(now, columns, most_lists=max(1, min(4, rows - 12))))
    if rows > len(lines) + 6:
        lines.insert(0, "")  # off the log above it
    lines = [cut(text, columns - 1) for text in lines[: max(rows - 2, 1)]]
    return [_coloured(text) for text in lines] if colour else lines


def _lines(now: Snapshot, columns: int, most_lists: int) -> Iterator[str]:
    tally, done = now.tally, sum(now.done.values())
    part = tally.cache_hits / (now.to_load or 1) if now.replay else done / (now.due or 1)
    bar = f"[{'#' * int(_BAR * min(part, 1)):-<{_BAR}}]"
    if now.replay:
        kols = [f"{bar} {now.due:,} to load"]
        pages = [f"{tally.cache_hits:,} of {now.to_load:,} from the cache"]
    else:
        kols = [f"{bar} {done:,} of {now.due:,} done", *_troubles(now)]
        of = f" of {now.to_load:,}" if tally.cache_hits < now.to_load else ""
        pages = [f"{tally.pages:,} bought", f"{tally.cache_hits:,}{of} from the cache"]
    yield labelled("KOLs", ", ".join(kols))
    yield labelled("pages", ", ".join([*pages, *_pace(now)]))
    if now.waiting is None:
        yield labelled("users", f"{tally.users_read:,} read (not written: dry run)")
    else:
        yield labelled("users", f"{tally.rows_upserted:,} written, {now.waiting:,} waiting to be written")
    if not now.replay:
        yield labelled("API", f"{counted(tally.calls, 'call')}, about {tally.credits:,} credits (${now.dollars:.2f})")
    left = "" if now.left is None else f", about {rough(now.left)} left"
    yield labelled("time", f"{duration(int(now.seconds)).replace('.0', '')}{left}")
    for nth, text in enumerate(_lists(now.lists, columns - _LABEL, most_lists)):
        yield labelled("reading" if nth == 0 else "", text)
    beyond = len(now.waits) - _MOST_WAITS
    for nth, text in enumerate(now.waits[:_MOST_WAITS]):
        more = f" (and {beyond} more)" if nth == _MOST_WAITS - 1 and beyond > 0 else ""
        yield labelled("waiting" if nth == 0 else "", text + more)


def _lists(lists: Sequence[ListProgress], columns: int, most: int) -> Iterator[str]:
    """Yield the rows of a table of the lists that are being read."""
    a_row = max(columns // _LIST, 1)
    wide = columns // a_row
    shown = lists if len(lists) <= a_row * most else lists[: a_row * most - 1]
    cells = [_list(one, wide - 2) for one in shown]
    if beyond := len(lists) - len(shown):
        cells.append(f"and {beyond:,} more")
    for first in range(0, len(cells), a_row):
        row = cells[first : first + a_row]
        yield "".join(cell + " " * (wide - width(cell)) for cell in row).rstrip()


def _list(one: ListProgress, columns: int) -> str:
    """Describe a list in as many words as there is room for."""
    read = f" page {one.pages:,}" if one.pages else " begun"
    of = f" of {one.of:,}" if one.of and 0 < one.pages <= one.of else ""
    users = f", {one.users:,}" if one.pages else ""
    unit = " users" if one.pages else ""
    room = columns - width(one.user_name)
    for text in (read + of + users + unit, read + users + unit):
        if len(text) <= room:
            return one.user_name + text
    return cut(one.user_name, columns - len(read + users)) + read + users


def _troubles(now: Snapshot) -> Iterator[str]:
    for state in (State.PARTIAL, State.NOT_FOUND, State.FAILED):
        if count := now.done.get(state):
            yield f"{count:,} {state}"


def _pace(now: Snapshot) -> Iterator[str]:
    if now.pace is not None:
        what, a_minute = "page" if now.replay else "call", now.pace * 60
        yield f"{a_minute:,.0f} {what}s/min" if a_minute >= 1 else f"less than 1 {what}/min"


def _coloured(text: str) -> str:
    label, rest = text[:_LABEL], text[_LABEL:]
    if label.startswith("waiting"):
        return f"{_YELLOW}{text}{_PLAIN}"
    return f"{_BOLD}{label}{_PLAIN}" + re.sub(r"^\[(#+)", rf"[{_GREEN}\1{_PLAIN}", rest)
