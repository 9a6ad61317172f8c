"""The Doris double: FE (MySQL port and HTTP) and BE (HTTP) in a thread of the test's process, SQLite behind."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from tests.doris_double.faults import Fault
from tests.doris_double.front_end import FrontEnd
from tests.doris_double.mysql_side import MysqlSide
from tests.doris_double.state import ALL, READ, State, Statement, User
from tests.doris_double.stream_load import BackEnd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence

    from tests.doris_double.loads import Load

    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

__all__ = ["DATABASE", "PASSWORD", "USER", "DorisDouble"]

DATABASE = "kol"
USER = "kol"
PASSWORD = "s3cr3t-pässword/@:%"
HOST = "127.0.0.1"
WAIT_SECS = 10


class DorisDouble:
    """`with DorisDouble() as doris:` starts it; stop, kill and start again keep its data and its ports.

    `version` decides which session variables are known, whether an INSERT truncates, and what a partial update does
    with new keys. `backends`: so many replicas a table may have. `cloud`: storage and compute are apart, so the state
    of a label is worded otherwise.
    """

    def __init__(
        self,
        version: str = "3.0.5",
        *,
        backends: int = 1,
        cloud: bool = False,
    ) -> None:
        self._state = State(tuple(map(int, version.split("."))), backends, cloud=cloud)
        self._sides: dict[str, Serve] = {
            "mysql": MysqlSide(self._state).serve,
            "fe": FrontEnd(self._state).serve,
            "be": BackEnd(self._state).serve,
        }
        self._ports = dict.fromkeys(self._sides, 0)
        self._servers: list[asyncio.Server] = []
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="doris-double", daemon=True)
        self._state.storage.create_database(DATABASE)
        self.create_user(USER, PASSWORD)

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_SECS)
        self._loop.close()
        self._state.storage.close()

    @property
    def port(self) -> int:
        """The MySQL port."""
        return self._ports["mysql"]

    @property
    def http(self) -> str:
        """The base address of the FE's HTTP."""
        return f"http://{HOST}:{self._ports['fe']}"

    @property
    def be_http(self) -> str:
        """The base address of the BE's HTTP."""
        return f"http://{HOST}:{self._ports['be']}"

    def url(self, database: str = DATABASE, user: str = USER) -> str:
        """What KOL_DB_URL would be."""
        password = self._state.users[user].password
        return f"doris://{quote(user, safe='')}:{quote(password, safe='')}@{HOST}:{self.port}/{database}"

    def start(self) -> None:
        """Listen; on the ports of the last time, if there was one."""
        self._run(self._listen())

    def stop(self) -> None:
        """Stop listening, and reset every connection: as a process that is killed."""
        self._run(self._shut())

    kill = stop

    def kill_sessions(self) -> None:
        """Reset every connection, and go on."""
        self._run(self._reset())

    @contextmanager
    def holding(self) -> Iterator[None]:
        """No load ends while this lasts."""
        self._loop.call_soon_threadsafe(self._state.loading.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._state.loading.set)

    def create_user(
        self,
        name: str,
        password: str,
        *,
        read_only: bool = False,
        tables: Iterable[str] | None = None,
    ) -> None:
        """A user with all rights, or to read only; on these tables (`db.table`), or on all."""
        only = None if tables is None else frozenset(tables)
        self._state.users[name] = User(name, password, READ if read_only else ALL, only)

    def fail_next(self, fault: Fault | str, *, times: int = 1, after: int = 0, seconds: float = 1.0) -> None:
        """What the next INSERTs and Stream Loads run into, once `after` of them were spared.

        Faults are taken in the order they were planned; one that is taken spares nothing of the others.
        """
        self._state.faults.plan(Fault(fault), times=times, after=after, seconds=seconds)

    def clear_faults(self) -> None:
        self._state.faults.clear()

    @property
    def faults_left(self) -> int:
        """How many planned hits have not happened yet."""
        return self._state.faults.left

    @property
    def statements(self) -> list[Statement]:
        """Every statement that came over the MySQL protocol."""
        return list(self._state.statements)

    @property
    def loads(self) -> list[Load]:
        """Every load that was begun, INSERTs and Stream Loads; `status` says whether it was committed."""
        return list(self._state.loader.loads)

    @property
    def loads_running(self) -> int:
        """How many have begun and not ended, whether their clients are still there or not."""
        return sum(load.status == "PREPARE" for load in self.loads)

    @property
    def violations(self) -> list[str]:
        """What a client did that Doris leaves undefined, and faults of the double's own. Should be empty."""
        return list(self._state.violations)

    def clear_logs(self) -> None:
        """Forget statements, loads and violations; labels stay known."""
        self._state.statements.clear()
        self._state.loader.loads.clear()
        self._state.violations.clear()

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """SQLite's SQL on the tables behind (`"db"."table"`), from any thread."""
        with self._state.storage.lock:
            return list(self._state.storage.execute(sql, values).fetchall())

    def count(self, table: str, database: str = DATABASE) -> int:
        ((count,),) = self.query(f'SELECT COUNT(*) FROM "{database}"."{table}"')
        return int(count)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_SECS)

    async def _listen(self) -> None:
        self._state.stopping.clear()
        for side, serve in self._sides.items():
            server = await asyncio.start_server(self._guarded(serve), HOST, self._ports[side])
            self._ports[side] = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        self._state.be = self.be_http

    async def _shut(self) -> None:
        self._state.stopping.set()
        for server in self._servers:
            for listening in server.sockets:
                self._loop.remove_reader(listening.fileno())
        for _ in range(5):  # who was let in just before gets a handler: asyncio of 3.11 leaks one let in after close()
            await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        self._servers.clear()
        await self._reset()
        tasks: Sequence[asyncio.Future[None]] = [task for task in self._open.values() if task]
        if tasks or self._state.running:
            await asyncio.wait([*tasks, *self._state.running], timeout=WAIT_SECS / 2)

    async def _reset(self) -> None:
        # Not cancelled: a cancelled handler makes asyncio.streams of 3.11 complain.
        for writer in self._open:
            writer.transport.abort()

    def _guarded(self, serve: Serve) -> Serve:
        """Know who is connected, and close when served."""

        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._state.stopping.is_set():  # it was let in just before
                writer.transport.abort()
                return
            self._open[writer] = asyncio.current_task()
            try:
                await serve(reader, writer)
            finally:
                del self._open[writer]
                writer.close()

        return guarded
