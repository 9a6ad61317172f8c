"""The team's database: narrow, strict, slow, away or gone. What was paid for gets in, or is set aside by name."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.e2e.expected import expected_rows
from tests.e2e.processes import finish, stats, wait_for_text, wait_until
from tests.e2e.refusing import REFUSALS, refuse_all, refuse_one, take_all
from tests.mariadb import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.items import Row
    from tests.e2e.conftest import FragileServer, Hold, MakeProject
    from tests.e2e.processes import Result
    from tests.e2e.project import Project
    from tests.mariadb import MariaDB

STATS = ("-s", "STATS_DUMP=True")
REPLAY = ("-s", "HTTPCACHE_IGNORE_MISSING=True")
KOLS = {"BTC": 1200, "ethereum": 1000}  # 6 and 5 pages


# --- what is not ours, what is too narrow -----------------------------------------------------------------------


def test_columns_that_are_not_ours_keep_their_values(make_project: MakeProject, db_url: str) -> None:
    project = make_project({"BTC": 450}, db_url=db_url)
    expected = expected_rows({"BTC": 450})
    known = list(expected)[::3]
    project.sql(f"ALTER TABLE `{project.target}` ADD COLUMN note VARCHAR(50) NULL")
    project.sql(f"ALTER TABLE `{project.target}` ADD COLUMN score INT NOT NULL DEFAULT 7")
    values = ", ".join(f"('{id_}', 'an old name', 'note of {id_}', 42)" for id_ in known)
    project.sql(
        f"INSERT INTO `{project.target}` (id, name, note, score) VALUES {values}, ('31415', 'alien', 'stays', 1)"
    )

    project.crawl("-a", "fresh=1").expect(0)

    theirs = {id_: rest for id_, *rest in project.sql(f"SELECT id, note, score FROM `{project.target}`")}
    assert theirs == {id_: [f"note of {id_}", 42] if id_ in known else [None, 7] for id_ in expected} | {
        "31415": ["stays", 1]
    }
    rows = project.rows()
    assert rows.pop("31415").name == "alien"
    # (of some accounts the API knows only that they are followed: their rows keep the values, too)
    kept = {id_: row._replace(name="an old name") for id_, row in expected.items() if row.is_bare and id_ in known}
    assert rows == expected | kept


def test_narrow_columns_get_what_fits_and_no_row_is_lost(make_project: MakeProject, mariadb: MariaDB) -> None:
    project = make_project({"BTC": 450}, db_url=mariadb.url)
    project.sql(
        f"ALTER TABLE `{project.target}` MODIFY name VARCHAR(20) CHARACTER SET utf8mb3, MODIFY user_name VARCHAR(10), "
        "MODIFY description TINYTEXT, MODIFY followers INT, MODIFY following INT UNSIGNED, "
        "MODIFY statuses_count SMALLINT"
    )
    whole = expected_rows({"BTC": 450})

    result = project.crawl(*STATS, env={"KOL_TARGET_TABLE": f"kol.{project.target}"}).expect(0)

    narrow = {id_: _narrowed(row) for id_, row in whole.items()}
    assert project.rows() == narrow
    for column in ("name", "user_name", "description", "followers", "following", "statuses_count"):
        clipped = sum(getattr(whole[id_], column) != getattr(narrow[id_], column) for id_ in whole)
        assert clipped > 0, column
        assert stats(result.text)[f"rows/clipped/{column}"] == clipped, column
        assert column in result.out


def _narrowed(row: Row) -> Row:
    """The part of a row that fits into the columns of the test above."""

    def at_most(most: int, count: int | None) -> int | None:
        return None if count is None or count > most else count

    def in_bytes(text: str) -> str:
        while len(text.encode()) > 255:
            text = text[:-1]
        return text

    return row._replace(
        name=row.name and "".join(char for char in row.name if ord(char) < 0x10000)[:20],
        user_name=row.user_name and row.user_name[:10],
        description=row.description and in_bytes(row.description[:255]),
        followers=at_most(2**31 - 1, row.followers),
        following=at_most(2**32 - 1, row.following),
        statuses_count=at_most(2**15 - 1, row.statuses_count),
    )


# --- rows that are refused --------------------------------------------------------------------------------------


def test_a_row_that_the_database_refuses_is_reported_and_comes_once_the_table_is_changed(
    make_project: MakeProject, db_url: str
) -> None:
    kols = {"BTC": 450, "one": 1}
    project = make_project(kols, db_url=db_url)
    whole = expected_rows(kols)
    ids = project.api.expected_ids("BTC")
    refused = refuse_one(project, [*ids[200:400], *whole])
    taken = {id_: row for id_, row in whole.items() if id_ != refused}

    result = project.crawl(*STATS, "-s", "KOL_CACHE_EVICT=True").expect(3)

    assert project.rows() == taken
    assert stats(result.text)["rows/rejected/refused"] == 1
    assert stats(result.text)["rows/upserted"] == len(taken)
    _assert_reported(project, result)
    (reject,) = project.rejects()
    assert reject["user"]["id"] == refused
    (cursor,) = (call.cursor for call in project.api.calls if (call.handle, call.page) == ("btc", 2))
    assert (reject["kol"], reject["page"], reject["cursor"]) == ("BTC", 2, cursor)
    assert reject["reason"] == "refused"
    assert reject["detail"]
    assert PASSWORD not in str(reject)
    assert project.ended()["one"] == "complete"

    for words in ((), ("-a", "replay=pending")):  # nothing has changed
        again = project.crawl(*STATS, *words, "-s", "KOL_CACHE_EVICT=True").expect(3)
        _assert_reported(project, again)
        assert stats(again.text)["users/read"] == 1, "no other row is written again"
    assert len(project.rejects()) == 1
    assert project.rows() == taken

    take_all(project)
    project.crawl("-a", "replay=all" if project.dialect == "doris" else "replay=pending").expect(0)
    assert project.rows() == whole
    assert project.ended() == {"btc": "complete", "one": "complete"}
    assert "refused" not in project.look("kols").expect(0).out
    assert set(project.bought().values()) == {1}


def _assert_reported(project: Project, result: Result) -> None:
    """BTC lacks a row: in the closing table, in the log, once, and in `scrapy kols`."""
    reason = REFUSALS[project.dialect]
    assert re.search(rf"^refused   BTC: 1 row: .*{reason}", result.out, re.MULTILINE)
    why, line = (line for line in result.err.splitlines() if " W " in line and "has a CHECK" not in line)
    assert " the database refuses rows: " in why
    assert "replay=pending" in result.out.splitlines()[-1]
    assert line.endswith("KOL BTC: 1 row refused, see rejects.jsonl")
    assert project.ended()["btc"] == "fetched"
    (line,) = (line for line in project.look("kols").expect(0).out.splitlines() if line.startswith("BTC "))
    assert re.search(rf" fetched .*the database refuses 1 row: .*{reason}", line)
    assert "change the table, then: " in project.look("kols", "BTC").expect(0).out
    assert re.search(r"^refused +1 row of 1 KOL", project.look("cache", "status").expect(0).out, re.MULTILINE)


def test_a_table_that_refuses_most_rows_stops_the_run_and_nothing_is_lost(make_project: MakeProject) -> None:
    project = make_project({"BTC": 450})
    refuse_all(project)

    result = project.crawl().expect(1)
    assert "refuses most rows" in result.text
    assert re.search(REFUSALS[project.dialect], result.text)
    assert "Traceback" not in result.text
    assert project.rejects() == []
    assert project.rows() == {}

    take_all(project)
    project.crawl().expect(0)
    assert project.rows() == expected_rows({"BTC": 450})
    assert set(project.bought().values()) == {1}


# --- the database is away ---------------------------------------------------------------------------------------


def test_a_crash_of_the_database_is_ridden_through(make_project: MakeProject, fragile_server: FragileServer) -> None:
    project = make_project(KOLS, db_url=fragile_server.url)
    run, log = project.start_logged(*STATS, answers=3)
    fragile_server.kill()
    project.api.release()
    wait_for_text(log, "the database is away")
    fragile_server.start()

    finish(run).expect(0)
    assert project.rows() == expected_rows(KOLS)
    assert set(project.bought().values()) == {1}
    assert len(project.api.calls) == 11
    assert stats(log.read_text())["db/retries"] >= 1
    assert PASSWORD not in log.read_text()


def test_a_database_that_is_away_too_long_stops_the_run_and_the_next_one_buys_nothing_again(
    make_project: MakeProject, fragile_server: FragileServer
) -> None:
    kols = {"BTC": 2000, "ethereum": 2000}
    project = make_project(kols, db_url=fragile_server.url)
    run, log = project.start_logged("-s", "KOL_DB_RETRY_SECS=1", answers=3)
    fragile_server.kill()
    project.api.release()

    result = finish(run).expect(1)
    errors = [line for line in log.read_text().splitlines() if " ERROR: " in line]
    assert len(errors) == 1, errors
    assert "KOL_DB_RETRY_SECS" in errors[0]
    assert "Traceback" not in result.text + log.read_text()
    assert PASSWORD not in result.text + log.read_text()
    assert len(project.api.calls) < 20

    fragile_server.start()
    project.crawl().expect(0)
    assert project.rows() == expected_rows(kols)
    assert set(project.bought().values()) == {1}


def test_killed_connections_are_ridden_through(make_project: MakeProject, fragile_server: FragileServer) -> None:
    project = make_project(KOLS, db_url=fragile_server.url)
    run, log = project.start_logged(*STATS, answers=3)
    for answers in (4, 6, 8):
        project.api.hold(after=answers)
        project.wait_for_calls(answers + 1)
        fragile_server.kill_sessions()
    project.api.release()

    finish(run).expect(0)
    assert stats(log.read_text())["db/batches"] > 1
    assert project.rows() == expected_rows(KOLS)
    assert set(project.bought().values()) == {1}
    assert stats(log.read_text())["db/retries"] >= 1


def test_one_ctrl_c_while_the_database_is_away_ends_the_run_soon(
    make_project: MakeProject, fragile_server: FragileServer
) -> None:
    project = make_project(KOLS, db_url=fragile_server.url)
    run, log = project.start_logged("-s", "KOL_DB_RETRY_SECS=9999", answers=3)
    fragile_server.kill()
    project.api.release()
    wait_for_text(log, "the database is away")

    run.send_signal(signal.SIGINT)
    result = finish(run)
    assert result.code == 130, result.text
    assert "stopped   interrupted; the database was away: " in result.out
    assert "Traceback" not in result.text + log.read_text()

    fragile_server.start()
    project.crawl().expect(0)
    assert project.rows() == expected_rows(KOLS)
    assert set(project.bought().values()) == {1}


@pytest.mark.sqlite_only("another program locks its file")
def test_a_sqlite_file_that_another_program_locks_is_waited_for_no_longer_than_asked(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    run, _ = project.start_logged("-s", "KOL_DB_RETRY_SECS=0", answers=3)
    with project.locked():
        project.api.release()
        assert "KOL_DB_RETRY_SECS=0" in finish(run).expect(1).out

    project.crawl().expect(0)
    assert project.rows() == expected_rows(KOLS)
    assert set(project.bought().values()) == {1}


def test_a_target_table_dropped_in_mid_run_stops_it_and_a_replay_fills_the_new_one(
    make_project: MakeProject, server_url: str
) -> None:
    project = make_project(KOLS, db_url=server_url)
    run, log = project.start_logged(answers=3)
    project.sql(f"DROP TABLE `{project.target}`")
    project.api.release()

    result = finish(run).expect(1)
    errors = [line for line in log.read_text().splitlines() if " ERROR: " in line]
    assert len(errors) == 1, errors
    assert project.target in errors[0]
    assert "Traceback" not in result.text + log.read_text()

    project.init([])
    project.crawl().expect(0)
    project.crawl(*REPLAY).expect(0)
    assert project.rows() == expected_rows(KOLS)
    assert set(project.bought().values()) == {1}


# --- a slow database, small batches -----------------------------------------------------------------------------


def test_pages_are_held_back_while_the_database_is_slow(make_project: MakeProject, server_url: str, hold: Hold) -> None:
    kols = {f"kol{number}": 800 for number in range(12)}  # 48 pages
    project = make_project(kols, db_url=server_url, latency=0.02)
    slow = hold(project)
    run = project.start_crawl_and_hold(1, "-s", "KOL_FLUSH_ROWS=200", "-s", "KOL_FLUSH_SECS=0.05")
    with slow:
        project.api.release()
        time.sleep(1.5)  # in which a run that does not wait would buy all
        # One page was answered; then one batch at the database, two that wait, and each of the 8 KOLs with a page on
        # its way.
        assert len(project.api.calls) <= 1 + 1 + 2 + 2 * 8

    finish(run).expect(0)
    assert project.rows() == expected_rows(kols)
    assert set(project.bought().values()) == {1}


def test_a_batch_that_is_never_full_is_written_when_it_is_old(make_project: MakeProject) -> None:
    project = make_project({"BTC": 450})
    run = project.start_crawl_and_hold(2, "-s", "KOL_FLUSH_SECS=0.2")
    wait_until(lambda: len(project.rows()) == 400)
    project.api.release()
    finish(run).expect(0)
    assert project.rows() == expected_rows({"BTC": 450})


def test_of_an_id_that_comes_twice_in_a_batch_the_page_fetched_last_wins(make_project: MakeProject) -> None:
    # Given the same accounts on pages of two KOLs, one list in the cache, the other bought after profiles changed
    project = make_project({"BTC": 450, "ethereum": 450})
    project.crawl("-a", "dry_run=1", "-a", "kols=ethereum").expect(0)
    project.api.revision = 1
    older, newer = expected_rows({"ethereum": 450}), expected_rows({"BTC": 450}, revision=1)
    assert older.keys() & newer.keys()
    # When one batch writes them all
    result = project.crawl(*STATS).expect(0)
    # Then
    assert stats(result.text)["db/batches"] == 1
    assert project.rows() == older | newer


# --- found before the first paid call ---------------------------------------------------------------------------


def test_the_ddl_that_a_refused_table_comes_with_repairs_it(make_project: MakeProject, mariadb: MariaDB) -> None:
    project = make_project({"BTC": 3}, db_url=mariadb.url)
    project.sql(f"DROP TABLE `{project.target}`")
    columns = "name TEXT, user_name TEXT, avatar TEXT, created_at TEXT, created_at_time DATETIME, followers BIGINT"
    project.sql(
        f"CREATE TABLE `{project.target}` (id VARCHAR(32), {columns}, `following` BIGINT, PRIMARY KEY (id, followers))"
    )

    line = _only_line(project, project.crawl().expect(1).err)
    assert "description, statuses_count" in line
    _run_ddl(project, line)

    line = _only_line(project, project.crawl().expect(1).err)
    assert "no unique key on `id` alone" in line
    _run_ddl(project, line)

    line = _only_line(project, project.crawl().expect(1).err)
    assert "followers (bigint(20)) is NOT NULL" in line
    assert project.api.calls == []
    _run_ddl(project, line)

    project.crawl().expect(0)
    assert project.rows() == expected_rows({"BTC": 3})


def _run_ddl(project: Project, line: str) -> None:
    for statement in line.partition(" with: ")[2].partition("; or set ")[0].split("; "):
        project.sql(statement)


def _only_line(project: Project, text: str) -> str:
    """The one line that the command says to a person, beside its log."""
    (line,) = (line for line in text.splitlines() if line.startswith("kolspider: "))
    assert "Traceback" not in text
    for secret in (PASSWORD, quote(PASSWORD, safe="")):
        assert secret not in text
    assert project.target in line or project.source in line or "://" in line
    return line


def _without_target(project: Project) -> None:
    project.sql(f"DROP TABLE `{project.target}`")


def _without_source(project: Project) -> None:
    project.sql(f"DROP TABLE `{project.source}`")


def _without_handles(project: Project) -> None:
    to = "" if project.dialect == "doris" else "TO "
    project.sql(f"ALTER TABLE `{project.source}` RENAME COLUMN user_name {to}handle")


def _with_wrong_password(project: Project) -> None:
    user, at, server = project.db_url.rpartition("@")
    colon = "" if ":" in user.partition("//")[2] else ":"
    project.db_url = f"{user}{colon}x{at}{server}"


def _with_nobody_there(project: Project) -> None:
    project.db_url = f"{project.dialect}://kol:{quote(PASSWORD, safe='')}@127.0.0.1:9/kol"


def _with_unknown_database(project: Project) -> None:
    project.db_url += "_archive"


def a_quoted(name: str) -> str:
    return f'["`]{name}["`]'


FAULTS: list[tuple[bool, Callable[[Project], None], str]] = [
    (False, _without_target, "there is no table TARGET: run `scrapy initdb`"),
    (False, _without_source, "there is no table SOURCE: run `scrapy initdb`"),
    (
        False,
        _without_handles,
        "lacks user_name; name its column of handles in KOL_.*_COLUMN: it has ",
    ),
    (True, _with_wrong_password, "Access denied"),
    (True, _with_nobody_there, "127.0.0.1:9"),
    (True, _with_unknown_database, "_archive"),
]
"""Whether it needs a server, what is wrong, and a pattern of the line that says so."""


def test_what_is_wrong_with_the_database_is_one_line_before_the_first_call(
    make_project: MakeProject, server_url: str
) -> None:
    # All at once, because each takes a second.
    runs = []
    for on_server, spoil, line in FAULTS:
        project = make_project({"BTC": 3}, db_url=server_url if on_server else "")
        spoil(project)
        pattern = line.replace("TARGET", project.target).replace("SOURCE", project.source)
        runs.append((project, project.start_crawl(), pattern))
    for project, run, pattern in runs:
        result = finish(run).expect(1)
        assert re.search(pattern, _only_line(project, result.err))
        assert result.out == ""
        assert project.api.calls == []


@pytest.mark.sqlite_only("its file may be missing")
def test_a_file_that_is_missing_is_one_line_and_is_not_created(make_project: MakeProject) -> None:
    project = make_project({"BTC": 3})
    project.db_url = f"sqlite:///{project.folder / 'typo.db'}"
    result = project.crawl().expect(1)
    assert "`scrapy initdb` creates it" in _only_line(project, result.err)
    assert result.out == ""
    assert project.api.calls == []
    assert not (project.folder / "typo.db").exists()
