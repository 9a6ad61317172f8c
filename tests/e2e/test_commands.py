"""The commands beside `crawl`, and what a run leaves for schedulers."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

from kolspider.items import Kol
from kolspider.providers import provider
from kolspider.store.ledger import Ledger
from tests.e2e.expected import expected_rows
from tests.e2e.processes import finish

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject

KOLS = {"BTC": 450, "ethereum": 201}


def test_prune_deletes_the_pages_of_loaded_kols_and_nothing_is_bought_again(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl("-a", "limit=1").expect(0)
    project.crawl("-a", "dry_run=1").expect(0)

    status = project.look("cache", "status").expect(0).out
    assert "2 pages of 1 KOL not in the table" in status
    assert "KOLs loaded   1 into" in status
    assert "3 pages of loaded KOLs deleted" in project.look("cache", "prune", "--yes").expect(0).out

    project.crawl().expect(0)
    assert project.rows() == expected_rows(KOLS)
    assert set(project.bought().values()) == {1}


def test_a_cursor_of_a_stranger_is_one_line_without_commands_for_the_terminal(make_project: MakeProject) -> None:
    project = make_project({})
    project.cache.mkdir()
    with closing(Ledger.open(project.cache, provider("twitterapi_io"), "here")) as ledger:
        cursor = "\x1b]52;c;ZXZpbA==\x07\nKOL eth: complete\u202e\x9b31m"
        ledger.pages.put(Kol("btc", "BTC"), 0, cursor, 2, 0, b"{}", fetched_at=1.0)
    out = project.look("cache", "show", "BTC").expect(0).out
    assert all(char.isprintable() or char == "\n" for char in out)
    (page,) = out.splitlines()[1:]
    assert page.endswith("]52;c;ZXZpbA==  KOL eth: complete  31m")


def test_clear_asks_first_and_keeps_what_is_not_ours(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.cache.mkdir()
    for name in ("progress.json", "BTC.json"):
        (project.cache / name).write_text("{}")
    run = project.crawl().expect(0)
    assert "files of the old script" in run.err

    refused = project.scrapy("cache", "clear").expect(2)
    assert "--yes" in refused.err
    assert "5 pages with 651 users" in refused.out
    assert len(project.cached()) == 5

    project.look("cache", "clear", "--keep-progress", "--yes").expect(0)
    assert project.cached() == set()
    project.crawl().expect(0)
    assert set(project.bought().values()) == {1}

    project.look("cache", "clear", "--yes").expect(0)
    assert project.ended() == {}
    assert (project.cache / "progress.json").read_text() == (project.cache / "BTC.json").read_text() == "{}"


def test_kols_tells_states_reasons_and_one_kols_story(make_project: MakeProject) -> None:
    project = make_project({"BTC": 450}, names=["BTC", "gone"])
    summary = project.folder / "summary.json"
    project.crawl("-s", f"KOL_SUMMARY_FILE={summary}").expect(0)

    (gone,) = json.loads(project.look("kols", "--state", "not_found", "--json").expect(0).out)
    assert set(gone) == {"user_name", "state", "reason", "pages", "users", "calls", "started_at", "finished_at"}
    assert (gone["user_name"], gone["calls"]) == ("gone", 1)
    assert "450 users in 3 pages, 3 API calls" in project.look("kols", "@btc").expect(0).out
    assert "KOL Nobody: not begun yet" in project.look("kols", "Nobody").expect(1).err
    assert "is none of" in project.look("kols", "--state", "lost").expect(2).err

    told = json.loads(summary.read_text())
    assert (told["exit_code"], told["kols"], told["calls"]) == (0, {"complete": 1, "not_found": 1}, 4)
    assert told["users"]["read"] == 450


def test_clear_and_prune_refuse_beside_a_run_but_looking_is_always_possible(make_project: MakeProject) -> None:
    project = make_project({"BTC": 2000})
    run = project.start_crawl_and_hold(2)
    for words in (("clear", "--yes"), ("prune", "--yes")):
        assert "another run" in project.look("cache", *words).expect(2).err
    assert "fetching" in project.look("kols").expect(0).out
    project.api.release()
    finish(run).expect(0)
    assert project.rows() == expected_rows({"BTC": 2000})


def test_output_that_nobody_reads_ends_a_command_quietly_and_ascii_ends_none(make_project: MakeProject) -> None:
    project = make_project({"BTC": 30}, follows=True)
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    follows, project.target = project.follows, f"{project.target}_всё"
    project.init([])
    assert rf"_\u0432\u0441\u0451 + {follows}" in project.crawl(env=ascii_only).expect(0).out

    for words in (
        ("kols",),
        ("follows", "top", "--min", "1", "--csv"),
        ("crawl", "followings", "-a", "estimate=1", "-s", "LOG_ENABLED=False"),
    ):
        process = project.start(*words)
        assert process.stdout
        process.stdout.close()
        process.stdout = None
        result = finish(process)
        assert (result.code, result.err) == (141, ""), words

    # but how a run went comes first
    run = project.start_crawl("-a", "kols=another", "-a", "max_calls=0")
    assert run.stdout
    run.stdout.close()
    run.stdout = None
    assert "no API call is allowed (-a max_calls=0)" in finish(run).expect(1).err

    told = project.scrapy("follows", "top", "--min", "1", "--csv", env=ascii_only).expect(0).out
    assert told.isascii()
    assert "\\u" in told
