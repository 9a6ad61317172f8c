"""`scrapy initdb` as a person runs it: the real command, in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kolspider.sandbox import SAMPLE_KOLS

if TYPE_CHECKING:
    from tests.db.conftest import Subject
    from tests.mariadb import MariaDB

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def initdb(directory: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "scrapy", "initdb", "-s", f"KOL_DB_URL={url}", *arguments],
        cwd=PROJECT,
        env={
            **os.environ,
            "KOL_SOURCE_TABLE": "twitter_kol",
            "KOL_TARGET_TABLE": "twitter_kol_all",
            "KOL_CACHE_DIR": str(directory / "cache"),
            "PYTHONIOENCODING": "utf-8",
        },
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


def one_line(run: subprocess.CompletedProcess[str], code: int) -> str:
    """What it says on stderr: one line, no traceback, no password."""
    assert run.returncode == code, run
    assert run.stderr.count("\n") == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert "s3cr3t" not in run.stderr + run.stdout
    return run.stderr


def test_it_creates_both_tables_once_and_tells_the_ddl_for_one_that_will_not_do(
    directory: Path, subject: Subject
) -> None:
    first = initdb(directory, subject.url, "--sample")
    again = initdb(directory, subject.url, "--sample")

    created = f"{subject.db.label}\n  twitter_kol: created\n  twitter_kol_all: created\n"
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith(created)
    assert f"{len(SAMPLE_KOLS)} sample KOLs added" in first.stdout
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == (
        created.replace("created", "already there")
        + f"  twitter_kol: 0 sample KOLs added, {len(SAMPLE_KOLS)} already there\n"
    )
    assert list(subject.db.handles("twitter_kol")) == list(SAMPLE_KOLS)
    assert subject.db.count("twitter_kol_all") == 0

    subject.sql("ALTER TABLE twitter_kol_all DROP COLUMN following")
    run = initdb(directory, subject.url)

    assert "lacks following; add with: ALTER TABLE" in one_line(run, 1)
    assert "twitter_kol_all: already there" in run.stdout
    assert "sample" not in run.stdout


def test_a_missing_sqlite_file_is_created(directory: Path) -> None:
    assert initdb(directory, f"sqlite:///{directory}/new.db").returncode == 0
    assert (directory / "new.db").exists()


def test_a_wrong_url_is_wrong_usage(directory: Path) -> None:
    assert "KOL_DB_URL" in one_line(initdb(directory, "mysql://kol:s3cr3t@h"), 2)
    assert "KOL_DB_URL" in one_line(initdb(directory, ""), 2)
    assert "not a table's name" in one_line(
        initdb(directory, f"sqlite:///{directory}/a.db", "-s", "KOL_TARGET_TABLE=a.b.c"), 2
    )


def test_an_argument_is_wrong_usage(directory: Path) -> None:
    run = initdb(directory, f"sqlite:///{directory}/a.db", "--sampel")
    assert run.returncode == 2
    assert "unknown option --sampel" in run.stderr
    assert not (directory / "a.db").exists()


def test_what_the_database_says_is_one_line(directory: Path, mariadb: MariaDB) -> None:
    (directory / "no.db").write_text("no database" * 500)

    assert "Access denied" in one_line(initdb(directory, mariadb.url.replace("%25", "%26")), 1)
    assert "Can't connect" in one_line(initdb(directory, "mysql://kol:s3cr3t@127.0.0.1:1/kol"), 1)
    assert "not a database" in one_line(initdb(directory, f"sqlite:///{directory}/no.db"), 1)
    assert "no directory" in one_line(initdb(directory, f"sqlite:///{directory}/no/kol.db"), 1)
