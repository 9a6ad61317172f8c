"""Projects for end-to-end tests, on SQLite, on MariaDB, and on Doris or its double."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from kolspider.sandbox import Sandbox
from tests.doris_double import DorisDouble
from tests.e2e.databases import CHOSEN, ON_DORIS, Chosen, choice, not_on_this
from tests.e2e.project import KEY
from tests.mariadb import MariaDB, installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from tests.e2e.project import Project

    Hold = Callable[[Project], AbstractContextManager[None]]
    MakeProject = Callable[..., Project]

DOUBLE = pytest.StashKey[DorisDouble]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sqlite_only(why): a test of what only SQLite has")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and (reason := not_on_this(item)):
            # With KOL_TEST_DB alone: it names a database that this test says nothing of. In CI every test runs.
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def chosen(request: pytest.FixtureRequest) -> Chosen:
    """The database of KOL_TEST_DB."""
    if CHOSEN == "mariadb":
        server: MariaDB = request.getfixturevalue("mariadb")
        return Chosen(server.url)
    if not ON_DORIS:
        return Chosen()
    doris = _real_doris() or _doris_of(request.getfixturevalue("doris_double"))
    return Chosen(doris.url, {doris.url: _loading(doris)})


@pytest.fixture
def make_project(tmp_path: Path, chosen: Chosen) -> Iterator[MakeProject]:
    """make_project(kols, **options of Sandbox): a project whose API knows these KOLs and whose source names them."""
    made: list[Project] = []

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
        folder = tmp_path / f"project{len(made) + 1}"
        folder.mkdir()
        project = chosen.project(folder, api, db_url)
        made.append(project)
        project.follows = f"{project.target}_follows" if follows else ""
        project.init(list(kols) if names is None else names)
        return project

    yield make
    for project in made:
        project.api.stop()
    for project in made:
        project.drop_tables()


@pytest.fixture(params=choice("sqlite", "mariadb", long="doris"))  # test_doris.py is quicker
def db_url(request: pytest.FixtureRequest, chosen: Chosen) -> str:
    """The URL for make_project(db_url=...): empty for SQLite, which gets a file of its own."""
    if request.param == CHOSEN:
        return chosen.url
    if request.param == "sqlite":
        return ""
    if request.param == "doris":
        doris: Doris = request.getfixturevalue("doris")
        return doris.url
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.url


@pytest.fixture
def server_url(request: pytest.FixtureRequest, chosen: Chosen) -> str:
    """The URL of a database with a server: the one of KOL_TEST_DB, or MariaDB."""
    if chosen.url:
        return chosen.url
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.url


@dataclass(frozen=True)
class Doris:
    """A real Doris where KOL_TEST_DORIS_URL and KOL_TEST_DORIS_HTTP name it, else the double."""

    url: str
    http: str
    double: DorisDouble | None


def _real_doris() -> Doris | None:
    url = os.environ.get("KOL_TEST_DORIS_URL")
    return Doris(url, os.environ.get("KOL_TEST_DORIS_HTTP", ""), None) if url else None


def _loading(doris: Doris) -> dict[str, str]:
    """The settings by which rows get into a Doris."""
    if CHOSEN == "doris":
        return {"KOL_DORIS_LOAD": "insert"}
    if not doris.http:
        pytest.fail("KOL_TEST_DB=doris-stream needs KOL_TEST_DORIS_HTTP beside KOL_TEST_DORIS_URL")
    return {"KOL_DORIS_LOAD": "stream_load", "KOL_DORIS_HTTP": doris.http}


def _doris_of(double: DorisDouble) -> Doris:
    return Doris(double.url(), double.http, double)


@pytest.fixture(scope="session")
def doris_double(request: pytest.FixtureRequest) -> Iterator[DorisDouble]:
    with DorisDouble() as double:
        request.config.stash[DOUBLE] = double
        yield double
        del request.config.stash[DOUBLE]


@pytest.fixture(autouse=True)
def _nothing_undefined(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that did on the double what Doris leaves undefined."""
    yield
    if double := request.config.stash.get(DOUBLE, None):
        violations = double.violations
        double.clear_faults()
        double.clear_logs()
        assert violations == []


@pytest.fixture
def doris(request: pytest.FixtureRequest) -> Doris:
    """A real Doris or the double, for a test that runs on either."""
    return _real_doris() or _doris_of(request.getfixturevalue("doris_double"))


@pytest.fixture
def hold(request: pytest.FixtureRequest) -> Hold:
    """`with hold(project)`: the database takes no row while this lasts."""

    def held(project: Project) -> AbstractContextManager[None]:
        if project.dialect != "doris":
            return project.locked()
        if _real_doris():
            pytest.skip("no test slows a real Doris down")
        return request.config.stash[DOUBLE].holding()

    return held


@pytest.fixture(scope="session")
def own_mariadb() -> Iterator[MariaDB]:
    """A MariaDB for outages, which disturb no other test."""
    if not installed():
        pytest.skip("MariaDB is not installed")
    with MariaDB() as server:
        yield server


@pytest.fixture
def fragile(own_mariadb: MariaDB) -> Iterator[MariaDB]:
    """A MariaDB to kill. It runs again, with its usual settings, for the next test."""
    yield own_mariadb
    own_mariadb.kill()
    own_mariadb.start()


@pytest.fixture(scope="session")
def own_double() -> Iterator[DorisDouble]:
    """A Doris double for outages, which disturb no other test."""
    with DorisDouble() as double:
        yield double


class FragileServer(Protocol):
    """A server that can be killed and started again; its data stays."""

    @property
    def url(self) -> str: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...
    def kill_sessions(self) -> None: ...


class _FragileDoris:
    """The double; no test kills a real Doris."""

    def __init__(self, double: DorisDouble) -> None:
        self.url = double.url()
        self.kill, self.start, self.kill_sessions = double.kill, double.start, double.kill_sessions


@pytest.fixture
def fragile_server(request: pytest.FixtureRequest, chosen: Chosen) -> Iterator[FragileServer]:
    """MariaDB, or Doris's double where KOL_TEST_DB names Doris, running with its usual settings."""
    if not ON_DORIS:
        server: MariaDB = request.getfixturevalue("own_mariadb")
        yield server
        if not server.is_running:
            server.start()
        return
    double: DorisDouble = request.getfixturevalue("own_double")
    chosen.loading[double.url()] = _loading(_doris_of(double))
    yield _FragileDoris(double)
    double.kill()
    double.start()
    violations = double.violations
    double.clear_logs()
    assert violations == []
