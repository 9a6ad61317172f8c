"""A replay loads what the cache holds, without key and network; the page fetched last wins; damage hides nothing."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kolspider.items import Row
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.providers.base import Page
from tests.e2e.expected import expected_rows, rows_of_pages
from tests.e2e.processes import finish, wait_until
from tests.e2e.refusing import refuse_all, take_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Hold, MakeProject
    from tests.e2e.project import Project

KOLS = {"alpha": 450, "beta": 201, "nobody": 0}
REPLAY = ("-s", "HTTPCACHE_IGNORE_MISSING=True")
NO_KEY = {"KOL_API_KEY": ""}


def test_a_replay_rebuilds_an_emptied_table_without_key_api_and_network(make_project: MakeProject) -> None:
    project = make_project(KOLS, unusable=True)
    watched, log = watch_network(project.folder)
    project.crawl("-a", "max_calls=5", env=watched).expect(1)
    assert str(urlsplit(project.api.url).port) in log.read_text()  # so it would tell of a connection
    log.unlink()
    rows, rejects, states = project.rows(), project.rejects(), project.ended()
    assert rows == rows_of_pages(KOLS, project.api.calls, unusable=True)
    assert sorted(states.values()) == ["complete", "complete", "fetching"]
    project.empty()
    project.api.stop()

    result = project.crawl(*REPLAY, env=NO_KEY | watched).expect(0)

    assert project.rows() == rows
    assert project.rejects() == rejects != []
    assert project.ended() == states
    assert re.search(r"\b1 (lists? )?(are |is )?unfinished", result.out), result.out
    assert_no_call(project, log)


def test_replay_pending_loads_only_what_is_not_in_the_target(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl("-a", "kols=alpha").expect(0)
    project.crawl("-a", "dry_run=1").expect(0)
    project.empty()
    project.api.stop()

    project.crawl("-a", "replay=pending", env=NO_KEY).expect(0)

    assert project.rows() == expected_rows({"beta": 201})
    assert project.ended() == dict.fromkeys(KOLS, "complete")


def test_the_page_fetched_last_wins_when_an_older_one_is_loaded_late_and_in_a_replay(
    make_project: MakeProject,
) -> None:
    project = make_project(OLD_AND_NEW)
    right = load_the_new_list_before_the_old_one(project)

    project.crawl("-a", "kols=old").expect(0)
    assert project.rows() == right

    project.empty()
    project.crawl(*REPLAY).expect(0)
    assert project.rows() == right
    assert len(project.api.calls) == 4


def test_the_page_fetched_last_wins_among_kols_at_once_and_after_a_kill(make_project: MakeProject) -> None:
    kols = dict.fromkeys((f"kol{number}" for number in range(12)), 650)
    project = make_project(kols, latency=0.02)
    often = ("-s", "KOL_FLUSH_ROWS=300", "-s", "KOL_FLUSH_SECS=0.05")
    with profiles_changing_all_the_time(project):
        project.kill_crawl(25, *often)
        project.crawl(*often).expect(0)
    assert project.rows() == newest_rows_of_the_cache(project)


def test_no_page_bought_now_overtakes_the_cached_ones_while_the_database_is_slow(
    make_project: MakeProject, hold: Hold
) -> None:
    old, new = dict.fromkeys("abcdef", 200), {f"kol{number}": 200 for number in range(7)}
    project = make_project(old | new)
    project.crawl("-a", "dry_run=1", "-a", f"kols={','.join(old)}").expect(0)
    project.api.revision = 1
    slow = hold(project)
    process = project.start_crawl("-s", "KOL_FLUSH_ROWS=200")
    wait_until(lambda: bool(project.ledger("SELECT 1 FROM run WHERE mode = 'buy'")))
    with slow:
        time.sleep(1.5)  # in which a run that does not wait would buy all
    finish(process).expect(0)

    rows = project.rows()
    assert {id_: rows[id_] for id_ in expected_rows(new, 1)} == expected_rows(new, 1)


def test_the_page_fetched_last_wins_when_only_some_kols_are_replayed(make_project: MakeProject) -> None:
    project = make_project(OLD_AND_NEW)
    right = load_the_new_list_before_the_old_one(project)
    project.crawl("-a", "replay=all", "-a", "kols=old", env=NO_KEY).expect(0)
    assert project.rows() == right


def test_the_page_fetched_last_wins_when_it_is_evicted_before_the_older_one_is_loaded(
    make_project: MakeProject,
) -> None:
    project = make_project(OLD_AND_NEW)
    evict = ("-s", "KOL_CACHE_EVICT=True")
    right = load_the_new_list_before_the_old_one(project, *evict)

    project.crawl(*evict).expect(0)

    assert project.rows() == right


def test_a_damaged_page_is_reported_hides_no_other_and_is_bought_again(make_project: MakeProject) -> None:
    kols = {"alpha": 700, "beta": 450, "gamma": 201}
    project = make_project(kols)
    project.crawl("-a", "dry_run=1").expect(0)
    damaged = {("alpha", 2): flipped, ("beta", 1): cut, ("gamma", 2): emptied}
    for (handle, number), how in damaged.items():
        damage(project, handle, number, how)
    calls = project.api.calls

    result = project.crawl(*REPLAY, env=NO_KEY).expect(3)

    good = [call for call in calls if (call.handle, call.page) not in damaged]
    assert project.rows() == rows_of_pages(kols, good)
    for handle, number in damaged:
        assert re.search(rf"KOL {handle}: page {number} .*damaged", result.err)
    assert re.search(r"\b3\b.*\n*.*damaged|damaged.*\b3\b", result.out)
    assert "complete" not in project.ended().values()

    project.api.clear_calls()
    project.crawl().expect(0)
    assert {(call.handle, call.page) for call in project.api.calls} == set(damaged)
    assert len(project.api.calls) == len(damaged)
    assert project.rows() == expected_rows(kols)
    assert project.ended() == dict.fromkeys(kols, "complete")


def watch_network(folder: Path) -> tuple[dict[str, str], Path]:
    """An environment in which a command notes each look-up of a host and each connection in a file."""
    hooks, log = folder / "hooks", folder / "network.log"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(
        "import socket, sys\n"
        "def note(event, args):\n"
        "    if event in {'socket.connect', 'socket.getaddrinfo', 'socket.sendto'}:\n"
        "        if not (isinstance(args[0], socket.socket) and args[0].family == socket.AF_UNIX):\n"
        f"            print(event, args, file=open({str(log)!r}, 'a'))\n"
        "sys.addaudithook(note)\n"
    )
    return {"PYTHONPATH": str(hooks)}, log


def assert_no_call(project: Project, log: Path) -> None:
    """Check that there was no connection, but to a database that is reached by one."""
    if project.dialect == "sqlite":
        assert not log.exists()
        return
    connections = log.read_text().splitlines()
    assert connections
    assert not [line for line in connections if f" {urlsplit(project.api.url).port})" in line]
    assert {urlsplit(project.db_url).hostname} == {re.findall(r"'([^']+)'", line)[-1] for line in connections}


OLD_AND_NEW = {"old": 250, "new": 250}
"""About half of their accounts are the same."""


def load_the_new_list_before_the_old_one(project: Project, *words: str) -> dict[str, Row]:
    """Fetch `old`, then, when profiles have changed, fetch and load `new`. Returns the rows that are right
    once both are loaded."""
    project.crawl("-a", "dry_run=1", "-a", "kols=old").expect(0)
    project.api.revision = 1
    project.crawl("-a", "kols=new", *words).expect(0)
    older, newer = expected_rows({"old": 250}), expected_rows({"new": 250}, revision=1)
    assert older.keys() & newer.keys()
    assert project.rows() == newer
    return older | newer


@contextmanager
def profiles_changing_all_the_time(project: Project) -> Iterator[None]:
    """While this lasts, hardly two pages show the same profile of an account that they share."""
    enough = threading.Event()

    def change() -> None:
        while not enough.wait(0.005):
            project.api.revision += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def newest_rows_of_the_cache(project: Project) -> dict[str, Row]:
    """The rows that the cached pages give, put on top of each other in the order of fetching."""
    adapter, mapper = provider("twitterapi_io"), Mapper()
    answers = (adapter.parse(200, body, cursor) for _, cursor, body in project.bodies())
    users = (raw for answer in answers if isinstance(answer, Page) for raw in answer.users)
    mapped = (mapper.map_user(adapter.followed_user(raw), raw) for raw in users)
    return {row.id: row for row in mapped if isinstance(row, Row)}


def flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]


def cut(body: bytes) -> bytes:
    return body[: len(body) // 2]


def emptied(body: bytes) -> bytes:
    return b""


def damage(project: Project, handle: str, number: int, how: Callable[[bytes], bytes]) -> None:
    """Change the stored body of a page."""
    with project.store() as store:
        ((seq, body),) = store.execute(
            "SELECT seq, body FROM page WHERE handle = ? AND number = ?", (handle, number)
        ).fetchall()
        store.execute("UPDATE page SET body = ? WHERE seq = ?", (how(body), seq))


def test_a_replay_into_a_table_that_refuses_every_row_stops_and_can_be_repeated(make_project: MakeProject) -> None:
    # Given more pages than the buffer holds, and a table that takes none
    project = make_project({"alpha": 1200})
    refuse_all(project)
    project.crawl("-a", "dry_run=1").expect(0)

    result = project.crawl(*REPLAY, "-s", "KOL_FLUSH_ROWS=100", env=NO_KEY).expect(1)
    assert "refuses most rows" in result.out
    assert "waiting   6 cached pages of 1 KOL not in the table yet" in result.out.splitlines()

    take_all(project)
    project.crawl(*REPLAY, env=NO_KEY).expect(0)
    assert project.rows() == expected_rows({"alpha": 1200})


def test_a_replay_that_stops_says_how_many_pages_wait_and_next_names_the_command_that_loads_them(
    make_project: MakeProject,
) -> None:
    # Given two lists in a table that was emptied, and that takes no row
    kols = {"alpha": 1200, "beta": 250}
    project = make_project(kols)
    for kol in kols:
        project.crawl("-a", f"kols={kol}").expect(0)
    project.empty()
    refuse_all(project)

    # When the pages of one are loaded, and with them those that were fetched later
    result = project.crawl("-a", "replay=all", "-a", "kols=alpha", "-s", "KOL_FLUSH_ROWS=100", env=NO_KEY).expect(1)

    assert "waiting   8 cached pages of 2 KOLs not in the table yet" in result.out.splitlines()
    assert "8 pages of 2 KOLs not in the table" in project.look("cache", "status").out
    take_all(project)
    (following,) = re.findall(r"^next +scrapy crawl followings (.*?)   \(", result.out, re.MULTILINE)
    result = project.crawl(*following.split(), env=NO_KEY).expect(0)
    assert "pages     0 bought, 8 from the cache" in result.out.splitlines()
    assert project.rows() == expected_rows(kols)


def test_half_a_pruned_list_is_never_taken_for_a_whole_one_in_another_database(make_project: MakeProject) -> None:
    # Given a page of beta that waits, fetched between the pages of alpha, which are loaded
    project = make_project({"alpha": 600, "beta": 300})
    project.crawl("-a", "kols=alpha", "-a", "max_calls=1").expect(1)
    project.crawl("-a", "kols=beta", "-a", "max_calls=1", "-a", "dry_run=1").expect(1)
    project.crawl("-a", "kols=alpha").expect(0)

    project.look("cache", "prune", "--yes").expect(0)
    project.take_another_database()
    project.init(["alpha"])
    project.crawl("-a", "kols=alpha").expect(0)

    assert project.rows() == expected_rows({"alpha": 600})
    assert set(project.bought().values()) == {1}


def test_a_list_that_is_being_repaired_is_not_complete_before_it_ends(make_project: MakeProject) -> None:
    # Given a whole list in the cache whose last page is damaged, and a run that may not buy it again
    project = make_project({"alpha": 600})
    project.crawl("-a", "dry_run=1").expect(0)
    damage(project, "alpha", 3, flipped)
    project.crawl("-a", "max_calls=0").expect(1)

    assert project.ended() == {"alpha": "fetching"}
    project.crawl().expect(0)
    assert project.rows() == expected_rows({"alpha": 600})
