"""`scrapy follows` as people type it: what it refuses, what it says when there is nothing, and what it leaves out."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from kolspider.db.follow_tables import SPAN_CRAWLS, SPAN_FOLLOWS, crawls_table
from tests.db.conftest import row

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.processes import Result
    from tests.e2e.project import Project


def day(number: int, time: str = "08:00:00") -> str:
    return f"2026-11-{number:02} {time}"


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """One with btc and eth, read whole on days 1 and 9, and sol, on day 1 alone: of btc 2 is new and 3 lost, of eth 2
    and 4 are new, and of sol nobody; all follow 1."""
    project = make_project({}, names=["@Eth", "BTC", "https://x.com/sol"], follows=True)
    follows = {("btc", "1"): (1, 9), ("btc", "2"): (5, 9), ("btc", "3"): (1, 2)}
    follows |= {("eth", "1"): (1, 9), ("eth", "2"): (6, 9), ("eth", "4"): (9, 9), ("sol", "1"): (1, 1)}
    with closing(project.database()) as database:
        database.connect()
        database.widen(
            project.follows, SPAN_FOLLOWS, [(*key, day(first), day(last)) for key, (first, last) in follows.items()]
        )
        whole = [("btc", day(1), day(9)), ("eth", day(1), day(9)), ("sol", day(1), day(1))]
        database.widen(crawls_table(project.follows), SPAN_CRAWLS, whole)
        database.upsert(project.target, [row("1", followers=2**63 - 1), row("2", name="二\r号", followers=None)])
    return project


def refused(result: Result, code: int) -> str:
    (line,) = result.expect(code).err.splitlines()
    assert result.out == ""
    return line


def found(project: Project, *words: str) -> list[str]:
    """By JSON and by CSV, which must agree."""
    rows = json.loads(project.look("follows", *words, "--json").expect(0).out)
    table = csv.DictReader(io.StringIO(project.look("follows", *words, "--csv").expect(0).out))
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows] == list(table)
    return [f"{row.get('kol', '')}{row['user_id']}" for row in rows]


def test_while_an_answer_is_read_no_query_is_open(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader may take its time, and a run beside must be able to write."""
    written = []

    def slowly(answer: IO[str], _: object) -> None:
        project.sql(f"UPDATE `{project.target}` SET `followers` = 7 WHERE `id` = '1'")
        written.append(answer.read())

    monkeypatch.setattr("kolspider.commands.follows.shutil.copyfileobj", slowly)
    for words in (("new",), ("lost",), ("top",), ("new", "--kol", "eth"), ("of", "eth"), ("who", "1"), ("edges",)):
        project.look("follows", *words, "--limit", "1", "--csv").expect(0)
    assert [text.count("\n") for text in written] == [2] * 7
    assert project.rows()["1"].followers == 7


def test_a_csv_is_safe_for_a_spreadsheet_unless_it_is_to_be_raw(project: Project) -> None:
    project.sql(f"UPDATE `{project.target}` SET `name` = '=HYPERLINK(1)' WHERE `id` = '2'")
    words = ("follows", "new", "--kol", "btc", "--csv")
    assert ",'=HYPERLINK(1)," in project.look(*words).expect(0).out
    assert ",=HYPERLINK(1)," in project.look(*words, "--raw").expect(0).out
    assert "--raw goes with --csv" in refused(project.look("follows", "new", "--raw"), 2)


