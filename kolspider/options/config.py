"""The settings as typed values. A wrong one is refused by name, with its value unless it may hold a secret."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from scrapy.settings import default_settings

from kolspider.db.base import name_parts
from kolspider.db.doris.http import Address
from kolspider.errors import WrongUsage
from kolspider.options.secrets import fits_a_header
from kolspider.providers import provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.settings import BaseSettings

    from kolspider.providers.base import Provider

__all__ = ["PROJECT_DIR", "Config", "boolean", "point_at_sandbox"]

PROJECT_DIR = Path(__file__).resolve().parents[2]
"""Where scrapy.cfg is; relative paths in settings start here."""

_KNOWN = {
    "KOL_API_KEY", "KOL_API_PROVIDER", "KOL_API_URL", "KOL_CACHE_DIR", "KOL_CACHE_EVICT", "KOL_CREDIT_PRICE",
    "KOL_DB_RETRY_SECS", "KOL_DB_URL", "KOL_DORIS_HTTP", "KOL_DORIS_LOAD", "KOL_FLUSH_ROWS", "KOL_FLUSH_SECS",
    "KOL_FOLLOWS_TABLE", "KOL_KNOWN_STOP", "KOL_PROGRESS", "KOL_RETRY_SECS", "KOL_SOURCE_TABLE",
    "KOL_SUMMARY_FILE", "KOL_TARGET_TABLE",
}  # fmt: skip
# As Scrapy reads them: its own settings are checked here too.
_BOOLS = {"1": True, "True": True, "true": True, "0": False, "False": False, "false": False}
# What urlsplit takes apart is not always what a request is then sent to: `http://h\\x`, `http://[::1]x`.
_API_URL = re.compile(r"https?://(?:[\w.-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?(?:/[^\s?#\\]*)?", re.IGNORECASE)
_DORIS_HTTP = re.compile(r"http://(?P<host>[\w.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE)
_LONGEST_FILE_NAME = 255  # bytes
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Config:
    """What the settings say. Times are in seconds."""

    api_key: str = field(repr=False)
    provider: Provider
    credit_usd: float
    """What one credit costs, in US dollars."""
    api_url: str
    db_url: str = field(repr=False)
    stream_load: Address | None
    """The HTTP address of Doris's FE, if rows go in by Stream Load."""
    source_table: str
    target_table: str
    follows_table: str
    """Empty: it is not kept who follows whom."""
    known_stop: int
    """Pages of known accounts in a row that end an incremental crawl."""
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
    progress: bool

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Config:
        """Read the settings. Raises WrongUsage, naming the setting that is wrong."""
        if str(settings["LOG_LEVEL"]).upper() not in logging.getLevelNamesMapping():
            raise WrongUsage(f"LOG_LEVEL={settings['LOG_LEVEL']!r} is none of DEBUG, INFO, WARNING, ERROR")
        unknown = sorted(name for name in settings if str(name).startswith("KOL_") and name not in _KNOWN)
        if unknown:
            raise WrongUsage(f"unknown setting {unknown[0]}; the settings are {', '.join(sorted(_KNOWN))}")
        _check_scrapy(settings)
        adapter = provider(_text(settings, "KOL_API_PROVIDER"))
        return cls(
            api_key=_api_key(str(settings["KOL_API_KEY"] or "")),
            provider=adapter,
            credit_usd=_credit_usd(settings, adapter),
            api_url=_api_url(str(settings["KOL_API_URL"] or adapter.default_url)),
            db_url=_text(settings, "KOL_DB_URL"),
            stream_load=_stream_load(settings),
            source_table=_table(settings, "KOL_SOURCE_TABLE"),
            target_table=_table(settings, "KOL_TARGET_TABLE"),
            follows_table=_table(settings, "KOL_FOLLOWS_TABLE") if settings["KOL_FOLLOWS_TABLE"] else "",
            known_stop=_number(settings, "KOL_KNOWN_STOP", int, 1),
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
            progress=boolean(settings, "KOL_PROGRESS"),
        )


def _check_scrapy(settings: BaseSettings) -> None:
    """Scrapy reads its settings when the crawl has begun: a bad one is a traceback there, or a run that hangs."""
    for name, value in settings.items():
        if isinstance(value, str) and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
            raise WrongUsage(f"{name} is not UTF-8, or holds a NUL")
    if settings["CONCURRENT_REQUESTS_PER_IP"] not in {None, 0, "0"}:
        raise WrongUsage("CONCURRENT_REQUESTS_PER_IP is not supported; use CONCURRENT_REQUESTS")
    for name, default in vars(default_settings).items():
        if isinstance(default, bool) or name.endswith("_ENABLED"):
            boolean(settings, name)
        elif isinstance(default, int | float) and default >= 0:
            is_whole = isinstance(default, int) and not name.endswith(("_DELAY", "_TIMEOUT"))
            _number(settings, name, int if is_whole else float, name.startswith(("CONCURRENT_", "REACTOR_")))


