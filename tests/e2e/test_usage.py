"""Wrong usage is one line and nothing else: nothing called, nothing written, exit code 2. And where settings come
from: the command line beats the environment, which beats `.env`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from kolspider.options.arguments import Arguments
from kolspider.sandbox import profile
from tests.e2e.expected import expected_rows
from tests.e2e.http_servers import http_server, reply
from tests.e2e.processes import finish
from tests.e2e.project import FAST, KEY, Home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.e2e.conftest import MakeProject
    from tests.e2e.processes import Result
    from tests.e2e.project import Project

REPLAY = ("-s", "HTTPCACHE_IGNORE_MISSING=True")


def refusals(project: Project, cases: Mapping[Sequence[str], str]) -> None:
    """Each case (words of the command to what its refusal tells) is wrong usage, and does nothing at all."""
    before = _files(project.folder)
    done = {words: project.look("crawl", "followings", *words) for words in cases}
    assert {typed: result for typed, result in done.items() if not _is_refusal(result, cases[typed])} == {}
    assert _files(project.folder) == before
    assert project.api.calls == []


def _is_refusal(result: Result, told: str) -> bool:
    silent = result.code == 2 and not result.out and KEY not in result.err
    return silent and told in result.err and len(result.err.splitlines()) == 1


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


# --- wrong usage ------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_refused_in_one_line_and_nothing_is_done(make_project: MakeProject) -> None:
    buying = ("-a", "refresh=30d", "-a", "retry=partial", "-a", "max_calls=1", "-a", "dry_run=1")
    refusals(
        make_project({"BTC": 3}),
        {
            ("-a", "limits=50"): "unknown argument -a limits",
            ("-a", "limit=0"): "-a limit=0",
            ("-a", "limit"): "-a",
            ("-a", "api_key=two words"): "api_key",
            ("--limit", "50"): "--limit",
            ("-a", "test=1", "-a", "kols=BTC"): "test=1 goes with limit alone",
            (*REPLAY, *buying): "dry_run, max_calls, refresh, retry",
        },
    )


def test_wrong_settings_are_refused_in_one_line_and_nothing_is_done(make_project: MakeProject) -> None:
    project = make_project({"BTC": 3})
    both = f"KOL_FOLLOWS_TABLE={project.target}"
    refusals(
        project,
        {
            ("-s", "KOL_CACHEDIR=/tmp"): "KOL_CACHEDIR",
            ("-s", "KOL_FLUSH_ROWS=many"): "KOL_FLUSH_ROWS",
            ("-s", "KOL_API_KEY="): "KOL_API_KEY",
            ("-s", "KOL_DB_URL=postgres://kol:pw@h/db"): "KOL_DB_URL",
            ("-s", "KOL_FLUSH_ROWS"): "-s",
            ("-s", f"KOL_SUMMARY_FILE={project.folder}"): f"KOL_SUMMARY_FILE {project.folder} can't be written",
            ("-s", "TWISTED_REACTOR_ENABLED=False"): "TWISTED_REACTOR_ENABLED",
            ("-s", both, "-a", "test=1"): f"{both} and",
            ("-o", "users.xml"): "xml",
            ("-O", "users.dat:pickle"): "pickle",
        },
    )


def test_settings_that_nothing_can_be_made_of_are_refused_in_one_line(make_project: MakeProject) -> None:
    settings = {
        "HTTPCACHE_IGNORE_MISSING": "yes",
        "LOG_LEVEL": "LOUD",
        "STATS_DUMP": "maybe",
        "CONCURRENT_REQUESTS": "0",
        "KOL_TARGET_TABLE": "a.b.c",
    }
    refusals(make_project({"BTC": 3}), {("-s", f"{name}={value}"): name for name, value in settings.items()})


def test_the_wildest_that_can_be_typed_is_refused_in_one_line(make_project: MakeProject) -> None:
    refusals(
        make_project({"BTC": 3}),
        {
            ("-s", "CONCURRENT_REQUESTS_PER_DOMAIN=0"): "CONCURRENT_REQUESTS_PER_DOMAIN",  # Scrapy would wait for ever
            ("-s", "LOGSTATS_INTERVAL=nan", "-s", "STATS_DUMP=TRUE"): "=",  # Scrapy would raise
            ("-s", "KOL_TARGET_TABLE=all\udc80"): "KOL_TARGET_TABLE",  # no UTF-8: no store takes it
            ("-s", "KOL_API_URL=http://[::1]x"): "KOL_API_URL",  # a URL to urlsplit, but not to Request
            ("-s", f"KOL_DB_URL=mysql://u:{KEY}@h:\N{FULLWIDTH DIGIT EIGHT}/db"): "KOL_DB_URL",
            ("-a", f"api_key={KEY}\r\n\x1b[31m", "-a", "kols=\x1b[31m"): "-a api_key=",
            ("-a", f"api_key={KEY}ключ"): "-a api_key=",  # no header can carry it
        },
    )


def test_with_the_cache_switched_off_nothing_is_paid_for_twice(make_project: MakeProject) -> None:
    project = make_project({"BTC": 450})
    project.crawl("-s", "HTTPCACHE_ENABLED=False")
    project.crawl().expect(0)
    assert project.rows() == expected_rows({"BTC": 450})
    assert set(project.bought().values()) == {1}


def test_an_argument_without_its_flag_is_refused_with_the_flag(make_project: MakeProject) -> None:
    refused = make_project({}).scrapy("crawl", "followings", "limit=5").expect(2)
    assert refused.err.strip().endswith("did you mean -a limit=5?")


def test_an_unknown_spider_is_refused_with_the_name_of_ours(make_project: MakeProject) -> None:
    result = make_project({}).scrapy("crawl", "followers").expect(2)
    (line,) = result.err.splitlines()
    assert "scrapy crawl followings" in line
    assert result.out == ""


def test_a_second_run_at_the_same_time_is_refused_and_the_first_goes_on(make_project: MakeProject) -> None:
    project = make_project({"BTC": 1000})
    first = project.start_crawl_and_hold(1)

    assert "BTC" in project.look("crawl", "followings", "-a", "test=1").expect(0).out
    project.look("initdb").expect(0)  # leaves what is there as it is
    second = project.crawl().expect(2)

    (line,) = (line for line in second.err.splitlines() if line.startswith("kolspider: "))
    assert str(project.cache) in line
    assert second.out == ""
    project.api.release()
    finish(first).expect(0)
    assert project.rows() == expected_rows({"BTC": 1000})
    assert len(project.api.calls) == 5


def test_the_help_lists_every_argument_with_an_example(make_project: MakeProject) -> None:
    result = make_project({}).look("crawl", "-h").expect(0)
    for argument in fields(Arguments):
        assert f"-a {argument.name}=" in result.out
    assert "-a limit=50" in result.out
    assert "-a refresh=30d" in result.out


# --- where settings come from -----------------------------------------------------------------------------------


def test_the_command_line_beats_the_environment_which_beats_dotenv(make_project: MakeProject) -> None:
    project = make_project({"BTC": 3})
    home = Home.of(
        project,
        {
            "KOL_API_KEY": f'"{KEY}"  # quoted, with a comment',
            "KOL_API_URL": project.api.url,
            "KOL_SOURCE_TABLE": f"{project.source}_dotenv",
            "KOL_TARGET_TABLE": "not_this_one",
            "KOL_DB_URL": "sqlite:///not_this_one.db",
            "DOWNLOAD_DELAY": "60",
        },
    )
    home.source, home.target = f"{project.source}_dotenv", f"{project.target}_environment"
    home.env = {"KOL_TARGET_TABLE": home.target, "KOL_DB_URL": "sqlite:///not_this_one_either.db"}
    home.env |= project.loading
    home.init(["BTC"])

    home.crawl("-s", f"KOL_DB_URL={project.db_url}").expect(0)

    assert home.rows() == expected_rows({"BTC": 3})
    assert [call.key_ok for call in project.api.calls] == [True]
    assert home.cache.is_dir()
    assert [path.name for path in home.root.glob("*.db")] == []


def test_a_mistyped_name_in_the_environment_or_dotenv_ends_each_command(make_project: MakeProject) -> None:
    project = make_project({"BTC": 3})
    told = "kolspider: unknown setting KOL_TARGET_TABEL in {}; did you mean KOL_TARGET_TABLE?\n"
    typed = project.crawl(env={"KOL_TARGET_TABEL": "staging"}).expect(2)
    home = Home.of(project, {"KOL_API_URL": project.api.url, "KOL_TARGET_TABEL": "staging"})
    written = home.scrapy("kols").expect(2)
    assert (typed.text, written.text) == (told.format("the environment"), told.format(".env"))
    assert project.api.calls == []


def test_a_mistyped_setting_of_scrapys_is_not_ignored_and_one_of_the_teams_own_is(make_project: MakeProject) -> None:
    project = make_project({"BTC": 3})
    project.crawl("-s", "MY_OWN=1").expect(0)
    bought = len(project.api.calls)
    for typed, right in (
        ("HTTPCACHE_IGNORE_MISING=True", "HTTPCACHE_IGNORE_MISSING"),
        ("DOWNLOAD_DELLAY=5", "DOWNLOAD_DELAY"),
        ("jobdir=a", "JOBDIR"),
    ):
        told = f"kolspider: unknown setting {typed.partition('=')[0]}; did you mean {right}?\n"
        assert project.crawl("-a", "fresh=1", "-a", "refresh=0s", "-s", typed).expect(2).err.endswith(told)
    assert len(project.api.calls) == bought


@pytest.mark.sqlite_only("the path of its file may be relative")
def test_relative_paths_start_at_scrapy_cfg_wherever_the_command_is_run(make_project: MakeProject) -> None:
    project = make_project({"BTC": 3})
    home = Home.of(project, {"KOL_API_KEY": KEY, "KOL_API_URL": project.api.url, "KOL_DB_URL": "sqlite:///here.db"})
    home.db_url = f"sqlite:///{home.root / 'here.db'}"
    home.init(["BTC"])
    below = home.root / "kolspider" / "spiders"

    words = ("-m", "scrapy", "crawl", "followings", *FAST)
    run = subprocess.run(
        [sys.executable, *words], cwd=below, env=home.environment(), capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stderr
    assert home.rows() == expected_rows({"BTC": 3})
    assert home.cache.is_dir()


def test_the_api_is_reached_however_its_address_is_spelled(make_project: MakeProject) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path.partition("?")[0])
        page = {"status": "success", "has_next_page": False, "next_cursor": "", "followings": [profile(1)]}
        reply(request, 200, json.dumps(page).encode())

    asked: list[str] = []
    project = make_project({"BTC": 1})
    with http_server(answer) as url:
        odd = url.replace("http://", "HTTP://").replace("127.0.0.1:", "LocalHost:0") + '/ä|"^/'
        result = project.crawl(env={"KOL_API_URL": odd}).expect(0)
    assert asked == ["/%C3%A4%7C%22%5E/oapi/my/info", "/%C3%A4%7C%22%5E/twitter/user/followings"]
    assert "over plain http" not in result.text
    assert "1 call," in result.out

    # And a host that is not this machine is warned of, before anything is sent
    checked = project.look("crawl", "followings", "-s", "KOL_API_URL=http://api.example", "-a", "test=1").expect(0)
    assert "note: KOL_API_KEY goes to api.example over plain http" in checked.out