def test_the_columns_are_as_wide_as_what_is_in_them(project: Project) -> None:
    assert project.look("follows", "new").expect(0).out == (
        "KOL  account  followers  first seen (UTC)     last seen (UTC)      name\n"
        "eth  4                -  2026-11-09 08:00:00  2026-11-09 08:00:00\n"
        "eth  satoshi          -  2026-11-06 08:00:00  2026-11-09 08:00:00  二 号\n"
        "btc  satoshi          -  2026-11-05 08:00:00  2026-11-09 08:00:00  二 号\n"
    )
    assert project.look("follows", "top").expect(0).out == (
        "KOLs  account                  followers  first seen (UTC)     name\n"
        "   3  satoshi  9,223,372,036,854,775,807  2026-11-01 08:00:00  Satoshi\n"
        "   2  satoshi                          -  2026-11-06 08:00:00  二 号\n"
    )
    assert project.look("follows", "lost").expect(0).out == (
        "KOL  account  followers  first seen (UTC)     last seen (UTC)      missed since (UTC)   name\n"
        "btc  3                -  2026-11-01 08:00:00  2026-11-02 08:00:00  2026-11-09 08:00:00\n"
    )


def test_since_takes_dates_and_ages(project: Project) -> None:
    assert found(project, "new", "--since", "2026-11-06") == ["eth4", "eth2"]
    assert found(project, "new", "--since", day(6)) == ["eth4", "eth2"]
    assert found(project, "new", "--since", day(6, "08:00:01")) == ["eth4"]
    assert found(project, "lost", "--since", "2026-11-09") == ["btc3"]
    assert found(project, "lost", "--since", "2026-11-10") == []
    assert found(project, "top", "--new-in", "2026-11-05", "--min", "2") == ["2"]
    assert found(project, "top", "--new-in", "2026-11-06", "--min", "2") == []
    assert found(project, "new", "--since", "9999w") == ["eth4", "eth2", "btc2"]
    for typed in ("2026-11-31", "2026-11-24 8", "24.11.2026", "2y", "", "7"):
        assert "neither an age such as 7d (units: s, m, h, d, w) nor a date, UTC," in refused(
            project.look("follows", "new", "--since", typed), 2
        )


def test_kols_by_name_are_known_or_there_is_an_error(project: Project) -> None:
    assert found(project, "new", "--kol", "@BTC", "--kol", "sol,ETH") == ["eth4", "eth2", "btc2"]
    assert found(project, "new", "--kol", "sol,btc") == ["btc2"]
    assert "nobody was first seen after" in project.look("follows", "new", "--kol", "sol").expect(0).out
    for what in ("new", "lost"):
        assert f"no such KOL in {project.follows}: nosuch" in refused(
            project.look("follows", what, "--kol", "btc,nosuch", "--json"), 1
        )
    assert "--kol names no KOL" in refused(project.look("follows", "new", "--kol", ""), 2)
    assert "not a Twitter handle" in refused(project.look("follows", "new", "--kol", "btc,%"), 2)


def test_top_counts_the_kols_of_the_source_table_unless_all_are_asked_for(project: Project) -> None:
    everybody = found(project, "top", "--min", "3")
    project.look("kols", "remove", "sol").expect(0)
    assert (everybody, found(project, "top", "--min", "3"), found(project, "top", "--min", "3", "--all")) == (
        ["1"],
        [],
        ["1"],
    )
    assert found(project, "top", "--min", "2") == ["2", "1"]
    project.look("kols", "remove", "eth").expect(0)
    assert found(project, "top", "--new-in", "2026-11-05", "--min", "1") == ["2"]
    assert "--all goes with `scrapy follows top | who | edges`" in refused(project.look("follows", "new", "--all"), 2)


def test_who_gives_the_kols_that_follow_an_account_by_its_id_or_its_handle(project: Project) -> None:
    project.sql(f"UPDATE `{project.target}` SET `user_name` = 'Vitalik' WHERE `id` = '1'")
    for typed in ("1", "vitalik", "@VITALIK", "https://x.com/Vitalik"):
        assert found(project, "who", typed) == ["btc1", "eth1", "sol1"]
    assert project.look("follows", "who", "2").expect(0).out == (
        "KOL  account  followers  first seen (UTC)     last seen (UTC)      name\n"
        "eth  satoshi          -  2026-11-06 08:00:00  2026-11-09 08:00:00  二 号\n"
        "btc  satoshi          -  2026-11-05 08:00:00  2026-11-09 08:00:00  二 号\n"
    )
    assert found(project, "who", "2", "--limit", "1") == ["eth2"]


