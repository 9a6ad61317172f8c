"""What happened to KOLs themselves, by the ledger: one function for each event."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kolspider.alerts.alert import Alert, Event, alert_id
from kolspider.console.wording import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kolspider.alerts.rules import Rule
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


_FIND: dict[Event, Callable[[Ledger], Iterable[KolEvent]]] = {Event.KOL_GONE: kol_gone}
