"""`scrapy kols`: the states of all KOLs, or the history of one; and which KOLs there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kolspider.command import ProjectCommand
from kolspider.console.columns import plain
from kolspider.console.output import as_json
from kolspider.console.wording import counted, iso, moment
from kolspider.errors import StopRun, WrongUsage
from kolspider.items import State
from kolspider.options.arguments import handle_of
from kolspider.run.opening import read_ledger, target_label
from kolspider.run.source import Named, add_kols, remove_kols, source_handles
from kolspider.store.handles import HandleError, normalise
from kolspider.store.kols import KolRecord

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from kolspider.db.base import Database
    from kolspider.options.config import Config
    from kolspider.store.kols import Kols
    from kolspider.store.ledger import Ledger
    from kolspider.store.readings import ReadingRecord


_CHANGES = {"add": add_kols, "remove": remove_kols}
_READINGS = 10
"""The latest readings that the history of a KOL shows."""


class Command(ProjectCommand):
    """Safe during a run: it never waits for one, and writes only to the table of KOLs."""

    examples = """
  scrapy kols                    every KOL that was begun, and its state
  scrapy kols BTC                the history of one KOL (of one who is called add or remove: scrapy kols @add)
  scrapy kols add BTC @eth https://x.com/defi_otter   put KOLs into the source table
  scrapy kols add --file f.csv   those of a file: one handle a line, or a CSV with a column user_name
  scrapy kols remove BTC         take KOLs out of it; their lists stay in the cache and in the target table
  scrapy kols --state failed     the KOLs that failed, and why; --state new reads the source table
  scrapy kols --json             an array of {user_name, state, reason, pages, users, calls, started_at, finished_at}

