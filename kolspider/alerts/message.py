"""The words of a message: a rule's alerts of one run, for people. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from kolspider.alerts.alert import NOT_KNOWN, Event
from kolspider.console.columns import plain
from kolspider.console.wording import counted

if TYPE_CHECKING:
    from kolspider.store.outbox import Parcel

__all__ = ["message"]

_KOLS = 5
"""KOLs that a line names."""
_LONGEST = 40
_MARKUP = re.compile(r"[<>@`*_~\[\]|#\\]")
"""Characters with which the name of a stranger could call a whole group (@everyone, <!channel>), or hide a link."""


def message(parcel: Parcel) -> tuple[str, str]:
    """Return title and text. Every title begins with `kolspider`; the id in a message that goes twice is the same."""
    alerts = list(map(json.loads, parcel.contents))
    lines = list(map(_line, alerts))
    if parcel.count > len(alerts):
        lines.append(f"and {parcel.count - len(alerts):,} more: scrapy alerts backtest {json.dumps(parcel.rule)}")
    lines.append(f"(message {alerts[0]['id']})")
    return f"kolspider: {_stranger(parcel.rule)}, {counted(parcel.count, 'alert')}", "\n".join(lines)


def _line(alert: dict[str, Any]) -> str:
    kols = ", ".join(alert["kols"][:_KOLS])
    if len(alert["kols"]) > _KOLS:
        kols += f" and {len(alert['kols']) - _KOLS} more"
    if alert["account"] is None:
        return f"- {kols}: {_stranger(alert['detail'])}, found {alert['seen']} UTC"
    account, page = alert["account"], alert["page"]
    who = f"x.com/{account['user_name']}" if account["user_name"] else f"account {account['id']}"
    about = "".join(f", {part}" for part in (_stranger(account["name"]), _followers(account["followers"])) if part)
    what = {Event.LOST_FOLLOW: "no longer followed by", Event.SHARED_FOLLOW: "now followed by"}
    seen = "last seen" if alert["event"] == Event.LOST_FOLLOW else "seen"
    on_page = f", page {page['number']} of {page['kol']}" if page else ""
    event = what.get(alert["event"], "newly followed by")
    if why := alert.get("why", ""):
        reason = "reason not known" if why == NOT_KNOWN else why
        why = f" ({', '.join(filter(None, (reason, alert['detail'])))})"
    return f"- {who}{about}: {event} {kols}{why}, {seen} {alert['seen']} UTC{on_page}"


def _followers(number: int | None) -> str:
    return "" if number is None else counted(number, "follower")


def _stranger(text: str | None) -> str:
    """Return a text of somebody else's, short and without what a chat takes for a command."""
    found = " ".join(_MARKUP.sub(" ", plain(text)).split())
    return found if len(found) <= _LONGEST else f"{found[: _LONGEST - 1]}…"
