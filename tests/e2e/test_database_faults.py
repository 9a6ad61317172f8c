"""The team's database while a run writes to it: one fault after another, each at its worst moment."""

from __future__ import annotations

import resource
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pymysql
import pytest

from tests.e2e.databases import CHOSEN
from tests.e2e.expected import expected_rows
from tests.e2e.processes import PATIENCE, finish, kill, wait_for_text, wait_until
from tests.e2e.project import SMALL_BATCHES
from tests.mariadb import DATABASE, PASSWORD, USER, MariaDB
from tests.mysql_proxy import Cut, MysqlProxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from kolspider.items import Row
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

FEW = {"BTC": 900, "ethereum": 800}  # 5 and 4 pages
KOLS = {"BTC": 1600, "ethereum": 1400}  # 8 and 7 pages
MANY = {"BTC": 2400, "ethereum": 2200}  # 12 and 11 pages


# --- at every moment of a commit --------------------------------------------------------------------------------


class Script:
    """A proxy's plan: these cuts in an order by seed, with a few statements let through in between."""

    def __init__(self, cuts: list[tuple[str, Cut]], seed: int) -> None:
        self._dice = Random(seed)
        self._cuts = self._dice.sample(cuts, len(cuts))
        self._pass = 2
        self._began = False

    def add(self, statement: str, cut: Cut) -> None:
        """Add a cut behind the others."""
        self._cuts.append((statement, cut))

    def __call__(self, sql: str) -> Cut | None:
        statement = sql.partition(" ")[0]
        self._began = self._began or "ON DUPLICATE KEY" in sql  # what the test itself sends is let through
        if not (self._began and self._cuts and statement in {"INSERT", "COMMIT"}):
            return None
        if self._pass:
            self._pass -= 1
        elif statement == self._cuts[0][0]:
            self._pass = self._dice.randrange(4)
            return self._cuts.pop(0)[1]
        return None


@pytest.mark.parametrize("seed", [7])
def test_a_commit_may_be_cut_off_at_any_point_and_the_server_or_the_run_killed_there(
    make_project: MakeProject, fragile: MariaDB, seed: int
) -> None:
    """The server is killed in mid-batch, and with a commit's answer lost; then the run is killed, too."""

    def crash() -> None:
        fragile.kill()
        fragile.start()

    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        over.wait()

    script = Script(
        [
            *((statement, Cut(executed)) for statement in ("INSERT", "COMMIT") for executed in (False, True)),
            *(("COMMIT", Cut(executed, then=crash)) for executed in (False, True)),
        ],
        seed,
    )
    script.add("COMMIT", Cut(executed=True, then=hold))
    with MysqlProxy(fragile.port, script) as proxy:
        project = make_project(KOLS, db_url=fragile.url.replace(str(fragile.port), str(proxy.port)), latency=0.05)
        log = project.folder / "log"
        run = project.start_crawl(*SMALL_BATCHES, "-s", f"LOG_FILE={log}")
        assert held.wait(PATIENCE), log.read_text()
        killed = kill(run)
        over.set()

        assert log.read_text().count("the database is away") == 6
        assert "Traceback" not in killed.text + log.read_text()
        lost = Counter(project.in_flight())
        project.crawl().expect(0)
        assert project.rows() == expected_rows(KOLS)
    assert set(project.ended().values()) == {"complete"}
    assert project.bought() - lost == Counter(dict.fromkeys(project.bought(), 1))


# --- what passes is waited for ----------------------------------------------------------------------------------


