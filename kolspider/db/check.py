"""Checks before the first paid call that each table is fit for its job; an unfit one stops the run in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.db.base import HANDLES, DbErrorKind, Fill
from kolspider.db.capacity import losses, unfitness
from kolspider.db.follow_tables import spans
from kolspider.errors import StopRun, WrongUsage
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.db.base import Database, Table
    from kolspider.db.follow_tables import Span

__all__ = [
    "check_accounts",
    "check_follows",
    "check_follows_to_read",
    "check_names",
    "check_source",
    "check_target",
    "warnings",
]

_ACCOUNT = ("id", "user_name", "name", "followers")
"""What the follows command shows of an account."""
_LONGEST_DDL = 1000
"""Characters of DDL that a message has room for; beyond them the table is better made again."""


def check_names(db: Database, source: str, target: str, follows: str) -> None:
    """Raise WrongUsage if two settings name the same table."""
    if db.place(source) == db.place(target):
        raise WrongUsage(
            f"KOL_SOURCE_TABLE={source} and KOL_TARGET_TABLE={target} name the same table: every account that a KOL "
            "follows would be a KOL"
        )
    for setting, table in (("KOL_SOURCE_TABLE", source), ("KOL_TARGET_TABLE", target)):
        for name, _ in spans(follows):
            if db.place(table) == db.place(name):
                beside = "" if name == follows else f", which keeps {name} beside it,"
                raise WrongUsage(
                    f"KOL_FOLLOWS_TABLE={follows}{beside} and {setting}={table} name the same table: who follows whom "
                    "needs a table of its own, such as twitter_kol_follows"
                )


def check_source(db: Database, name: str, column: str = HANDLES, where: str = "") -> Table:
    """Check that the table of KOLs has its column of handles, and that its rows can be chosen by the condition."""
    table = _existing(db, name)
    if column.lower() not in table.columns:
        raise StopRun(
            f"{db.label}: table {name} lacks {column}; name its column of handles in KOL_SOURCE_COLUMN: it has "
            f"{', '.join(table.columns)}"
        )
    if where:
        try:
            db.count(name, where)
        except db.errors as error:
            if db.error_kind(error) is DbErrorKind.LOST:
                raise
            raise StopRun(f"KOL_SOURCE_WHERE={where} can't choose rows of {name}: {db.explain(error)}") from None
    return table


def check_target(db: Database, name: str) -> Table:
    """Check that the table of followed users holds what is sent, and that upserts by `id` touch no other user's row."""
    table = _existing(db, name)
    _check_columns(db, table, COLUMNS)
    if ("id",) not in table.unique_keys:
        raise StopRun(
            f"{db.label}: table {name} has no unique key on `id` alone, so every load would add its rows again; "
            f"fix it with: {db.unique_key_ddl(name)}"
        )
    _check_types(db, table)
    if key := _colliding(table, COLUMNS, ("id",)):
        raise StopRun(
            f"{db.label}: table {name} has a unique key ({', '.join(key)}), so an upsert could overwrite "
            "another user's row; drop that key or set KOL_TARGET_TABLE to another table"
        )
    if needy := _needy(table, COLUMNS):
        raise StopRun(
            f"{db.label}: table {name} needs a value for {', '.join(needy)}, which kolspider does not write; "
            "give it a default or make it nullable"
        )
    db.try_write(name)
    if reason := db.refusal(table):
        raise StopRun(f"{db.label}: table {name} can't be written to without loss: {reason}")
    return table


def check_accounts(db: Database, name: str) -> None:
    """Check that the table of followed users can be read."""
    _check_columns(db, _existing(db, name), _ACCOUNT)


def check_follows(db: Database, name: str) -> None:
    """Check the follows table and the crawls table beside it, if there are any."""
    check_follows_to_read(db, name)
    for table_name, span in spans(name):
        db.try_write(table_name, span.columns)


