"""Paths to values in JSON: keys and indexes between dots, such as `data.users` or `errors.0.message`."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["getter", "without"]


def getter(path: str) -> Callable[[Any], Any]:
    """Return a function of a JSON object that gives the value at `path`, None if there is none.

    The empty path is the object itself.
    """
    keys = path.split(".") if path else []
    if len(keys) == 1:
        return methodcaller("get", path)  # twice as fast as a function of ours, and most paths are one key

    def get(value: object) -> object:
        for key in keys:
            value = _step(value, key)
        return value

    return get


def without(value: object, path: str) -> object:
    """Return a copy of a JSON value in which None stands at `path`."""
    key, _, rest = path.partition(".")
    if not key:
        return None
    if isinstance(value, list):
        return [without(item, rest) if str(place) == key else item for place, item in enumerate(value)]
    return {**value, key: without(value.get(key), rest)} if isinstance(value, dict) else value


def _step(value: object, key: str) -> object:
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None
