"""A target table that refuses rows, in every dialect. Doris checks no conditions, so there its `id` is too narrow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.project import Project

__all__ = ["REFUSALS", "refuse_all", "refuse_one", "take_all"]

LONGEST = 20
"""Digits of an id."""
REFUSALS = {"sqlite": "not this one", "mysql": "`strict`", "doris": r"(filtered|id is longer than \d+ bytes)"}
"""A pattern of the error for a row that the table refuses."""


def refuse_one(project: Project, ids: Iterable[str]) -> set[str]:
    """Let the target table refuse one of these rows, the first of the longest; in Doris all of these. Returns which."""
    longest = [id_ for id_ in ids if len(id_) == LONGEST]
    assert longest
    _refuse(project, f"id = '{longest[0]}'", LONGEST)
    return set(longest if project.dialect == "doris" else longest[:1])


def refuse_all(project: Project, kol: str) -> set[str]:
    """Let the target table refuse every row. The KOL unfollows those whose ids Doris would take; returns the others."""
    project.api.unfollow(kol, [id_ for id_ in project.api.expected_ids(kol) if len(id_) == 1])
    _refuse(project, "id <> ''", 2)
    return set(project.api.expected_ids(kol))


def _refuse(project: Project, condition: str, shorter_than: int) -> None:
    if project.dialect == "sqlite":
        project.sql(
            f"CREATE TRIGGER strict BEFORE INSERT ON `{project.target}` WHEN {condition.replace('id', 'NEW.id')} "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    elif project.dialect == "doris":
        _make_again(project, shorter_than - 1)
    else:
        project.sql(f"ALTER TABLE `{project.target}` ADD CONSTRAINT strict CHECK (NOT ({condition}))")


def take_all(project: Project) -> None:
    """Let the target table take every row again."""
    if project.dialect == "sqlite":
        project.sql("DROP TRIGGER strict")
    elif project.dialect == "doris":
        _make_again(project, 32)
    else:
        project.sql(f"ALTER TABLE `{project.target}` DROP CONSTRAINT strict")


def _make_again(project: Project, width: int) -> None:
    """Replace the target in Doris by an empty one whose `id` has this width."""
    ((_, ddl),) = project.sql(f"SHOW CREATE TABLE `{project.target}`")
    ddl, changed = re.subn(r"`id` varchar\(\d+\)", f"`id` varchar({width})", ddl.rstrip(";"))
    assert changed == 1
    project.sql(f"DROP TABLE `{project.target}`")
    project.sql(ddl)
