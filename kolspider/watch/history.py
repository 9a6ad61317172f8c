"""Writes a run into the history as it goes, so that the history shows what a killed run did."""

from __future__ import annotations

import logging
import shlex
import sqlite3
import time
from typing import TYPE_CHECKING

from kolspider.store.runs import Counters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.items import Mode
    from kolspider.live.tally import Tally
    from kolspider.store.ledger import Ledger
    from kolspider.watch.summary import Summary

__all__ = ["History"]

logger = logging.getLogger(__name__)

_STATES_EVERY = 60.0
"""Seconds between two counts of the selected KOLs by state: with 100,000 KOLs, one takes a moment."""


class History:
    """One run's row and samples. All methods but `end` raise sqlite3.Error if the file can't be written."""

    def __init__(self, ledger: Ledger, tally: Tally, credit_usd: float, mode: Mode, command: Sequence[str]) -> None:
        """Begin the run's row, once its KOLs are selected."""
        self._ledger = ledger
        self._tally = tally
        self._credit_usd = credit_usd
        self._notes = 0
        self._sample_every = 1
        self._id = ledger.runs.begin(mode, shlex.join(command))
        ledger.outbox.begin(self._id)
        self._note_states()

    def note(self, done: Counters) -> None:
        """Write what the run has done so far."""
        runs = self._ledger.runs
        runs.note(self._id, done)
        self._notes += 1
        if self._notes % self._sample_every == 0 and runs.sample(self._id, done):
            self._sample_every *= 2
        if time.monotonic() >= self._states_at + _STATES_EVERY:
            self._note_states()

    def end(self, summary: Summary) -> None:
        """Write how the run ended. On a full disk only this is lost: the run's work is done."""
        try:
            self._ledger.runs.end(
                self._id,
                self.counters(),
                summary.states,
                self._ledger.selection.count_unbegun(),
                self._ledger.selection.count(),
                summary.exit_code,
                summary.stopped,
            )
            statement = summary.statement
            if statement.credits is not None and statement.usd is not None:
                self._ledger.runs.note_bill(self._id, statement.credits, statement.usd)
        except sqlite3.Error as error:
            logger.warning("this run is done, but its end could not be written into the history: %s", error)

    def _note_states(self) -> None:
        ledger, selection = self._ledger, self._ledger.selection
        states = ledger.kols.states_of_selected()
        ledger.runs.note_states(self._id, states, selection.count_unbegun(), selection.count())
        self._states_at = time.monotonic()

    def counters(self) -> Counters:
        """Return what the run has done so far."""
        tally = self._tally
        return Counters(
            calls=tally.calls,
            pages=tally.pages,
            cache_hits=tally.cache_hits,
            users=tally.users_read,
            rows=tally.rows_upserted,
            rejects=tally.rows_rejected.total(),
            credits=tally.credits,
            dollars=tally.credits * self._credit_usd,
            db_retries=tally.db_retries,
            errors=dict(tally.errors),
        )
