"""KOL_DB_URL, understood."""

from __future__ import annotations

import re
import ssl
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from kolspider.db.sqlite import SqliteDatabase
from kolspider.errors import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kolspider.db.base import Database
    from kolspider.db.doris.http import Address
    from kolspider.db.mysql import Connecting, Server

__all__ = ["open_database"]

FORMS = "sqlite:///kol.db, sqlite:////abs/file, mysql://user:password@host:3306/db, doris://user:password@fe:9030/db"
SERVER_URL = re.compile(
    r"""(?:(?P<user>[^:@/?\#\s]*) (?::(?P<password>[^:@/?\#\s]*))? @)?
        (?P<host>[^:@/?\#\[\]\s]+ | \[[0-9A-Fa-f:.]+\]) (?::(?P<port>[0-9]{1,5}))?
        / (?P<database>[^/?\#\s]+) (?: \? (?P<options>[^?\#\s]*))?""",
    re.VERBOSE,
)
_FLAGS = ("ssl_disabled", "ssl_verify_cert", "ssl_verify_identity")
_FILES = ("ssl_ca", "ssl_cert", "ssl_key")
_OPTIONS = (*_FILES, *_FLAGS, "unix_socket", "connect_timeout", "charset")


def open_database(
    url: str, *, base: Path, stream_load: Address | None = None, headers: Mapping[str, str] = MappingProxyType({})
) -> Database:
    """Return the database that a KOL_DB_URL names, without connecting to it.

    stream_load: the HTTP address of Doris's FE, if rows go there by Stream Load, and further headers for that; other
    databases ignore both.

    No message repeats a part of the URL: in a malformed one, any part may be the password.
    """
    dialect, _, rest = url.strip().partition("://")
    match dialect.lower():
        case "sqlite":
            return SqliteDatabase(_sqlite_path(rest, base))
        case "mysql":
            from kolspider.db.mysql import MysqlDatabase  # noqa: PLC0415 - a run with SQLite starts 5 % sooner without

            return MysqlDatabase(_server(rest, base, default_port=3306))
        case "doris":
            from kolspider.db.doris.database import DorisDatabase  # noqa: PLC0415 - as above
            from kolspider.db.doris.stream import StreamLoadDatabase  # noqa: PLC0415 - as above

            server = _server(rest, base, default_port=9030)
            return StreamLoadDatabase(server, stream_load, headers) if stream_load else DorisDatabase(server)
    raise WrongUsage(f"KOL_DB_URL must be one of: {FORMS}")


def _sqlite_path(rest: str, base: Path) -> Path:
    path = rest.removeprefix("/")
    if path == rest or path in {"", "/", ":memory:"} or path.endswith("/"):
        raise WrongUsage("KOL_DB_URL: sqlite takes a file: sqlite:///kol.db (beside scrapy.cfg) or sqlite:////abs/file")
    if "?" in path or "#" in path:
        raise WrongUsage("KOL_DB_URL: sqlite takes a file name without `?` or `#`, and no options")
    return base / path


def _server(rest: str, base: Path, *, default_port: int) -> Server:
    from kolspider.db.mysql import Server  # noqa: PLC0415 - as above

    match = SERVER_URL.fullmatch(rest)
    if match is None or not 0 < (port := int(match["port"] or default_port)) < 65536:
        raise WrongUsage(
            "KOL_DB_URL must look like mysql://user:password@host:3306/db; in user and password write @ as %40, "
            ": as %3A, / as %2F, ? as %3F, # as %23 and % as %25"
        )
    typed = match["password"] or ""
    try:
        user, password, database = (
            unquote(part, errors="strict") for part in (match["user"] or "", typed, match["database"])
        )
    except UnicodeDecodeError:
        raise WrongUsage("KOL_DB_URL: percent-encoded characters must be UTF-8 (ä is %C3%A4)") from None
    return Server(
        host=match["host"].strip("[]").lower(),
        port=port,
        user=user,
        password=password,
        database=database,
        # Decoded, as typed, and as a redirect of Doris's FE spells it.
        secrets=tuple({secret: None for secret in (password, typed, quote(password, safe="")) if secret}),
        connecting=_connecting(match["options"] or "", base),
    )


def _connecting(text: str, base: Path) -> Connecting:
    """Understand the options behind the `?`. Raises WrongUsage."""
    from kolspider.db.mysql import Connecting  # noqa: PLC0415 - as above

    options: dict[str, str] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        if name not in _OPTIONS:
            raise WrongUsage(f"KOL_DB_URL has an unknown option behind the `?`; the options are {', '.join(_OPTIONS)}")
        options[name] = unquote(value)
        if not options[name] or not options[name].isprintable():
            raise WrongUsage(f"KOL_DB_URL: {name} has no value")
    flags = {name: _flag(name, options[name]) for name in _FLAGS if name in options}
    if options.get("charset", "utf8mb4") != "utf8mb4":
        raise WrongUsage("KOL_DB_URL: charset can only be utf8mb4; names have emoji")
    socket = options.get("unix_socket", "")
    if socket and not socket.startswith("/"):
        raise WrongUsage("KOL_DB_URL: unix_socket is not an absolute path such as /run/mysqld/mysqld.sock")
    secs = options.get("connect_timeout", "10")
    if not re.fullmatch("[0-9]{1,4}", secs) or int(secs) == 0:
        raise WrongUsage("KOL_DB_URL: connect_timeout is not a number of seconds from 1 to 9999")
    tls_off = flags.pop("ssl_disabled", False)
    files = {name: str(base / options[name]) for name in _FILES if name in options}
    if tls_off and (files or any(flags.values())):
        raise WrongUsage("KOL_DB_URL: ssl_disabled=1 does not go with other options of ssl")
    return Connecting(_tls(files, flags) if files or flags else None, tls_off, socket, int(secs))


def _flag(name: str, value: str) -> bool:
    if value.lower() not in {"0", "1", "true", "false"}:
        raise WrongUsage(f"KOL_DB_URL: {name} is neither 1 nor 0")
    return value.lower() in {"1", "true"}


def _tls(files: dict[str, str], flags: dict[str, bool]) -> ssl.SSLContext:
    """Return the TLS that the options ask for: who names a CA, or a check of the host's name, wants the check."""
    is_host_checked = flags.get("ssl_verify_identity", False)
    is_checked = flags.get("ssl_verify_cert", "ssl_ca" in files) or is_host_checked
    if "ssl_key" in files and "ssl_cert" not in files:
        raise WrongUsage("KOL_DB_URL: ssl_key needs ssl_cert")
    try:
        context = ssl.create_default_context(cafile=files.get("ssl_ca"))
    except OSError as error:
        raise WrongUsage(f"KOL_DB_URL: ssl_ca can't be used: {_why(error)}") from None
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the certificates that MySQL makes for itself lack what it asks
    context.check_hostname = is_host_checked
    context.verify_mode = ssl.CERT_REQUIRED if is_checked else ssl.CERT_NONE
    if "ssl_cert" in files:
        try:
            context.load_cert_chain(files["ssl_cert"], files.get("ssl_key"), password=lambda: "")
        except OSError as error:
            raise WrongUsage(f"KOL_DB_URL: ssl_cert or ssl_key can't be used: {_why(error)}") from None
    return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason.replace("_", " ").lower() if error.reason else "it is not PEM, or the key is encrypted"
    return str(error.strerror)
