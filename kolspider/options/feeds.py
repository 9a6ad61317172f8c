"""Checks what `-o` and `-O` ask for, before anything is bought."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from w3lib.url import file_uri_to_path

from kolspider.errors import WrongUsage
from kolspider.items import COLUMNS
from kolspider.options.arguments import Feed

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

__all__ = ["check_feeds", "check_writable", "passwords"]

_FORMATS = ("jsonl", "jsonlines", "jl", "json", "csv")
_LIBRARIES = {"s3": "boto3", "gs": "google.cloud.storage", "ftp": "ftplib", "ftps": "ftplib"}
"""Modules that Scrapy needs to store a feed elsewhere than in a file."""
_DATABASE = b"SQLite format 3\0"
"""How a file begins that is a store, or has tables of the user's."""
_HEADERS = {Feed.ACCOUNTS: ",".join(COLUMNS), Feed.FOLLOWS: ",".join(("kol", *COLUMNS))}


def check_feeds(settings: BaseSettings, feed: Feed) -> None:
    """Raise WrongUsage unless each feed can be written where and how it is asked for."""
    if settings["FEED_URI"]:
        raise WrongUsage("FEED_URI is not read; use -o FILE")
    feeds = settings.getdict("FEEDS")
    if feed is Feed.FOLLOWS and not feeds:
        raise WrongUsage("-a feed=follows says what -o FILE holds, and there is no -o")
    for uri, options in feeds.items():
        if options.get("format") not in _FORMATS:
            raise WrongUsage(f"feeds can be jsonl, json or csv, not {options.get('format')}")
        scheme = urlsplit(str(uri)).scheme
        if scheme in {"", "file"}:
            path = Path(file_uri_to_path(str(uri)) if scheme else str(uri))
            check_writable(path, "the feed")
            if not options.get("overwrite") and path.is_file() and path.stat().st_size:
                _check_appendable(path, options["format"], feed)
        elif scheme != "stdout":
            _check_scheme(scheme)


def passwords(settings: BaseSettings) -> tuple[str, ...]:
    """Return the passwords in the addresses of feeds."""
    return tuple(filter(None, (urlsplit(str(uri)).password for uri in settings.getdict("FEEDS"))))


def check_writable(path: Path, what: str, *, makes_folder: bool = False) -> None:
    """Raise WrongUsage if the file can't be written, or is a database; makes_folder: its folder need not exist."""
    # os.path, unlike Path, takes a folder that may not be looked into for one that is not there.
    above = path.absolute().parents
    folder = next(filter(os.path.exists, above), above[0]) if makes_folder else above[0]
    target = path if os.path.exists(path) else folder  # noqa: PTH110 - as above
    if os.path.isdir(path) or not os.path.isdir(folder) or not os.access(target, os.W_OK):  # noqa: PTH112 - as above
        raise WrongUsage(f"{what} {path} can't be written; check that its folder exists and that you may write there")
    if target.is_file() and _begins_as_database(target):
        raise WrongUsage(f"{what} {path} is a database, which would be lost; name another file")


def _begins_as_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_DATABASE)) == _DATABASE
    except OSError:  # it may be written, and not read
        return False


def _check_scheme(scheme: str) -> None:
    if scheme not in _LIBRARIES:
        raise WrongUsage(f"a feed can't go to {scheme}://; it can go to a file, or with -o -:csv to standard output")
    try:
        import_module(_LIBRARIES[scheme])
    except ImportError:
        package = _LIBRARIES[scheme].replace(".", "-")
        raise WrongUsage(f"a feed to {scheme}:// needs `pip install {package}`; or write to a file") from None


def _check_appendable(path: Path, format_: str, feed: Feed) -> None:
    if format_ == "json":
        raise WrongUsage(f"{path} has content, and JSON can't be appended to; -O {path} replaces it, jsonl can grow")
    with path.open("rb") as file:
        first = file.readline(1_000).decode("utf-8", "replace").strip()
        file.seek(-1, os.SEEK_END)
        is_cut = file.read() != b"\n"
    if is_cut:
        raise WrongUsage(f"{path} ends in the middle of a line, so nothing can be appended; -O {path} replaces it")
    if format_ == "csv" and first in _HEADERS.values() and first != _HEADERS[feed]:
        raise WrongUsage(f"{path} has the columns of another -a feed; name another file, or replace it: -O {path}")
