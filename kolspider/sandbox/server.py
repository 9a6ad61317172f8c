"""The sandbox API: a real HTTP server in its own thread that answers like one of the APIs that sell lists."""

import asyncio
import gzip
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from json import JSONDecodeError
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from kolspider.sandbox.account import Account
from kolspider.sandbox.answers import Answer, Delivery
from kolspider.sandbox.apis import CONTRACTS
from kolspider.sandbox.apis.contract import Ask, Request
from kolspider.sandbox.calls import Call, CallLog
from kolspider.sandbox.days import Day, pass_a_day
from kolspider.sandbox.faults import NORMAL, FaultPlan, Faults
from kolspider.sandbox.users import SAMPLE_KOLS
from kolspider.sandbox.world import CursorError, Cursors, People, State, World

__all__ = ["Sandbox"]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Sandbox:
    """The server as a context manager. Any thread may change its lists and faults while it runs.

    `kols`: the number of followings of each KOL; None: SAMPLE_KOLS. `log_path`: a file that gets a JSON line for
    each call. `latency`: seconds before each answer. `gzip`: compress every body, even if the client does not
    accept that. `people`: "wild" users have every ugly value that real ones have, "plausible" ones suit a demo.
    `unusable`: every 40th list entry has no usable id. `address`: host and port, 0 for a free one. `api`: whose wire
    contract it speaks, a name of CONTRACTS. `balance`, `bonus`: what the customer has, in units of that contract.
    `rate`: the most calls that it takes in any second, and refuses the others with a 429; None: any number.
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
        api: str = "twitterapi_io",
        balance: int = 10**9,
        bonus: int = 0,
        rate: int | None = None,
    ) -> None:
        self.latency = latency
        self._rate = rate
        self._taken: deque[float] = deque()
        """When the calls of the last second came that it took."""
        self._contract = CONTRACTS[api]
        self._account = Account(balance, bonus)
        self._key = key
        self._gzip = gzip
        self._host, self._port = address
        kols = SAMPLE_KOLS if kols is None else kols
        self._world = World(kols, people=people, unusable=unusable, shape=self._contract.shape)
        self._days = 0
        self._plan = FaultPlan(faults or {})
        self._log = CallLog(Path(log_path) if log_path else None)
        self._balance_log = CallLog(None)
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
        """A copy of the calls so far, in order of arrival, but those for the balance."""
        return self._log.all()

    @property
    def balance_calls(self) -> list[Call]:
        """A copy of the calls for the balance, which cost nothing: `calls`, `hold` and the log file leave them out."""
        return self._balance_log.all()

    def clear_calls(self) -> None:
        """Forget the calls so far."""
        self._log.clear()
        self._balance_log.clear()

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

    @property
    def cursors_of_one_size(self) -> bool:
        """Whether a cursor is good only for pages of the size that it came with, where a request says the size.

        Set it before the first call.
        """
        return self._world.cursors_of_one_size

    @cursors_of_one_size.setter
    def cursors_of_one_size(self, whether: bool) -> None:
        self._world.cursors_of_one_size = whether

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

    def move_down(self, handle: str, number: int, place: int) -> None:
        """Put the newest accounts of a list behind others, at this place: the API is out of order."""
        self._world.move_down(handle, number, place)

    def let_weeks_pass(self, weeks: int) -> None:
        """Change the lists of KOLs with 100 followings or more: each week adds 20 accounts and removes 3.

        These are the same accounts in every run.
        """
        for _ in range(weeks):
            self._world.let_a_week_pass()

    def let_a_day_pass(self, seed: int = 0) -> Day:
        """Change the lists and the KOLs as a day does, and tell what happened; days.py says what that is.

        With the same seed throughout, the same days follow each other.
        """
        self._days += 1
        return pass_a_day(self._world, self._days, seed)

    def rename(self, who: str, handle: str) -> None:
        """Give a KOL, or the account with this id, another handle. The old one is free then.

        Raises ValueError if somebody has the new handle, and KeyError if there is nobody to rename. The same goes for
        the methods below.
        """
        self._world.rename(who, handle)

    def join(self, handle: str, count: int) -> str:
        """A new KOL with a list of its own takes a handle that is free. Returns its id."""
        return self._world.join(handle, count)

    def protect(self, who: str) -> None:
        """A KOL, or the account with this id, shows its list to nobody from now on."""
        self._world.turn(who, State.PROTECTED)

    def suspend(self, who: str) -> None:
        """A KOL, or the account with this id, is suspended."""
        self._world.turn(who, State.SUSPENDED)

    def delete(self, who: str) -> None:
        """A KOL, or the account with this id, is deleted. Its handle stays its own."""
        self._world.turn(who, State.DELETED)

    def restore(self, who: str) -> None:
        """A KOL, or the account with this id, is there again, for everybody."""
        self._world.turn(who, State.OPEN)

    @property
    def kols(self) -> list[str]:
        """The present handles of all KOLs, those too that are suspended or deleted."""
        return self._world.handles(*State)

    def id_of(self, handle: str) -> str:
        """The id of a KOL's own account."""
        profile = self._world.profile(handle)
        if profile is None:
            raise KeyError(f"nobody is called {handle}")
        return profile.id

    @property
    def balance(self) -> int:
        """What the customer has left, in units of the contract."""
        return self._account.recharged + self._account.bonus

    def recharge(self, amount: int) -> None:
        """The customer pays in."""
        self._account.recharge(amount)

    @property
    def spent_usd(self) -> float:
        """What the calls so far cost, in dollars."""
        return sum(call.credits for call in self.calls) * self._contract.usd

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
        contract = self._contract
        method, kind, tail = contract.find(request.path) or ("", "followings", "")
        ask = contract.read(kind, Request(request.query, tail, await _body(request)))
        handle = self._handle(ask)
        page = self._page_number(handle, ask)
        key_ok = contract.has_key(request.headers, self._key)
        refusal = self._refusal(request, method, ask, page, key_ok=key_ok)
        fault = NORMAL
        if not refusal:
            fault = self._plan.draw(kind, handle, page)
        answer = refusal or contract.answer(ask, fault, self._world, self._account)
        call = Call(
            at=at,
            time=unix,
            handle=handle,
            page=max(page, 0),
            cursor=ask.cursor,
            page_size=ask.size,
            status=answer.status,
            fault=fault.name,
            users=answer.users,
            credits=answer.credits,
            key_ok=key_ok,
            kind=kind,
            accounts=ask.accounts,
        )
        if kind == "balance":
            self._balance_log.add(call)
        else:
            await self._wait_while_held(self._log.add(call))
        return await self._deliver(request, answer)

    def _refusal(self, request: web.Request, method: str, ask: Ask, page: int, *, key_ok: bool) -> Answer | None:
        """The answer to a malformed request, or None; it uses up no fault."""
        contract = self._contract
        if not method:
            return contract.error(404, "Not Found")
        if request.method != method:
            return contract.error(405, "Method Not Allowed")
        if not key_ok:
            return contract.error(401, "API key is missing or not valid")
        if not self._is_within_rate(time.monotonic()):
            return contract.error(429, "Too Many Requests")
        if ask.refusal or page >= 0:
            return ask.refusal
        return contract.error(contract.bad_request, "cursor is not valid")

    def _handle(self, ask: Ask) -> str:
        """The handle of the one account that is asked about, in lower case; empty if there is none."""
        if ask.kind in {"profiles", "balance"}:
            return ""
        if ask.names:
            return ask.names[0]
        profile = self._world.profile_of_id(ask.ids[0]) if ask.ids else None
        return profile.handle.lower() if profile else ""

    def _page_number(self, handle: str, ask: Ask) -> int:
        """1 for the first; 0 if the call is for no list, -1 if the cursor is not valid."""
        if ask.kind != "followings":
            return 0
        try:
            return self._world.position(handle, ask.cursor, ask.size).page
        except CursorError:
            return -1

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

    def _is_within_rate(self, now: float) -> bool:
        if self._rate is None:
            return True
        while self._taken and self._taken[0] <= now - 1:
            self._taken.popleft()
        if len(self._taken) >= self._rate:
            return False
        self._taken.append(now)
        return True

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


async def _body(request: web.Request) -> object:
    """The JSON body of a request; None: it has none, or something else."""
    try:
        return await request.json() if request.can_read_body else None
    except (JSONDecodeError, UnicodeDecodeError):
        return None


def _break_off(request: web.Request, *, reset: bool) -> web.StreamResponse:
    transport = request.transport
    if transport is None:
        return web.Response()
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    return web.Response()  # never sent, but aiohttp needs one
