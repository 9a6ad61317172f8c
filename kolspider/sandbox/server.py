"""The sandbox API: a real HTTP server in its own thread that answers like the followings API."""

import asyncio
import gzip
import socket
import struct
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from kolspider.sandbox.answers import Answer, Delivery, detail, give
from kolspider.sandbox.calls import Call, CallLog
from kolspider.sandbox.faults import NORMAL, Fault, FaultPlan, Faults
from kolspider.sandbox.users import SAMPLE_KOLS
from kolspider.sandbox.world import CursorError, Cursors, People, World, decode_cursor

__all__ = ["FOLLOWINGS_PATH", "Sandbox"]

FOLLOWINGS_PATH = "/twitter/user/followings"
_PAGE_SIZES = range(20, 201)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Sandbox:
    """The server as a context manager. Any thread may change its lists and faults while it runs.

    `kols`: the number of followings of each KOL; None: SAMPLE_KOLS. `log_path`: a file that gets a JSON line for
    each call. `latency`: seconds before each answer. `gzip`: compress every body, even if the client does not
    accept that. `people`: "wild" users have every ugly value that real ones have, "plausible" ones suit a demo.
    `unusable`: every 40th list entry has no usable id. `address`: host and port, 0 for a free one.
    """

    def __init__(  # noqa: PLR0913 - all have names and defaults
        self,
        kols: Mapping[str, int] | None = None,
        *,
        key: str = "sandbox-key",
        faults: Faults | None = None,
        log_path: Path | str | None = None,
        latency: float = 0.0,
        gzip: bool = False,
        people: People = "wild",
        unusable: bool = False,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.latency = latency
        self._key = key
        self._gzip = gzip
        self._host, self._port = address
        self._world = World(SAMPLE_KOLS if kols is None else kols, people=people, unusable=unusable)
        self._plan = FaultPlan(faults or {})
        self._log = CallLog(Path(log_path) if log_path else None)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._hold_after: int | None = None
        self._hold_moved = asyncio.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server; after a stop, it gets the same port again."""
        if self._thread:
            raise RuntimeError("the sandbox is already running")
        ready: Future[int] = Future()
        self._stopping, self._hold_moved = asyncio.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="sandbox-api", daemon=True)
        self._thread.start()
        try:
            self._port = ready.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise

    def stop(self) -> None:
        """Stop the server and its thread, and cut off pending calls. Stopping twice does no harm."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join()
        self._thread = self._loop = None

    @property
    def url(self) -> str:
        """The base URL, for KOL_API_URL."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def calls(self) -> list[Call]:
        """A copy of the calls so far, in order of arrival."""
        return self._log.all()

    def clear_calls(self) -> None:
        """Forget the calls so far."""
        self._log.clear()

    def hold(self, *, after: int) -> None:
        """Answer the first `after` calls of the log; those behind them wait until `hold` or `release` lets them go."""
        self._move_hold(after)

    def release(self) -> None:
        """Answer every call again."""
        self._move_hold(None)

    def _move_hold(self, after: int | None) -> None:
        self._hold_after = after
        if self._loop:
            self._loop.call_soon_threadsafe(self._hold_moved.set)

    def wait_for_calls(self, number: int, timeout: float = 10.0) -> bool:
        """Wait until there are this many calls; False on timeout."""
        return self._log.wait_for(number, timeout)

    @property
    def revision(self) -> int:
        """The revision of the profiles: another one has other names and counts, but the same ids."""
        return self._world.revision

    @revision.setter
    def revision(self, revision: int) -> None:
        self._world.revision = revision

    @property
    def cursors(self) -> Cursors:
        """What the cursors mean; world.py describes the three kinds. Set it before the first call."""
        return self._world.cursors

    @cursors.setter
    def cursors(self, cursors: Cursors) -> None:
        self._world.cursors = cursors

    def set_faults(self, faults: Faults) -> None:
        """Replace all faults."""
        self._plan = FaultPlan(faults)

    def follow(self, handle: str, who: int | Collection[str]) -> list[str]:
        """Put accounts at the front of a list: `who` new ones, or the unfollowed ones with these ids.

        Returns their usable ids.
        """
        return self._world.follow(handle, who)

    def unfollow(self, handle: str, who: int | Collection[str]) -> None:
        """Remove accounts from a list: the `who` newest, or those with these ids."""
        self._world.unfollow(handle, who)

    def let_weeks_pass(self, weeks: int) -> None:
        """Change the lists of KOLs with 100 followings or more: each week adds 20 accounts and removes 3.

        These are the same accounts in every run.
        """
        for _ in range(weeks):
            self._world.let_a_week_pass()

    def expected_ids(self, handle: str) -> list[str]:
        """The usable ids of a KOL's current list, in its order."""
        return self._world.ids(handle)

    def _end(self) -> None:
        self._stopping.set()
        self._hold_moved.set()

    async def _serve(self, ready: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application()
        app.router.add_get("/_sandbox/calls", self._answer_calls)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        try:
            self._log.open()
            await runner.setup()
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
            ready.set_result(int(runner.addresses[0][1]))
            await self._stopping.wait()
        except OSError as error:
            ready.set_exception(error)
        finally:
            await runner.cleanup()
            self._log.close()

    async def _answer_calls(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(call) for call in self._log.all()])

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        at, unix = time.monotonic(), time.time()
        query = request.query
        handle, cursor = query.get("userName", "").lower(), query.get("cursor", "")
        size = _page_size(query.get("pageSize", ""))
        page = _page_number(handle, cursor)
        key_ok = request.headers.get("X-API-Key") == self._key
        fault = NORMAL
        refusal = _refusal(request, key_ok=key_ok, handle=handle, size=size, page=page)
        if not refusal:
            fault = self._plan.draw(handle, page)
        answer = refusal or self._give(fault, handle, cursor, size)
        number = self._log.add(
            Call(at, unix, handle, page, cursor, size, answer.status, fault.name, answer.users, answer.credits, key_ok)
        )
        await self._wait_while_held(number)
        return await self._deliver(request, answer)

    def _give(self, fault: Fault, handle: str, cursor: str, size: int) -> Answer:
        known = handle in self._world
        return give(fault, self._world.page(handle, decode_cursor(handle, cursor), size) if known else None)

    async def _deliver(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        stopped = await self._pause(self.latency + answer.wait)
        if stopped or answer.delivery in {Delivery.CLOSED, Delivery.RESET}:
            return _break_off(request, reset=answer.delivery is Delivery.RESET)
        body, headers = answer.body, dict(answer.headers)
        if self._gzip:
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        if answer.delivery is Delivery.WHOLE:
            return web.Response(status=answer.status, body=body, headers=headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = len(body)
        with suppress(ConnectionError):  # the client may be gone
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
        if request.transport:
            request.transport.close()
        return response

    async def _wait_while_held(self, number: int) -> None:
        while self._hold_after is not None and number > self._hold_after and not self._stopping.is_set():
            self._hold_moved.clear()
            await self._hold_moved.wait()

    async def _pause(self, seconds: float) -> bool:
        """Wait; True if the server was stopped meanwhile."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self._stopping.wait(), seconds)
            except TimeoutError:
                return False
            return True
        return False


def _refusal(request: web.Request, *, key_ok: bool, handle: str, size: int, page: int) -> Answer | None:
    """The answer to a malformed request, or None; it uses up no fault."""
    if request.path != FOLLOWINGS_PATH:
        return detail(404, "Not Found")
    if request.method != "GET":
        return detail(405, "Method Not Allowed")
    if not key_ok:
        return detail(401, "API key is missing or not valid")
    if not handle:
        return detail(400, [{"loc": ["query", "userName"], "msg": "field required", "type": "missing"}])
    if size not in _PAGE_SIZES:
        return detail(400, "pageSize must be between 20 and 200")
    return None if page else detail(400, "cursor is not valid")


def _page_size(text: str) -> int:
    if not text:
        return 200
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _page_number(handle: str, cursor: str) -> int:
    try:
        return decode_cursor(handle, cursor).page
    except CursorError:
        return 0


def _break_off(request: web.Request, *, reset: bool) -> web.StreamResponse:
    transport = request.transport
    if transport is None:
        return web.Response()
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    return web.Response()  # never sent, but aiohttp needs one
