"""INSERT: the session's variables say how, the loader does it, the OK packet's info says what became of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.doris_double.answers import Ok
from tests.doris_double.errors import DorisError, Hangup, refuse
from tests.doris_double.faults import LATE, OF_INSERT, Fault
from tests.doris_double.insert import Insert, parse_insert
from tests.doris_double.loads import NEW_KEYS_SINCE, Filtered, Load, Mode

if TYPE_CHECKING:
    from tests.doris_double.session import DorisSession
    from tests.doris_double.tables import Table

__all__ = ["insert"]


async def insert(session: DorisSession, sql: str) -> Ok:
    """Do it, unless a fault or a rule says no."""
    statement = parse_insert(sql)
    table = session.state.storage.find(statement.name, session.database)
    session.check_load(table)
    mode = _mode(session, table, statement)
    if statement.query:
        statement = replace(statement, rows=session.selected(statement.query), query="")
        if not statement.rows:  # InsertIntoTableCommand: isEmptyInsert, no transaction
            return Ok()
    planned = session.state.faults.take(OF_INSERT)
    if planned and planned.fault is Fault.DROP_BEFORE:
        raise Hangup
    if planned and planned.error:
        raise planned.error
    await session.state.loading.wait()
    load = _begun(session, table, statement, mode, len(sql.encode("utf-8", "replace")))
    if planned and planned.fault in LATE:
        session.state.later(load, planned, lambda: _load(session, load, table, statement, mode))
        raise Hangup
    _load(session, load, table, statement, mode)
    if planned and planned.fault is Fault.DROP_AFTER:
        raise Hangup
    if planned and planned.fault is Fault.COMMITTED:
        load.status = "COMMITTED"
    info = f"{{'label':'{load.label}', 'status':'{load.status}', 'txnId':'{load.txn_id}'}}"
    return Ok(load.rows, info)


def _begun(session: DorisSession, table: Table, statement: Insert, mode: Mode, size: int) -> Load:
    loader = session.state.loader
    timeout = max(session.variables["insert_timeout"], session.variables["query_timeout"])  # ConnectContext.java
    with session.state.storage.lock:
        known = loader.known(table, statement.label)
        if known:
            told = known.taken(cloud=session.state.cloud)
            refuse(f"begin transaction failed. errCode = 2, detailMessage = {told}")
        return loader.begin(
            table, statement.label, via="insert", mode=mode, rows=len(statement.rows), size=size, timeout=timeout
        )


def _load(session: DorisSession, load: Load, table: Table, statement: Insert, mode: Mode) -> None:
    columns = statement.columns or [column.name for column in table.columns]
    with session.state.storage.lock:
        try:
            session.state.loader.write(load, table, columns, statement.rows, mode)
        except Filtered:
            raise _filtered(session, load) from None


def _mode(session: DorisSession, table: Table, statement: Insert) -> Mode:
    """InsertUtils.normalizePlan: a partial update where the session asks, and the table is merge-on-write without
    CLUSTER BY; elsewhere rows are replaced in whole without a word."""
    if not session.variables["enable_insert_strict"]:
        refuse("the double is strict")
    truncates = session.variables.truncates and not statement.query
    takes_partial = table.merge_on_write and not table.clustered_by
    if not (session.variables["enable_unique_key_partial_update"] and takes_partial):
        return Mode(truncates=truncates)
    if not statement.columns:
        refuse(
            "You must explicitly specify the columns to be updated when updating partial columns using the "
            "INSERT statement."
        )
    if table.materialized:
        refuse("Can't do partial update on merge-on-write Unique table with sync materialized view.")
    given = {name.lower() for name in statement.columns}
    for key in table.keys:
        if key.lower() not in given:
            refuse(f"Partial update should include all key columns, missing: {key}")
    append = session.state.version >= NEW_KEYS_SINCE and (
        session.variables["partial_update_new_key_behavior"] == "APPEND"
    )
    return Mode(partial=True, append=append, truncates=truncates)


def _filtered(session: DorisSession, load: Load) -> DorisError:
    """OlapInsertExecutor.onFail; since 3.1 with the first row's reason, which may quote the row."""
    url = session.state.error_url(load)
    text = "Insert has filtered data in strict mode"
    if session.state.version >= NEW_KEYS_SINCE:
        return DorisError(f"errCode = 2, detailMessage = {text}. first_error_msg: {load.filtered[0]}. url: {url}")
    return DorisError(f"errCode = 2, detailMessage = {text}. url: {url}")
