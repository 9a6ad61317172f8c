"""CREATE, ALTER, DROP and TRUNCATE: who may, and is it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.doris_double.answers import Ok
from tests.doris_double.ddl import changed_columns, created_table
from tests.doris_double.errors import refuse
from tests.doris_double.tokens import Name

if TYPE_CHECKING:
    from tests.doris_double.session import DorisSession
    from tests.doris_double.tables import Table
    from tests.doris_double.tokens import Tokens

__all__ = ["alter", "create", "drop", "truncate"]


def create(session: DorisSession, tokens: Tokens) -> Ok:
    tokens.next()
    storage = session.state.storage
    if tokens.phrase("MATERIALIZED", "VIEW"):
        return _create_materialized_view(session, tokens)
    tokens.expect("TABLE")
    lenient = tokens.phrase("IF", "NOT", "EXISTS")
    name = tokens.name()
    database = storage.database_of(name, session.database)
    session.need("CREATE", database)
    table = created_table(tokens, name, database, session.state.backends)
    if name.table in storage.databases[database]:
        if not lenient:
            refuse(f"Table '{name.table}' already exists", 1050)
        return Ok()
    storage.create(table)
    return Ok()


def _create_materialized_view(session: DorisSession, tokens: Tokens) -> Ok:
    """A synchronous one, of one table. Nothing is made of it but what Doris then refuses."""
    tokens.identifier()
    tokens.expect("AS")
    while tokens.next().word != "FROM":
        pass
    table = session.state.storage.find(tokens.name(), session.database)
    session.need("ALTER", table.database)
    table.materialized = True
    return Ok()


def alter(session: DorisSession, tokens: Tokens) -> Ok:
    tokens.next()
    tokens.expect("TABLE")
    table = session.state.storage.find(tokens.name(), session.database)
    session.need("ALTER", table.database)
    if tokens.phrase("RENAME", "COLUMN"):
        old, new = tokens.identifier(), tokens.identifier()
        tokens.expect_end()
        session.state.storage.rename_column(table, old, new)
        return Ok()
    if tokens.accept("RENAME"):
        name = tokens.identifier()
        tokens.expect_end()
        session.state.storage.rename(table, name)
        return Ok()
    if tokens.phrase("REPLACE", "WITH", "TABLE"):
        return _swap(session, tokens, table)
    if tokens.phrase("DROP", "COLUMN"):
        name = tokens.identifier()
        tokens.expect_end()
        session.state.storage.drop_column(table, name)
        return Ok()
    for verb, column in changed_columns(tokens):
        if verb == "ADD":
            session.state.storage.add_column(table, column)
        else:
            session.state.storage.allow_null(table, column)
    return Ok()


def _swap(session: DorisSession, tokens: Tokens, table: Table) -> Ok:
    """Each gets the other's name (`swap` is true where it is left out)."""
    name = tokens.identifier()
    tokens.expect_end()
    storage = session.state.storage
    other = storage.find(Name(table.database, name), None)
    storage.rename(table, f"{name}.swap")
    storage.rename(other, table.name)
    storage.rename(storage.find(Name(table.database, f"{name}.swap"), None), name)
    return Ok()


def drop(session: DorisSession, tokens: Tokens) -> Ok:
    tokens.next()
    storage = session.state.storage
    tokens.expect("TABLE")
    lenient = tokens.phrase("IF", "EXISTS")
    name = tokens.name()
    tokens.accept("FORCE")
    tokens.expect_end()
    database = storage.database_of(name, session.database)
    session.need("DROP", database)
    table = storage.databases[database].get(name.table)
    if table:
        storage.drop(table)
    elif not lenient:
        refuse(f"Unknown table '{name.table}'", 1051)
    return Ok()


def truncate(session: DorisSession, tokens: Tokens) -> Ok:
    tokens.next()
    tokens.expect("TABLE")
    table = session.state.storage.find(tokens.name(), session.database)
    session.need("LOAD", table.database)
    with session.state.storage.lock:
        session.state.storage.execute(f"DELETE FROM {session.state.storage.where(table)}")
    return Ok()
