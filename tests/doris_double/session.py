"""One MySQL session: which statement is it, may this user, and what does Doris answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mysql_mimic.results import ResultColumn
from mysql_mimic.session import BaseSession
from mysql_mimic.types import ColumnType

from tests.doris_double.answers import Ok, Rows
from tests.doris_double.definitions import alter, create, drop, truncate
from tests.doris_double.errors import denied, refuse
from tests.doris_double.inserting import insert
from tests.doris_double.queries import Query, run_query
from tests.doris_double.show import show
from tests.doris_double.tokens import Tokens
from tests.doris_double.variables import SessionVariables

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doris_double.state import State, User
    from tests.doris_double.tables import Table

__all__ = ["DorisSession"]


class DorisSession(BaseSession):
    """What mysql-mimic asks about a connection, and `answer`."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.variables: Any = SessionVariables(state.version)
        self.user: User | None = None
        self.username: str | None = None
        self.database: str | None = None
        self._statements: dict[str, Callable[[Tokens], Rows | Ok]] = {
            "SELECT": self._query,
            "WITH": self._query,
            "UPDATE": self._change,
            "DELETE": self._change,
            "SET": self._set,
            "SHOW": partial(show, self),
            "CREATE": partial(create, self),
            "ALTER": partial(alter, self),
            "DROP": partial(drop, self),
            "TRUNCATE": partial(truncate, self),
            "COMMIT": self._nothing,
            "ROLLBACK": self._nothing,
        }

    async def init(self, connection: Any) -> None:
        self.connection_id = connection.connection_id

    async def answer(self, sql: str) -> Rows | Ok:
        """Do it. Raises DorisError or Hangup."""
        self.state.log(sql, self.username or "")
        tokens = Tokens(sql)
        first = tokens.peek().word
        if first == "INSERT":
            return await insert(self, sql)
        statement = self._statements.get(first)
        if statement is None:
            if first == "REPLACE":
                tokens.next()
                tokens.fail("PROC', 'PROCEDURE")
            tokens.fail("ALTER', 'CREATE', 'DELETE', 'DROP', 'INSERT', 'SELECT', 'SET', 'SHOW', 'USE")
        return statement(tokens)

    def check_load(self, table: Table) -> None:
        """InsertIntoTableCommand: ERR_TABLEACCESS_DENIED_ERROR with LOAD."""
        if not self._may("LOAD", table.database, table.name):
            where = f"{table.database}.{table.name}"
            refuse(f"LOAD command denied to user '{self.username}'@'127.0.0.1' for table '{where}'")

    def _may(self, privilege: str, database: str, table: str = "") -> bool:
        return self.user is not None and self.user.may(privilege, database, table)

    def need(self, privilege: str, database: str) -> None:
        if not self._may(privilege, database):
            raise denied(privilege)

    def may_read(self, database: str, table: str) -> None:
        if not self._may("SELECT", database, table):
            refuse(
                f"Permission denied: user ['{self.username}'@'%'] does not have privilege for [priv predicate: "
                f"PRIVILEGE in (SELECT)] command on [internal].[{database}].[{table}]"
            )

    def _query(self, tokens: Tokens) -> Rows:
        if tokens.sql == "SELECT @@lower_case_table_names":  # the one variable that anybody asks for
            return Rows([ResultColumn("@@lower_case_table_names", ColumnType.LONG)], [[0]])
        result = run_query(self._as_query(tokens.sql), self.state.storage)
        return result if isinstance(result, Rows) else Rows([], [])

    def selected(self, query: str) -> list[list[Any]]:
        """The rows of an INSERT … SELECT."""
        result = run_query(self._as_query(query), self.state.storage)
        return [list(row) for row in result.rows] if isinstance(result, Rows) else []

    def _change(self, tokens: Tokens) -> Ok:
        verb = tokens.next().word
        if verb == "DELETE":
            tokens.expect("FROM")
        self.check_load(self.state.storage.find(tokens.name(), self.database))
        result = run_query(self._as_query(tokens.sql), self.state.storage)
        return Ok(result if isinstance(result, int) else 0)

    def _as_query(self, sql: str) -> Query:
        return Query(sql, self.database, self.may_read)

    def _nothing(self, tokens: Tokens) -> Ok:
        """COMMIT and ROLLBACK: every INSERT has committed itself."""
        tokens.next()
        tokens.expect_end()
        return Ok()

    def _set(self, tokens: Tokens) -> Ok:
        tokens.next()
        while True:
            self._set_one(tokens)
            if not tokens.accept(","):
                break
        tokens.expect_end()
        return Ok()

    def _set_one(self, tokens: Tokens) -> None:
        if tokens.accept("NAMES"):
            charset = tokens.identifier()
            if charset.lower() not in {"utf8", "utf8mb4"}:
                refuse(f"Unknown character set: '{charset}'", 1115)
            return
        tokens.accept("SESSION")
        name = tokens.identifier()
        tokens.expect("=")
        value = tokens.accept("TRUE", "FALSE", "ON", "OFF") or self._set_value(tokens)
        self.variables.set(name, value)

    @staticmethod
    def _set_value(tokens: Tokens) -> str:
        return tokens.identifier() if tokens.peek().kind == "word" else tokens.literal()
