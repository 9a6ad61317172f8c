"""Opening a run finds whatever can't be used, and closing it releases everything."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from scrapy.settings import Settings

from kolspider.db.url import open_database
from kolspider.errors import StopRun, WrongUsage
from kolspider.items import Kol, State
from kolspider.options.arguments import Arguments, typed_moment
from kolspider.options.config import Config
from kolspider.providers import provider
from kolspider.run.opening import open_run, read_ledger, target_label
from kolspider.store.damage import mark
from kolspider.store.database import FILE_NAME
from kolspider.store.ledger import Ledger
from kolspider.store.lock import DirectoryLock
from kolspider.store.selection import Selection

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
    with open_run(Arguments(), config, database, COMMAND):
        path = config.cache_dir / "rejects.jsonl"
    path.write_text("half a batch")
    with (
        read_ledger(config, database),
        closing(Ledger.open(config.cache_dir, config.provider, target_label(config, database))),
    ):
        assert path.read_text() == "half a batch"
    with open_run(Arguments(), config, database, COMMAND):
        assert path.read_text() == ""


def test_damage_that_opening_meets_is_salvaged_in_the_same_run(
    config: Config, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Some damage shows only to the query that reads it."""
    with open_run(Arguments(), config, database, COMMAND):
        pass
    select, met = Selection.choose_due, list[bool]()

    def damaged_once(selection: Selection, **asked: Any) -> None:
        if not met:
            met.append(True)
            raise sqlite3.DatabaseError("database disk image is malformed")
        select(selection, **asked)

    monkeypatch.setattr(Selection, "choose_due", damaged_once)
    with open_run(Arguments(), config, database, COMMAND) as run:
        assert [due.kol.user_name for due in run.ledger.selection.due()] == ["BTC", "eth"]

    assert "was damaged" in caplog.text
    assert not mark(config.cache_dir / FILE_NAME).exists()


def test_a_list_finished_in_the_future_is_reported_and_a_refresh_reads_it_again(
    config: Config, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A clock was a year ahead for a while."""
    with open_run(Arguments(), config, database, COMMAND) as run:
        for due in run.ledger.selection.due():
            run.ledger.kols.begin(due.kol)
            run.ledger.kols.end(due.kol.handle, State.FETCHED, "", 1, 2, bought=True)
            run.ledger.kols.settle(due.kol.handle, evict=False)
    with closing(sqlite3.connect(config.cache_dir / FILE_NAME)) as store, store:
        store.execute("UPDATE kol SET finished_at = finished_at + 365 * 86400 WHERE handle = 'btc'")

    with open_run(Arguments.parse({"refresh": "30d"}), config, database, COMMAND) as run:
        assert [due.kol.user_name for due in run.ledger.selection.due()] == ["BTC"]
        run.ledger.kols.begin_generation("btc")
        run.ledger.kols.end("btc", State.FETCHED, "", 1, 2, bought=True)
        run.ledger.kols.settle("btc", evict=False)
    assert "the lists of 1 KOL were finished in the future (BTC at 20" in caplog.text

    caplog.clear()
    with open_run(Arguments.parse({"refresh": "30d"}), config, database, COMMAND) as run:
        assert list(run.ledger.selection.due()) == []
    assert "future" not in caplog.text


def test_a_refresh_by_age_and_by_its_moment_find_the_same_lists(config: Config, database: Database) -> None:
    """What a run has read in its first second is not due again by the moment that it names."""
    with open_run(Arguments.parse({"refresh": "0s"}), config, database, COMMAND) as run:
        run.ledger.kols.begin(Kol("btc", "BTC"))
        run.ledger.kols.end("btc", State.FETCHED, "", 1, 2, bought=True)
        run.ledger.kols.settle("btc", evict=False)
        moment = typed_moment(run.ledger.selection.refresh_before or 0)
    with open_run(Arguments.parse({"refresh": moment}), config, database, COMMAND) as run:
        assert [due.kol.user_name for due in run.ledger.selection.due()] == ["eth"]


def test_a_job_that_was_begun_in_the_future_has_no_end(config: Config, database: Database, tmp_path: Path) -> None:
    config = replace(config, jobdir=tmp_path / "job")
    with open_run(Arguments(), config, database, COMMAND):
        pass
    path = tmp_path / "job" / "job.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"began_at": time.time() + 86_400}))
    with pytest.raises(WrongUsage, match="begun in the future"), open_run(Arguments(), config, database, COMMAND):
        pass


def test_an_api_without_profiles_by_id_is_not_watched_but_refreshed(
    config: Config, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = Arguments.parse({"watch": "1d"})
    with open_run(arguments, replace(config, provider=provider("tikhub")), database, COMMAND) as run:
        assert run.ledger.selection.watch is None
        assert run.ledger.selection.refresh_before == pytest.approx(time.time() - 86_400, abs=60)
    assert "tikhub tells no profiles by id: this is an incremental refresh" in caplog.text
    with open_run(arguments, config, database, COMMAND) as run:
        watch = run.ledger.selection.watch
        assert watch is not None
        assert watch.look_before == pytest.approx(time.time() - 0.9 * 86_400, abs=60)
        assert watch.read_before == pytest.approx(time.time() - 0.9 * 7 * 86_400, abs=60)
