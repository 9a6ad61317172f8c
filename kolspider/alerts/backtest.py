"""What a rule would have told in the past, by the follows table and the ledger: no call, no write."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from kolspider.alerts.alert import Event
from kolspider.alerts.kol_events import kol_alerts
from kolspider.alerts.news import crossings
from kolspider.alerts.raising import lost_alert, new_alert, shared_alert
from kolspider.console.wording import moment
from kolspider.follows.losses import whole_readings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kolspider.alerts.alert import Alert
    from kolspider.alerts.news import News
    from kolspider.alerts.rules import Rule
    from kolspider.store.ledger import Ledger

__all__ = ["told"]


def told(rule: Rule, news: News, ledger: Ledger, since: float, now: float) -> Iterator[Alert]:
    """Yield what a rule would have told from a moment on, in unix seconds.

    Accounts are judged as the target table has them now.
    """
    if rule.event is Event.NEW_FOLLOW:
        for one in news.since(moment(since), rule.kols, rule.followers):
            if rule.wants(one.account, one.first_seen):
                yield new_alert(rule, one)
    elif rule.event is Event.SHARED_FOLLOW:
        crossed = crossings(news.by_account(rule.kols, rule.min), rule.min, rule.within)
        found = [(at, account.id, kols) for at, kols, account in crossed if at >= moment(since)]
        profiles = news.profiles({id_ for _, id_, _ in found})
        for at, id_, kols in sorted(found):
            account = profiles.get(id_)
            if account and rule.wants(account, at):
                yield shared_alert(rule, at, kols, account)
    elif rule.event is Event.LOST_FOLLOW:
        yield from _lost(rule, news, ledger, moment(since))
    else:
        yield from kol_alerts(rule, ledger, since, now)


def _lost(rule: Rule, news: News, ledger: Ledger, since: str) -> Iterator[Alert]:
    @cache
    def began(kol: str) -> list[str]:
        return [moment(time) for time in whole_readings(ledger.readings.of_kol(kol))]

    for one in news.lost_since(since, rule.kols):
        # A run tells what two full readings of this ledger differ in, and so the second one tells it.
        later = [at for at in began(one.kol) if at > one.last_seen]
        is_told = len(later) < len(began(one.kol)) and later and later[0] >= since
        if is_told and rule.wants(one.account, one.last_seen):
            alert = lost_alert(rule, one, ledger.lost.of(one.account.id, later[0]) if rule.why else None)
            if not rule.why or rule.wants_reason(alert.why):
                yield alert
