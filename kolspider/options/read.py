"""One function for each kind of setting: it returns the typed value, or raises WrongUsage with the setting's name.

The value is in the message, too, unless it may hold a secret.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urlsplit

from scrapy.utils.conf import closest_scrapy_cfg
from w3lib.url import safe_url_string

from kolspider.db.base import name_parts
from kolspider.errors import WrongUsage
from kolspider.options.arguments import age
from kolspider.options.secrets import fits_a_header
from kolspider.providers import provider as find_provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.settings import BaseSettings

    from kolspider.db.doris.http import Address
    from kolspider.providers.base import Provider

__all__ = [
    "PROJECT_DIR",
    "age_of",
    "api_key",
    "api_url",
    "boolean",
    "condition",
    "credit_usd",
    "delay",
    "doris_headers",
    "doris_http",
    "doris_load",
    "number",
    "optional",
    "path",
    "project_path",
    "provider",
    "rate",
    "receivers",
    "table",
    "text",
]


def _project_dir() -> Path:
    if found := closest_scrapy_cfg():
        return Path(found).parent.resolve()
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "scrapy.cfg").exists() else Path.cwd()


PROJECT_DIR = _project_dir()
"""Where `.env` is read and relative paths start: the folder of scrapy.cfg, which Scrapy looks for from the current
folder upwards. Without one, as in a cron job with SCRAPY_SETTINGS_MODULE, it is the folder of the checkout that runs:
the cache stays where it was. For an installed copy it is the current folder."""

# As Scrapy reads them: its own settings are checked here too.
_BOOLS = {"1": True, "True": True, "true": True, "0": False, "False": False, "false": False}
# What urlsplit takes apart is not always what a request is then sent to: `http://h\\x`, `http://[::1]x`.
_API_URL = re.compile(r"https?://(?:[\w.-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?(?:/[^\s?#\\]*)?", re.IGNORECASE)
_DORIS_HTTP = re.compile(r"http://(?P<host>[\w.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE)
_HEADER = re.compile(r"\s*([\w.!#$%&'*+^`|~-]+):[ \t]*([!-~](?:[ -~]*[!-~])?)\s*", re.ASCII)
_RECEIVER = re.compile(r"[A-Za-z0-9+]{1,32}://[^\s/?#][^\s]*")
_LONGEST_FILE_NAME = 255  # bytes
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`""")
_NO_CONDITION = re.compile(r"""[;#'"`\n\r]|--|/\*""")
_Value = TypeVar("_Value")


def text(settings: BaseSettings, name: str) -> str:
    """Text without the blanks around it; it can't be empty."""
    value = str(settings[name] or "").strip()
    if not value:
        raise WrongUsage(f"{name} is empty")
    return value


def path(settings: BaseSettings, name: str) -> Path:
    """A path; `~` is the home directory."""
    try:
        found = Path(text(settings, name)).expanduser()
    except RuntimeError:  # `~name` of a user whom this machine doesn't know
        raise WrongUsage(f"{name}={settings[name]!r} names a user who has no home on this machine") from None
    if any(len(os.fsencode(part)) > _LONGEST_FILE_NAME for part in found.parts):
        raise WrongUsage(f"{name} has a file name of more than {_LONGEST_FILE_NAME} bytes")
    return found


def project_path(settings: BaseSettings, name: str) -> Path:
    """A path that starts in the project's folder unless it is absolute."""
    return PROJECT_DIR / path(settings, name)


def table(settings: BaseSettings, name: str) -> str:
    """The name of a table, `table` or `db.table`."""
    found = text(settings, name)
    try:
        name_parts(found)
    except WrongUsage as error:
        raise WrongUsage(f"{name}: {error}") from None
    return found


def condition(settings: BaseSettings, name: str) -> str:
    """A condition for a SELECT, which can't leave the parentheses that it is put into; empty where there is none."""
    found = str(settings[name] or "").strip()
    bare = _QUOTED.sub(" ", found)
    depth = list(accumulate((char == "(") - (char == ")") for char in f" {bare}"))
    # MySQL takes \' for a quote within a text, SQLite for the end of the text.
    if _NO_CONDITION.search(bare) or min(depth) < 0 or depth[-1] or re.search(r"\\['\"`]", found):
        raise WrongUsage(
            f"{name}={found!r} is not one condition such as active = 1, with its quotes and parentheses closed, and "
            "without a semicolon, a comment, or a backslash before a quote"
        )
    return found


def rate(settings: BaseSettings, name: str) -> float | Literal["auto"] | None:
    """API calls a second, or `auto`; None where DOWNLOAD_DELAY says it."""
    found = str(settings[name] or "").strip().lower()
    if not found:
        return None
    if found == "auto":
        return "auto"
    with suppress(WrongUsage):
        if calls := number(float, 0)(settings, name):
            return calls
    raise WrongUsage(f"{name}={found!r} is neither a number above 0, in calls a second, nor auto")


def optional(read: Callable[[BaseSettings, str], _Value], absent: _Value) -> Callable[[BaseSettings, str], _Value]:
    """A reader for a setting that may be empty, which then means `absent`."""
    return lambda settings, name: read(settings, name) if settings[name] else absent


def boolean(settings: BaseSettings, name: str) -> bool:
    """A flag, spelled as Scrapy reads it."""
    value = str(settings[name])
    if value not in _BOOLS:
        raise WrongUsage(f"{name}={settings[name]!r} is neither True nor False")
    return _BOOLS[value]