def test_one_run_rides_through_deadlock_lock_wait_read_only_full_house_and_restart(
    make_project: MakeProject, fragile: MariaDB
) -> None:
    with MysqlProxy(fragile.port, lambda _: None) as proxy, closing(fragile.connect()) as root, root.cursor() as sql:
        project = make_project(MANY, db_url=fragile.url.replace(str(fragile.port), str(proxy.port)))
        # Given another session, with more to lose, that has a row of page 1
        row = f"INSERT INTO `{project.target}` (id) VALUES ('{project.api.expected_ids('BTC')[150]}')"
        sql.execute("CREATE TABLE heavy (n INT)")
        root.begin()
        sql.execute("INSERT INTO heavy SELECT seq FROM seq_1_to_5000")
        sql.execute(row)
        run, log = project.start_logged(answers=2, calls=2)
        wait_until(lambda: _waits_for_a_lock(fragile))

        # When it wants the rows of the batch that waits for it
        sql.execute("SET GLOBAL innodb_lock_wait_timeout = 1")
        sql.execute(f"SELECT id FROM `{project.target}` FOR UPDATE")
        wait_for_text(log, "(1213)")
        root.rollback()

        # And holds that row for too long
        root.begin()
        sql.execute(row)
        wait_for_text(log, "(1205)")
        root.rollback()

        wait_until(lambda: bool(project.sql(f"SELECT 1 FROM `{project.target}` LIMIT 1")))

        # And the server turns into a replica: then the name may lead to another server, so connect again
        sql.execute("SET GLOBAL read_only = 1")
        _go_on(project)
        wait_for_text(log, "(1290)")
        connections = proxy.connections
        sql.execute("SET GLOBAL read_only = 0")
        wait_until(lambda: proxy.connections > connections)

        # And the table gets another column
        sql.execute(f"ALTER TABLE `{project.target}` ADD COLUMN note VARCHAR(9) NOT NULL DEFAULT 'new'")

        # And others take all connections
        sql.execute("SET GLOBAL max_connections = 10")
        with ExitStack() as others:
            _take_all_connections(project, fragile, others, log)

        # And the server is shut down in good order, and started again
        fragile.stop()
        retries = log.read_text().count("the database is away")
        project.api.release()
        wait_until(lambda: log.read_text().count("the database is away") > retries)
        fragile.start()

        # Then
        result = finish(run).expect(0)
        assert "Traceback" not in result.text + log.read_text()
        assert PASSWORD not in result.text + log.read_text()
        assert project.rows() == expected_rows(MANY)
        assert project.sql(f"SELECT DISTINCT note FROM `{project.target}`") == [("new",)]
        assert set(project.bought().values()) == {1}


def _go_on(project: Project) -> None:
    """Let a few more pages come."""
    project.api.hold(after=len(project.api.calls) + 2)


def _waits_for_a_lock(server: MariaDB) -> bool:
    time.sleep(0.15)  # InnoDB shows a copy, made again when nobody has looked at it for 0.1 s
    with closing(server.connect()) as root, root.cursor() as sql:
        return bool(sql.execute("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"))


def _take_all_connections(project: Project, server: MariaDB, others: ExitStack, log: Path) -> None:
    """Take every connection, the run's own, too, until its log says so."""
    ours: set[int] = set()

    def take() -> bool:
        try:
            other = pymysql.connect(host="127.0.0.1", port=server.port, user=USER, password=PASSWORD.encode())
        except pymysql.err.OperationalError:
            server.kill_sessions(but=ours)
            return False
        others.callback(other.close)
        ours.add(other.thread_id())  # type: ignore[no-untyped-call]
        return True

    for _ in range(2):  # at the end of the first round the run's own connection is killed
        wait_until(lambda: not take())
    _go_on(project)
    wait_until(lambda: "(1040)" in log.read_text() or (take() and False))


# --- what does not pass stops the run in one line ---------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A run in its midst."""

    project: Project
    server: MariaDB
    user: str
    """The run's own user, with no more rights than it needs."""
    run: subprocess.Popen[str]

    @property
    def sqlite_file(self) -> Path:
        return Path(self.project.db_url.removeprefix("sqlite:///"))

    def sql(self, *statements: str) -> None:
        """Run statements as root; `t` is the target, `u` the run's user."""
        with closing(self.server.connect()) as root, root.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement.replace("`t`", f"`{self.project.target}`").replace("`u`", f"`{self.user}`"))


def sql(*statements: str) -> Callable[[Scene], None]:
    """Statements of an administrator, to be run in a scene."""
    return lambda scene: scene.sql(*statements)


def _lock_out(scene: Scene) -> None:
    scene.sql("SET PASSWORD FOR `u` = PASSWORD('another')")
    scene.server.kill_sessions(scene.user)


def _fill_disk(scene: Scene) -> None:
    """Let no file of the run grow past the size of its database; its other files are far smaller."""
    size = scene.sqlite_file.stat().st_size
    resource.prlimit(scene.run.pid, resource.RLIMIT_FSIZE, (size, size))


def _take_file_away(scene: Scene) -> None:
    scene.sqlite_file.rename(scene.sqlite_file.with_suffix(".away"))


def _bring_file_back(scene: Scene) -> None:
    scene.sqlite_file.with_suffix(".away").rename(scene.sqlite_file)


@dataclass(frozen=True)
class Stop:
    """A fault that waiting does not cure."""

    spoil: Callable[[Scene], None]
    error: str
    repair: Callable[[Scene], None]
    dialect: str = "mariadb"
    retry_secs: int = 20
    error_at_start: str = ""
    """What a run says that begins before the repair."""
    prepare: str = ""
    kept: Callable[[Row], Row] = lambda row: row
    """What the fault leaves of a row that was there before."""


