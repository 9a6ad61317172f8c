"""The settings as typed values. A wrong one is refused by name, with its value unless it may hold a secret."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from kolspider.db.base import name_parts
from kolspider.errors import WrongUsage
from kolspider.providers import provider
from kolspider.redaction import fits_a_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.settings import BaseSettings

    from kolspider.providers.base import Provider

__all__ = ["PROJECT_DIR", "Config", "boolean"]

PROJECT_DIR = Path(__file__).resolve().parents[1]
"""Where scrapy.cfg is; relative paths in settings start here."""

_KNOWN = {
    "KOL_API_KEY", "KOL_API_PROVIDER", "KOL_API_URL", "KOL_CACHE_DIR", "KOL_CACHE_EVICT", "KOL_DB_RETRY_SECS",
    "KOL_DB_URL", "KOL_FLUSH_ROWS", "KOL_FLUSH_SECS", "KOL_RETRY_SECS", "KOL_SOURCE_TABLE", "KOL_SUMMARY_FILE",
    "KOL_TARGET_TABLE",
}  # fmt: skip
_BOOLS = {"1": True, "true": True, "0": False, "false": False}
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Config:
    """What the settings say. Times are in seconds."""

    api_key: str = field(repr=False)
    provider: Provider
    api_url: str
    db_url: str = field(repr=False)
    source_table: str
    target_table: str
    cache_dir: Path
    cache_evict: bool
    flush_rows: int
    flush_secs: float
    db_retry_secs: float
    concurrency: int
    """KOLs at once."""
    retry_times: int
    retry_secs: float
    delay: float
    timeout: float
    jobdir: Path | None
    summary_file: Path | None

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Config:
        """Read the settings. Raises WrongUsage, naming the setting that is wrong."""
        if str(settings["LOG_LEVEL"]).upper() not in logging.getLevelNamesMapping():
            raise WrongUsage(f"LOG_LEVEL={settings['LOG_LEVEL']!r} is none of DEBUG, INFO, WARNING, ERROR")
        unknown = sorted(name for name in settings if str(name).startswith("KOL_") and name not in _KNOWN)
        if unknown:
            raise WrongUsage(f"unknown setting {unknown[0]}; the settings are {', '.join(sorted(_KNOWN))}")
        adapter = provider(_text(settings, "KOL_API_PROVIDER"))
        _number(settings, "CONCURRENT_ITEMS", int, 1)
        for name in ("STATS_DUMP", "LOG_ENABLED"):
            boolean(settings, name)
        return cls(
            api_key=_api_key(str(settings["KOL_API_KEY"] or "")),
            provider=adapter,
            api_url=_api_url(str(settings["KOL_API_URL"] or adapter.default_url)),
            db_url=_text(settings, "KOL_DB_URL"),
            source_table=_table(settings, "KOL_SOURCE_TABLE"),
            target_table=_table(settings, "KOL_TARGET_TABLE"),
            cache_dir=PROJECT_DIR / _path(settings, "KOL_CACHE_DIR"),
            cache_evict=boolean(settings, "KOL_CACHE_EVICT"),
            flush_rows=_number(settings, "KOL_FLUSH_ROWS", int, 1),
            flush_secs=_number(settings, "KOL_FLUSH_SECS", float, 0),
            db_retry_secs=_number(settings, "KOL_DB_RETRY_SECS", float, 0),
            concurrency=_number(settings, "CONCURRENT_REQUESTS", int, 1),
            retry_times=_number(settings, "RETRY_TIMES", int, 0),
            retry_secs=_number(settings, "KOL_RETRY_SECS", float, 0),
            delay=_number(settings, "DOWNLOAD_DELAY", float, 0),
            timeout=_number(settings, "DOWNLOAD_TIMEOUT", float, 0.001),
            jobdir=_path(settings, "JOBDIR") if settings["JOBDIR"] else None,
            summary_file=PROJECT_DIR / _path(settings, "KOL_SUMMARY_FILE") if settings["KOL_SUMMARY_FILE"] else None,
        )


def _text(settings: BaseSettings, name: str) -> str:
    value = str(settings[name] or "").strip()
    if not value:
        raise WrongUsage(f"{name} is empty")
    return value


def _path(settings: BaseSettings, name: str) -> Path:
    try:
        return Path(_text(settings, name)).expanduser()
    except RuntimeError:  # ~somebody who is not on this machine
        raise WrongUsage(f"{name}={settings[name]!r} names the home of nobody on this machine") from None


def _table(settings: BaseSettings, name: str) -> str:
    table = _text(settings, name)
    try:
        name_parts(table)
    except WrongUsage as error:
        raise WrongUsage(f"{name}: {error}") from None
    return table


def boolean(settings: BaseSettings, name: str) -> bool:
    """A setting that is True or False. Raises WrongUsage."""
    value = str(settings[name]).strip().lower()
    if value not in _BOOLS:
        raise WrongUsage(f"{name}={settings[name]!r} is neither True nor False")
    return _BOOLS[value]


def _number(settings: BaseSettings, name: str, kind: Callable[[str], _Value], least: float) -> _Value:
    raw = str(settings[name]).strip()
    what = "a whole number" if kind is int else "a number"
    try:
        value = kind(raw)
        fits = least <= float(raw) < 1e9  # false for nan too
    except (ValueError, OverflowError):
        fits = False
    if not fits:
        raise WrongUsage(f"{name}={raw!r} is not {what} from {least:g} up")
    return value


def _api_key(key: str) -> str:
    if not fits_a_header(key):
        raise WrongUsage("KOL_API_KEY has characters that no HTTP header can carry (a blank, a line break, a quote?)")
    return key


def _api_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise WrongUsage("KOL_API_URL is not an http:// or https:// address such as https://api.twitterapi.io")
    if parts.username or parts.password:
        raise WrongUsage("KOL_API_URL must not hold a user or password; the key goes into KOL_API_KEY")
    return url.rstrip("/")
