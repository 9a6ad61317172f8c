"""The settings as typed values, each declared once: its name, how it is read, its default and its meaning."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from ipaddress import ip_address
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from scrapy.settings import SETTINGS_PRIORITIES, default_settings

from kolspider.db.base import HANDLES
from kolspider.errors import WrongUsage
from kolspider.options import read
from kolspider.options.environment import unknown
from kolspider.options.read import PROJECT_DIR, boolean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scrapy.settings import BaseSettings

    from kolspider.db.doris.http import Address
    from kolspider.providers.base import Provider

__all__ = ["DEFAULTS", "PROJECT_DIR", "SECRETS", "Config", "boolean", "point_at_sandbox"]

_ANSWER_SECS = 2.0
"""Seconds that an answer takes at most, as far as the order of lists goes; twitterapi.io names 700 ms on average. With
quicker answers, lists begin earlier than they have to, which costs nothing."""


def _setting(
    name: str, reader: Callable[[BaseSettings, str], Any], default: str | None, *, secret: bool = False
) -> Any:
    """One field of Config and the setting it is read from; without a default here, it is in settings.py."""
    return field(repr=not secret, metadata={"setting": name, "read": reader, "default": default})


@dataclass(frozen=True, slots=True)
class Config:
    """The values of the settings. Times are in seconds."""

    api_key: str = _setting("KOL_API_KEY", read.api_key, "", secret=True)
    """Sent to the API's host and nowhere else."""
    provider: Provider = _setting("KOL_API_PROVIDER", read.provider, "twitterapi_io")
    api_url: str = _setting("KOL_API_URL", read.api_url, "")
    """The base URL of the API; if the setting is empty, the provider's own."""
    credit_usd: float = _setting("KOL_CREDIT_PRICE", read.credit_usd, "")
    """What one credit costs, in US dollars; if the setting is empty, the provider's list price."""
    db_url: str = _setting("KOL_DB_URL", read.text, "sqlite:///kol.db", secret=True)
    """The team's database. The default is a file beside scrapy.cfg: it works without a server."""
    doris_load: str = _setting("KOL_DORIS_LOAD", read.doris_load, "insert")
    """How rows go into Doris: `insert`, or `stream_load` (over HTTP, for bulk reloads)."""
    doris_http: Address | None = _setting("KOL_DORIS_HTTP", read.doris_http, "")
    doris_headers: Mapping[str, str] = _setting("KOL_DORIS_HEADERS", read.doris_headers, "", secret=True)
    """Further headers of each Stream Load, such as `redirect-policy: public`."""
    shared_url: str = _setting("KOL_SHARED_URL", read.optional(read.text, ""), "", secret=True)
    """The PostgreSQL database that several machines have in place of the store in the cache directory."""
    source_table: str = _setting("KOL_SOURCE_TABLE", read.table, "twitter_kol")
    source_column: str = _setting("KOL_SOURCE_COLUMN", read.text, HANDLES)
    """The column of the source table that has the handles."""
    source_where: str = _setting("KOL_SOURCE_WHERE", read.condition, "")
    """The condition that chooses rows of the source table; if it is empty, all of them."""
    target_table: str = _setting("KOL_TARGET_TABLE", read.table, "twitter_kol_all")
    follows_table: str = _setting("KOL_FOLLOWS_TABLE", read.optional(read.table, ""), "")
    """The table of who follows whom; if it is empty, none is kept."""
    alerts_file: Path | None = _setting("KOL_ALERTS_FILE", read.optional(read.project_path, None), "")
    """The file of rules for alerts; None: alerts.toml beside scrapy.cfg, if it is there."""
    notify: tuple[str, ...] = _setting("KOL_NOTIFY", read.receivers, "", secret=True)
    """The addresses that alerts are sent to."""
    known_stop: int = _setting("KOL_KNOWN_STOP", read.number(int, 1), "1")
    """How many pages of known accounts in a row end an incremental reading."""
    watch_recheck: int = _setting("KOL_WATCH_RECHECK", read.age_of, "7d")
    """How many seconds after the last reading `-a watch` reads a list whose profile shows no change."""
    cache_dir: Path = _setting("KOL_CACHE_DIR", read.project_path, ".kol_cache")
    """The directory of pages and ledger; on a local disk, because of its lock."""
    cache_evict: bool = _setting("KOL_CACHE_EVICT", read.boolean, "False")
    """Whether the pages of a complete KOL are deleted. By default they stay: a reload from them costs nothing."""
    flush_rows: int = _setting("KOL_FLUSH_ROWS", read.number(int, 1), "2000")
    """How many rows make a batch. Doris wants 500 to 5,000 rows an INSERT."""
    flush_secs: float = _setting("KOL_FLUSH_SECS", read.number(float, 0), "10")
    """How old a batch gets. Doris wants a new version every 5 to 30 s at most."""
    db_retry_secs: float = _setting("KOL_DB_RETRY_SECS", read.number(float, 0), "60")
    """How long a run keeps trying while the database is away. A restart takes less than the default."""
    rate: float | Literal["auto"] | None = _setting("KOL_RATE", read.rate, "")
    """API calls a second, or `auto`: as many as the API allows; if it is empty, one every DOWNLOAD_DELAY seconds."""
    retry_secs: float = _setting("KOL_RETRY_SECS", read.number(float, 0), "5")
    """The wait after the first failed API call; it doubles with each further one."""
    stop_after: int = _setting("KOL_STOP_AFTER", read.number(int, 0), "20")
    """How many KOLs that failed in a row in the same way stop the run; 0: never."""
    progress: bool = _setting("KOL_PROGRESS", read.boolean, "1")
    """Whether a run shows its progress, live on a terminal, otherwise as a log line every 30 s."""
    summary_file: Path | None = _setting("KOL_SUMMARY_FILE", read.optional(read.project_path, None), "")
    """The file for the closing table as JSON, for schedulers."""
    concurrency: int = _setting("CONCURRENT_REQUESTS", read.number(int, 1), None)
    """How many KOLs are read at once."""
    retry_times: int = _setting("RETRY_TIMES", read.number(int, 0), None)
    delay: float = _setting("DOWNLOAD_DELAY", read.delay, None)
    """The seconds between two calls; if the setting is empty, the provider's own."""
    timeout: float = _setting("DOWNLOAD_TIMEOUT", read.number(float, 0.001), None)
    user_agent: str = _setting("USER_AGENT", read.optional(read.text, "kolspider"), None)
    jobdir: Path | None = _setting("JOBDIR", read.optional(read.path, None), None)

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Config:
        """Read the settings. Raises WrongUsage, naming the setting that is wrong."""
        if str(settings["LOG_LEVEL"]).upper() not in logging.getLevelNamesMapping():
            raise WrongUsage(f"LOG_LEVEL={settings['LOG_LEVEL']!r} is not one of DEBUG, INFO, WARNING, ERROR")
        known = {*DEFAULTS, *filter(str.isupper, vars(default_settings))}
        for name in sorted(map(str, settings)):
            if name.upper().startswith("KOL_") and name not in DEFAULTS:
                raise unknown(name, DEFAULTS)
            # One that is typed wrong would be ignored: HTTPCACHE_IGNORE_MISSING is what keeps a replay from buying.
            is_typed = settings.getpriority(name) == SETTINGS_PRIORITIES["cmdline"]
            if is_typed and name not in known and get_close_matches(name.upper(), known, 1, 0.85):
                raise unknown(name, known)
        _check_scrapy(settings)
        return cls(**{known.name: known.metadata["read"](settings, known.metadata["setting"]) for known in fields(cls)})

    @property
    def interval(self) -> float:
        """Seconds between two API calls; with KOL_RATE=auto those that DOWNLOAD_DELAY would make it."""
        return 1 / self.rate if isinstance(self.rate, float) else self.delay

    def lists_at_once(self, found_rate: float | None) -> float:
        """How many lists are read side by side at most, if answers are slow; `found_rate` is for KOL_RATE=auto."""
        interval = (1 / found_rate if found_rate else 0) if self.rate == "auto" else self.interval
        return min(_ANSWER_SECS / interval if interval else inf, self.concurrency)

    @property
    def stream_load(self) -> Address | None:
        """The HTTP address of Doris's FE, if rows go in by Stream Load."""
        return self.doris_http if self.doris_load == "stream_load" else None

    @property
    def key_in_clear(self) -> str:
        """A warning if the key goes over a network unencrypted; otherwise empty."""
        parts = urlsplit(self.api_url)
        if parts.scheme == "https" or not self.api_key or _is_loopback(parts.hostname or ""):
            return ""
        return f"KOL_API_KEY goes to {parts.netloc} over plain http, so everybody on the way can read it; use https://"


