"""SHOW, as Doris prints it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.doris_double.answers import Rows, texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doris_double.session import DorisSession
    from tests.doris_double.tokens import Tokens

__all__ = ["show"]


def show(session: DorisSession, tokens: Tokens) -> Rows:
    tokens.next()
    kinds = {"CREATE": _create_table, "TABLES": _tables}
    return kinds[tokens.expect(*kinds)](session, tokens)


def _create_table(session: DorisSession, tokens: Tokens) -> Rows:
    tokens.expect("TABLE")
    table = session.state.storage.find(tokens.name(), session.database)
    tokens.expect_end()
    session.may_read(table.database, table.name)
    return texts(["Table", "Create Table"], [(table.name, table.show_create())])


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
