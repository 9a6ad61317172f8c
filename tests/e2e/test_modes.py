"""The ways to run the job: test=1, sandbox=1, initdb, odd source tables, and a run that is interrupted."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import SAMPLE_KOLS, plausible
from tests.e2e.expected import expected_rows
from tests.e2e.processes import finish, stats, wait_for_text
from tests.e2e.project import FAST, KEY, ROOT, Home

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

STATS = ("-s", "STATS_DUMP=True")
REPLAY = ("-s", "HTTPCACHE_IGNORE_MISSING=True")


def files(folder: Path, *, without: Path | None = None) -> dict[str, bytes]:
    """All files below a folder with their content, and its folders."""
    paths = [path for path in folder.rglob("*") if "__pycache__" not in path.parts]
    return {
        str(path): path.read_bytes() if path.is_file() else b""
        for path in paths
        if not (without and path.is_relative_to(without))
    }


# --- test=1 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "shown"), [((), 3), (("-a", "limit=2"), 2)])
def test_test_checks_everything_and_neither_calls_nor_writes(
    make_project: MakeProject, limit: tuple[str, ...], shown: int
) -> None:
    names = ["Alice", "Bob", "Carol", "Dave"]
    project = make_project(dict.fromkeys(names, 3))
    before = files(project.folder)

    result = project.look("crawl", "followings", "-a", "test=1", *limit).expect(0)

    assert "FAIL" not in result.out
    for check in ("settings", "database", "source", "target", "mapping"):
        assert check in result.out
    assert [name for name in names if name in result.out] == names[:shown]
    assert project.api.calls == []
    assert files(project.folder) == before
    assert KEY not in result.text


def test_test_says_each_fault_and_exits_with_1(make_project: MakeProject) -> None:
    project = make_project({"BTC": 3})
    project.sql(f"ALTER TABLE `{project.target}` DROP COLUMN followers")
    before = files(project.folder)

    project.env = {"KOL_API_KEY": ""}
    result = project.look("crawl", "followings", "-a", "test=1").expect(1)

    faults = [line for line in result.out.splitlines() if line.startswith("FAIL")]
    assert len(faults) == 2
    assert "KOL_API_KEY" in faults[0]
    assert re.search('ADD COLUMN ["`]followers["`]', faults[1])
    assert "Traceback" not in result.text
    assert files(project.folder) == before


# --- sandbox=1 --------------------------------------------------------------------------------------------------


def test_the_sandbox_needs_no_key_and_touches_nothing_of_the_users_own(make_project: MakeProject) -> None:
    # Given a project that is in use: tables with rows, a cache, a ledger, all by its `.env`
    project = make_project({"BTC": 450})
    home = Home.of(project, {"KOL_API_URL": project.api.url, **project.database_settings()})
    home.crawl(env={"KOL_API_KEY": KEY}).expect(0)
    sandbox = home.cache / "sandbox"
    before, rows = files(home.folder, without=sandbox), project.rows()
    project.api.clear_calls()

    # When the sandbox runs
    words = ("crawl", "followings", "-a", "sandbox=1", *FAST)
    result = home.scrapy(*words).expect(0)

    # Then its users are in a SQLite file of its own, and nothing else has changed
    own = replace(home, db_url=f"sqlite:///{next(sandbox.glob('*.db'))}", env={})
    users = expected_rows(SAMPLE_KOLS, entry=plausible)
    assert own.rows() == users
    assert "8 complete" in result.out
    assert files(home.folder, without=sandbox) == before
    assert project.api.calls == []

    # When it runs again, then there is nothing to do
    assert "next      nothing to do" in home.scrapy(*words).expect(0).out

    # When its table is emptied, then a replay fills it
    own.empty()
    assert "0 bought" in home.scrapy(*words, *REPLAY).expect(0).out
    assert own.rows() == users
    assert files(home.folder, without=sandbox) == before
    assert project.rows() == rows
    assert project.api.calls == []


def test_the_sandbox_does_not_look_at_the_users_database_nor_settings(make_project: MakeProject) -> None:
    # 127.0.0.1:9: nobody is there; the tables are named as nobody's
    project = make_project({})
    home = Home.of(
        project,
        {
            "KOL_DB_URL": "doris://kol:pw@127.0.0.1:9/prod",
            "KOL_API_URL": project.api.url,
            "KOL_SOURCE_TABLE": "prod.kols",
            "KOL_SOURCE_COLUMN": "nick",
            "KOL_SOURCE_WHERE": "active = 1",
            "KOL_TARGET_TABLE": "prod.users",
        },
    )
    home.crawl("-a", "sandbox=1", "-a", "kols=OneFriendOnly").expect(0)
    assert project.api.calls == []
    assert [path.name for path in home.cache.iterdir()] == ["sandbox"]


def test_the_demo_takes_every_value_as_it_is_and_names_commands_that_work(make_project: MakeProject) -> None:
    home = Home.of(make_project({}), {})
    for name in ("Makefile", "requirements.txt", ".env.example"):
        shutil.copy(ROOT / name, home.root)
    scrapy = home.root / ".venv" / "bin" / "scrapy"
    scrapy.parent.mkdir(parents=True)
    scrapy.write_text(f'#!/bin/sh\nexec {sys.executable} -m scrapy "$@"\n')
    scrapy.chmod(0o755)
    (home.root / ".venv" / ".runs").touch()  # installed already

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=home.root, env=home.environment(), capture_output=True, text=True, check=False)

    # When the demo runs, then every user is taken as it is
    demo = run("make", "--silent", "demo")
    assert demo.returncode == 0, demo.stderr
    (users,) = re.findall("^users .*", demo.stdout, re.MULTILINE)
    assert re.fullmatch(r"users +2,671 read, [\d,]+ rows written, [\d,]+ unchanged duplicates skipped", users)

    # And each command that it names does what it says
    rows, report, own = re.findall(r"\.venv/bin/scrapy .*", demo.stdout)
    assert run(*rows.split()).returncode == 0
    assert len((home.root / "users.csv").read_text().splitlines()) == 1 + 1_834
    assert run(*report.split()).returncode == 0
    assert (home.root / "report-sandbox.html").exists()
    assert "KOL_API_KEY" in run(*own.split()).stdout


# --- initdb -----------------------------------------------------------------------------------------------------


def test_from_an_empty_folder_to_users_in_a_table(make_project: MakeProject) -> None:
    project = make_project(SAMPLE_KOLS)
    project.take_another_database()
    one_node = ("--replicas", "1") if project.dialect == "doris" else ()

    first = project.scrapy("initdb", "--sample", *one_node).expect(0)
    again = project.look("initdb", "--sample", *one_node).expect(0)

    assert first.out.count("created") == 2
    assert again.out.count("already there") >= 2
    key = "user_name" if project.dialect == "doris" else "id"
    names = [name for (name,) in project.sql(f"SELECT user_name FROM `{project.source}` ORDER BY {key}")]
    assert names == (sorted(SAMPLE_KOLS) if key == "user_name" else list(SAMPLE_KOLS))
    project.crawl().expect(0)
    assert project.rows() == expected_rows(SAMPLE_KOLS)


# --- source tables ----------------------------------------------------------------------------------------------


def test_blank_odd_and_repeated_handles_are_sorted_out(make_project: MakeProject, server_url: str) -> None:
    project = make_project({"BTC": 3, "ethereum": 2}, db_url=server_url, names=[])
    blank, repeated, invalid = (None, "", "  "), (" btc ", "https://x.com/BTC", "BTC", "ETHEREUM"), ("a handle!", "a-b")
    put_handles(project, ("@BTC", *blank, "Ethereum", *repeated, *invalid))

    result = project.crawl(*STATS).expect(0)

    assert project.rows() == expected_rows({"BTC": 3, "ethereum": 2})
    assert sorted(project.bought()) == [("btc", ""), ("ethereum", "")]
    assert set(project.bought().values()) == {1}
    assert {name: count for name, count in stats(result.text).items() if name.startswith("skipped/")} == {
        "skipped/blank": len(blank),
        "skipped/repeated": len(repeated),
        "skipped/invalid": len(invalid),
    }
    skipped = "rows of twitter_kol skipped: 3 blank, 4 repeated, 2 invalid, such as 'a handle!'"
    skipped = skipped.replace("twitter_kol", project.source)
    assert skipped in result.text
    assert f"note: {skipped}\n" in project.look("crawl", "followings", "-a", "test=1").out


def put_handles(project: Project, handles: Iterable[str | None]) -> None:
    """Fill the source, in this order; Doris keeps blank and repeated handles in a table of another kind."""
    if project.dialect == "doris":
        project.sql(f"DROP TABLE `{project.source}`")
        project.sql(
            f"CREATE TABLE `{project.source}` (`id` BIGINT NOT NULL, `user_name` VARCHAR(128) NULL) "
            "DUPLICATE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES "
            '("replication_allocation" = "tag.location.default: 1")'
        )
    for number, handle in enumerate(handles, 1):
        project.sql(f"INSERT INTO `{project.source}` (id, user_name) VALUES (?, ?)", number, handle)


def test_of_3000_kols_with_2990_done_the_other_10_are_bought(make_project: MakeProject) -> None:
    names = [f"kol{number}" for number in range(3000)]
    project = make_project(dict.fromkeys(names, 2))
    project.crawl("-a", "kols=kol0").expect(0)
    _note_as_complete(project, names[1:1000] + names[1010:])
    project.api.clear_calls()

    result = project.crawl().expect(0)

    assert sorted(handle for handle, _ in project.bought()) == sorted(names[1000:1010])
    assert project.rows() == expected_rows(dict.fromkeys(["kol0", *names[1000:1010]], 2))
    assert "10 complete" in result.out


def _note_as_complete(project: Project, names: list[str]) -> None:
    """Copy what the ledger holds of kol0, which is complete, to others."""
    with project.store() as store:
        for table in ("kol", "kol_load"):
            columns = [name for _, name, *_ in store.execute(f"PRAGMA table_info({table})")]
            values = ["?1" if name in {"handle", "user_name"} else name for name in columns]
            insert = f"INSERT INTO {table} SELECT {', '.join(values)} FROM {table} WHERE handle = 'kol0'"
            store.executemany(insert, [(name,) for name in names])


# --- exit codes -------------------------------------------------------------------------------------------------


def test_an_interrupted_run_exits_with_130_and_a_replay_of_it_with_0(make_project: MakeProject) -> None:
    project = make_project({"BTC": 1000, "one": 1})
    log = project.folder / "log"
    run = project.start_crawl_and_hold(3, "-s", f"LOG_FILE={log}")
    run.send_signal(signal.SIGINT)
    wait_for_text(log, "SIGINT")
    project.api.release()
    finish(run).expect(130)

    result = project.crawl(*REPLAY, env={"KOL_API_KEY": ""}).expect(0)

    assert "1 unfinished" in result.out
    assert project.ended() == {"btc": "fetching", "one": "complete"}
    assert 0 < len(project.rows()) < len(expected_rows({"BTC": 1000, "one": 1}))
