"""What a run came to: the closing table for people, the same as JSON for schedulers, and the exit code."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kolspider.console.wording import counted, duration
from kolspider.items import State
from kolspider.store.ledger import target_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kolspider.run.run import Run
    from kolspider.store.kols import KolRecord

__all__ = ["Summary"]

_STOPPED, _UNFINISHED, _INTERRUPTED = 1, 3, 130
_ONCE = ("retry=", "refresh=", "incremental=", "full_every=")
_SHOWN = 20
"""Failed and partial KOLs in the table; the rest is a `scrapy kols` away."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Read from the ledger and Scrapy's stats when the crawl is over."""

    command: Sequence[str]
    """What was typed, without the key."""
    states: Mapping[State, int]
    """The selected KOLs."""
    troubled: Sequence[KolRecord]
    """The failed and partial ones of them, the first few."""
    stats: Mapping[str, Any]
    seconds: float
    error: str
    """Why the run was stopped early; empty when it was not."""
    target: str
    credit_usd: float
    replay: bool
    dry_run: bool
    waiting: int
    """Selected KOLs with cached pages that are not in the target."""
    left: int
    """KOLs that are due beyond the limit."""

    @classmethod
    def of(cls, run: Run, command: Sequence[str], stats: Mapping[str, Any]) -> Summary:
        """Take stock. The run must still be open."""
        return cls(
            command=command,
            states=run.kols.states_of_selected(),
            troubled=run.kols.selected_in((State.FAILED, State.PARTIAL), _SHOWN),
            stats=stats,
            seconds=_seconds(stats),
            error=str(run.error or ""),
            target=target_label(run.config, run.database),
            credit_usd=run.config.credit_usd,
            replay=bool(run.arguments.replay),
            dry_run=run.arguments.dry_run,
            waiting=run.selection.count_waiting(),
            left=run.selection.left,
        )

    @property
    def exit_code(self) -> int:
        """0 done, 3 some KOLs failed or partial, 1 stopped early, 130 interrupted."""
        if self.error:
            return _STOPPED
        if self._interrupted:
            return _INTERRUPTED
        if self.stats.get("finish_reason") != "finished" or self._bugs:
            return _STOPPED
        if self.replay:
            return _UNFINISHED if self._count("cache/damaged") else _STOPPED if self.waiting else 0
        if self._troubled:
            return _UNFINISHED
        done = {State.COMPLETE, State.NOT_FOUND} | ({State.FETCHED} if self.dry_run else set())
        return 0 if set(self.states) <= done else _STOPPED

    @property
    def stopped(self) -> str:
        """Why it ended before its work was done; empty when it did not."""
        if self._bugs:
            return "a bug was met: see ERROR in the log"
        return self.error or ("interrupted" if self._interrupted else "")

    def lines(self) -> Iterator[str]:
        """The closing table."""
        yield _line("KOLs", ", ".join(f"{n:,} {state}" for state, n in self._in_order()) or "none were due")
        yield _line("pages", f"{self._count('api/pages'):,} bought, {self._count('cache/hits'):,} from the cache")
        yield _line("users", ", ".join(self._users()))
        dollars = self._credits * self.credit_usd
        yield _line(
            "API", f"{counted(self._count('api/calls'), 'call')}, about {self._credits:,} credits (${dollars:.2f})"
        )
        if self._count("incremental/calls_saved"):
            yield _line("saved", self._saved)
        yield _line("time", duration(self.seconds))
        yield _line("table", self.target + (" (not written: dry run)" if self.dry_run else ""))
        for kol in self.troubled:
            yield _line(kol.state, f"{kol.user_name}: {kol.reason}")
        if self._troubled > len(self.troubled):
            yield _line("", f"and {self._troubled - len(self.troubled):,} more: scrapy kols --state failed")
        if damaged := self._count("cache/damaged"):
            yield _line("damaged", f"{counted(damaged, 'cached page')}, which a normal run buys again")
        if self.replay:
            yield _line("lists", f"{self._whole:,} whole, {self._unfinished:,} unfinished")
        if self.error:
            yield _line("stopped", self.error)
        elif self._interrupted:
            yield _line("stopped", "interrupted; nothing is lost")
        yield _line("next", self.next)

    @property
    def next(self) -> str:  # noqa: C901, PLR0911 - one case a line
        """What to run next."""
        command = shlex.join(self.command)
        if self._bugs:
            return "a bug was met: see ERROR in the log, and report it; then run the same command again"
        if self.error:
            return f"{command}   (when that is mended: it goes on where it stopped)"
        if self._interrupted:
            return f"{command}   (goes on where it stopped)"
        if self.replay and not self.states:
            return "nothing to do: the cache holds no page that could be loaded"
        if self.replay:
            return (
                "scrapy crawl followings   (goes on with the unfinished lists)" if self._unfinished else "nothing to do"
            )
        if self.dry_run:
            return "the same without dry_run=1: it loads these pages without a call"
        if self.left:
            return f"{command}   ({counted(self.left, 'more KOL')} {'is' if self.left == 1 else 'are'} due)"
        if self.states.get(State.FAILED):
            return f"{shlex.join(_without_once(self.command))}   (tries the failed ones again)"
        if self._on_the_way:
            return f"{command}   (goes on with {counted(self._on_the_way, 'unfinished KOL')})"
        if self.states.get(State.PARTIAL):
            return "scrapy crawl followings -a retry=partial   (buys only the page that broke each list)"
        return "nothing to do"

    def as_json(self) -> str:
        """The same for programs."""
        users = {
            "read": self._count("users/read"),
            "written": self._count("rows/upserted"),
            "repeated": self._count("rows/repeated"),
            "set_aside": self._counts("rows/rejected/"),
            "clipped": self._counts("rows/clipped/"),
            "out_of_range": self._counts("rows/out_of_range/"),
        }
        content = {
            "exit_code": self.exit_code,
            "error": self.error,
            "interrupted": self._interrupted,
            "started_at": _iso(self.stats.get("start_time")),
            "seconds": round(self.seconds, 3),
            "kols": dict(self._in_order()),
            "pages": {"bought": self._count("api/pages"), "from_cache": self._count("cache/hits")},
            "users": users,
            "calls": self._count("api/calls"),
            "credits_estimated": self._credits,
            "dollars_estimated": round(self._credits * self.credit_usd, 4),
            "saved": {
                "lists": self._count("incremental/lists"),
                "calls": self._count("incremental/calls_saved"),
                "credits_estimated": self._credits_saved,
                "dollars_estimated": round(self._credits_saved * self.credit_usd, 4),
            },
            "target": self.target,
            "troubled": [
                {"user_name": kol.user_name, "state": kol.state, "reason": kol.reason} for kol in self.troubled
            ],
            "next": self.next,
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    @property
    def _saved(self) -> str:
        """What the incremental lists would have cost more in full, as they are known now."""
        calls, lists = self._count("incremental/calls_saved"), self._count("incremental/lists")
        credits_ = self._credits_saved
        dollars = credits_ * self.credit_usd
        return (
            f"about {counted(calls, 'call')}, {credits_:,} credits (${dollars:.2f}) by {counted(lists, 'list')} "
            f"read only as far as {'it' if lists == 1 else 'they'} changed"
        )

    def _users(self) -> Iterator[str]:
        yield f"{self._count('users/read'):,} read"
        yield f"{self._count('rows/upserted'):,} rows written"
        if repeated := self._count("rows/repeated"):
            yield f"{counted(repeated, 'repeat')} of these"
        if set_aside := self._counts("rows/rejected/"):
            yield f"{sum(set_aside.values()):,} set aside ({', '.join(set_aside)})"
        if out_of_range := self._counts("rows/out_of_range/"):
            yield f"{sum(out_of_range.values()):,} counts made NULL (negative or too large)"
        if clipped := self._counts("rows/clipped/"):
            yield f"{sum(clipped.values()):,} values cut ({', '.join(clipped)})"

    def _in_order(self) -> list[tuple[State, int]]:
        return [(state, self.states[state]) for state in State if state in self.states]

    @property
    def _interrupted(self) -> bool:
        """Scrapy says `shutdown` after one Ctrl-C, and nothing when it was stopped for good."""
        return self.stats.get("finish_reason") in {None, "shutdown"}

    @property
    def _bugs(self) -> bool:
        return bool(self.stats.get("spider_exceptions/count") or self._count("bugs"))

    @property
    def _troubled(self) -> int:
        return self.states.get(State.FAILED, 0) + self.states.get(State.PARTIAL, 0)

    @property
    def _on_the_way(self) -> int:
        return sum(self.states.get(state, 0) for state in (State.NEW, State.FETCHING, State.FETCHED))

    @property
    def _whole(self) -> int:
        return self.states.get(State.COMPLETE, 0) + self.states.get(State.FETCHED, 0)

    @property
    def _unfinished(self) -> int:
        return sum(self.states.values()) - self._whole - self.states.get(State.NOT_FOUND, 0)

    @property
    def _credits(self) -> int:
        return self._count("api/credits_estimated")

    @property
    def _credits_saved(self) -> int:
        return self._count("incremental/credits_saved")

    def _count(self, name: str) -> int:
        return int(self.stats.get(f"kol/{name}", 0))

    def _counts(self, prefix: str) -> dict[str, int]:
        start = f"kol/{prefix}"
        return {name.removeprefix(start): n for name, n in sorted(self.stats.items()) if name.startswith(start)}


def _without_once(command: Sequence[str]) -> list[str]:
    """The command without what is asked for once: a retry or a refresh has happened by now."""
    pairs = zip(command[3::2], command[4::2], strict=False)
    kept = [word for pair in pairs if not pair[1].startswith(_ONCE) for word in pair]
    return [*command[:3], *kept]


def _seconds(stats: Mapping[str, Any]) -> float:
    """What the crawl took. Scrapy does not say it of one that was stopped for good."""
    if (elapsed := stats.get("elapsed_time_seconds")) is not None:
        return float(elapsed)
    begun = stats.get("start_time")
    return (datetime.now(tz=UTC) - begun).total_seconds() if begun else 0.0


def _line(name: str, text: str) -> str:
    return f"{name:<9} {text}"


def _iso(time: Any) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds")
