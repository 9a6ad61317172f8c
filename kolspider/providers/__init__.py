"""The followings APIs that can be asked: a provider file for each that is built in, found by name here."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kolspider.errors import WrongUsage
from kolspider.providers.described import DescribedProvider
from kolspider.providers.reading import read_description

if TYPE_CHECKING:
    from kolspider.providers.base import Provider

__all__ = ["provider"]

_FOLDER = Path(__file__).parent
_KNOWN = tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def provider(name: str) -> Provider:
    """Return the built-in adapter of this name, or that of the provider file at this path. Raises WrongUsage."""
    if name in _KNOWN:
        return _built_in(name)
    if name.endswith(".toml"):
        return DescribedProvider(read_description(Path(name), _text))
    (near,) = get_close_matches(name, _KNOWN, 1, 0)
    raise WrongUsage(
        f"KOL_API_PROVIDER: no provider {name!r}; did you mean {near}? Known: {', '.join(_KNOWN)}, and provider files "
        "such as my.toml"
    )


@cache
def _built_in(name: str) -> Provider:
    return DescribedProvider(read_description(_FOLDER / f"{name}.toml", _text))


def _text(name: str) -> str:
    """Return the text of a built-in provider file. Raises KeyError with the names that there are."""
    if name not in _KNOWN:
        raise KeyError(", ".join(_KNOWN))
    return (_FOLDER / f"{name}.toml").read_text("utf-8")
