"""The closing table of a run, and its exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolspider.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kolspider.run import Run

__all__ = ["Summary"]

INTERRUPTED = 130
UNFINISHED = 3
STOPPED = 1


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to: read from the ledger and Scrapy's stats when the crawl is over."""

    states: Mapping[State, int]
    stats: Mapping[str, Any]
    error: str
    """Why the run was stopped early; empty when it was not."""
    finish_reason: str
    """Scrapy's: `finished`, `shutdown` after a Ctrl-C, empty when the process was stopped for good."""
    replay: bool
    dry_run: bool
    waiting: int
    """KOLs with cached pages that are not in the target."""

    @classmethod
    def of(cls, run: Run, stats: Mapping[str, Any]) -> Summary:
        """Take stock. The run must still be open."""
        return cls(
            states=run.kols.states_of_selected(),
            stats=stats,
            error=str(run.error or ""),
            finish_reason=str(stats.get("finish_reason") or ""),
            replay=bool(run.arguments.replay),
            dry_run=run.arguments.dry_run,
            waiting=run.selection.count_waiting(),
        )

    @property
    def exit_code(self) -> int:
        """As README lists them."""
        if self.error:
            return STOPPED
        if self.finish_reason in {"", "shutdown"}:
            return INTERRUPTED
        if self.finish_reason != "finished" or self._has_bugs:
            return STOPPED
        if self.replay:
            return UNFINISHED if self._count("cache/damaged") else STOPPED if self.waiting else 0
        if self.states.get(State.FAILED) or self.states.get(State.PARTIAL):
            return UNFINISHED
        done = {State.COMPLETE, State.NOT_FOUND} | ({State.FETCHED} if self.dry_run else set())
        return 0 if set(self.states) <= done else STOPPED

    @property
    def _has_bugs(self) -> bool:
        return bool(self.stats.get("spider_exceptions/count") or self.stats.get("kol/bugs"))

    def _count(self, name: str) -> int:
        return int(self.stats.get(f"kol/{name}", 0))

    def lines(self) -> list[str]:
        """The table, for a person."""
        kols = ", ".join(f"{self.states[state]} {state}" for state in State if state in self.states)
        rejected = sum(int(n) for name, n in self.stats.items() if name.startswith("kol/rows/rejected/"))
        upserted = self._count("rows/upserted")
        lines = [
            f"KOLs          {kols or 'none were due'}",
            f"pages         {self._count('api/pages')} bought, {self._count('cache/hits')} from the cache",
            f"users         {self._count('users/read')} read, {upserted} rows upserted, {rejected} set aside",
            f"API           {self._count('api/calls')} calls, about {self._count('api/credits_estimated')} credits",
        ]
        if self.error:
            lines.append(f"stopped early {self.error}")
        elif self.finish_reason in {"", "shutdown"}:
            lines.append("interrupted   run the same command again to go on")
        return lines