def test_of_gives_whom_a_kol_follows_the_newest_first(project: Project) -> None:
    assert found(project, "of", "@ETH") == ["eth4", "eth2", "eth1"]
    assert found(project, "of", "https://x.com/sol") == ["sol1"]
    assert found(project, "of", "btc", "--limit", "1") == ["btc2"]


def test_edges_are_every_follow_of_the_source_tables_kols(project: Project) -> None:
    assert project.look("follows", "edges", "--csv").expect(0).out == (
        "kol,user_id,user_name,first_seen,last_seen\n"
        f"btc,1,satoshi,{day(1)},{day(9)}\n"
        f"btc,2,satoshi,{day(5)},{day(9)}\n"
        f"eth,1,satoshi,{day(1)},{day(9)}\n"
        f"eth,2,satoshi,{day(6)},{day(9)}\n"
        f"eth,4,,{day(9)},{day(9)}\n"
        f"sol,1,satoshi,{day(1)},{day(1)}\n"
    )
    assert found(project, "edges", "--lost") == ["btc1", "btc2", "btc3", "eth1", "eth2", "eth4", "sol1"]
    assert found(project, "edges", "--limit", "2") == ["btc1", "btc2"]


def test_a_lost_follow_is_shown_when_it_is_asked_for_and_missed_since_the_same_moment(project: Project) -> None:
    (lost,) = json.loads(project.look("follows", "lost", "--json").out)
    for words in (("who", "3"), ("of", "btc"), ("edges",)):
        assert "btc3" not in found(project, *words)
        rows = json.loads(project.look("follows", *words, "--lost", "--json").expect(0).out)
        assert [row["missed_since"] for row in rows if row["user_id"] == "3"] == [lost["missed_since"]]
        assert {row["missed_since"] for row in rows if row["user_id"] != "3"} <= {None}
    assert project.look("follows", "who", "3", "--lost").expect(0).out == (
        "KOL  account  followers  first seen (UTC)     last seen (UTC)      missed since (UTC)   name\n"
        "btc  3                -  2026-11-01 08:00:00  2026-11-02 08:00:00  2026-11-09 08:00:00\n"
    )
    assert f"{day(1)}  {day(9)}  -" in project.look("follows", "of", "btc", "--lost").out
    assert "--lost goes with `scrapy follows who | of | edges`" in refused(project.look("follows", "new", "--lost"), 2)


def test_kols_that_left_the_source_table_are_asked_for_by_name_or_with_all(project: Project) -> None:
    project.look("kols", "remove", "eth").expect(0)
    with closing(project.database()) as database:
        database.connect()
        database.widen(project.follows, SPAN_FOLLOWS, [("nobody", "2", day(9), day(9))])  # never whole, in no ledger
    assert found(project, "who", "2") == ["btc2"]
    assert found(project, "who", "2", "--all") == ["nobody2", "eth2", "btc2"]
    assert found(project, "of", "eth") == ["eth4", "eth2", "eth1"]
    assert found(project, "edges") == ["btc1", "btc2", "sol1"]
    assert found(project, "edges", "--all")[2:6] == ["eth1", "eth2", "eth4", "nobody2"]
    assert found(project, "top", "--min", "2") == ["1"]
    assert found(project, "top", "--min", "3", "--all") == ["2", "1"]


