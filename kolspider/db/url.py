"""KOL_DB_URL, understood."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from kolspider.db.doris.database import DorisDatabase
from kolspider.db.doris.stream import StreamLoadDatabase
from kolspider.db.mysql import MysqlDatabase, Server
from kolspider.db.sqlite import SqliteDatabase
from kolspider.errors import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kolspider.db.base import Database
    from kolspider.db.doris.http import Address

__all__ = ["open_database"]

FORMS = "sqlite:///kol.db, sqlite:////abs/file, mysql://user:password@host:3306/db, doris://user:password@fe:9030/db"
SERVER_URL = re.compile(
    r"""(?:(?P<user>[^:@/?\#\s]*) (?::(?P<password>[^:@/?\#\s]*))? @)?
        (?P<host>[^:@/?\#\[\]\s]+ | \[[0-9A-Fa-f:.]+\]) (?::(?P<port>[0-9]{1,5}))?
        / (?P<database>[^/?\#\s]+)""",
    re.VERBOSE,
)


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
            return MysqlDatabase(_server(rest, default_port=3306))
        case "doris":
            server = _server(rest, default_port=9030)
            return StreamLoadDatabase(server, stream_load, headers) if stream_load else DorisDatabase(server)
    raise WrongUsage(f"KOL_DB_URL must be one of: {FORMS}")


def _sqlite_path(rest: str, base: Path) -> Path:
    path = rest.removeprefix("/")
    if path == rest or path in {"", "/", ":memory:"} or path.endswith("/"):
        raise WrongUsage("KOL_DB_URL: sqlite takes a file: sqlite:///kol.db (beside scrapy.cfg) or sqlite:////abs/file")
    if "?" in path or "#" in path:
        raise WrongUsage("KOL_DB_URL: sqlite takes a file name without `?` or `#`, and no options")
    return base / path


def _server(rest: str, *, default_port: int) -> Server:
    match = SERVER_URL.fullmatch(rest)
    port = int(match["port"] or default_port) if match else 0
    if match is None or not 0 < port < 65536:
        raise WrongUsage(
            "KOL_DB_URL must look like mysql://user:password@host:3306/db, without options; in user and "
            "password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25"
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
    )
