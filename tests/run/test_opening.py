"""Opening a run finds whatever can't be used, and closing it releases everything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from scrapy.settings import Settings

from kolspider.db.url import open_database
from kolspider.errors import StopRun, WrongUsage
from kolspider.options.arguments import Arguments
from kolspider.options.config import Config
from kolspider.run.opening import open_run, read_ledger, target_label
from kolspider.store.damage import mark
from kolspider.store.database import FILE_NAME
from kolspider.store.ledger import Ledger
from kolspider.store.lock import DirectoryLock

if TYPE_CHECKING:
    from pathlib import Path

    from kolspider.db.base import Database
    from kolspider.run.run import Run

COMMAND = ["scrapy", "crawl", "followings"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    settings = Settings()
    settings.setmodule("kolspider.settings")
    return replace(Config.from_settings(settings), cache_dir=tmp_path / "cache", db_url="sqlite:///kol.db")


@pytest.fixture
def database(tmp_path: Path, config: Config) -> Database:
    """A database with two KOLs."""
    database = open_database(config.db_url, base=tmp_path)
    database.create_tables(config.source_table, config.target_table)
    database.insert_handles(config.source_table, ["BTC", "eth"])
    return database


def test_an_open_run_has_its_kols_and_its_row_in_the_history(config: Config, database: Database) -> None:
    with open_run(Arguments(), config, database, COMMAND) as run:
        assert [due.kol.user_name for due in run.ledger.selection.due()] == ["BTC", "eth"]
        (record,) = run.ledger.runs.latest(1)
        assert (record.asked, record.mode, record.selected) == ("scrapy crawl followings", "buy", 2)
        assert run.writer is not None


def test_a_dry_run_has_no_writer(config: Config, database: Database) -> None:
    with open_run(Arguments(dry_run=True), config, database, COMMAND) as run:
        assert run.writer is None


def test_only_one_run_at_a_time_holds_the_cache_directory(config: Config, database: Database) -> None:
    with (
        open_run(Arguments(), config, database, COMMAND),
        pytest.raises(WrongUsage, match="another run"),
        open_run(Arguments(), config, database, COMMAND),
    ):
        pass


@pytest.mark.parametrize("table", ["twitter_kol", "twitter_kol_all"])
def test_a_missing_table_is_found_and_everything_released(
    config: Config, database: Database, tmp_path: Path, table: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "kol.db")) as connection:
        connection.execute(f"DROP TABLE {table}")
    with pytest.raises(StopRun, match=table), open_run(Arguments(), config, database, COMMAND):
        pass
    with DirectoryLock(config.cache_dir):
        pass
    with read_ledger(config, database) as ledger:
        assert len(ledger.runs) == 0, "no run has begun"


def test_an_error_of_the_store_ends_the_run_with_one_line(config: Config, database: Database) -> None:
    with (
        pytest.raises(StopRun, match=r"is damaged \(no such column\)"),
        open_run(Arguments(), config, database, COMMAND),
    ):
        raise sqlite3.OperationalError("no such column")
    with DirectoryLock(config.cache_dir):
        pass


def test_skipped_rows_of_the_source_are_counted(config: Config, database: Database) -> None:
    database.insert_handles(config.source_table, ["no handle!", " "])
    with open_run(Arguments(), config, database, COMMAND) as run:
        assert run.tally.skipped == {"invalid": 1, "blank": 1}


def test_damage_met_after_the_run_was_stopped_is_marked_and_the_first_reason_told(
    config: Config, database: Database
) -> None:
    def meets_damage(run: Run) -> None:
        run.stop.fail(StopRun("the cap is reached"))
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(StopRun, match="the cap"), open_run(Arguments(), config, database, COMMAND) as run:
        meets_damage(run)
    assert mark(config.cache_dir / FILE_NAME).exists()


def test_a_run_drops_the_rejects_of_a_batch_that_was_never_marked_and_looking_does_not(
    config: Config, database: Database
) -> None:
    with open_run(Arguments(), config, database, COMMAND) as run:
        path = run.ledger.rejects.path
    path.write_text("half a batch")
    with (
        read_ledger(config, database),
        closing(Ledger.open(config.cache_dir, config.provider, target_label(config, database))),
    ):
        assert path.read_text() == "half a batch"
    with open_run(Arguments(), config, database, COMMAND):
        assert path.read_text() == ""