def point_at_sandbox(settings: BaseSettings) -> None:
    """Nothing of the user's is touched: cache, ledger and database are in a folder of their own."""
    folder = PROJECT_DIR / Path(str(settings["KOL_CACHE_DIR"])).expanduser() / "sandbox"
    for name, value in {
        "KOL_CACHE_DIR": str(folder),
        "KOL_DB_URL": f"sqlite:///{folder / 'sandbox.db'}",
        "KOL_SOURCE_TABLE": "twitter_kol",
        "KOL_TARGET_TABLE": "twitter_kol_all",
        "KOL_FOLLOWS_TABLE": "twitter_kol_follows",
        "KOL_API_PROVIDER": "twitterapi_io",
        "KOL_API_URL": "",
        "KOL_API_KEY": "sandbox-key",
    }.items():
        settings.set(name, value, priority="cmdline")


def _text(settings: BaseSettings, name: str) -> str:
    value = str(settings[name] or "").strip()
    if not value:
        raise WrongUsage(f"{name} is empty")
    return value


def _path(settings: BaseSettings, name: str) -> Path:
    try:
        path = Path(_text(settings, name)).expanduser()
    except RuntimeError:  # ~somebody who is not on this machine
        raise WrongUsage(f"{name}={settings[name]!r} names the home of nobody on this machine") from None
    if any(len(os.fsencode(part)) > _LONGEST_FILE_NAME for part in path.parts):
        raise WrongUsage(f"{name} holds a name of more than {_LONGEST_FILE_NAME} bytes")
    return path


def _table(settings: BaseSettings, name: str) -> str:
    table = _text(settings, name)
    try:
        name_parts(table)
    except WrongUsage as error:
        raise WrongUsage(f"{name}: {error}") from None
    return table


def boolean(settings: BaseSettings, name: str) -> bool:
    """A setting that is True or False. Raises WrongUsage."""
    value = str(settings[name])
    if value not in _BOOLS:
        raise WrongUsage(f"{name}={settings[name]!r} is neither True nor False")
    return _BOOLS[value]


def _number(settings: BaseSettings, name: str, kind: Callable[[str], _Value], least: float) -> _Value:
    raw = str(settings[name])
    what = "a whole number" if kind is int else "a number"
    try:
        value = kind(raw)
        fits = least <= float(raw) < 2**31  # false for nan too
    except (ValueError, OverflowError):
        fits = False
    if not fits:
        raise WrongUsage(f"{name}={raw!r} is not {what} from {least:g} up")
    return value


def _credit_usd(settings: BaseSettings, adapter: Provider) -> float:
    if str(settings["KOL_CREDIT_PRICE"] or "").strip():
        return _number(settings, "KOL_CREDIT_PRICE", float, 0)
    return adapter.credit_usd


def _stream_load(settings: BaseSettings) -> Address | None:
    how = str(settings["KOL_DORIS_LOAD"]).strip()
    url = str(settings["KOL_DORIS_HTTP"] or "").strip()
    match = _DORIS_HTTP.fullmatch(url)
    port = int(match["port"] or 8030) if match else 0
    if url and not 0 < port < 65536:
        raise WrongUsage(
            "KOL_DORIS_HTTP is not the HTTP address of Doris's FE such as http://fe:8030; no path, "
            "no https, and user and password are those of KOL_DB_URL"
        )
    if how not in {"insert", "stream_load"}:
        raise WrongUsage(f"KOL_DORIS_LOAD={how!r} is neither insert nor stream_load")
    if how == "insert":
        return None
    if match is None:
        raise WrongUsage("KOL_DORIS_LOAD=stream_load needs KOL_DORIS_HTTP, the HTTP address of Doris's FE")
    return Address(match["host"].strip("[]"), port)


def _api_key(key: str) -> str:
    if not fits_a_header(key):
        raise WrongUsage("KOL_API_KEY has characters that no HTTP header can carry (a blank, a line break, a quote?)")
    return key


def _api_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise WrongUsage("KOL_API_URL must not hold a user or password; the key goes into KOL_API_KEY")
        good = url.isprintable() and _API_URL.fullmatch(url) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:
        good = False
    if not good:
        raise WrongUsage("KOL_API_URL is not an http:// or https:// address such as https://api.twitterapi.io")
    return url.rstrip("/")
