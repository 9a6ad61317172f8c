"""The FE's MySQL port: mysql-mimic speaks the protocol, with Doris's OK packet and Doris's refusals.

The OK packet's info is a length-encoded string, as in mysql/MysqlOkPacket.java, where MySQL without session tracking
has the rest of the packet: PyMySQL shows it with its length in front.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mysql_mimic import packets
from mysql_mimic.auth import IdentityProvider, NativePasswordAuthPlugin
from mysql_mimic.auth import User as MimicUser
from mysql_mimic.connection import Connection
from mysql_mimic.control import LocalControl
from mysql_mimic.results import ResultSet
from mysql_mimic.stream import ConnectionClosed, MysqlStream
from mysql_mimic.types import uint_2, uint_len

from tests.doris_double.answers import Ok, Rows
from tests.doris_double.errors import ACCESS_DENIED, BAD_DATABASE, DB_DENIED, DorisError, Hangup
from tests.doris_double.session import DorisSession
from tests.doris_double.storage import INFORMATION_SCHEMA

if TYPE_CHECKING:
    from tests.doris_double.state import State

__all__ = ["MysqlSide"]

AUTOCOMMIT = 2


class MysqlSide:
    """Serves connections until they end."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._control = LocalControl()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = DorisSession(self._state)
        connection = _DorisConnection(
            stream=MysqlStream(reader, writer),
            session=session,
            control=self._control,
            identity_provider=IdentityProvider(),
        )
        connection.connection_id = await self._control.add(connection)
        try:
            await connection.start()
        except (ConnectionError, ConnectionClosed, asyncio.IncompleteReadError):
            pass  # the client is gone
        finally:
            await self._control.remove(connection.connection_id)


class _DorisConnection(Connection):
    session: DorisSession

    async def _start(self) -> None:
        await self.connection_phase()
        if self.session.user is None:
            return None
        await self.session.init(self)
        return await self.command_phase()

    async def authenticate(
        self,
        username: str,
        auth_response: bytes,
        client_plugin_name: str | None,
        connect_attrs: dict[str, str],
        auth_state: Any = None,
        server_plugin: Any = None,
    ) -> None:
        """mysql_native_password, then the database, before the OK: mysql-mimic looks at the database too late."""
        plugin = NativePasswordAuthPlugin()
        if client_plugin_name not in {None, plugin.name}:
            challenge = self.handshake_auth_data or b""
            switch = packets.make_auth_switch_request(self.server_charset, plugin.name, challenge)
            await self.stream.write(switch)
            auth_response = await self.stream.read()
        error = self._refusal(plugin, username, auth_response)
        if error:
            await self.stream.write(_error_packet(error))
            return
        self.session.user = self.session.state.users[username]
        self.session.username = username
        await self.stream.write(_ok_packet(Ok()))

    def _refusal(self, plugin: NativePasswordAuthPlugin, username: str, scramble: bytes) -> DorisError | None:
        state = self.session.state
        user = state.users.get(username)
        nonce = (self.handshake_auth_data or b"").rstrip(b"\0")
        secret = plugin.create_auth_string(user.password) if user and user.password else None
        if user is None or not plugin.password_matches(MimicUser(username, secret), scramble, nonce):
            using = "YES" if scramble else "NO"
            text = f"Access denied for user '{username}@127.0.0.1' (using password: {using})"
            return DorisError(f"errCode = 2, detailMessage = {text}", ACCESS_DENIED)
        database = self.session.database or None
        self.session.database = database
        if database is None:
            return None
        if database not in {*state.storage.databases, INFORMATION_SCHEMA}:
            return DorisError(f"errCode = 2, detailMessage = Unknown database '{database}'", BAD_DATABASE)
        if not user.sees(database):
            text = f"Access denied for user '{username}'@'127.0.0.1' to database '{database}'"
            return DorisError(f"errCode = 2, detailMessage = {text}", DB_DENIED)
        return None

    async def handle_query(self, data: bytes) -> None:
        query = packets.parse_com_query(capabilities=self.capabilities, client_charset=self.client_charset, data=data)
        try:
            answer = await self.session.answer(query.sql)
        except DorisError as error:
            await self.stream.write(_error_packet(error))
        except Hangup:
            self._hang_up()
        except Exception as error:
            self.session.state.violations.append(f"the double broke on {query.sql[:200]!r}: {error!r}")
            raise
        else:
            if isinstance(answer, Rows):
                await self.write_text_resultset(ResultSet(answer.rows, answer.columns))
            else:
                await self.stream.write(_ok_packet(answer))

    def _hang_up(self) -> None:
        """A reset, as of a process that died."""
        self.stream.writer.transport.abort()


def _ok_packet(answer: Ok) -> bytes:
    info = answer.info.encode()
    counts = uint_len(answer.affected) + uint_len(0)
    packet = b"\0" + counts + uint_2(AUTOCOMMIT) + uint_2(0)
    return packet + (uint_len(len(info)) + info if info else b"")


def _error_packet(error: DorisError) -> bytes:
    return b"\xff" + uint_2(error.code) + b"#" + error.sqlstate.encode() + error.text.encode("utf-8", "replace")
