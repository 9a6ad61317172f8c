"""Projects for end-to-end tests, on SQLite, on MariaDB, and on Doris or its double."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.sandbox import Sandbox
from tests.doris_double import DorisDouble
from tests.e2e.harness import KEY, Project
from tests.mariadb import MariaDB, installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    MakeProject = Callable[..., Project]


@pytest.fixture
def make_project(tmp_path: Path) -> Iterator[MakeProject]:
    """make_project(kols, **options of Sandbox): a project whose API knows these KOLs and whose source names them."""
    started: list[Sandbox] = []

    def make(
        kols: Mapping[str, int],
        *,
        db_url: str = "",
        names: list[str | None] | None = None,
        follows: bool = False,
        **options: Any,
    ) -> Project:
        api = Sandbox(kols, key=KEY, **options)
        api.start()
        started.append(api)
        folder = tmp_path / f"project{len(started)}"
        folder.mkdir()
        project = Project(folder, api, db_url or f"sqlite:///{folder / 'kol.db'}")
        if db_url:  # one server for all tests: tables of its own
            mark = uuid.uuid4().hex[:8]
            project.source, project.target = f"kol_{mark}", f"all_{mark}"
        project.follows = f"{project.target}_follows" if follows else ""
        project.init(list(kols) if names is None else names)
        return project

    yield make
    for api in started:
        api.stop()


@pytest.fixture(params=["sqlite", "mariadb", "doris"])
def db_url(request: pytest.FixtureRequest) -> str:
    """The URL for make_project(db_url=...): empty for SQLite, which gets a file of its own."""
    if request.param == "sqlite":
        return ""
    if request.param == "doris":
        doris: Doris = request.getfixturevalue("doris")
        return doris.url
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.url


@dataclass(frozen=True)
class Doris:
    """A real one where KOL_TEST_DORIS_URL and KOL_TEST_DORIS_HTTP name it, else the double."""

    url: str
    http: str
    double: DorisDouble | None


@pytest.fixture(scope="session")
def doris_double() -> Iterator[DorisDouble]:
    with DorisDouble() as double:
        yield double


@pytest.fixture
def doris(request: pytest.FixtureRequest) -> Iterator[Doris]:
    """For a test that runs against either. The double must have seen nothing that Doris leaves undefined."""
    if url := os.environ.get("KOL_TEST_DORIS_URL"):
        yield Doris(url, os.environ.get("KOL_TEST_DORIS_HTTP", ""), None)
        return
    double: DorisDouble = request.getfixturevalue("doris_double")
    double.clear_faults()
    double.clear_logs()
    yield Doris(double.url(), double.http, double)
    assert double.violations == []


@pytest.fixture(scope="session")
def own_mariadb() -> Iterator[MariaDB]:
    """A server for outages: those of other tests are not disturbed."""
    if not installed():
        pytest.skip("MariaDB is not installed")
    with MariaDB() as server:
        yield server


@pytest.fixture
def fragile(own_mariadb: MariaDB) -> Iterator[MariaDB]:
    """A server to kill; it is there again, with its own settings, for the next test."""
    yield own_mariadb
    own_mariadb.kill()
    own_mariadb.start()
