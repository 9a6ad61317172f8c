"""What all connections of one double share."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.doris_double.errors import DorisError
from tests.doris_double.faults import Fault, Faults
from tests.doris_double.loads import Filtered, Loader
from tests.doris_double.storage import INFORMATION_SCHEMA, Storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doris_double.faults import Planned
    from tests.doris_double.loads import Load

__all__ = ["ALL", "READ", "State", "Statement", "User"]

READ = frozenset({"SELECT"})
ALL = frozenset({"SELECT", "LOAD", "CREATE", "ALTER", "DROP"})
KEPT = 2000
"""Characters of a statement that the log keeps."""


@dataclass(frozen=True, slots=True)
class User:
    """A user, and what he may with which tables (`db.table`); None: with all."""

    name: str
    password: str = field(repr=False)
    privileges: frozenset[str] = ALL
    tables: frozenset[str] | None = None

    def may(self, privilege: str, database: str, table: str = "") -> bool:
        """Whether he has a privilege on a table, or on the whole database."""
        return privilege in self.privileges and (self.tables is None or f"{database}.{table}" in self.tables)

    def sees(self, database: str) -> bool:
        if self.tables is None or database == INFORMATION_SCHEMA:
            return True
        return any(table.startswith(f"{database}.") for table in self.tables)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that came over the MySQL protocol; text is cut."""

    user: str
    text: str
    length: int


class State:
    """Tables, users, faults, logs."""

    def __init__(self, version: tuple[int, ...], backends: int, *, cloud: bool) -> None:
        self.version = version
        self.cloud = cloud
        self.backends = backends
        self.storage = Storage(version)
        self.faults = Faults()
        self.users: dict[str, User] = {}
        self.violations: list[str] = []
        self.statements: list[Statement] = []
        self.loader = Loader(self.storage, self.violations)
        self.error_logs: dict[str, list[str]] = {}
        self.be = ""
        """Base address of the BE's HTTP."""
        self.stopping = asyncio.Event()
        self.running: set[asyncio.Future[None]] = set()
        """Loads that run on without their clients."""
        self.loading = asyncio.Event()
        """Unset: loads wait for it."""
        self.loading.set()

    def log(self, sql: str, user: str) -> None:
        self.statements.append(Statement(user, sql[:KEPT], len(sql)))

    def authenticated(self, who: tuple[str, str] | None) -> User | None:
        """The user, when name and password are right."""
        user = self.users.get(who[0]) if who else None
        return user if user and who and user.password == who[1] else None

    def error_url(self, load: Load) -> str:
        """Where the BE serves why rows were filtered."""
        file = f"__shard_0/error_log_insert_stmt_{load.txn_id:x}"
        self.error_logs[file] = load.filtered
        return f"{self.be}/api/_load_error_log?file={file}"

    def later(self, load: Load, planned: Planned, write: Callable[[], None]) -> None:
        """Let a load run on whose client was hung up on."""
        self.loader.runs_on(load)
        task = asyncio.ensure_future(self._later(load, planned, write))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def _later(self, load: Load, planned: Planned, write: Callable[[], None]) -> None:
        await self.sleep(planned.seconds)
        if planned.fault is Fault.LEFT:
            return
        with self.storage.lock:
            if self.stopping.is_set() or planned.fault is Fault.LATE_ABORT:
                self.loader.abort(load)
                return
            try:
                write()
            except (DorisError, Filtered):
                self.loader.abort(load)

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not past the double's end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
