"""SHOW and DESC, as Doris prints them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.doris_double.answers import Rows, texts
from tests.doris_double.errors import BAD_DATABASE, refuse
from tests.doris_double.loads import NEW_KEYS_SINCE
from tests.doris_double.storage import INFORMATION_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doris_double.session import DorisSession
    from tests.doris_double.tables import Table
    from tests.doris_double.tokens import Tokens

__all__ = ["describe", "show"]

# common/proc/TransProcDir.java
TRANSACTION = [
    *("TransactionId", "Label", "Coordinator", "TransactionStatus", "LoadJobSourceType"),
    *("PrepareTime", "PreCommitTime", "CommitTime", "PublishTime", "FinishTime"),
    *("Reason", "ErrorReplicasCount", "ListenerId", "TimeoutMs", "ErrMsg"),
]


def describe(session: DorisSession, tokens: Tokens) -> Rows:
    tokens.next()
    return _columns(session, session.state.storage.find(tokens.name(), session.database))


def show(session: DorisSession, tokens: Tokens) -> Rows:
    tokens.next()
    storage = session.state.storage
    if what := tokens.accept("CREATE", "TRANSACTION"):
        return (_create_table if what == "CREATE" else _transaction)(session, tokens)
    if tokens.accept("DATABASES", "SCHEMAS"):
        return texts(["Database"], [(name,) for name in sorted([*storage.databases, INFORMATION_SCHEMA])])
    if tokens.accept("WARNINGS", "ERRORS"):
        return texts(["Level", "Code", "Message"], [])
    full = bool(tokens.accept("FULL"))
    if tokens.accept("TABLES"):
        return _tables(session, tokens, full=full)
    if tokens.accept("COLUMNS", "FIELDS"):
        tokens.expect("FROM", "IN")
        return _columns(session, storage.find(tokens.name(), session.database))
    tokens.accept("SESSION", "GLOBAL")
    tokens.expect("VARIABLES")
    like = _like(tokens)
    rows = [(name, _shown(value), _shown(value), "0") for name, value in session.variables.items() if like(name)]
    return texts(["Variable_name", "Value", "Default_Value", "Changed"], rows)


def _create_table(session: DorisSession, tokens: Tokens) -> Rows:
    tokens.expect("TABLE")
    table = session.state.storage.find(tokens.name(), session.database)
    tokens.expect_end()
    session.may_read(table.database, table.name)
    return texts(["Table", "Create Table"], [(table.name, table.show_create())])


def _transaction(session: DorisSession, tokens: Tokens) -> Rows:
    """ShowTransactionCommand: for administrators; since 3.1 for who may LOAD into the database (apache/doris#52358)."""
    database = tokens.identifier() if tokens.accept("FROM", "IN") else session.database or ""
    tokens.expect("WHERE")
    if tokens.identifier().lower() != "label":
        refuse("the double shows the transaction of a label only")
    tokens.expect("=")
    label = tokens.string()
    tokens.expect_end()
    session.need("LOAD" if session.state.version >= NEW_KEYS_SINCE else "ADMIN", database)
    with session.state.storage.lock:
        load = session.state.loader.find(database, label)
    if load is None:
        refuse(f"transaction with label {label} does not exist")
    told = (str(load.txn_id), label, "FE: 127.0.0.1", load.status, "INSERT_STREAMING", str(1000 * load.timeout))
    return texts(TRANSACTION, [(*told[:5], *[""] * 8, told[5], "")])


def _tables(session: DorisSession, tokens: Tokens, *, full: bool) -> Rows:
    database = tokens.identifier() if tokens.accept("FROM", "IN") else session.database or ""
    databases = session.state.storage.databases
    if database not in databases:
        refuse(f"Unknown database '{database}'", BAD_DATABASE)
    like = _like(tokens)
    names = [name for name in sorted(databases[database]) if like(name)]
    if full:
        return texts([f"Tables_in_{database}", "Table_type"], [(name, "BASE TABLE") for name in names])
    return texts([f"Tables_in_{database}"], [(name,) for name in names])


def _columns(session: DorisSession, table: Table) -> Rows:
    """DESC: Key is true or false, Extra the aggregation."""
    session.may_read(table.database, table.name)
    none = "NONE" if table.model == "UNIQUE" else ""
    rows = [
        (
            column.name,
            column.sql_type,
            "Yes" if column.nullable else "No",
            "true" if column.key else "false",
            column.default,
            column.aggregate or ("" if column.key else none),
        )
        for column in table.columns
    ]
    return texts(["Field", "Type", "Null", "Key", "Default", "Extra"], rows)


def _like(tokens: Tokens) -> Callable[[str], bool]:
    if not tokens.accept("LIKE"):
        tokens.expect_end()
        return bool  # every name
    pattern = re.escape(tokens.string()).replace("%", ".*").replace("_", ".")
    return lambda name: re.fullmatch(pattern, name, re.IGNORECASE) is not None


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
