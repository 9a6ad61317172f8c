"""The table of KOLs: what a run takes from it, and what `scrapy kols add` and `scrapy kols remove` change in it."""

from __future__ import annotations

import csv
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from kolspider.console.wording import counted
from kolspider.db.base import HANDLES
from kolspider.db.check import check_source
from kolspider.errors import StopRun, WrongUsage
from kolspider.store.handles import HandleError, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kolspider.db.base import Database
    from kolspider.items import Kol
    from kolspider.options.config import Config
    from kolspider.store.selection import Selection

__all__ = ["Named", "add_kols", "gone_from_source", "read_source", "remove_kols", "skipped_rows", "source_handles"]

_HEADERS = {"handle", "handles", "username", "usernames", "screen_name", "kol", "kols"}
"""How a file of one column may call it: as a KOL, the list of whoever has that name would be bought."""
_SHOWN = 10
"""How many KOLs a line names."""


def source_handles(config: Config, database: Database) -> Iterator[str | None]:
    """Stream the handles of the source table that KOL_SOURCE_WHERE chooses."""
    return database.handles(config.source_table, config.source_column, config.source_where)


def gone_from_source(config: Config, database: Database, known: Iterable[str], renamed: Mapping[str, str]) -> set[str]:
    """Return those of the KOLs that no row of the source table names. Raises StopRun or an error of the database.

    `renamed` has the keys of KOLs by the handles that their accounts have now, where these differ.
    """
    check_source(database, config.source_table, config.source_column, config.source_where)
    handles = (handle for handle, _ in _known(config, database, config.source_where))
    return set(known).difference(renamed.get(handle, handle) for handle in handles)


def read_source(selection: Selection, handles: Iterable[str | None], config: Config) -> None:
    """Take in the KOLs of the source table. Raises WrongUsage if it names none."""
    selection.read(handles)
    selection.is_the_source = True
    if selection.count_source():
        return
    rows = "has no KOL" if not config.source_where else f"has no KOL where {config.source_where} (KOL_SOURCE_WHERE)"
    if skipped := selection.skipped.total():
        example = f", such as {selection.invalid_example!r}" if selection.invalid_example else ""
        rows += f": no handle in the {config.source_column} of {counted(skipped, 'row')}{example}"
    raise WrongUsage(f"{config.source_table} {rows}; add some with `scrapy kols add NAME`, or with --file FILE")


def skipped_rows(selection: Selection, config: Config) -> str:
    """Say which rows of the source table name no KOL, or one that was named before; empty if there are none."""
    skipped = selection.skipped
    texts = [f"{skipped[why]:,} {why}" for why in ("blank", "repeated", "invalid") if why in skipped]
    if "invalid" in skipped:
        texts.append(f"such as {selection.invalid_example!r}")
    return f"rows of {config.source_table} skipped: {', '.join(texts)}" if texts else ""


class Named(Struct, frozen=True):
    """The KOLs that a command names."""

    kols: Sequence[Kol]
    """Each of them once, in order."""
    repeated: Sequence[str]
    """The handles that were named again."""

    @classmethod
    def of(cls, names: Sequence[str], file: str | None) -> Named:
        """Read the names on the command line and those in a file. Raises WrongUsage if one can't be a handle."""
        kols: dict[str, Kol] = {}
        repeated: dict[str, None] = {}
        for where, text in chain((("", name) for name in names), _lines(Path(file)) if file is not None else ()):
            try:
                kol = normalise(text)
            except HandleError as error:
                raise WrongUsage(f"{where}{error}; nothing is changed") from None
            if kol is not None and kols.setdefault(kol.handle, kol) is not kol:
                repeated[kol.handle] = None
        if not kols:
            raise WrongUsage("name the KOLs, such as BTC, or a file that has them: --file FILE")
        return cls(list(kols.values()), list(repeated))


def add_kols(config: Config, database: Database, named: Named) -> Iterator[str]:
    """Put KOLs into the source table; yields the lines to print. Raises UserError."""
    with database.explained_errors():
        _check_only_handles(config, database)
        there = {handle for handle, _ in _known(config, database)}
        new = [kol for kol in named.kols if kol.handle not in there]
        database.insert_handles(config.source_table, [kol.user_name for kol in new], config.source_column)
        yield f"{config.source_table}: {counted(len(new), 'KOL')} added"
        yield from _listed("already there", (kol.handle for kol in named.kols if kol.handle in there))
        yield from _listed("named more than once", named.repeated)
        if config.source_where:
            chosen = {handle for handle, _ in _known(config, database, config.source_where)}
            left_out = (kol.handle for kol in named.kols if kol.handle not in chosen)
            yield from _listed("there, but left out by KOL_SOURCE_WHERE", left_out)


def remove_kols(config: Config, database: Database, named: Named) -> Iterator[str]:
    """Take KOLs out of the source table, however it spells them; yields the lines to print. Raises UserError."""
    wanted = {kol.handle for kol in named.kols}
    with database.explained_errors():
        _check_only_handles(config, database)
        found = [(handle, text) for handle, text in _known(config, database) if handle in wanted]
        if found:
            texts = list(dict.fromkeys(text for _, text in found))
            database.delete_handles(config.source_table, texts, config.source_column)
    gone = {handle for handle, _ in found}
    yield f"{config.source_table}: {counted(len(gone), 'KOL')} removed"
    yield from _listed("not there", (kol.handle for kol in named.kols if kol.handle not in gone))
    yield from _listed("named more than once", named.repeated)


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """Yield place and text of each handle in a file: one a line, or a CSV with a column user_name."""
    try:
        lines = file.read_text("utf-8-sig").splitlines()
        separator = next((mark for mark in ",;\t" if lines and mark in lines[0]), "")
        reader = csv.reader(lines, delimiter=separator or ",")
        header = [name.strip().lower() for name in next(reader, [])]
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is no text in UTF-8 ({error})"
        raise WrongUsage(f"--file {file} can't be read: {reason}") from None
    if HANDLES in header:
        place = header.index(HANDLES)
        yield from ((f"--file {file}, line {number}: ", "".join(row[place : place + 1])) for number, row in rows)
    elif separator:
        raise WrongUsage(f"--file {file} is a CSV without a column {HANDLES}: give its column of handles this name")
    elif header and header[0] in _HEADERS:
        raise WrongUsage(f"--file {file} begins with the header {header[0]}: call it {HANDLES}, or delete that line")
    else:
        yield from ((f"--file {file}, line {number}: ", line) for number, line in enumerate(lines, 1))


def _check_only_handles(config: Config, database: Database) -> None:
    """Raise StopRun if a KOL is more than its handle: what else its row needs is the user's to write."""
    table, column = config.source_table, config.source_column
    columns = check_source(database, table, column, config.source_where).columns.values()
    if others := [other.name for other in columns if other.needs_value and other.name != column.lower()]:
        raise StopRun(
            f"{database.label}: table {table} needs a value for {', '.join(others)}, too, which kolspider does not "
            "know: add and remove its KOLs with SQL"
        )


def _known(config: Config, database: Database, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield each KOL of the source table, and how it is spelled there."""
    for text in database.handles(config.source_table, config.source_column, where):
        try:
            kol = normalise(text)
        except HandleError:
            continue
        if kol is not None and text is not None:
            yield kol.handle, text


def _listed(what: str, handles: Iterable[str]) -> Iterator[str]:
    found = list(handles)
    if found:
        more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
        yield f"  {what}: {', '.join(found[:_SHOWN])}{more}"