def number(kind: type[int | float], least: float) -> Callable[[BaseSettings, str], float]:
    """A reader for numbers from `least` up."""

    def read(settings: BaseSettings, name: str) -> float:
        raw = str(settings[name])
        try:
            value = kind(raw)
            fits = least <= float(raw) < 2**31  # false for nan too
        except (ValueError, OverflowError):
            fits = False
        if not fits:
            what = "a whole number" if kind is int else "a number"
            raise WrongUsage(f"{name}={raw!r} is not {what} from {least:g} up")
        return value

    return read


def age_of(settings: BaseSettings, name: str) -> int:
    """An age such as 7d, in seconds."""
    try:
        return age(str(settings[name]))
    except ValueError as error:
        raise WrongUsage(f"{name}={settings[name]!r} {error}") from None


def provider(settings: BaseSettings, name: str) -> Provider:
    """The built-in adapter of that name, or that of a provider file."""
    found = text(settings, name)
    return find_provider(str(project_path(settings, name)) if found.endswith(".toml") else found)


def api_key(settings: BaseSettings, name: str) -> str:
    """The API key; empty where there is none."""
    key = str(settings[name] or "")
    if not fits_a_header(key):
        raise WrongUsage(f"{name} has characters that no HTTP header can carry (a space, a line break, a quote?)")
    return key


def api_url(settings: BaseSettings, name: str) -> str:
    """The base URL of the API, spelled as Scrapy spells the requests to it; by default the provider's own."""
    url = str(settings[name] or "").strip() or provider(settings, "KOL_API_PROVIDER").default_url
    try:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise WrongUsage(f"{name} must not hold a user or password; the key goes into KOL_API_KEY")
        good = url.isprintable() and _API_URL.fullmatch(url) and parts.port != 0
        (parts.hostname or "").encode("idna")
        url = safe_url_string(url).rstrip("/")
    except ValueError:
        good = False
    if not good:
        raise WrongUsage(f"{name} is not an http:// or https:// address such as https://api.twitterapi.io")
    return url


def credit_usd(settings: BaseSettings, name: str) -> float:
    """The price of a credit in US dollars; by default the provider's list price."""
    if str(settings[name] or "").strip():
        return number(float, 0)(settings, name)
    return provider(settings, "KOL_API_PROVIDER").credit_usd


def delay(settings: BaseSettings, name: str) -> float:
    """The seconds between two calls; by default what is right for the provider."""
    value = settings[name]
    if value is None or not str(value).strip():
        return provider(settings, "KOL_API_PROVIDER").delay
    return number(float, 0)(settings, name)


def doris_load(settings: BaseSettings, name: str) -> str:
    """How rows go into Doris, `insert` or `stream_load`."""
    how = str(settings[name]).strip()
    if how not in {"insert", "stream_load"}:
        raise WrongUsage(f"{name}={how!r} is neither insert nor stream_load")
    if how == "stream_load" and doris_http(settings, "KOL_DORIS_HTTP") is None:
        raise WrongUsage(f"{name}=stream_load needs KOL_DORIS_HTTP, the HTTP address of Doris's FE")
    return how


def doris_headers(settings: BaseSettings, name: str) -> dict[str, str]:
    """Further headers of Stream Load, by lower-case name: `name: value` pairs between semicolons or on lines."""
    found: dict[str, str] = {}
    for pair in re.split("[;\n]", str(settings[name] or "")):
        if not pair.strip():
            continue
        match = _HEADER.fullmatch(pair)
        if match is None:
            raise WrongUsage(f"{name} must look like `redirect-policy: public; compute_group: loads`, in ASCII")
        from kolspider.db.doris.http import NOT_EXTRA  # noqa: PLC0415 - only Doris needs it, and with it pymysql

        header = match[1].lower()
        if header in NOT_EXTRA or header in found:
            why = "twice" if header in found else "though kolspider sets it, or it changes what is loaded"
            raise WrongUsage(f"{name} names {header} {why}")
        found[header] = match[2]
    return found


def doris_http(settings: BaseSettings, name: str) -> Address | None:
    """The HTTP address of Doris's FE."""
    url = str(settings[name] or "").strip()
    if not url:
        return None
    match = _DORIS_HTTP.fullmatch(url)
    port = int(match["port"] or 8030) if match else 0
    if match is None or not 0 < port < 65536:
        raise WrongUsage(
            f"{name} is not the HTTP address of Doris's FE such as http://fe:8030; no path, "
            "no https, and user and password are those of KOL_DB_URL"
        )
    from kolspider.db.doris.http import Address  # noqa: PLC0415 - as above

    return Address(match["host"].strip("[]"), port)


def receivers(settings: BaseSettings, name: str) -> tuple[str, ...]:
    """Addresses between blanks, commas or semicolons, each with its scheme, as apprise takes them."""
    found = [part for part in re.split(r"[\s,;]+(?=[A-Za-z0-9+]{1,32}://)", str(settings[name] or "").strip()) if part]
    for number, address in enumerate(found, 1):
        if not _RECEIVER.fullmatch(address.rstrip(",;")):
            raise WrongUsage(
                f"{name}: receiver {number} is no address such as dingtalk://token, tgram://token/chat or "
                "json+https://host/path (docs/alerts.md)"
            )
    return tuple(dict.fromkeys(address.rstrip(",;") for address in found))
