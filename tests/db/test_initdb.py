"""`scrapy initdb` as a person runs it: the real command, in its own process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import SAMPLE_KOLS
from tests.e2e.forks import start
from tests.e2e.processes import Result, finish

if TYPE_CHECKING:
    from tests.db.conftest import Subject
    from tests.mariadb import MariaDB

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def initdb(directory: Path, url: str, *arguments: str) -> Result:
    environment = {
        **os.environ,
        "KOL_SOURCE_TABLE": "twitter_kol",
        "KOL_TARGET_TABLE": "twitter_kol_all",
        "KOL_CACHE_DIR": str(directory / "cache"),
    }
    return finish(start(["initdb", "-s", f"KOL_DB_URL={url}", *arguments], PROJECT, environment))


def one_line(run: Result, code: int) -> str:
    """What it says on stderr: one line, no traceback, no password."""
    run.expect(code)
    assert run.err.count("\n") == 1, run.err
    assert "Traceback" not in run.err
    assert "s3cr3t" not in run.text
    return run.err


def test_it_creates_both_tables_once_and_tells_the_ddl_for_one_that_will_not_do(
    directory: Path, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", "error")
        patch.setattr("tests.e2e.forks.can_fork", lambda _: False)  # what is imported and what ends warns, too
        first = initdb(directory, subject.url, "--sample")
    again = initdb(directory, subject.url, "--sample")

    created = f"{subject.db.label}\n  twitter_kol: created\n  twitter_kol_all: created\n"
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith(created)
    assert f"{len(SAMPLE_KOLS)} sample KOLs added" in first.out
    assert (again.code, again.err) == (0, "")
    assert again.out == (
        created.replace("created", "already there")
        + f"  twitter_kol: 0 sample KOLs added, {len(SAMPLE_KOLS)} already there\n"
    )
    assert list(subject.db.handles("twitter_kol")) == list(SAMPLE_KOLS)
    assert subject.db.count("twitter_kol_all") == 0

    subject.sql("ALTER TABLE twitter_kol_all DROP COLUMN following")
    run = initdb(directory, subject.url)

    assert "lacks following; add with: ALTER TABLE" in one_line(run, 1)
    assert "twitter_kol_all: already there" in run.out
    assert "sample" not in run.out


def test_a_missing_sqlite_file_is_created(directory: Path) -> None:
    assert initdb(directory, f"sqlite:///{directory}/new.db").code == 0
    assert (directory / "new.db").exists()


def test_a_wrong_url_is_wrong_usage(directory: Path) -> None:
    assert "KOL_DB_URL" in one_line(initdb(directory, "mysql://kol:s3cr3t@h"), 2)
    assert "KOL_DB_URL" in one_line(initdb(directory, ""), 2)
    assert "not a table's name" in one_line(
        initdb(directory, f"sqlite:///{directory}/a.db", "-s", "KOL_TARGET_TABLE=a.b.c"), 2
    )


def test_an_argument_is_wrong_usage(directory: Path) -> None:
    run = initdb(directory, f"sqlite:///{directory}/a.db", "--sampel")
    assert run.code == 2
    assert "unknown option --sampel" in run.err
    assert not (directory / "a.db").exists()


def test_what_the_database_says_is_one_line(directory: Path, mariadb: MariaDB) -> None:
    (directory / "no.db").write_text("no database" * 500)

    assert "Access denied" in one_line(initdb(directory, mariadb.url.replace("%25", "%26")), 1)
    assert "Can't connect" in one_line(initdb(directory, "mysql://kol:s3cr3t@127.0.0.1:1/kol"), 1)
    assert "not a database" in one_line(initdb(directory, f"sqlite:///{directory}/no.db"), 1)
    assert "no directory" in one_line(initdb(directory, f"sqlite:///{directory}/no/kol.db"), 1)
