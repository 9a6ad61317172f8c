"""KOL_TEST_DB (see CHOICES) names the database of the tests that choose none themselves. Without it they run on SQLite,
and the tests of `db_url` on two, with the tests marked long on three."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.e2e.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet

    from kolspider.sandbox import Sandbox

__all__ = ["CHOSEN", "ON_DORIS", "Chosen", "choice", "not_on_this"]

CHOICES = ("sqlite", "mariadb", "doris", "doris-stream")
"""doris is a real one where KOL_TEST_DORIS_URL names it, else the double; doris-stream is the same by Stream Load."""
CHOSEN = os.environ.get("KOL_TEST_DB", "")
ON_DORIS = CHOSEN.startswith("doris")

if CHOSEN and CHOSEN not in CHOICES:
    raise pytest.UsageError(f"KOL_TEST_DB={CHOSEN}: must be one of {', '.join(CHOICES)}")


def choice(*databases: str, long: str = "") -> list[str | ParameterSet]:
    """The databases of a test that runs on several: these, and one in the long variant, or that of KOL_TEST_DB."""
    if CHOSEN:
        return [CHOSEN]
    return [*databases, *([pytest.param(long, marks=pytest.mark.long)] if long else [])]


@dataclass(frozen=True)
class Chosen:
    """The database that KOL_TEST_DB names."""

    url: str = ""
    """Empty: a SQLite file for each project."""
    loading: dict[str, dict[str, str]] = field(default_factory=dict)
    """URL of a database to settings: how rows get in."""

    def project(self, folder: Path, api: Sandbox, url: str = "") -> Project:
        """A project on this database, or at the URL of another; its tables do not exist yet."""
        url = url or self.url
        loading = self.loading.get(url, {})
        project = Project(folder=folder, api=api, db_url=url or f"sqlite:///{folder / 'kol.db'}", loading=loading)
        if url:
            project.take_new_tables()
        return project


def not_on_this(item: pytest.Item) -> str:
    """Why a test does not apply to the chosen database; empty when it does."""
    about = item.get_closest_marker("sqlite_only")
    fixtures = set(getattr(item, "fixturenames", ()))
    if about and CHOSEN not in {"", "sqlite"}:
        return f"about SQLite: {about.args[0]}"
    if fixtures & {"mariadb", "own_mariadb"} and CHOSEN not in {"", "mariadb"}:
        return "about MariaDB"
    if fixtures & {"doris", "doris_double"} and CHOSEN and not ON_DORIS:
        return "about Doris"
    return ""
