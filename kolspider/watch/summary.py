"""The result of a run: the closing table for people, the same as JSON for schedulers, and the exit code."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kolspider.console.columns import labelled
from kolspider.console.wording import counted, duration, iso
from kolspider.errors import CapReached
from kolspider.items import State
from kolspider.options.arguments import Replay, replaced, typed_moment, without
from kolspider.store.accounts import Change
from kolspider.store.selection import WaitingPages

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping, Sequence

    from kolspider.live.statement import Statement
    from kolspider.live.stop import Stop
    from kolspider.live.tally import Tally
    from kolspider.options.arguments import Arguments
    from kolspider.store.ledger import Ledger
    from kolspider.store.selection import Selection

__all__ = ["Summary"]

_STOPPED, _UNFINISHED, _INTERRUPTED = 1, 3, 130
_ONCE = ("retry", "refresh", "incremental", "watch", "full_every")
"""Arguments whose work is done by one run."""
_OF_A_REPLAY = ("replay", "HTTPCACHE_IGNORE_MISSING", "JOBDIR")
_UNFINISHED_STATES = (State.NEW, State.FETCHING, State.FETCHED)
_CHANGES = {
    Change.RENAMED: " is now @{}: update the table of KOLs",
    Change.PROTECTED: ": only its followers see its list now",
    Change.GONE: ": {}",
    Change.BACK: " can be seen again",
    Change.REPLACED: " is another account now, whose list is read as a new one",
}
"""What the table says of an account that changed, after the KOL's name; with the new name, or the reason."""
_ALIKE, _ALIKE_CREDITS = 0.1, 400
"""A bill that differs from the price list by more than this share, and more than two pages, needs a word."""
_SHOWN = 20
"""Failed and partial KOLs that the table lists; `scrapy kols` lists all."""


