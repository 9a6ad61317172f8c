"""What a run has in PostgreSQL: its ledger, its worker and its job, each asked without holding up another one."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from kolspider.errors import Fenced, StopRun
from kolspider.fleet.crew import SharedCrew
from kolspider.fleet.job import SharedJob
from kolspider.fleet.store import SharedStore
from kolspider.fleet.tables import create_tables
from kolspider.fleet.turns import SharedBill, SharedTurns
from kolspider.fleet.worker import Heartbeat, Worker
from kolspider.store.postgres import PostgresConnection, connect_to_read

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from kolspider.live.stop import Stop
    from kolspider.live.tally import Tally
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config
    from kolspider.store.ledger import Ledger

__all__ = ["Fleet"]


class Fleet:
    """Makes this process a worker for as long as the block lasts. Raises StopRun, WrongUsage."""

    def __init__(self, arguments: Arguments, config: Config, ledger: Ledger, stop: Stop) -> None:
        self._arguments, self._config, self._stop = arguments, config, stop
        self._ledger = ledger
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._enter(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Give back at once what this worker holds."""
        self._stack.close()

    def _enter(self, stack: ExitStack) -> None:
        ledger = cast("PostgresConnection", self._ledger.shared)
        create_tables(ledger)
        # No batch, no writing and no waiting for a turn holds up a sign of life, or each other.
        talk, alive, fence = (stack.enter_context(closing(self._connect())) for _ in range(3))
        self.worker = worker = Worker(talk)
        for connection in (ledger, talk):
            connection.fence = partial(worker.check, connection)
        self.store, self.talk, self._fence = (
            stack.enter_context(closing(SharedStore(connection, self._stop, self._config.db_retry_secs)))
            for connection in (ledger, talk, fence)
        )
        stack.callback(self._leave, talk)
        self._check = partial(worker.check, fence)
        heart = Heartbeat(worker, alive, self._die)
        heart.start()
        stack.callback(heart.stop)
        self.job = SharedJob(talk, worker, self._ledger, self._config.provider)
        self.crew = SharedCrew(self.job, self.talk, self.store, self._ledger, self._stop, self._arguments)

    def _connect(self) -> PostgresConnection:
        return cast("PostgresConnection", connect_to_read(self._config.shared_url))  # there are tables: it is open

    def _leave(self, talk: PostgresConnection) -> None:
        with suppress(StopRun):
            self.worker.leave(talk)

    def open_job(self, target: str) -> bool:
        """Open the job of this run's arguments, or join it. Tells whether this worker opens it."""
        arguments, jobdir = self._arguments, self._config.jobdir
        what = {
            **arguments.of_job(),
            "max_calls": arguments.max_calls,
            "max_usd": arguments.max_usd,
            "provider": self._config.provider.name,
            "target": target,
            "jobdir": jobdir and jobdir.name,
        }
        return self.job.open(hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32])

    def turns(self, tally: Tally) -> tuple[SharedBill, SharedTurns]:
        """Return what grants turns, and what counts their cost."""
        bill = SharedBill(self._arguments, self._config, self._stop, tally)
        rate = self._ledger.found_rate()
        return bill, SharedTurns(self._arguments, self._config, bill, self._stop, self.talk, self.job, rate)

    def check(self) -> None:
        """Raise Fenced if this worker may write no more: the rows that it is about to commit are others' by now."""
        try:
            self._fence.repeat(self._check)
        except StopRun as error:
            raise Fenced(str(error)) from None

    def _die(self) -> None:
        """Stop the run, from the thread of the heartbeat; before the crawl the next write finds out."""
        if self.talk.loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self.talk.loop.call_soon_threadsafe(self._stop.fail, self.worker.taken_over())
