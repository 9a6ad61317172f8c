"""Settings from the environment and from `.env`, for settings.py: what is wrong with them ends the process there.

Scrapy imports settings.py before any command could report an error.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from io import StringIO
from typing import TYPE_CHECKING, NoReturn

from dotenv.parser import parse_stream
from scrapy.settings import default_settings

from kolspider.console.output import print_error
from kolspider.errors import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, MutableMapping
    from pathlib import Path

__all__ = ["Environment", "parsed", "unknown"]

_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte order marks, with which editors say what they have written."""
_OF_TESTS = "KOL_TEST_"


class Environment:
    """The variables that are set, each noted when it is asked for: what nobody asked for is a mistake."""

    def __init__(self, environ: MutableMapping[str, str], dotenv: Path) -> None:
        """Read `.env`, if it is there. Ends the process if it can't be understood."""
        try:
            self._dotenv = _set(_read(dotenv))
        except WrongUsage as error:
            _end(error)
        self._exported = environ
        self._environ = _set(environ)
        self._known: set[str] = set()

    def get(self, name: str, default: str) -> str:
        """Return the value of the environment, or else of `.env`, or else the default. Empty means unset."""
        self._known.add(name)
        return self._environ.get(name) or self._dotenv.get(name) or default

    def export(self, names: Collection[str]) -> None:
        """Put variables of `.env`, named in lower case, where libraries look for them.

        One that is in the environment counts, even if it is empty.
        """
        present = {name.lower() for name in self._exported}
        for name, value in self._dotenv.items():
            if name.lower() in names:
                self._known.add(name)
                if name.lower() not in present:
                    self._exported[name] = value

    def check(self) -> None:
        """End the process if there is a name of ours that nobody asked for, or in `.env` one of Scrapy's."""
        try:
            for name in self._environ:
                if name.upper().startswith("KOL_") and not name.upper().startswith(_OF_TESTS):
                    self._refuse_unknown(name, "the environment")
            for name in self._dotenv:
                is_near = get_close_matches(name.upper(), self._known, 1, 0.85)
                if name.upper().startswith("KOL_") or is_near:
                    self._refuse_unknown(name, ".env")
                elif name in vars(default_settings):
                    raise WrongUsage(f"{name} is not read from .env; give it with -s {name}=...")
        except WrongUsage as error:
            _end(error)

    def _refuse_unknown(self, name: str, where: str) -> None:
        if name not in self._known:
            raise unknown(name, self._known, where)


def unknown(name: str, known: Collection[str], where: str = "") -> WrongUsage:
    """Return the refusal of a setting, with the nearest name that there is."""
    (nearest,) = get_close_matches(name.upper(), sorted(known), 1, 0)
    return WrongUsage(f"unknown setting {name}{f' in {where}' if where else ''}; did you mean {nearest}?")


def parsed(content: bytes) -> dict[str, str]:
    """Return the values of a `.env`, as they stand there: `${x}` in a password is no variable. Raises WrongUsage."""
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise WrongUsage(f".env is not UTF-8 (line {line}); save it as UTF-8") from None
    if "\0" in text:
        raise WrongUsage(".env is not UTF-8 (it has NULs); save it as UTF-8")
    values = {}
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key and binding.value is None):
            lost = binding.original.string
            line = binding.original.line + len(lost[: len(lost) - len(lost.lstrip())].splitlines())
            raise WrongUsage(f"line {line} of .env is not NAME=value; quotes must be closed")
        if binding.key:
            values[binding.key] = binding.value or ""
    return values


def _read(path: Path) -> dict[str, str]:
    try:
        return parsed(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):  # a folder: some keep their Python there
        return {}
    except OSError as error:
        raise WrongUsage(f"{path} can't be read: {error.strerror}") from None


def _set(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if value.strip()}


def _end(error: WrongUsage) -> NoReturn:
    sys.exit(print_error(error))