def check_follows_to_read(db: Database, name: str) -> None:
    """Check that both tables can be read, and keep spans."""
    for table_name, span in spans(name):
        table = db.describe(table_name)
        if table is None:
            raise StopRun(
                f"{db.label}: there is no table {table_name}: run `scrapy initdb --follows` to create it, "
                f"or correct KOL_FOLLOWS_TABLE{_unseen(db)}"
            )
        missing = [column for column in span.columns if column not in table.columns]
        reason = (
            f"it lacks {', '.join(missing)}"
            if missing
            else _span_unfitness(table, span) or db.span_refusal(table, span)
        )
        if reason:
            ddl = " ".join("; ".join(db.span_ddls(table_name, span)).split())
            raise StopRun(
                f"{db.label}: table {table_name} can't hold who follows whom: {reason}; "
                f"name another one in KOL_FOLLOWS_TABLE, or rename it and run: {ddl}"
            )


def warnings(table: Table) -> list[str]:
    """Warn about what is lost in a target that is fit."""
    lost: dict[str, list[str]] = {}
    for name in COLUMNS:
        for loss in losses(table.columns[name]):
            lost.setdefault(loss, []).append(name)
    found = [f"table {table.name}: values of {', '.join(names)} {loss}" for loss, names in lost.items()]
    if table.has_checks:
        found.append(f"table {table.name} has a CHECK: rows that break it are set aside")
    return found


def _existing(db: Database, name: str) -> Table:
    table = db.describe(name)
    if table is None:
        raise StopRun(
            f"{db.label}: there is no table {name}: run `scrapy initdb` to create it, or correct its name in "
            f"the settings{_unseen(db)}"
        )
    return table


def _unseen(db: Database) -> str:
    return "; if it exists, this user may not see it: GRANT what it needs" if db.hides_tables else ""


def _check_columns(db: Database, table: Table, needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in table.columns]
    if missing:
        ddl = "; ".join(db.add_column_ddl(table.name, name) for name in missing)
        raise StopRun(f"{db.label}: table {table.name} lacks {', '.join(missing)}; add with: {ddl}")


def _check_types(db: Database, table: Table) -> None:
    columns = [table.columns[name] for name in COLUMNS if unfitness(table.columns[name])]
    if not columns:
        return
    reasons: dict[str, list[str]] = {}
    for column in columns:
        reasons.setdefault(f"({column.type}) {unfitness(column)}", []).append(column.name)
    unfit = ", ".join(f"{' and '.join(names)} {reason}" for reason, names in reasons.items())
    ddl = "; ".join(db.refit_ddl(table, columns))
    if len(ddl) > _LONGEST_DDL:
        ddl = "; ".join(db.renew_ddl(table.name))
    raise StopRun(
        f"{db.label}: table {table.name} can't hold what is sent: {unfit}; fix it with: {ddl}; "
        "or set KOL_TARGET_TABLE to another table"
    )


def _span_unfitness(table: Table, span: Span) -> str:
    """Return why a table of spans can't hold its rows; empty if it can."""
    for name in span.columns:
        column = table.columns[name]
        if reason := unfitness(column):
            return f"{name} ({column.type}) {reason}"
    if key := _colliding(table, span.columns, span.keys):
        return f"its unique key ({', '.join(key)}) would merge rows"
    if needy := _needy(table, span.columns):
        return f"it needs a value for {', '.join(needy)}"
    return ""


def _needy(table: Table, ours: Sequence[str]) -> list[str]:
    return [column.name for column in table.columns.values() if column.needs_value and column.name not in ours]


def _colliding(table: Table, ours: Sequence[str], by: Sequence[str]) -> tuple[str, ...] | None:
    """Return a unique key by which two rows that differ in `by` can collide.

    They can't if it contains all of `by`, or a column of the team's that stays NULL or differs in each row.
    """
    for key in table.unique_keys:
        columns = [table.columns[name] for part in key if (name := part.partition("(")[0]) in table.columns]
        theirs = [column for column in columns if column.name not in ours]
        apart = any(column.fill is Fill.DISTINCT or (column.fill is Fill.NULL and column.nullable) for column in theirs)
        if not set(by) <= set(key) and not apart:
            return key
    return None
