"""What happened to KOLs themselves, by the ledger: one function for each event."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kolspider.alerts.alert import Alert, Event, alert_id
from kolspider.console.wording import moment
from kolspider.store.accounts import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kolspider.alerts.rules import Rule
    from kolspider.store.accounts import AccountChange
    from kolspider.store.ledger import Ledger

__all__ = ["kol_alerts"]


class KolEvent(NamedTuple):
    """Something that happened to a KOL. Times are unix seconds."""

    kol: str
    """The handle in lower case."""
    at: float
    key: str
    """What tells this event from another one of the same kind that happens to the KOL."""
    detail: str


def kol_alerts(rule: Rule, ledger: Ledger, since: float, until: float) -> Iterator[Alert]:
    """Yield what a rule tells of KOLs between two moments, in unix seconds; nothing for a rule about follows."""
    find = _FIND.get(rule.event)
    for one in find(ledger) if find else ():
        if since <= one.at <= until and rule.is_about(one.kol):
            id_ = alert_id(rule.name, rule.event, one.kol, one.key)
            yield Alert(id_, rule.name, rule.event, moment(one.at), None, (one.kol,), one.detail)


def kol_gone(ledger: Ledger) -> Iterator[KolEvent]:
    """Yield the KOLs that the API no longer knows, whose lists were read before: a mistyped name is none."""
    for gone in ledger.readings.gone():
        yield KolEvent(gone.handle, gone.at, str(gone.last_read_at), gone.reason)


def kol_renamed(ledger: Ledger) -> Iterator[KolEvent]:
    """Yield the KOLs whose accounts have another handle, by a look at the profiles."""
    for change in _changes(ledger, Change.RENAMED):
        yield KolEvent(change.kol.handle, change.at, f"{change.at} {change.detail}", f"is now x.com/{change.detail}")


def kol_protected(ledger: Ledger) -> Iterator[KolEvent]:
    """Yield the KOLs whose lists can no longer be seen, by a look at the profiles."""
    for change in _changes(ledger, Change.PROTECTED):
        yield KolEvent(change.kol.handle, change.at, str(change.at), "protected: only its followers see its list")


def _changes(ledger: Ledger, what: Change) -> Iterator[AccountChange]:
    return (change for change in ledger.accounts.changes(0.0) if change.what is what)


_FIND: dict[Event, Callable[[Ledger], Iterable[KolEvent]]] = {
    Event.KOL_GONE: kol_gone,
    Event.KOL_RENAMED: kol_renamed,
    Event.KOL_PROTECTED: kol_protected,
}
