"""Writes a run into the history while it goes on: now and then, so that a killed run shows what it did."""

from __future__ import annotations

import logging
import shlex
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from kolspider.store.runs import Counters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.options.arguments import Arguments
    from kolspider.run.run import Run
    from kolspider.watch.summary import Summary

__all__ = ["History"]

logger = logging.getLogger(__name__)

_STATES_EVERY = 60.0
"""Seconds between two counts of the selected KOLs by state: among 100,000 of them it takes a moment."""


class History:
    """One run's row and samples. All but `end` raises sqlite3.Error when the file can't be written."""

    def __init__(self, run: Run, asked: Sequence[str]) -> None:
        """The run begins: its KOLs are selected, nothing is asked yet."""
        self._run = run
        self._notes = 0
        self._sample_every = 1
        self._id = run.runs.begin(_mode(run.arguments), shlex.join(asked))
        self._note_states()

    def note(self, stats: Mapping[str, Any]) -> None:
        """Write down what the run has done so far."""
        runs, done = self._run.runs, self._counters(stats)
        runs.note(self._id, done)
        self._notes += 1
        if self._notes % self._sample_every == 0 and runs.sample(self._id, done):
            self._sample_every *= 2
        if time.monotonic() >= self._states_at + _STATES_EVERY:
            self._note_states()

    def end(self, stats: Mapping[str, Any], summary: Summary) -> None:
        """The run is over. A disk that takes no more has ended it with a word already; the work is done."""
        try:
            self._run.runs.end(
                self._id,
                self._counters(stats),
                summary.states,
                self._run.selection.count_unbegun(),
                summary.exit_code,
                summary.stopped,
            )
        except sqlite3.Error as error:
            logger.warning("the end of this run could not be written into its history: %s", error)

    def _note_states(self) -> None:
        run = self._run
        run.runs.note_states(self._id, run.kols.states_of_selected(), run.selection.count_unbegun())
        self._states_at = time.monotonic()

    def _counters(self, stats: Mapping[str, Any]) -> Counters:
        def count(name: str) -> int:
            return int(stats.get(f"kol/{name}", 0))

        def counts(prefix: str) -> dict[str, int]:
            start = f"kol/{prefix}/"
            return {name.removeprefix(start): n for name, n in sorted(stats.items()) if name.startswith(start)}

        return Counters(
            calls=count("api/calls"),
            pages=count("api/pages"),
            cache_hits=count("cache/hits"),
            users=count("users/read"),
            rows=count("rows/upserted"),
            rejects=sum(counts("rows/rejected").values()),
            credits=count("api/credits_estimated"),
            dollars=count("api/credits_estimated") * self._run.config.credit_usd,
            db_retries=count("db/retries"),
            errors=counts("api/errors"),
        )


def _mode(arguments: Arguments) -> str:
    return "replay" if arguments.replay else "dry run" if arguments.dry_run else "buy"