STOPS = {
    "a column made narrower": Stop(
        spoil=sql("ALTER IGNORE TABLE `t` MODIFY name VARCHAR(12)"),
        error="were altered during the run",
        repair=sql(),
        kept=lambda row: row._replace(name=row.name and row.name[:12]),
    ),
    "a column dropped": Stop(
        spoil=sql("ALTER TABLE `t` DROP COLUMN description"),
        error="Unknown column 'description'",
        repair=sql("ALTER TABLE `t` ADD COLUMN description TEXT"),
        kept=lambda row: row._replace(description=None),  # a replay would bring it back
    ),
    "a column added that needs a value": Stop(
        spoil=sql("ALTER TABLE `t` ADD COLUMN team INT NOT NULL"),
        error="Field 'team' doesn't have a default value",
        repair=sql("ALTER TABLE `t` ALTER team SET DEFAULT 7"),
    ),
    "a user made read-only": Stop(
        spoil=sql("REVOKE INSERT, UPDATE ON `t` FROM `u`"),
        error="INSERT, UPDATE command denied",
        error_at_start="(1142); this user lacks a privilege: GRANT it",
        repair=sql("GRANT INSERT, UPDATE ON `t` TO `u`"),
    ),
    "another password": Stop(
        spoil=_lock_out,
        error="Access denied",
        repair=sql("SET PASSWORD FOR `u` = PASSWORD('pw')"),
    ),
    "a full table": Stop(
        prepare="ALTER TABLE `t` ENGINE = MyISAM MAX_ROWS = 100 AVG_ROW_LENGTH = 100",  # 64 KB
        spoil=sql(),
        error="is full (1114)",
        retry_secs=0,
        repair=sql("ALTER TABLE `t` MAX_ROWS = 1000000 AVG_ROW_LENGTH = 500"),
    ),
    "a full disk": Stop(
        dialect="sqlite",
        prepare="CREATE TABLE filler AS SELECT zeroblob(8000000)",
        spoil=_fill_disk,
        error="disk",
        retry_secs=0,
        repair=sql(),
    ),
    "a file taken away": Stop(
        dialect="sqlite",
        spoil=_take_file_away,
        error="there is no such database file",
        repair=_bring_file_back,
    ),
}


def test_what_does_not_pass_stops_the_run_in_one_line_and_the_next_one_buys_nothing_again(
    make_project: MakeProject, own_mariadb: MariaDB
) -> None:
    stories = []
    for name, stop in STOPS.items():
        if stop.dialect == "sqlite" and CHOSEN not in {"", "sqlite"}:
            continue
        project = make_project(FEW, db_url=own_mariadb.url if stop.dialect == "mariadb" else "")
        stories.append((name, stop, project))
    with ThreadPoolExecutor(4) as threads:  # each takes seconds, and mostly waits
        for story in [threads.submit(_tell, *story, own_mariadb) for story in stories]:
            story.result()


def _tell(name: str, stop: Stop, project: Project, server: MariaDB) -> None:
    user = _user_with_few_rights(project, server) if stop.dialect == "mariadb" else ""
    if stop.prepare:
        project.sql(stop.prepare.replace("`t`", f"`{project.target}`"))
    run, log = project.start_logged("-s", f"KOL_DB_RETRY_SECS={stop.retry_secs}", answers=2, calls=2)
    scene = Scene(project, server, user, run)
    stop.spoil(scene)
    project.api.hold(after=6)
    wait_for_text(log, " ERROR: ")
    project.api.release()

    result = finish(run)
    text = result.text + log.read_text()
    assert result.code == 1, (name, text)
    errors = [line for line in log.read_text().splitlines() if " ERROR: " in line]
    assert len(errors) == 1, (name, errors)
    assert stop.error in errors[0], name
    assert "Traceback" not in text, name
    bought = project.bought()
    assert sum(bought.values()) < 9, name

    if stop.error_at_start:
        refused = project.crawl().expect(1)
        (line,) = (line for line in refused.err.splitlines() if line.startswith("kolspider: "))
        assert stop.error_at_start in line, name
        assert "Traceback" not in refused.text, name
        assert project.bought() == bought, name

    stop.repair(scene)
    project.crawl().expect(0)
    assert _kept(stop, project.rows()) == _kept(stop, expected_rows(FEW)), name
    assert project.rejects() == [], name
    assert set(project.ended().values()) == {"complete"}, name
    assert set(project.bought().values()) == {1}, name


def _kept(stop: Stop, rows: dict[str, Row]) -> dict[str, Row]:
    return {id_: stop.kept(row) for id_, row in rows.items()}


def _user_with_few_rights(project: Project, server: MariaDB) -> str:
    """Hand the project to a new user. Returns its name."""
    user = project.target.replace("all_", "user_")
    with closing(server.connect()) as root, root.cursor() as cursor:
        cursor.execute(f"CREATE USER `{user}` IDENTIFIED BY 'pw'")
        cursor.execute(f"GRANT SELECT ON `{project.source}` TO `{user}`")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, ALTER ON `{project.target}` TO `{user}`")
    project.db_url = f"mysql://{user}:pw@127.0.0.1:{server.port}/{DATABASE}"
    return user
