"""Standard output that survives a closed pipe, a full disk and an ASCII terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from itertools import chain
from tempfile import SpooledTemporaryFile
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

from kolspider.console.columns import UNSEEN, spreadsheet_cell
from kolspider.console.start import send_nowhere
from kolspider.errors import StopRun, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TextIO

__all__ = ["as_json", "csv_lines", "json_lines", "print_error", "spooled", "standard_output"]

_IN_MEMORY = 1_000_000
"""Largest answer kept in memory, in characters; a larger one goes to a temporary file."""

_UNSEEN = re.compile(f"[{UNSEEN}]")


class _ClosedPipe(UserError):  # noqa: N818 - says what happens
    """The reader of the pipe has closed it, as `| head` does. This needs no message."""

    exit_code = 141  # as the shell reports a tool that SIGPIPE ended


class _Output:
    """Stdout, with its errors as UserError: OSError could also come from the database."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._explained():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._explained():
            self._stream.flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._give_up()
            if isinstance(error, BrokenPipeError):
                raise _ClosedPipe("") from None
            raise StopRun(f"the output can't be written: {error.strerror}") from None

    def _give_up(self) -> None:
        """Send the rest to /dev/null: otherwise Python flushes it at exit, and complains."""
        with suppress(OSError, ValueError):  # not a file
            send_nowhere(self._stream.fileno())


@contextmanager
def standard_output() -> Iterator[None]:
    """Let print raise only UserError in this block; at its end everything is written."""
    stream = sys.stdout
    if stream is None:  # the parent process closed it
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123 - no path
            yield
        return
    if isinstance(stream, io.TextIOWrapper) and stream.errors in {"strict", "surrogateescape"}:
        stream.reconfigure(errors="backslashreplace")
    output = _Output(stream)
    with redirect_stdout(output):
        try:
            yield
        except BaseException:
            with suppress(UserError):  # the first error counts
                output.flush()
            raise
        output.flush()


def as_json(content: object) -> str:
    """Return JSON for stdout, with escapes for what a terminal would obey, and for what its encoding lacks."""
    encoding = str(getattr(sys.stdout, "encoding", None) or "utf-8")
    text = json.dumps(content, indent=2, ensure_ascii=not encoding.lower().startswith("utf"))
    return _UNSEEN.sub(lambda char: f"\\u{ord(char[0]):04x}", text)


def json_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of `as_json(list(rows))`, one row in memory at a time."""
    before = ""
    for row in rows:
        yield before or "["
        before = "  " + as_json(row).replace("\n", "\n  ") + ","
    yield f"{before.removesuffix(',')}\n]" if before else "[]"


def csv_lines(names: Sequence[str], rows: Iterable[Sequence[object]], *, raw: bool = False) -> Iterator[str]:
    """Yield the lines of a CSV, with a header line; safe for spreadsheets unless `raw`."""
    lines: list[str] = []
    write = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n").writerow  # so that it quotes both
    for row in chain([names], rows):
        write(row if raw else map(spreadsheet_cell, row))
        yield lines.pop().removesuffix("\r\n")


def spooled(lines: Iterable[str]) -> IO[str]:
    """Collect the whole answer first: a slow reader must not keep the database waiting, nor get half an answer.

    The caller closes the file. Raises StopRun if there is no room for it.
    """
    written = SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", errors="surrogatepass", newline="")  # noqa: SIM115 - the caller closes it
    try:
        for line in lines:
            _kept(written.write, f"{line}\n")  # writelines would check the size only at its end
        _kept(written.seek, 0)
    except BaseException:
        written.close()
        raise
    return written


def _kept(work: Callable[[Any], object], what: Any) -> None:
    try:
        work(what)
    except OSError as error:
        raise StopRun(f"the answer needs room for temporary files (TMPDIR): {error.strerror}") from None


def print_error(error: UserError) -> int:
    """Print to stderr, in one line, why a command ends. Returns its exit code."""
    if str(error):
        with suppress(OSError):  # nobody listens; the exit code says enough
            print(f"kolspider: {error}", file=sys.stderr)
    return error.exit_code