def test_names_that_nobody_has_or_two_have_are_one_line_that_says_what_to_do(project: Project) -> None:
    both = refused(project.look("follows", "who", "satoshi"), 1)
    assert f"2 accounts in {project.target} had the handle @satoshi when last seen" in both
    assert "1 (Satoshi), 2 (二 号); give the id, such as `scrapy follows who 1`" in both

    nobody = refused(project.look("follows", "who", "btc"), 1)
    assert f"no account in {project.target} has the handle @btc, so no list that is loaded has it: check" in nobody
    told = project.look("follows", "who", "77").expect(0)
    assert (told.out.count("\n"), told.err) == (1, "")
    assert told.out.startswith("no KOL follows 77; --lost shows lost follows, too; --all counts")
    assert json.loads(project.look("follows", "who", "77", "--json").expect(0).out) == []
    assert (
        "no KOL follows 77; if that is a handle: @77\n"
        in project.look("follows", "who", "77", "--lost", "--all").expect(0).out
    )

    unknown = refused(project.look("follows", "of", "nosuch"), 1)
    assert f"no such KOL in {project.follows}: nosuch; `scrapy crawl followings -a kols=nosuch` buys" in unknown
    project.sql(f"DELETE FROM `{project.follows}` WHERE `kol_user_name` = 'sol'")
    nothing = project.look("follows", "of", "sol").expect(0).out
    assert nothing.startswith("no follow of sol is known: `scrapy kols sol` says how far its list was read; --lost")
    for words, told_ in (
        (("who",), "who takes an account: its handle or its id"),
        (("who", "1", "2"), "who takes an account: its handle or its id"),
        (("of",), "of takes a KOL"),
        (("edges", "btc"), "edges takes no name"),
        (("who", "%"), "'%' is not a Twitter handle"),
        (("of", ""), "'' is not a Twitter handle"),
        (("edge",), "takes one of new, lost, top, who, of, edges"),
        ((), "takes one of new, lost, top, who, of, edges"),
        (("of", "btc", "--all"), "--all goes with"),
        (("edges", "--kol", "btc"), "--kol goes with"),
        (("edges", "--bom"), "--bom goes with --csv"),
    ):
        assert told_ in refused(project.look("follows", *words), 2)


def test_a_csv_for_excel_is_utf_8_with_a_mark_whatever_the_terminal_has(project: Project) -> None:
    words = ("follows", "of", "btc", "--csv")
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    assert "\\u4e8c" in project.scrapy(*words, env=ascii_only).expect(0).out
    lines = project.scrapy(*words, "--bom", env=ascii_only).expect(0).out.splitlines()
    assert lines[0] == "\ufeffkol,user_id,user_name,name,followers,first_seen,last_seen"
    assert "二" in "".join(lines)
    assert "".join(lines).count("\ufeff") == 1


def test_limit_cuts_the_answer(project: Project) -> None:
    assert found(project, "new", "--limit", "1") == ["eth4"]
    assert found(project, "lost", "--limit", "1") == ["btc3"]
    assert found(project, "top", "--min", "1", "--limit", "1") == ["1"]
    table = project.look("follows", "new", "--kol", "btc,eth", "--limit", "2").expect(0)
    assert (len(table.out.splitlines()), table.err) == (3, "")


def test_the_table_of_top_says_that_there_is_more_and_programs_get_all(project: Project) -> None:
    with closing(project.database()) as database:
        database.connect()
        rows = [(kol, str(1000 + n), day(1), day(9)) for n in range(99) for kol in ("btc", "eth")]
        database.widen(project.follows, SPAN_FOLLOWS, rows)
        told = project.look("follows", "top").expect(0)
        assert len(told.out.splitlines()) == 101
        assert told.err == "kolspider: only the first 100 are shown: --limit 1000 shows 1,000\n"
        assert len(found(project, "top")) == 101
        asked = project.look("follows", "top", "--limit", "100").expect(0)
        assert (asked.out, asked.err) == (told.out, "")
        project.sql(f"DELETE FROM {project.follows} WHERE user_id = '1000'")
        exactly = project.look("follows", "top").expect(0)
        assert (len(exactly.out.splitlines()), exactly.err) == (101, "")


