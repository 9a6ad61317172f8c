"""Checks before the first paid call that each table is fit for its job; an unfit one stops the run in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.db.follow_tables import spans
from kolspider.errors import StopRun, WrongUsage
from kolspider.items import COLUMNS

if TYPE_CHECKING:
    from kolspider.db.base import Database, Table

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


def check_source(db: Database, name: str) -> Table:
    """Check the table of KOLs, which needs nothing but `user_name`."""
    table = _existing(db, name)
    _check_columns(db, table, ("user_name",))
    return table


def check_target(db: Database, name: str) -> Table:
    """Check that upserts by `id` into the table of followed users touch no other user's row."""
    table = _existing(db, name)
    _check_columns(db, table, COLUMNS)
    if ("id",) not in table.unique_keys:
        raise StopRun(
            f"{db.label}: table {name} has no unique key on `id` alone, so every load would add its rows again; "
            f"fix it with: {db.unique_key_ddl(name)}"
        )
    for key in table.unique_keys:
        if _could_hit_another_account(table, key):
            raise StopRun(
                f"{db.label}: table {name} has a unique key ({', '.join(key)}), so an upsert could overwrite "
                "another user's row; drop that key or set KOL_TARGET_TABLE to another table"
            )
    needy = [column.name for column in table.columns.values() if column.needs_value and column.name not in COLUMNS]
    if needy:
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
        reason = f"it lacks {', '.join(missing)}" if missing else db.span_refusal(table, span)
        if reason:
            ddl = " ".join("; ".join(db.span_ddls(table_name, span)).split())
            raise StopRun(
                f"{db.label}: table {table_name} can't hold who follows whom: {reason}; "
                f"name another one in KOL_FOLLOWS_TABLE, or rename it and run: {ddl}"
            )


def warnings(table: Table) -> list[str]:
    """Warn about what is unusual in a target that is fit."""
    return [
        f"table {table.name}: column {name} is NOT NULL: users without a value for it will be set aside"
        for name in COLUMNS
        if name != "id" and not table.columns[name].nullable
    ]


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


def _could_hit_another_account(table: Table, key: tuple[str, ...]) -> bool:
    """Whether two users can collide in this key.

    They can't if it contains the whole `id`, none of our columns, or a column that stays NULL because we don't write
    it.
    """
    columns = [part.partition("(")[0] for part in key]
    others = [table.columns[name] for name in columns if name in table.columns and name not in COLUMNS]
    ours = [name for name in columns if name in COLUMNS or name not in table.columns]
    return "id" not in key and bool(ours) and not any(column.nullable for column in others)