class Summary:
    """The numbers of a run when its crawl is over."""

    def __init__(
        self,
        command: Sequence[str],
        arguments: Arguments,
        target: str,
        statement: Statement,
        ledger: Ledger,
        tally: Tally,
        stop: Stop,
        stats: Mapping[str, Any],
    ) -> None:
        """Take stock of a run. `command` is what was typed, without the key; `stats` are Scrapy's."""
        self._arguments, self._target, self._credit_usd = arguments, target, statement.credit_usd
        self.statement = statement
        self._in_job = in_job = ledger.selection.is_of_job
        """Whether the run has a JOBDIR, which takes no other arguments than those of its first run."""
        self._outside = _going_on(command, ledger.selection)
        """The command to go on with the same work outside of the job."""
        self._command = without(command, ["fresh"]) if in_job else self._outside
        self._tally = tally
        self.states: Mapping[State, int] = ledger.kols.states_of_selected()
        """Number of selected KOLs that the run left in each state."""
        self._not_reached = ledger.selection.count_not_reached()
        """Selected KOLs whose lists were to be read or tried again and were not begun."""
        self._source = ledger.selection.states_of_source() if not self.states else {}
        """Number of KOLs that were looked at in each state, when none was due."""
        self._troubled = ledger.kols.selected_in((State.FAILED, State.PARTIAL), _SHOWN)
        self._refused = 0 if arguments.dry_run else ledger.refusals.count_selected()
        """Selected KOLs with rows that the database refuses."""
        self._refused_of = ledger.kols.refused_selected(_SHOWN) if self._refused else []
        self._waiting = ledger.selection.count_waiting()
        """Selected KOLs with cached pages that are not in the target."""
        self._left_waiting = WaitingPages(0, 0, 0)
        """Pages that a run which stopped was to load and did not."""
        self._accounts = ledger.accounts.changes(stats["start_time"].timestamp()) if tally.looks else []
        """What looks at the profiles found changed."""
        self._left = ledger.selection.left
        """KOLs that are due and beyond the limit."""
        self._started_at: datetime | None = stats.get("start_time")
        self._seconds = _seconds(stats)
        self._finish_reason: str | None = stats.get("finish_reason")
        self._bugs = tally.bugs + stats.get("spider_exceptions/count", 0)
        self._stop = stop
        self._error = str(stop.error or "")
        if (self._error or self._interrupted) and not arguments.dry_run:
            self._left_waiting = ledger.selection.waiting_pages()
        self._has_feed = any(stats[name] for name in stats if name.startswith("feedexport/"))
        self._feeds_failed = sum(stats[name] for name in stats if name.startswith("feedexport/failed_count/"))

    @property
    def exit_code(self) -> int:
        """0 done, 3 some KOLs failed, are partial or lack rows, 1 stopped early or without a feed, 130 interrupted.

        A worker on a shared ledger that can be started again ends with 75.
        """
        if self._interrupted:  # first: an outage that was waited for ends with an error, too
            return _INTERRUPTED
        if self._stop.error:
            return self._stop.error.exit_code
        if self._finish_reason != "finished" or self._bugs or self._feeds_failed:
            return _STOPPED
        if self._arguments.replay:
            lacking = self._tally.cache_damaged or self._refused
            return _UNFINISHED if lacking else _STOPPED if self._waiting else 0
        if self._count_troubled or self._refused:
            return _UNFINISHED
        done = {State.COMPLETE, State.NOT_FOUND} | ({State.FETCHED} if self._arguments.dry_run else set())
        return 0 if set(self.states) <= done else _STOPPED

    @property
    def stopped(self) -> str:
        """Why the run ended before its work was done, for the history; empty if it did not."""
        if self._bugs:
            return "a bug, see ERROR in the log"
        return "; ".join(filter(None, ("interrupted" if self._interrupted else "", self._error)))

    def lines(self) -> Iterator[str]:
        """Return the lines of the closing table."""
        tally = self._tally
        if not self._arguments.why:
            yield labelled("KOLs", ", ".join(self._kols()))
        if self.states or tally.calls or tally.cache_hits:
            yield labelled("pages", f"{tally.pages:,} bought, {tally.cache_hits:,} from the cache")
            yield labelled("users", ", ".join(self._users()))
            dollars = tally.credits * self._credit_usd
            yield labelled("API", f"{counted(tally.calls, 'call')}, about {tally.credits:,} credits (${dollars:.2f})")
        yield from self._profiles()
        yield from self._bill()
        if self._tally.credits_saved:
            yield labelled("saved", self._saved)
        yield labelled("time", duration(self._seconds))
        yield labelled("table", self._target + (" (not written: dry run)" if self._arguments.dry_run else ""))
        if tally.alerts_raised or tally.alerts_sent or tally.alerts_pending:
            sent = f", {tally.alerts_sent:,} sent" if tally.alerts_sent else ""
            waiting = f", {tally.alerts_pending:,} pending: scrapy alerts pending" if tally.alerts_pending else ""
            yield labelled("alerts", f"{tally.alerts_raised:,} raised{sent}{waiting}")
        yield from self._troubles()
        if damaged := self._tally.cache_damaged:
            yield labelled("damaged", f"{counted(damaged, 'cached page')}, which a normal run buys again")
        if left := self._left_waiting.pages:
            of = counted(self._left_waiting.kols, "KOL")
            yield labelled("waiting", f"{counted(left, 'cached page')} of {of} not in the table yet")
        if self._arguments.replay and self.states:
            yield labelled("lists", f"{self._whole:,} whole, {self._unfinished:,} unfinished")
        if self._feeds_failed:
            yield labelled("feed", "not whole, see ERROR in the log; -a replay=all -O FILE writes it without a call")
        if self._error or self._interrupted:
            yield labelled("stopped", self.stopped if self._error else f"interrupted; {self._lost}")
        yield labelled("next", self.next)

    def _profiles(self) -> Iterator[str]:
        """Yield what profiles told, of KOLs and of lost accounts."""
        tally = self._tally
        if tally.looks:
            yield labelled("watched", f"{counted(tally.looks, 'KOL')}, {counted(tally.unchanged, 'list')} without news")
        if tally.lost:
            told = ", ".join(f"{count:,} {reason}" for reason, count in _sorted(tally.lost).items())
            yield labelled("lost", f"{counted(tally.lost.total(), 'account')} asked for: {told}")

    def _bill(self) -> Iterator[str]:
        """Yield what the account says that the run cost, if it was asked."""
        billed, usd = self.statement.credits, self.statement.usd
        if billed is None or usd is None:
            if self.statement.after:
                yield labelled("bill", "not known: the account holds more than before the run")
            return
        yield labelled("bill", f"{billed:,.0f} credits (${usd:.2f}), says the account")
        listed = self._tally.credits
        if billed > listed + max(listed * _ALIKE, _ALIKE_CREDITS):
            yield labelled("", "more than by the price list: others may have used the account, too")
        if billed < listed - max(listed * _ALIKE, _ALIKE_CREDITS):
            yield labelled("", "less than by the price list: the account may lag behind, see scrapy balance")

    def _troubles(self) -> Iterator[str]:
        """Yield a line for each KOL that failed, broke off or lacks rows, or whose account changed."""
        for change in self._accounts[:_SHOWN]:
            yield labelled(change.what, f"{change.kol.user_name}{_CHANGES[change.what].format(change.detail)}")
        if len(self._accounts) > _SHOWN:
            yield labelled("", f"and {len(self._accounts) - _SHOWN:,} more: scrapy kols")
        for kol in self._troubled:
            yield labelled(kol.state, f"{kol.user_name}: {kol.reason}")
        if self._count_troubled > len(self._troubled):
            both = State.FAILED in self.states and State.PARTIAL in self.states
            shown_by = "scrapy kols" if both else f"scrapy kols --state {self._troubled[0].state}"
            yield labelled("", f"and {self._count_troubled - len(self._troubled):,} more: {shown_by}")
        for kol in self._refused_of:
            yield labelled("refused", f"{kol.user_name}: {counted(kol.refused, 'row')}: {kol.refusal}")
        if self._refused > len(self._refused_of):
            yield labelled("", f"and {self._refused - len(self._refused_of):,} more: scrapy kols --state fetched")

    @property
    def next(self) -> str:  # noqa: C901, PLR0911 - one case a line
        """Return the command to run next, with a remark behind it."""
        command, states = shlex.join(self._command), self.states
        if self._bugs:
            return f"{command}   (report the bug first: see ERROR in the log)"
        if self._error or self._interrupted:
            return self._next_after_a_stop(command)
        if self._lacks_only_refused:
            return "scrapy crawl followings -a replay=pending   (after the table is changed: loads the refused rows)"
        if self._arguments.replay and self._unfinished > states.get(State.PARTIAL, 0):
            return f"{shlex.join(without(self._outside, _OF_A_REPLAY))}   (continues the unfinished lists)"
        if self._arguments.replay and not states:
            return "nothing to do: the cache holds no page to load"
        if self._arguments.dry_run and states:
            load = shlex.join(without(self._outside, ["dry_run", "JOBDIR"]))
            return f"{load}   (loads these pages, they are not bought again)"
        due = f"{counted(self._left, 'more KOL')} {'is' if self._left == 1 else 'are'} due"
        if self._left and not self._in_job:
            return f"{command}   ({due})"
        if states.get(State.FAILED):
            again = self._command if self._in_job else without(self._command, _ONCE)
            return f"{shlex.join(again)}   (tries the failed KOLs again)"
        if self._on_the_way:
            return f"{command}   (continues with {counted(self._on_the_way, 'unfinished KOL')})"
        if states.get(State.PARTIAL):
            again = [*without(self._outside, (*_ONCE, "limit", *_OF_A_REPLAY)), "-a", "retry=partial"]
            return f"{shlex.join(again)}   (buys only the page that broke each list)"
        if self._feeds_failed:
            again = [*without(self._outside, (*_ONCE, "limit", "max_calls", *_OF_A_REPLAY)), "-a", "replay=all"]
            return f"{shlex.join(again)} -O FILE   (writes the feed, no API call)"
        return f"nothing to do in this job; {due}, for another JOBDIR" if self._left else "nothing to do"

    def _next_after_a_stop(self, command: str) -> str:
        if self._error and self._arguments.max_calls == 0:
            return f"{shlex.join(without(self._command, ['max_calls']))}   (max_calls=0 allows no call)"
        fix = "" if self._interrupted or self._capped else "fix that first; "
        if self._arguments.replay:
            return self._next_after_a_stopped_replay(command, fix)
        return f"{command}   ({fix}the run continues where it stopped)"

    def _next_after_a_stopped_replay(self, command: str, fix: str) -> str:
        """Return a command that loads the rest of what a replay was to load."""
        if self._arguments.replay is Replay.ALL and self._has_feed:  # what is loaded already is not in the next feed
            return f"{command} -O FILE   ({fix}loads all of it again, so that the feed is whole)"
        if not self._left_waiting.pages:
            return f"{command}   ({fix}the replay begins again)"
        # A limit would choose among the KOLs whose pages still wait, and kols leave out others that wait, too.
        others = ("limit", "kols") if self._left_waiting.others else ("limit",)
        pending = [*without(self._outside, (*_OF_A_REPLAY, *others, "feed")), "-a", "replay=pending"]
        return f"{shlex.join(pending)}   ({fix}loads the cached pages that are not in the table yet)"

    def as_json(self) -> str:
        """Return the same as JSON, for programs."""
        users = {
            "read": self._tally.users_read,
            "written": self._tally.rows_upserted,
            "repeated": self._tally.rows_repeated,
            "set_aside": _sorted(self._tally.rows_rejected),
            "clipped": _sorted(self._tally.rows_clipped),
            "out_of_range": _sorted(self._tally.rows_out_of_range),
        }
        content = {
            "exit_code": self.exit_code,
            "error": self._error,
            "feeds_failed": self._feeds_failed,
            "interrupted": self._interrupted,
            "started_at": iso(self._started_at.timestamp()) if self._started_at else None,
            "seconds": round(self._seconds, 3),
            "kols": dict(_in_order(self.states)),
            "kols_not_reached": self._not_reached,
            "pages": {"bought": self._tally.pages, "from_cache": self._tally.cache_hits},
            "users": users,
            "calls": self._tally.calls,
            "credits_estimated": self._tally.credits,
            "dollars_estimated": round(self._tally.credits * self._credit_usd, 4),
            "bill": {
                "credits": _rounded(self.statement.credits, 2),
                "usd": _rounded(self.statement.usd, 4),
                "estimated_credits": self._tally.credits,
            },
            "saved": {
                "lists": self._tally.incremental_lists,
                "calls": self._tally.calls_saved,
                "credits_estimated": self._tally.credits_saved,
                "dollars_estimated": round(self._tally.credits_saved * self._credit_usd, 4),
            },
            "watched": {"kols": self._tally.looks, "lists_without_news": self._tally.unchanged},
            "lost": _sorted(self._tally.lost),
            "accounts": [
                {"user_name": change.kol.user_name, "change": change.what, "detail": change.detail}
                for change in self._accounts
            ],
            "alerts": {
                "raised": self._tally.alerts_raised,
                "sent": self._tally.alerts_sent,
                "pending": self._tally.alerts_pending,
            },
            "target": self._target,
            "refused": [
                {"user_name": kol.user_name, "rows": kol.refused, "reason": kol.refusal} for kol in self._refused_of
            ],
            "troubled": [
                {"user_name": kol.user_name, "state": kol.state, "reason": kol.reason} for kol in self._troubled
            ],
            "next": self.next,
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    @property
    def _saved(self) -> str:
        """What full readings of the incremental lists would have cost on top."""
        tally, dollars = self._tally, self._tally.credits_saved * self._credit_usd
        return (
            f"about {counted(tally.calls_saved, 'call')}, {tally.credits_saved:,} credits (${dollars:.2f}): "
            f"only the changes of {counted(tally.incremental_lists, 'list')} were read"
        )

    def _users(self) -> Iterator[str]:
        yield f"{self._tally.users_read:,} read"
        repeated, set_aside = self._tally.rows_repeated, _sorted(self._tally.rows_rejected)
        if self._arguments.dry_run:
            rows = self._tally.users_read - repeated - sum(set_aside.values())
            yield f"{counted(rows, 'row')} not written"
        else:
            yield f"{counted(self._tally.rows_upserted, 'row')} written"
        if repeated:
            yield f"{counted(repeated, 'unchanged duplicate')} skipped"
        if set_aside:
            yield f"{sum(set_aside.values()):,} set aside ({', '.join(set_aside)})"
        if out_of_range := _sorted(self._tally.rows_out_of_range):
            yield f"{sum(out_of_range.values()):,} counts set to NULL (negative or too large)"
        if clipped := _sorted(self._tally.rows_clipped):
            yield f"{sum(clipped.values()):,} values cut to fit ({', '.join(clipped)})"

    def _kols(self) -> Iterator[str]:
        yield from (f"{n:,} {state}" for state, n in _in_order(self.states))
        if self._not_reached:
            yield f"{self._not_reached:,} not reached"
        elif not self.states and self._arguments.replay:
            yield "none has a page to load"
        elif not self.states:
            already = ", ".join(f"{n:,} {state}" for state, n in _in_order(self._source))
            yield f"none were due ({already})" if already else "none were due"

    @property
    def _interrupted(self) -> bool:
        """Whether Ctrl-C ended the crawl: Scrapy gives no reason at all after a second one."""
        return self._finish_reason in {None, "shutdown"}

    @property
    def _lost(self) -> str:
        """What a second Ctrl-C lost: the calls that it cut off."""
        tally = self._tally
        unanswered = tally.calls - tally.pages - tally.profiles - tally.errors.total()
        if self._finish_reason is not None or unanswered <= 0:
            return "nothing is lost"
        return f"{counted(unanswered, 'call')} cut off on the way; what is stored is not lost"

    @property
    def _capped(self) -> bool:
        """Whether a cap ended the run, so nothing needs to be fixed."""
        return isinstance(self._stop.error, CapReached)

    @property
    def _count_troubled(self) -> int:
        return self.states.get(State.FAILED, 0) + self.states.get(State.PARTIAL, 0)

    @property
    def _lacks_only_refused(self) -> bool:
        """Whether all that is left to do are rows that the database refuses."""
        others = self._left or self.states.get(State.FAILED) or self._on_the_way > self._refused
        return bool(self._refused and (self._arguments.replay or not others))

    @property
    def _on_the_way(self) -> int:
        return self._not_reached + sum(self.states.get(state, 0) for state in _UNFINISHED_STATES)

    @property
    def _whole(self) -> int:
        return self.states.get(State.COMPLETE, 0) + self.states.get(State.FETCHED, 0)

    @property
    def _unfinished(self) -> int:
        return sum(self.states.values()) - self._whole - self.states.get(State.NOT_FOUND, 0)


def _going_on(command: Sequence[str], selection: Selection) -> list[str]:
    """Return the command that goes on with a run's work: a refresh does not read again what this run has read."""
    going_on, watch = without(command, ["fresh"]), selection.watch
    before = {"refresh": selection.refresh_before, "watch": watch.look_before if watch else selection.refresh_before}
    for name, moment in before.items():
        if moment is not None:
            going_on = replaced(going_on, name, typed_moment(moment))
    return going_on


def _seconds(stats: Mapping[str, Any]) -> float:
    """Return how long the crawl took. Scrapy sets no elapsed time after a second Ctrl-C."""
    if (elapsed := stats.get("elapsed_time_seconds")) is not None:
        return float(elapsed)
    begun = stats.get("start_time")
    return (datetime.now(tz=UTC) - begun).total_seconds() if begun else 0.0


def _rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)


def _in_order(states: Mapping[State, int]) -> list[tuple[State, int]]:
    return [(state, states[state]) for state in State if state in states]


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))
