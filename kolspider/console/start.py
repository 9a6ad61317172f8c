"""How a command begins: whatever its standard streams are, and whenever it is interrupted, it shows no traceback."""

from __future__ import annotations

import gc
import logging
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["commands_module", "prepare", "send_nowhere"]

_OBJECTS = 10_000
"""New objects after which Python looks for circles of garbage among them. With its own 700, that is a twentieth of all
work, for imports and pages make hardly any."""
_handle_error = logging.StreamHandler.handleError


def prepare() -> None:
    """Set the process up; settings.py does it first of all."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # one that was closed: a file would take its number
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    sys.excepthook = _say_interrupted
    gc.set_threshold(_OBJECTS)
    logging.StreamHandler.handleError = _lose_log  # type: ignore[method-assign,assignment]  # replaced


def commands_module() -> str:
    """Return the module of the command that is typed, so that Scrapy imports no other; of any other command, all."""
    package, typed = "kolspider.commands", "".join(sys.argv[1:2])
    commands = {file.stem for file in (Path(__file__).parents[1] / "commands").glob("*.py")}
    return f"{package}.{typed}" if typed in commands else package


def send_nowhere(descriptor: int) -> None:
    """Let what is written to this file from now on, and what is buffered for it, go nowhere. Raises OSError."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _say_interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print one line after a Ctrl-C that nobody caught, after which Python ends with 130."""
    if issubclass(kind, KeyboardInterrupt):
        print("kolspider: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _lose_log(handler: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
    """Go on without a log that can't be written: the run has better things to do. One line says so."""
    error = sys.exc_info()[1]
    if not isinstance(error, OSError):
        _handle_error(handler, record)
        return
    with suppress(OSError, ValueError, AttributeError):  # not a file
        send_nowhere(handler.stream.fileno())
    if handler.stream is not sys.stderr:
        _say_once(f"kolspider: the log can't be written: {error.strerror}")


@cache
def _say_once(text: str) -> None:
    """Print to stderr; Scrapy opens its log more than once."""
    print(text, file=sys.stderr)
