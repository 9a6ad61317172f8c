"""Feeds: what their lines are, that they can be appended to, and that one that fails is told."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from kolspider.items import COLUMNS
from tests.e2e.expected import expected_rows
from tests.e2e.processes import finish
from tests.e2e.project import FAST, settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

KOLS = {"BTC": 450, "ethereum": 300}
NO_SPACE = "No space left on device"


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_jsonl(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def assert_nothing_asked(project: Project) -> None:
    assert project.api.calls == []


# --- lines ------------------------------------------------------------------------------------------------------


def test_a_feed_has_each_account_once_or_each_follow_with_its_kol(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    accounts = {name: project.folder / f"users.{name}" for name in ("jsonl", "json", "csv")}
    follows = project.folder / "follows.csv"

    # When the accounts are written beside the crawl, and the follows later from the cache
    result = project.crawl(*(word for path in accounts.values() for word in ("-o", str(path)))).expect(0)
    project.crawl("-a", "replay=all", "-a", "feed=follows", "-O", str(follows)).expect(0)

    # Then an account that both KOLs follow is one line of the accounts, and two of the follows
    expected = {id_: row._asdict() for id_, row in expected_rows(KOLS).items()}
    assert len(expected) < sum(KOLS.values())
    for rows in (read_jsonl(accounts["jsonl"]), json.loads(accounts["json"].read_text(encoding="utf-8"))):
        assert len(rows) == len(expected)
        assert {row["id"]: row for row in rows} == expected
    table = read_csv(accounts["csv"])
    assert tuple(table[0]) == COLUMNS
    assert sorted(row["id"] for row in table) == sorted(expected)
    lines = read_csv(follows)
    assert tuple(lines[0]) == ("kol", *COLUMNS)
    assert sorted((line["kol"], line["id"]) for line in lines) == sorted(
        (kol, id_) for kol, size in KOLS.items() for id_ in expected_rows({kol: size})
    )

    # And the log counts lines, not pages
    assert f"Stored csv feed ({len(expected)} items) in: {accounts['csv']}" in result.text


@pytest.mark.parametrize(("wanted", "asked"), [(("a", "c"), "kols=a,c"), (("a", "b"), "limit=2")])
def test_a_feed_of_some_kols_has_nothing_of_the_others_that_are_loaded_behind_them(
    make_project: MakeProject, wanted: tuple[str, ...], asked: str
) -> None:
    # Given lists that share accounts, bought one after the other
    project = make_project(dict.fromkeys("abc", 250))
    for kol in "abc":
        project.crawl("-a", f"kols={kol}").expect(0)
    assert expected_rows({"b": 250}).keys() & expected_rows({"c": 250}).keys() - expected_rows({"a": 250}).keys()
    accounts, follows = project.folder / "users.csv", project.folder / "follows.csv"
    replay = ("-a", "replay=all", "-a", asked)

    project.crawl(*replay, "-O", str(accounts)).expect(0)
    project.crawl(*replay, "-a", "feed=follows", "-O", str(follows)).expect(0)

    found = [row["id"] for row in read_csv(accounts)]
    assert sorted(found) == sorted(expected_rows(dict.fromkeys(wanted, 250)))
    assert sorted((line["kol"], line["id"]) for line in read_csv(follows)) == sorted(
        (kol, id_) for kol in wanted for id_ in expected_rows({kol: 250})
    )


def test_a_feed_of_follows_without_a_feed_is_refused(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    assert "there is no -o" in project.look("crawl", "followings", "-a", "feed=follows").expect(2).text
    assert_nothing_asked(project)


# --- appending --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_a_feed_that_is_appended_to_stays_valid(make_project: MakeProject, format_: str) -> None:
    project = make_project(KOLS)
    path = project.folder / f"users.{format_}"

    for kol in KOLS:
        project.crawl("-a", f"kols={kol}", "-o", str(path)).expect(0)

    found = [row["id"] for row in (read_csv(path) if format_ == "csv" else read_jsonl(path))]
    assert sorted(found) == sorted(id_ for kol, size in KOLS.items() for id_ in expected_rows({kol: size}))


@pytest.mark.parametrize(
    ("name", "content", "words", "told"),
    [
        ("users.json", "[\n]", (), "-O {path} replaces it"),
        ("users.csv", "id,na", (), "ends in the middle of a line"),
        ("users.jsonl", '{"id": "1"}\n{"id"', (), "ends in the middle of a line"),
        ("users.csv", f"{','.join(COLUMNS)}\n", ("-a", "feed=follows"), "columns of another -a feed"),
    ],
)
def test_what_cannot_be_appended_to_is_refused_before_the_first_call(
    make_project: MakeProject, name: str, content: str, words: tuple[str, ...], told: str
) -> None:
    project = make_project(KOLS)
    path = project.folder / name
    path.write_text(content)

    for uri in (path, path.as_uri()):
        result = project.look("crawl", "followings", "-o", str(uri), *words).expect(2)
        assert told.format(path=path) in result.text
        assert len(result.text.splitlines()) == 1
    assert path.read_text() == content
    assert_nothing_asked(project)

    project.crawl("-O", str(path), *words).expect(0)


# --- where a feed can go ----------------------------------------------------------------------------------------

ELSEWHERE = {
    "gs://bucket/users.csv": ("google.cloud.storage", "needs `pip install google-cloud-storage`"),
    "s3://bucket/users.csv": ("boto3", "needs `pip install boto3`"),
    "sftp://host/users.csv": ("", "a feed can't go to sftp://"),
}


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_a_feed_to_what_cannot_be_reached_is_refused_before_the_first_call(make_project: MakeProject, uri: str) -> None:
    library, told = ELSEWHERE[uri]
    if library and find_spec(library.partition(".")[0]):
        pytest.skip(f"{library} is installed")
    project = make_project(KOLS)
    result = project.look("crawl", "followings", "-O", uri).expect(2)
    assert told in result.text
    assert len(result.text.splitlines()) == 1
    assert_nothing_asked(project)


@pytest.mark.parametrize("format_", ["parquet", "xml", "pickle"])
def test_another_format_is_refused_with_the_formats_that_work(make_project: MakeProject, format_: str) -> None:
    project = make_project(KOLS)
    result = project.look("crawl", "followings", "-O", f"users.{format_}").expect(2)
    assert "jsonl" in result.text
    assert "csv" in result.text
    assert "xml" not in result.text.replace(f"users.{format_}", "").replace(f"'{format_}'", "")
    assert len(result.text.splitlines()) == 1
    assert_nothing_asked(project)


# --- a feed that fails ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["csv", "json", "jsonl"])
def test_a_feed_on_a_full_disk_is_one_line_and_an_exit_code_and_the_rows_are_in_the_table(
    make_project: MakeProject, format_: str
) -> None:
    project = make_project(KOLS)
    good, summary = project.folder / "good.jsonl", project.folder / "summary.json"

    result = project.crawl("-o", f"/dev/full:{format_}", "-o", str(good), *settings(KOL_SUMMARY_FILE=summary)).expect(1)

    assert "Traceback" not in result.text
    assert result.text.count(NO_SPACE) == 1
    (line,) = [line for line in result.text.splitlines() if NO_SPACE in line]
    assert "/dev/full" in line
    assert "feed      not whole" in result.out
    assert project.rows() == expected_rows(KOLS)
    assert {row["id"] for row in read_jsonl(good)} == project.rows().keys()
    told = json.loads(summary.read_text())
    assert (told["exit_code"], told["feeds_failed"]) == (1, 1)


def test_a_feed_to_a_host_that_is_away_is_one_line_without_its_password(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    result = project.crawl("-O", "ftp://me:hunter2hunter2@127.0.0.1:1/users.csv").expect(1)
    assert "Traceback" not in result.text
    assert "Connection refused" in result.text
    assert "hunter2" not in result.text
    assert project.rows() == expected_rows(KOLS)


def test_a_feed_that_scrapy_would_leave_out_stops_the_run(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    result = project.crawl("-O", "users.csv", *settings(FEED_EXPORT_BATCH_ITEM_COUNT=10)).expect(1)
    assert "batch_time" in result.text
    assert "Traceback" not in result.text, result.text
    assert_nothing_asked(project)


@pytest.mark.parametrize(("into", "code"), [("/dev/full", 1), ("a closed pipe", 0)])
def test_a_full_standard_output_is_told_and_a_closed_pipe_is_not(
    make_project: MakeProject, into: str, code: int
) -> None:
    project = make_project(KOLS)
    words = [sys.executable, "-m", "scrapy", "crawl", "followings", *FAST, "-o", "-:csv"]
    pipe = f"> {into}" if into.startswith("/") else "| true"
    process = subprocess.Popen(
        ["bash", "-c", f'"$@" {pipe}; exit ${{PIPESTATUS[0]}}', "bash", *words],
        cwd=project.root,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    result = finish(process).expect(code)
    assert "Traceback" not in result.text
    assert ("Error storing csv feed" in result.text) == bool(code)
    assert ("feed      not whole" in result.text) == bool(code)
    assert project.rows() == expected_rows(KOLS)


def test_a_feed_to_standard_output_is_nothing_but_the_feed(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    result = project.crawl("-o", "-:jsonl").expect(0)
    assert {json.loads(line)["id"] for line in result.out.split("\n")[:-1]} == expected_rows(KOLS).keys()