def test_an_empty_answer_says_why_it_is_empty(project: Project, make_project: MakeProject) -> None:
    assert project.look("follows", "top", "--min", "9").out == "no account is followed by at least 9 KOLs\n"
    top = project.look("follows", "top", "--new-in", "2026-11-09").out
    assert "2 KOLs that began to follow it since 2026-11-09 00:00:00" in top
    assert "no new follows since 2026-11-10 00:00:00" in project.look("follows", "new", "--since", "2026-11-10").out
    assert "no lost follows since 2026-11-10 00:00:00" in project.look("follows", "lost", "--since", "2026-11-10").out
    assert "found everybody seen before" in project.look("follows", "lost", "--kol", "eth").out

    fresh = make_project({}, follows=True)
    asked = (("new",), ("lost",), ("top",), ("new", "--kol", "btc"), ("who", "btc"), ("of", "btc"), ("edges",))
    for words in asked:
        told = fresh.look("follows", *words).expect(0)
        assert told.out == ""
        assert told.err == f"kolspider: {fresh.follows} is empty: `scrapy crawl followings` fills it\n"
    fresh.follows = ""
    assert "put KOL_FOLLOWS_TABLE=twitter_kol_follows into .env" in refused(fresh.look("follows", "new"), 2)


def test_tables_with_two_jobs_or_without_our_columns_are_refused_in_a_line(project: Project) -> None:
    right = project.follows, project.target
    if project.dialect == "sqlite":
        place = f"Main.{project.source.title()}"
    else:  # where names of tables may have case
        place = f"{urlsplit(project.db_url).path.lstrip('/')}.{project.source}"
    other = f"{project.target}_other"
    for follows, target in (
        (project.source, project.target),
        (place, project.target),
        (project.target, project.target),
        (other, f"{other}_crawls"),
    ):
        project.follows, project.target = follows, target
        for words in (("follows", "new"), ("initdb", "--follows"), ("crawl", "followings"), ("kols",)):
            line = refused(project.look(*words), 2)
            assert f"KOL_FOLLOWS_TABLE={follows}" in line
            assert "name the same table" in line
    project.follows, project.target = "", project.source
    for words in (("initdb",), ("crawl", "followings")):
        assert f"KOL_SOURCE_TABLE={project.source} and KOL_TARGET" in refused(project.look(*words), 2)
    project.follows, project.target = "", "twitter_kol_follows"
    assert "KOL_FOLLOWS_TABLE=twitter_kol_follows" in refused(project.look("initdb", "--follows"), 2)

    project.follows, project.target = right
    one_node = (
        ' PROPERTIES ("replication_allocation" = "tag.location.default: 1")' if project.dialect == "doris" else ""
    )
    project.sql(f"CREATE TABLE `{other}` (id VARCHAR(9)){one_node}")
    for project.follows, project.target, told in (
        (other, right[1], f"{other} can't hold who follows whom: it lacks kol_user_name, user_id, first_seen, last"),
        ("nope", right[1], "no table nope: run `scrapy initdb --follows` to create it, or correct KOL_FOLLOWS_TABLE"),
        (right[0], "nope", "no table nope: run `scrapy initdb` to create it, or correct its name in the settings"),
        (right[0], other, f"table {other} lacks user_name, name, followers; add with: ALTER TABLE"),
    ):
        for words in (("new",), ("top",), ("who", "1"), ("of", "btc"), ("edges",)):
            assert told in refused(project.look("follows", *words), 1)


def test_without_the_ledger_a_loss_is_of_the_last_whole_reading(project: Project) -> None:
    project.cache.mkdir()
    (project.cache / "kolspider.sqlite3").write_bytes(b"no database, not at all" * 99)

    told = project.look("follows", "lost", "--json").expect(0)

    assert [row["missed_since"] for row in json.loads(told.out)] == [day(9)]
    assert "kolspider: without the ledger: " in told.err


def test_a_reading_by_a_wrong_clock_is_reported_and_loses_nobody(project: Project) -> None:
    assert found(project, "lost", "--kol", "btc") == ["btc3"]
    with closing(project.database()) as database:
        database.widen(crawls_table(project.follows), SPAN_CRAWLS, [("btc", day(1), "2999-01-01 00:00:00")])

    lost = project.look("follows", "lost").expect(0)

    assert "a clock was wrong when the lists of 1 KOL were read whole" in lost.err
    assert found(project, "lost") == []
