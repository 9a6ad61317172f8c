"""The outbox: keeps alerts from the transaction that marks their page as loaded until every receiver has got them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from kolspider.store.part import NOTE, Part

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["SHOWN", "Draft", "Kept", "Outbox", "Parcel", "Waiting"]

SHOWN = 20
"""Alerts that a message has room for."""
_AT_ONCE = 100
"""Most alerts of one call to a webhook."""
_KEPT_SECS = 90 * 86_400
"""How long an alert stays that every receiver has got."""
_OPEN = "NOT done AND NOT EXISTS (SELECT 1 FROM alert_sent s WHERE s.alert = a.seq AND s.receiver = ?)"
_TOLD_UNTIL = "kol_events_until"
"""Key of the note that holds up to when, in unix seconds, the states of KOLs were looked at."""


class Draft(Struct, frozen=True):
    """An alert that is to be raised."""

    id: str
    rule: str
    content: str
    """JSON."""
    account: str = ""
    """The lost account that must be asked for first, by its id; empty: it can be sent at once."""
    since: str = ""
    """Since when it is lost: UTC, `YYYY-MM-DD HH:MM:SS`."""


class Waiting(NamedTuple):
    """An alert about a lost follow that nobody gets before `release`."""

    id: str
    rule: str
    content: str
    account: str
    since: str


class Parcel(Struct, frozen=True):
    """What one receiver gets at once."""

    run: int
    rule: str
    contents: list[str]
    """JSON, each with an alert."""
    count: int
    """How many alerts it stands for; a message shows only the first of them."""
    last: int
    """The last alert of it."""


class Kept(NamedTuple):
    """Alerts of one rule and run that some receiver has not got."""

    rule: str
    run: int
    alerts: int
    since: float
    """When the first of them was raised, in unix seconds."""
    missing: int
    """Number of receivers that lack some of them."""


class Outbox(Part):
    """Tables alert, alert_waiting and alert_sent.

    Alerts are of no target: what was raised once is raised for all of them.
    """

    run = 0
    """The number of the run that raises alerts; 0 outside of one."""

    def begin(self, run: int) -> None:
        """Let this run raise alerts from now on, and forget old ones that were sent.

        An alert about a KOL's own account stays: its id keeps it from being raised again.
        """
        self.run = run
        with self._db.transaction():
            old = self._db.execute(
                "SELECT seq, content FROM alert WHERE done AND raised_at < ?", (time.time() - _KEPT_SECS,)
            ).fetchall()
            forgotten = [(seq,) for seq, content in old if json.loads(content).get("account") is not None]
            self._db.executemany("DELETE FROM alert WHERE seq = ?", forgotten)

    def put(self, drafts: Iterable[Draft]) -> int:
        """Raise alerts; one that was raised before stays as it is. Inside a transaction.

        Returns how many are new, without those that wait: `release` raises these.
        """
        now, new = time.time(), 0
        for one in drafts:
            alert = (one.id, one.rule, self.run, now, one.content)
            if not one.account:
                new += self._put(*alert)
            elif not self._value("SELECT 1 FROM alert WHERE id = ?", one.id):
                self._db.execute(
                    "INSERT INTO alert_waiting (id, rule, run, raised_at, content, account, since) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                    (*alert, one.account, one.since),
                )
        return new

    def _put(self, *alert: object) -> int:
        done = self._db.execute(
            "INSERT INTO alert (id, rule, run, raised_at, content) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            alert,
        )
        return max(done.rowcount, 0)

    def waiting(self) -> list[Waiting]:
        """Return the alerts that wait to be released, in the order in which they were raised."""
        rows = self._db.execute("SELECT id, rule, content, account, since FROM alert_waiting ORDER BY seq")
        return [Waiting(*row) for row in rows]

    def release(self, contents: Mapping[str, str | None]) -> int:
        """Let receivers have waiting alerts, given by id, with new contents; None drops one. Returns how many.

        They come behind all others: a parcel that is on its way stands for alerts up to a number.
        """
        new = 0
        with self._db.transaction(in_turn=True):
            for one in self.waiting():
                if (content := contents.get(one.id)) is not None:
                    new += self._put(one.id, one.rule, self.run, time.time(), content)
            self._db.executemany("DELETE FROM alert_waiting WHERE id = ?", [(id_,) for id_ in contents])
        return new

    def told_until(self) -> float | None:
        """Return up to when the states of KOLs were looked at, in unix seconds; None if they never were."""
        at: int | None = self._value("SELECT value FROM note WHERE key = ?", _TOLD_UNTIL)
        return at

    def put_of_kols(self, drafts: Iterable[Draft], until: float) -> int:
        """Raise the alerts about KOLs that are due up to a moment, in unix seconds. Returns how many are new."""
        with self._db.transaction(in_turn=True):
            self._db.execute(NOTE, (_TOLD_UNTIL, int(until)))
            return self.put(drafts)

    def next_single(self, receiver: str) -> Parcel | None:
        """Return the alerts that a webhook gets next, as many as go at once; None if it has got all."""
        rows = self._db.execute(
            f"SELECT seq, run, rule, content FROM alert a WHERE {_OPEN} ORDER BY seq LIMIT ?", (receiver, _AT_ONCE)
        ).fetchall()
        if not rows:
            return None
        contents = [content for *_, content in rows]
        return Parcel(rows[0][1], "", contents, len(rows), rows[-1][0])

    def next_group(self, receiver: str, *, over: bool) -> Parcel | None:
        """Return a rule's alerts of one run, the first ones in full; None if the receiver has got all.

        Those of the current run wait until its crawl is `over`, so that they are one message.
        """
        group = self._db.execute(
            f"SELECT run, rule, count(*), max(seq) FROM alert a WHERE {_OPEN} AND (? OR run <> ?) "
            "GROUP BY run, rule ORDER BY min(seq) LIMIT 1",
            (receiver, over, self.run),
        ).fetchone()
        if group is None:
            return None
        run, rule, count, last = group
        rows = self._db.execute(
            f"SELECT content FROM alert a WHERE {_OPEN} AND run = ? AND rule = ? ORDER BY seq LIMIT ?",
            (receiver, run, rule, SHOWN),
        )
        return Parcel(run, rule, [content for (content,) in rows], count, last)

    def note_sent(self, parcel: Parcel, receiver: str, receivers: Collection[str]) -> None:
        """Record that a receiver has got a parcel; `receivers` are all that there are."""
        with self._db.transaction(in_turn=True):
            self._db.execute(
                f"INSERT INTO alert_sent SELECT seq, ?1 FROM alert a WHERE {_OPEN.replace('?', '?1')} "
                "AND seq <= ?2 AND (?3 = '' OR (run = ?4 AND rule = ?3)) ON CONFLICT DO NOTHING",
                (receiver, parcel.last, parcel.rule, parcel.run),
            )
            self.close_for(receivers)

    def close_for(self, receivers: Collection[str]) -> None:
        """Take the alerts for done that each of these receivers has got; without receivers, none."""
        if not receivers:
            return
        marks = ", ".join("?" * len(receivers))
        with self._db.transaction(in_turn=True):
            self._db.execute(
                "UPDATE alert SET done = TRUE WHERE NOT done AND "
                f"(SELECT count(*) FROM alert_sent s WHERE s.alert = alert.seq AND s.receiver IN ({marks})) = ?",
                (*receivers, len(receivers)),
            )
            self._db.execute(
                "DELETE FROM alert_sent WHERE NOT EXISTS (SELECT 1 FROM alert a WHERE a.seq = alert AND NOT done)"
            )

    def count_pending(self, receivers: Sequence[str]) -> int:
        """Count the alerts that one of these receivers has not got; without receivers, those that wait for one."""
        return sum(kept.alerts for kept in self.pending(receivers))

    def pending(self, receivers: Sequence[str]) -> list[Kept]:
        """Return the alerts that one of these receivers has not got, by run and rule; without receivers, all open."""
        lacking = " + ".join(
            "CASE WHEN EXISTS (SELECT 1 FROM alert_sent s WHERE s.alert = a.seq AND s.receiver = ?) THEN 0 ELSE 1 END"
            for _ in receivers
        )
        rows = self._db.execute(
            "SELECT rule, run, count(*), min(raised_at), max(missing) FROM "
            f"(SELECT rule, run, raised_at, {lacking or '1'} AS missing FROM alert a WHERE NOT done "
            "UNION ALL SELECT rule, run, raised_at, ? FROM alert_waiting) kept "
            "WHERE missing > 0 GROUP BY run, rule ORDER BY min(raised_at), rule",
            (*receivers, max(len(receivers), 1)),
        )
        return [Kept(*row) for row in rows]
