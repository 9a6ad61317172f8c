"""What a command says on stdout: to whom has heard enough, to a full disk, and to a terminal that knows ASCII only."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any

from kolspider.errors import StopRun, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

__all__ = ["as_json", "json_lines", "standard_output", "tell"]


class _NobodyListens(UserError):  # noqa: N818 - says what happens
    """The other end of the pipe is closed, as `| head` does: no reason for a word."""

    exit_code = 141  # what a shell has for a tool that SIGPIPE ended


class _Output:
    """Stands in front of stdout. Its errors are not the database's, which are OSError, too."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._told():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._told():
            self._stream.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._give_up()
            if isinstance(error, BrokenPipeError):
                raise _NobodyListens("") from None
            raise StopRun(f"the output can't be written: {error.strerror}") from None

    def _give_up(self) -> None:
        """What is left of it goes nowhere: Python would try once more at its end, and complain."""
        with suppress(OSError, ValueError):  # not a file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def standard_output() -> Iterator[None]:
    """Within it print raises nothing but UserError, and when it is left all is written."""
    stream = sys.stdout
    if stream is None:  # closed by who started us
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
            with suppress(UserError):  # what went wrong first is told
                output.flush()
            raise
        output.flush()


def as_json(content: object) -> str:
    """JSON for stdout: with escapes of its own where that can't take every character."""
    encoding = str(getattr(sys.stdout, "encoding", None) or "utf-8")
    return json.dumps(content, indent=2, ensure_ascii=not encoding.lower().startswith("utf"))


def json_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The lines of `as_json` of them all, without having them all at once."""
    before = ""
    for row in rows:
        yield before or "["
        before = "  " + as_json(row).replace("\n", "\n  ") + ","
    yield f"{before.removesuffix(',')}\n]" if before else "[]"


def tell(error: UserError) -> int:
    """Say on stderr, in one line, why a command ends. Returns its exit code."""
    if str(error):
        print(f"kolspider: {error}", file=sys.stderr)
    return error.exit_code
