"""Raises alerts in a run: what the pages of a batch brought, once its rows are committed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from kolspider.alerts.alert import NOT_KNOWN, Alert, Event, OnPage, alert_id
from kolspider.alerts.kol_events import kol_alerts
from kolspider.alerts.news import News, Sighting, crossings
from kolspider.console.wording import moment
from kolspider.follows.losses import whole_readings
from kolspider.store.refusals import What

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from kolspider.alerts.alert import Account
    from kolspider.alerts.rules import Rule
    from kolspider.db.base import Database
    from kolspider.db.thread import DatabaseThread
    from kolspider.items import MappedPage
    from kolspider.store.ledger import Ledger
    from kolspider.store.lost import Explanation
    from kolspider.store.outbox import Draft

__all__ = ["Raising", "Sought", "explained", "lost_alert", "new_alert", "shared_alert"]


class _Page(NamedTuple):
    """A page whose follows are news."""

    stands_on: OnPage
    only: Collection[str] | None
    """The accounts that are news; None: all of the page."""


class _Whole(NamedTuple):
    """A full reading that ended, and may have lost follows."""

    stands_on: OnPage
    began: str
    before: str
    """When the full reading before it began."""


class Sought(NamedTuple):
    """What the pages of a batch may tell."""

    news: Mapping[tuple[str, str], _Page]
    """By KOL and moment of the page."""
    wholes: Collection[_Whole]


class Raising:
    """Finds what the rules of a run tell."""

    def __init__(self, rules: Collection[Rule], follows: str, target: str, ledger: Ledger, *, asks: bool) -> None:
        """Take the rules of a run that begins now, and its tables; without a follows table nobody tells of follows.

        `asks`: the API can be asked why follows are gone.
        """
        self._rules = rules
        self._of_follows = [rule for rule in rules if rule.event.is_of_follows and follows]
        self._tables = (follows, target)
        self._ledger = ledger
        self._can_ask = asks
        self.asks = asks and (any(rule.why for rule in self._of_follows) or bool(ledger.outbox.waiting()))
        """Whether an alert may wait until it was asked why its follow is gone."""
        self._began = time.time()

    def sought(
        self,
        pages: Iterable[MappedPage],
        before: Mapping[tuple[str, int], Mapping[What, Collection[str]]],
        loaded_before: Collection[int | None],
    ) -> Sought:
        """Return what `found` looks for in the table, once the rows of these pages are committed.

        A page tells something the first time it is loaded, into whatever target: a replay tells nothing, nor does a
        load into another table. `before` are the rows that were refused when a page was loaded before, by KOL and page:
        what is in the table only now is told now. `loaded_before` are the pages that were ever loaded.
        """
        news: dict[tuple[str, str], _Page] = {}
        wholes: list[_Whole] = []
        for mapped in pages if self._of_follows else ():
            page = mapped.page
            if page.seq is None:
                continue
            refused = before.get((page.kol.handle, page.seq), {}).get(What.FOLLOW, ())
            is_news = page.seq not in loaded_before
            stands_on = OnPage(page.kol.handle, page.number, moment(page.fetched_at))
            if mapped.follows and (is_news or refused):
                news[page.kol.handle, mapped.follows[0].first_seen] = _Page(stands_on, None if is_news else refused)
            if mapped.whole and is_news:
                readings = self._ledger.readings.of_kol(page.kol.handle, before=page.seq)
                if earlier := list(whole_readings(readings)):
                    wholes.append(_Whole(stands_on, mapped.whole.last_whole, moment(earlier[-1])))
        return Sought(news, wholes)

    async def found(self, database: DatabaseThread, sought: Sought) -> list[Draft]:
        """Return what the pages tell whose rows are committed now. Raises StopRun."""
        if not sought.news and not sought.wholes:
            return []
        return await database.ask(lambda asked: list(self._find(asked, sought.news, sought.wholes)))

    def of_kols(self, now: float) -> list[Alert]:
        """Return what happened to KOLs themselves since the last run that came to its end, or since this one began."""
        since = self._ledger.outbox.told_until()
        since = self._began if since is None else since
        return [alert for rule in self._rules for alert in kol_alerts(rule, self._ledger, since, now)]

    def release(self) -> int:
        """Let the waiting alerts go, with what is known by now. Returns how many do.

        One is dropped if its rule, as it is now, does not want the reason.
        """
        wanted = {rule.name: rule for rule in self._of_follows if rule.why}
        contents: dict[str, str | None] = {}
        for one in self._ledger.outbox.waiting():
            content = json.loads(one.content)
            why, detail = explained(self._ledger.lost.of(one.account, one.since), content["account"]["user_name"])
            rule = wanted.get(one.rule)
            is_told = rule is None or rule.wants_reason(why)
            content |= {"why": why, "detail": detail}
            contents[one.id] = json.dumps(content, ensure_ascii=False) if is_told else None
        return self._ledger.outbox.release(contents) if contents else 0

    def _find(
        self, database: Database, news: Mapping[tuple[str, str], _Page], wholes: Collection[_Whole]
    ) -> Iterator[Draft]:
        """Ask the database, in its thread."""
        table = News(database, *self._tables)
        seen = []
        for one in table.on_pages(news) if news else ():
            page = news[one.kol, one.first_seen]
            if page.only is None or one.account.id in page.only:
                seen.append((one, page.stands_on))
        for rule in self._of_follows:
            here = [(one, page) for one, page in seen if rule.is_about(one.kol)]
            if rule.event is Event.NEW_FOLLOW:
                wanted = ((one, page) for one, page in here if rule.wants(one.account, one.first_seen))
                yield from (new_alert(rule, one, page).draft() for one, page in wanted)
            elif rule.event is Event.SHARED_FOLLOW:
                yield from (alert.draft() for alert in _shared(rule, table, here))
            else:
                yield from self._lost(rule, table, [whole for whole in wholes if rule.is_about(whole.stands_on.kol)])

    def _lost(self, rule: Rule, table: News, wholes: Iterable[_Whole]) -> Iterator[Draft]:
        for whole in wholes:
            for one in table.lost_between(whole.stands_on.kol, whole.before, whole.began):
                if rule.wants(one.account, one.last_seen):
                    since = whole.began if rule.why and self._can_ask else ""
                    yield lost_alert(rule, one, page=whole.stands_on).draft(since)


def _shared(rule: Rule, table: News, seen: Collection[tuple[Sighting, OnPage]]) -> Iterator[Alert]:
    arrived = {(one.account.id, one.first_seen): page for one, page in seen}
    sightings = table.of_accounts({id_ for id_, _ in arrived}, rule.kols)
    for at, kols, account in crossings(sightings, rule.min, rule.within):
        if (account.id, at) in arrived and rule.wants(account, at):
            yield shared_alert(rule, at, kols, account, arrived[account.id, at])


def new_alert(rule: Rule, one: Sighting, page: OnPage | None = None) -> Alert:
    """Return what a rule tells of a new follow."""
    id_ = alert_id(rule.name, rule.event, one.account.id, one.kol, one.first_seen)
    return Alert(id_, rule.name, rule.event, one.first_seen, one.account, (one.kol,), page=page)


def shared_alert(rule: Rule, at: str, kols: Iterable[str], account: Account, page: OnPage | None = None) -> Alert:
    """Return what a rule tells of an account that enough KOLs began to follow.

    The KOLs are not in the id: of those of one second, a later batch may bring one.
    """
    return Alert(
        alert_id(rule.name, rule.event, account.id, at), rule.name, rule.event, at, account, tuple(kols), page=page
    )


def lost_alert(rule: Rule, one: Sighting, known: Explanation | None = None, *, page: OnPage | None = None) -> Alert:
    """Return what a rule tells of a follow that ended, of whose account this is known."""
    id_ = alert_id(rule.name, rule.event, one.account.id, one.kol, one.last_seen)
    why, detail = explained(known, one.account.user_name) if rule.why else ("", "")
    return Alert(id_, rule.name, rule.event, one.last_seen, one.account, (one.kol,), detail, why, page)


def explained(known: Explanation | None, user_name: str | None) -> tuple[str, str]:
    """Return why an account is lost that had this handle, and what else there is to say of it."""
    if known is None:
        return NOT_KNOWN, ""
    new_name = known.new_name(user_name)
    return known.reason, f"is now x.com/{new_name}" if new_name else ""