DEFAULTS: dict[str, str] = {
    known.metadata["setting"]: known.metadata["default"]
    for known in fields(Config)
    if known.metadata["default"] is not None
}
"""The name and the default of each KOL_ setting."""

SECRETS: tuple[str, ...] = tuple(known.metadata["setting"] for known in fields(Config) if not known.repr)
"""The settings that hold a key or a password."""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _check_scrapy(settings: BaseSettings) -> None:
    """Refuse what Scrapy would meet only in the middle of a crawl, with a traceback, or by hanging."""
    for name, value in settings.items():
        if isinstance(value, str) and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
            raise WrongUsage(f"{name} is not UTF-8, or contains a NUL")
    if settings["CONCURRENT_REQUESTS_PER_IP"] not in {None, 0, "0"}:
        raise WrongUsage("CONCURRENT_REQUESTS_PER_IP is not supported; use CONCURRENT_REQUESTS")
    if not boolean(settings, "TWISTED_REACTOR_ENABLED"):
        raise WrongUsage("TWISTED_REACTOR_ENABLED can only be True: without Twisted's reactor nothing is fetched")
    if settings["TWISTED_REACTOR"] != default_settings.TWISTED_REACTOR:
        raise WrongUsage(f"TWISTED_REACTOR can only be {default_settings.TWISTED_REACTOR}")
    for name, default in vars(default_settings).items():
        if isinstance(default, bool) or name.endswith("_ENABLED"):
            boolean(settings, name)
        elif isinstance(default, int | float) and default >= 0 and name != "DOWNLOAD_DELAY":
            is_whole = isinstance(default, int) and not name.endswith(("_DELAY", "_TIMEOUT"))
            read.number(int if is_whole else float, name.startswith(("CONCURRENT_", "REACTOR_")))(settings, name)


def point_at_sandbox(settings: BaseSettings) -> None:
    """Leave the user's own data alone: cache, ledger and database are in a folder of their own."""
    folder = PROJECT_DIR / Path(str(settings["KOL_CACHE_DIR"])).expanduser() / "sandbox"
    for name, value in {
        "KOL_CACHE_DIR": str(folder),
        "KOL_DB_URL": f"sqlite:///{folder / 'sandbox.db'}",
        "KOL_SOURCE_TABLE": "twitter_kol",
        "KOL_SOURCE_COLUMN": HANDLES,
        "KOL_SOURCE_WHERE": "",
        "KOL_TARGET_TABLE": "twitter_kol_all",
        "KOL_FOLLOWS_TABLE": "twitter_kol_follows",
        "KOL_NOTIFY": "",
        "KOL_SHARED_URL": "",
        "KOL_API_PROVIDER": "twitterapi_io",
        "KOL_API_URL": "",
        "KOL_API_KEY": "sandbox-key",
    }.items():
        settings.set(name, value, priority="cmdline")
