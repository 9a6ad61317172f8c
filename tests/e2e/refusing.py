"""A target table that refuses rows, in every dialect. Doris checks no conditions: there, rows lack their partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.project import Project

__all__ = ["REFUSALS", "refuse_all", "refuse_one", "take_all"]

LONGEST = 20
"""Digits of an id."""
REFUSALS = {"sqlite": "not this one", "mysql": "`strict`", "doris": "filtered"}
"""A pattern of the error for a row that the table refuses."""


def refuse_one(project: Project, ids: Iterable[str]) -> str:
    """Let the target table refuse one of these rows, the first of the longest, and take the others; returns its id."""
    ids = list(ids)
    refused = next(id_ for id_ in ids if len(id_) == LONGEST)
    _refuse(project, f"id = '{refused}'", set(ids) - {refused})
    return refused


def refuse_all(project: Project) -> None:
    """Let the target table refuse every row."""
    _refuse(project, "id <> ''", {"nobody"})


def _refuse(project: Project, condition: str, others: set[str]) -> None:
    if project.dialect == "sqlite":
        project.sql(
            f"CREATE TRIGGER strict BEFORE INSERT ON `{project.target}` WHEN {condition.replace('id', 'NEW.id')} "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    elif project.dialect == "doris":
        values = ", ".join(f'"{id_}"' for id_ in sorted(others))
        _make_again(project, f"PARTITION BY LIST(`id`) (PARTITION `p` VALUES IN ({values}))")
    else:
        project.sql(f"ALTER TABLE `{project.target}` ADD CONSTRAINT strict CHECK (NOT ({condition}))")


def take_all(project: Project) -> None:
    """Let the target table take every row again."""
    if project.dialect == "sqlite":
        project.sql("DROP TRIGGER strict")
    elif project.dialect == "doris":
        _make_again(project, "")
    else:
        project.sql(f"ALTER TABLE `{project.target}` DROP CONSTRAINT strict")


def _make_again(project: Project, partition: str) -> None:
    """Replace the target in Doris by an empty one with these partitions."""
    ((_, ddl),) = project.sql(f"SHOW CREATE TABLE `{project.target}`")
    head, distributed, tail = ddl.rstrip(";").partition("\nDISTRIBUTED BY")
    assert distributed
    head, *_ = head.partition("\nPARTITION BY")
    project.sql(f"DROP TABLE `{project.target}`")
    project.sql(f"{head}\n{partition}{distributed}{tail}")
