"""SHOW, as Doris prints it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.doris_double.answers import Rows, texts
from tests.doris_double.errors import refuse
from tests.doris_double.loads import NEW_KEYS_SINCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doris_double.session import DorisSession
    from tests.doris_double.tokens import Tokens

__all__ = ["show"]

# common/proc/TransProcDir.java
TRANSACTION = [
    *("TransactionId", "Label", "Coordinator", "TransactionStatus", "LoadJobSourceType"),
    *("PrepareTime", "PreCommitTime", "CommitTime", "PublishTime", "FinishTime"),
    *("Reason", "ErrorReplicasCount", "ListenerId", "TimeoutMs", "ErrMsg"),
]


def show(session: DorisSession, tokens: Tokens) -> Rows:
    tokens.next()
    kinds = {"CREATE": _create_table, "TRANSACTION": _transaction, "TABLES": _tables}
    return kinds[tokens.expect(*kinds)](session, tokens)


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


def _tables(session: DorisSession, tokens: Tokens) -> Rows:
    database = session.database or ""
    like = _like(tokens)
    names = [name for name in sorted(session.state.storage.databases[database]) if like(name)]
    return texts([f"Tables_in_{database}"], [(name,) for name in names])


def _like(tokens: Tokens) -> Callable[[str], bool]:
    if not tokens.accept("LIKE"):
        tokens.expect_end()
        return bool  # every name
    pattern = re.escape(tokens.string()).replace("%", ".*").replace("_", ".")
    return lambda name: re.fullmatch(pattern, name, re.IGNORECASE) is not None
