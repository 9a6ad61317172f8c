"""Stream Load at the FE, which redirects.

Source: httpv2/rest/LoadAction.java and RestBaseController.java: the order of the checks, answers with lower-case
names, the redirect with credentials.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from tests.doris_double.faults import Fault
from tests.doris_double.http_server import (
    STREAM_LOAD_PATH,
    Request,
    credentials,
    read_head,
    reset,
    respond,
    respond_json,
)

if TYPE_CHECKING:
    import asyncio

    from tests.doris_double.state import State

__all__ = ["FrontEnd"]

RESETS_SINCE = (3, 1, 3)
"""Since then the FE resets the connection of who sends it the body."""
BODY_WAIT = 0.05
"""How long it looks whether a body comes unasked: it would be there already."""


class FrontEnd:
    """Checks who asks and for `Expect: 100-continue`, then sends the client to the BE."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_head(reader, writer)
        if request is None:
            return
        who = credentials(request)
        user = self._state.authenticated(who)
        if user is None or who is None:
            name = who[0] if who else ""
            answer = {"msg": "Unauthorized", "code": 401, "data": f"Access denied for {name}@127.0.0.1", "count": 0}
            await respond_json(request, answer, 401, WWW_Authenticate='Basic realm=""')
            return
        target = STREAM_LOAD_PATH.fullmatch(request.path)
        if target is None or request.method != "PUT":
            await respond(request, 404, b"")
            return
        if "expect" not in request.headers:
            await respond_json(request, {"status": "FAILED", "msg": "There is no 100-continue header"})
            return
        if not user.may("LOAD", unquote(target[1]), unquote(target[2])):
            text = "Access denied; you need (at least one of) the (LOAD) privilege(s) for this operation"
            await respond_json(request, {"status": "FAILED", "msg": text})
            return
        if await request.sends_body(BODY_WAIT) and self._state.version >= RESETS_SINCE:
            reset(writer)
            return
        await respond(request, 307, b"", "text/html", Location=self._location(request, who))

    def _location(self, request: Request, who: tuple[str, str]) -> str:
        planned = self._state.faults.take({Fault.BE_UNREACHABLE})
        address = f"127.0.0.1:{_closed_port()}" if planned else self._state.be.removeprefix("http://")
        user, password = (quote(part, safe="") for part in who)
        # RestBaseController repeats the credentials and builds the address with an empty query, so it ends in `?`.
        return f"http://{user}:{password}@{address}{request.path}?{request.query}"


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
