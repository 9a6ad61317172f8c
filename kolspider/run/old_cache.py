"""Takes over the cache of the script that kolspider replaces: lists that were paid for are not bought again.

Its folder has a JSON list of users for each KOL whose list was not loaded yet, and in `progress.json` the names of the
KOLs that are done. It kept no times, so that of a file counts as the time of its reading.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.errors import WrongUsage
from kolspider.items import State, usable_id
from kolspider.providers import provider
from kolspider.store.handles import HandleError, normalise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kolspider.items import Kol
    from kolspider.store.ledger import Ledger

__all__ = ["OF_PROVIDER", "Imported", "import_old_cache"]

OF_PROVIDER = "twitterapi_io"
"""The provider whose lists they are."""
_API = provider(OF_PROVIDER)
_PROGRESS = "progress.json"
_DONE = re.compile("complet|done|finish|process", re.IGNORECASE)
"""How an object in progress.json calls the list of the KOLs that are done, beside one of those that failed."""
_ENDED = (State.COMPLETE, State.FETCHED, State.PARTIAL)


@dataclass(slots=True)
class Imported:
    """What an import found."""

    lists: int = 0
    users: int = 0
    done: int = 0
    """KOLs that are done according to progress.json, without a list."""
    known: int = 0
    """KOLs whose list the store has already."""
    empty: int = 0
    """Lists without a user, which prove nothing."""


def import_old_cache(ledger: Ledger, directory: Path) -> Imported:
    """Store the lists of an old cache as readings that have ended, all of them or none. Raises WrongUsage."""
    if not directory.is_dir():
        raise WrongUsage(f"{directory} is not a folder; name the one with {_PROGRESS}, such as old/.kol_cache")
    progress = directory / _PROGRESS
    lists = [file for file in directory.glob("*.json") if file != progress]
    if not lists and not progress.exists():
        raise WrongUsage(
            f"{directory} has neither {_PROGRESS} nor a list such as BTC.json; name the old script's folder"
        )
    found = Imported()
    with ledger.taking_over():
        for file in sorted(lists, key=lambda file: file.stat().st_mtime):  # what is stored later wins
            _take_list(ledger, _kol(file.stem, file), file, found)
        for kol in _done(progress) if progress.exists() else ():
            if not _is_known(ledger, kol):
                ledger.kols.take_over(kol, [], progress.stat().st_mtime)
                found.done += 1
    return found


def _take_list(ledger: Ledger, kol: Kol, file: Path, found: Imported) -> None:
    users = _json(file)
    if not isinstance(users, list) or (users and not any(usable_id(_API.account_id(user)) for user in users)):
        raise WrongUsage(f"{file} is not a JSON list of users; nothing is imported: correct it, or move it away")
    if _is_known(ledger, kol):
        found.known += 1
    elif users:
        ledger.kols.take_over(kol, list(_pages(users)), file.stat().st_mtime)
        found.lists += 1
        found.users += len(users)
    else:
        found.empty += 1


def _pages(users: list[object]) -> Iterator[tuple[str, int, bytes]]:
    """Yield cursor, number of users and body of each page, as if the API had sent the list in pages."""
    size = _API.page_size
    for start in range(0, len(users), size):
        more = start + size < len(users)
        part = users[start : start + size]
        answer = {"followings": part, "has_next_page": more, "next_cursor": f"old-{start + size}" if more else ""}
        yield f"old-{start}" if start else "", len(part), json.dumps(answer).encode()


def _done(file: Path) -> Iterator[Kol]:
    """Yield the KOLs of progress.json: a list of names, or an object that has one."""
    progress = _json(file)
    found = [progress]
    if isinstance(progress, dict):
        found = [value for key, value in progress.items() if _DONE.search(key) and isinstance(value, list)]
    names = found[0] if found else []
    if len(found) > 1 or not isinstance(names, list) or (progress and not found):
        raise WrongUsage(f"{file} is not the list of the KOLs that are done; nothing is imported")
    for name in names:
        yield _kol(name, file)


def _kol(name: object, file: Path) -> Kol:
    try:
        kol = normalise(name)
    except HandleError as error:
        raise WrongUsage(f"{file}: {error}; nothing is imported") from None
    if kol is None:
        raise WrongUsage(f"{file}: a name is blank; nothing is imported")
    return kol


def _json(file: Path) -> object:
    try:
        value: object = json.loads(file.read_bytes(), parse_constant=lambda _: None)  # NaN is no JSON
    except (OSError, ValueError, RecursionError) as error:
        raise WrongUsage(f"{file} can't be read: {error}; nothing is imported: correct it, or move it away") from None
    return value


def _is_known(ledger: Ledger, kol: Kol) -> bool:
    known = ledger.kols.find(kol.handle)
    return known is not None and known.state in _ENDED
