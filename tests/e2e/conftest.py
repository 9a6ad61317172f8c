"""Projects for end-to-end tests: `project` on SQLite, `any_project` on SQLite and on MariaDB."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import Sandbox
from tests.e2e.harness import KEY, Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.mariadb import MariaDB

    MakeProject = Callable[..., Project]


@pytest.fixture
def make_project(tmp_path: Path) -> Iterator[MakeProject]:
    """make_project(kols, **options of Sandbox): a project whose API knows these KOLs and whose source names them."""
    started: list[Sandbox] = []

    def make(kols: Mapping[str, int], *, db_url: str = "", names: list[str | None] | None = None, **options) -> Project:
        api = Sandbox(kols, key=KEY, **options)
        api.start()
        started.append(api)
        folder = tmp_path / f"project{len(started)}"
        folder.mkdir()
        project = Project(folder, api, db_url or f"sqlite:///{folder / 'kol.db'}")
        if db_url:  # one server for all tests: tables of its own
            mark = uuid.uuid4().hex[:8]
            project.source, project.target = f"kol_{mark}", f"all_{mark}"
        project.init(list(kols) if names is None else names)
        return project

    yield make
    for api in started:
        api.stop()


@pytest.fixture(params=["sqlite", "mariadb"])
def db_url(request: pytest.FixtureRequest) -> str:
    """The URL for make_project(db_url=...): empty for SQLite, which gets a file of its own."""
    if request.param == "sqlite":
        return ""
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.url