users counts the accounts of a list: those of the last full reading, and the new ones that incremental readings have
found since; pages counts the pages that they fill. For a list that was never whole, both count what is in the cache.
"""

    def syntax(self) -> str:
        return "[KOL ...] [--state STATE] [--json] | add KOL ... [--file FILE] | remove KOL ... [--file FILE]"

    def short_desc(self) -> str:
        return "List the KOLs with their states, or add and remove some"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--state", metavar="STATE", help=f"only KOLs in this state: {', '.join(State)}")
        parser.add_argument("--json", action="store_true", help="print a JSON array; times are UTC")
        parser.add_argument("--file", metavar="FILE", help="for add and remove: one handle a line, or a CSV")

    def work(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        if args and args[0] in _CHANGES:
            if opts.state or opts.json:
                raise WrongUsage(f"kols {args[0]} takes no --state and no --json; the KOL of that name is @{args[0]}")
            print("\n".join(_CHANGES[args[0]](config, database, Named.of(args[1:], opts.file))))
        elif opts.file:
            raise WrongUsage("--file goes with `scrapy kols add` and `scrapy kols remove`")
        else:
            self._show(config, database, args, opts)

    def _show(self, config: Config, database: Database, args: list[str], opts: argparse.Namespace) -> None:
        state = _state(opts.state)
        with read_ledger(config, database) as ledger:
            kols = ledger.kols
            typed = {ledger.accounts.key_of(handle_of(name)): name for name in args}
            handles = list(typed)
            readings = {handle: ledger.readings.of_kol(handle) for handle in handles}
            if state is State.NEW:
                found = list(_new(ledger, database, config))
            elif handles:
                found = [kol for kol in (_find(kols, *named) for named in typed.items()) if state in (None, kol.state)]
            else:
                found = [kol for kol in kols if state in (None, kol.state)]
        if opts.json:
            print(as_json([_as_json(kol) for kol in found]))
        elif handles:
            print(
                "\n\n".join(
                    "\n".join(_story(kol, readings[kol.handle], target_label(config, database))) for kol in found
                )
            )
        else:
            print("\n".join(_table(found)) if found else _none(state))


def _none(state: State | None) -> str:
    """Say in a line that no KOL is to be listed."""
    return "no KOL was begun yet" if state is None else f"no KOL is {state}"


def _find(kols: Kols, handle: str, name: str) -> KolRecord:
    kol = kols.find(handle)
    if kol is None:
        raise StopRun(f"KOL {name}: not begun yet; `scrapy crawl followings -a kols={handle}` begins it")
    return kol


def _new(ledger: Ledger, database: Database, config: Config) -> Iterator[KolRecord]:
    """Yield the KOLs of the source table that are not begun."""
    seen, renamed = set[str](), ledger.accounts.renamed()
    with database.explained_errors():
        for raw in source_handles(config, database):
            try:
                kol = normalise(raw)
            except HandleError:
                continue
            if kol and kol.handle not in seen and ledger.kols.find(renamed.get(kol.handle, kol.handle)) is None:
                seen.add(kol.handle)
                yield KolRecord(kol.handle, kol.user_name, State.NEW, "", 0, 0, 0, 0, None, None, None)


def _story(kol: KolRecord, readings: Sequence[ReadingRecord], target: str) -> Iterator[str]:
    yield f"{kol.user_name}: {kol.state}"
    if remark := _remark(kol):
        yield f"  reason      {remark}"
    if kol.refused:
        yield f"  refused     {counted(kol.refused, 'row')}: {plain(kol.refusal)}"
    yield f"  list        {_size(kol)}, {counted(kol.calls, 'API call')} in all"
    yield f"  begun       {moment(kol.started_at)}"
    yield f"  finished    {moment(kol.finished_at)}"
    yield f"  in table    {'not yet' if kol.loaded_at is None else moment(kol.loaded_at)} ({target})"
    if kol.generation:
        yield f"  generation  {kol.generation}: read again by a refresh or retry, or after a refused cursor"
    for reading in readings[-_READINGS:] if len(readings) > 1 else ():
        state = kol.state if reading is readings[-1] else _as_people_know_it(reading.state)
        new = "" if reading.new is None else f"{reading.new:,} new of "
        yield (
            f"  {reading.kind:<11} {moment(reading.started_at)} to {moment(reading.ended_at)}, {state}: "
            f"{new}{_size(reading)}, {counted(reading.calls, 'call')}"
        )
    if kol.refused:
        yield f"  next        change the table, then: {_ADVICE[State.FETCHED].format(kol=kol.user_name)}"
    elif advice := _ADVICE.get(kol.state):
        yield f"  next        {advice.format(kol=kol.user_name)}"


def _size(read: KolRecord | ReadingRecord) -> str:
    return f"{counted(read.users, 'user')} in {counted(read.pages, 'page')}"


def _as_people_know_it(state: str) -> str:
    """Return the state of an earlier reading: one that reached its end is complete, in whatever table it was."""
    return State.COMPLETE if state == State.FETCHED else state


_ADVICE = {
    State.FETCHING: "scrapy crawl followings -a kols={kol}   (continues its list)",
    State.FETCHED: "scrapy crawl followings -a kols={kol} -a replay=pending   (loads it, no API call)",
    State.PARTIAL: "scrapy crawl followings -a kols={kol} -a retry=partial   (buys only the page that broke the list)",
    State.NOT_FOUND: "scrapy crawl followings -a kols={kol} -a retry=not_found   (when the account is back)",
    State.FAILED: "scrapy crawl followings -a kols={kol}   (continues where it failed)",
}


def _state(name: str | None) -> State | None:
    if name is None:
        return None
    if name not in set(State):
        raise WrongUsage(f"--state {name} is none of {', '.join(State)}")
    return State(name)


def _table(kols: Iterable[KolRecord]) -> Iterator[str]:
    yield f"{'KOL':<20} {'state':<10} {'pages':>6} {'users':>9} {'calls':>6}  {'finished (UTC)':<19}  reason"
    for kol in kols:
        yield (
            f"{kol.user_name:<20} {kol.state:<10} {kol.pages:>6,} {kol.users:>9,} {kol.calls:>6,}  "
            f"{moment(kol.finished_at):<19}  {plain(_why(kol))}"
        ).rstrip()


def _why(kol: KolRecord) -> str:
    """Say why a list is not complete: how its reading ended, and what the database refuses of it."""
    refused = f"the database refuses {counted(kol.refused, 'row')}: {kol.refusal}" if kol.refused else ""
    return "; ".join(filter(None, (_remark(kol), refused)))


def _remark(kol: KolRecord) -> str:
    again = "is being read again; its earlier list is in the table" if kol.has_earlier else ""
    return "; ".join(filter(None, (kol.reason, again)))


def _as_json(kol: KolRecord) -> dict[str, Any]:
    return {
        "user_name": kol.user_name,
        "state": kol.state,
        "reason": _why(kol),
        "pages": kol.pages,
        "users": kol.users,
        "calls": kol.calls,
        "started_at": iso(kol.started_at),
        "finished_at": iso(kol.finished_at),
    }
