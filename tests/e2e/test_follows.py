"""Who follows whom: written with the page that brought it, on every database, whatever happens in between."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

from kolspider.console.output import csv_lines, json_lines, spooled
from kolspider.console.wording import moment
from kolspider.db.follow_tables import SPAN_CRAWLS, SPAN_FOLLOWS, crawls_table
from kolspider.follows.queries import Edge, Follows, FollowSeen, known_ids
from kolspider.sandbox import followings
from tests.db.conftest import ROW
from tests.e2e.expected import expected_rows
from tests.e2e.project import SMALL_BATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from tests.e2e.conftest import Doris, MakeProject
    from tests.e2e.project import Project

KOLS = {"alpha": 700, "Beta": 450, "shared": 201, "empty": 0}


def test_follows_are_written_with_their_page_and_survive_a_kill(make_project: MakeProject, db_url: str) -> None:
    # Given a crawl that is killed in the middle
    project = make_project(KOLS, db_url=db_url, follows=True, unusable=True)
    project.kill_crawl(7, *SMALL_BATCHES)

    # when it goes on
    project.crawl().expect(0)

    # then each follow has the times of its page, and each whole list those of its first and its last page
    assert follows(project) == expected_follows(project)
    assert crawls(project) == expected_crawls(project)
    assert project.rows() == expected_rows(KOLS, unusable=True)
    assert max(project.bought().values()) <= 2
    before = follows(project), crawls(project), len(project.api.calls)

    # and a replay changes nothing
    project.crawl("-a", "replay=all").expect(0)
    assert (follows(project), crawls(project), len(project.api.calls)) == before


def test_who_of_and_edges_are_what_the_api_gave(make_project: MakeProject, db_url: str) -> None:
    project = make_project(KOLS, db_url=db_url, follows=True)
    project.crawl().expect(0)

    def asked(*words: str) -> list[tuple[str, str]]:
        rows = csv.DictReader(project.look("follows", *words, "--csv").expect(0).out.splitlines())
        return [(row["kol"], row["user_id"]) for row in rows]

    lists = {kol.lower(): project.api.expected_ids(kol) for kol in KOLS}
    assert asked("edges") == sorted((kol, id_) for kol, ids in lists.items() for id_ in ids)
    for kol, ids in lists.items():
        assert sorted(asked("of", kol)) == sorted((kol, id_) for id_ in ids)
    kols = Counter(id_ for ids in lists.values() for id_ in ids)
    rows = project.rows()
    for id_ in (max(kols, key=lambda id_: kols[id_]), lists["alpha"][-1]):
        expected = {(kol, id_) for kol, ids in lists.items() if id_ in ids}
        assert set(asked("who", id_)) == set(asked("who", f"@{rows[id_].user_name}")) == expected


def test_a_list_with_a_damaged_page_says_nothing_of_who_is_lost(make_project: MakeProject) -> None:
    project = make_project({"alpha": 610, "beta": 5})
    project.crawl().expect(0)
    with project.store() as store:
        store.execute("UPDATE page SET body = x'00' WHERE handle = 'alpha' AND number = 2")
    project.follows = f"{project.target}_follows"
    project.init([])

    project.crawl("-a", "replay=all").expect(3)

    assert set(crawls(project)) == {"beta"}
    assert {kol for kol, _ in follows(project)} == {"alpha", "beta"}


def test_follows_go_into_doris_by_stream_load_too(make_project: MakeProject, doris: Doris) -> None:
    project = make_project(KOLS, db_url=doris.url, follows=True)
    project.env = {"KOL_DORIS_LOAD": "stream_load", "KOL_DORIS_HTTP": doris.http}
    project.crawl().expect(0)
    assert follows(project) == expected_follows(project)
    assert crawls(project) == expected_crawls(project)


def test_a_follows_table_switched_on_later_is_filled_from_the_cache(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    calls = len(project.api.calls)

    initdb = ("initdb", "--follows", *ONE_NODE[project.dialect == "doris"])
    for name in (f"{project.target}_follows", f"{project.target}_another"):
        project.follows = name
        assert "run `scrapy initdb --follows`" in project.crawl().expect(1).err
        project.look(*initdb).expect(0)
        assert "4 complete" in project.crawl().expect(0).out
        assert follows(project) == expected_follows(project)
        assert crawls(project) == expected_crawls(project)
    assert len(project.api.calls) == calls

    # and one that was dropped and created again is noticed before a crawl without work, and filled from the cache
    project.sql(f"DROP TABLE {name}_crawls")
    missing = f"{name}_crawls is empty although 3 lists were loaded, so new and lost follows are wrong: "
    remedy = "`scrapy crawl followings -a replay=all` loads them again from the cache, without a call"
    assert f"  note: {missing}{remedy}\n" in project.look(*initdb).expect(0).out
    told = project.look("follows", "new").expect(0)
    assert (told.out, told.err) == ("", f"kolspider: {missing}{remedy}\n")
    project.empty(name)
    warned = project.crawl().expect(0)
    assert f" W {name} and {name}_crawls are empty although 3 lists were loaded" in warned.err
    assert remedy in project.look("crawl", "followings", "-a", "test=1").expect(0).out
    with project.store() as store:
        pages = store.execute("SELECT * FROM page").fetchall()
        store.execute("DELETE FROM page")
    assert "`scrapy crawl followings -a refresh=0s` buys them again" in project.look("follows", "top").expect(0).err
    with project.store() as store:
        store.executemany(f"INSERT INTO page VALUES ({', '.join('?' * len(pages[0]))})", pages)
    assert "are empty" not in project.crawl("-a", "replay=all").expect(0).err
    assert follows(project) == expected_follows(project)
    assert crawls(project) == expected_crawls(project)
    assert project.look("follows", "new").expect(0).err == ""
    assert len(project.api.calls) == calls


def test_initdb_says_what_to_set_and_a_table_that_will_not_do_stops_the_run(
    make_project: MakeProject, db_url: str
) -> None:
    project = make_project({"alpha": 5}, db_url=db_url)
    if project.dialect != "sqlite":
        project.follows = f"{project.target}_follows"
        named = project.look("initdb", "--follows", *ONE_NODE[project.dialect == "doris"]).expect(0).out
        assert f"{project.follows}_crawls: created" in named
    else:
        said = project.look("initdb", "--follows").expect(0).out
        assert "twitter_kol_follows: created" in said
        assert "put KOL_FOLLOWS_TABLE=twitter_kol_follows into .env" in said
    other, project.source, project.follows = project.source, f"{project.source}_b", ""
    project.init(["alpha"])
    project.follows = other
    result = project.crawl().expect(1)
    assert "can't hold who follows whom: it lacks " in result.err
    assert project.api.calls == []


def test_new_lost_and_shared_are_what_the_moments_say(make_project: MakeProject, db_url: str) -> None:
    # Given a (read whole on day 1 and day 8), b (on day 1), c (never whole), and moments that come in any order
    project = make_project({}, db_url=db_url, follows=True)
    with closing(project.database()) as database:
        database.connect()
        database.upsert(project.target, [ROW._replace(id="1", user_name="one"), ROW._replace(id="2", followers=None)])
        for seen in (
            {"a1": (8, 8), "a2": (1, 1), "a3": (8, 9), "a4": (1, 1), "a6": (9, 9)},
            {"b1": (1, 1), "b4": (7, 7), "c1": (5, 5)},
            {"a1": (1, 1), "a4": (9, 9), "b4": (7, 7), "c4": (1, 1), "c6": (9, 9), "b2": (1, 1), "b6": (9, 9)},
        ):
            rows = [(key[0], key[1], day(first), day(last)) for key, (first, last) in seen.items()]
            database.widen(project.follows, SPAN_FOLLOWS, rows)
        crawls = [("a", day(8), day(8)), ("b", day(1), day(1)), ("a", day(1), day(1))]
        for crawl in crawls:
            database.widen(crawls_table(project.follows), SPAN_CRAWLS, [crawl])

        # then new is who came after the first whole list, lost who was not seen since the last one began,
        tables = Follows(database, project.follows, project.target)
        assert keys(tables.new(since=None, kol=None)) == ["a6", "b6", "a3", "b4"]
        assert keys(tables.new(since=day(9), kol=None)) == ["a6", "b6"]
        assert keys(tables.new(since=day(8), kol="a")) == ["a6", "a3"]
        assert keys(tables.lost(since=None, kol=None)) == ["a2"]
        assert keys(tables.lost(since=day(8), kol="a")) == ["a2"]
        assert keys(tables.lost(since=day(9), kol=None)) == keys(tables.lost(since=None, kol="b")) == []
        assert keys(tables.of("a")) == ["a6", "a3", "a1", "a4"]
        assert keys(tables.who("4")) == ["b4", "a4", "c4"]
        assert keys(tables.edges(["b", "a"])) == ["a1", "a3", "a4", "a6", "b1", "b2", "b4", "b6"]
        assert [(one.user_id, one.missed_since) for one in tables.of("a", lost=True) if one.missed_since] == [
            ("2", day(8))
        ]
        assert [(one.kol, one.missed_since) for one in tables.who("2", lost=True)] == [("a", day(8)), ("b", None)]
        assert tables.kols() == ["a", "b", "c"]
        assert tables.accounts("one") == [("1", ROW.name)]
        assert tables.last_whole() == {"a": day(8), "b": day(1)}
        # and shared is who is not lost.
        shared = tables.top(least=2, new_since=None, limit=9)
        newest = [("6", 3, day(9)), ("4", 3, day(7)), ("1", 3, day(5))]
        assert [(one.user_id, one.kols, one.newest) for one in shared] == newest
        assert (shared[2].user_name, shared[2].followers, shared[0].user_name) == ("one", 3, None)
        new = tables.top(least=2, new_since=day(8), limit=9)
        assert [(one.user_id, one.kols) for one in new] == [("6", 2)]
        assert tables.top(least=4, new_since=None, limit=9) == []
        assert tables.largest(2) == [("a", 4), ("b", 4)]
        assert tables.overlap(["a", "b", "c"]) == {("a", "b"): 3, ("a", "c"): 3, ("b", "c"): 3}
        assert known_ids(database, project.follows, "a", day(2)) == {1, 2, 4}


def test_whom_most_follow_is_right_however_many_are_lost(make_project: MakeProject, db_url: str) -> None:
    # Given accounts that look alike by their number of follows, but for those that are lost
    project = make_project({}, db_url=db_url, follows=True)
    chance = random.Random(7)
    seen = {(f"k{kol}", str(user)): chance.choice((1, 1, 9)) for kol in range(12) for user in range(50)}
    seen = {key: last for key, last in seen.items() if chance.random() < 0.6}
    with closing(project.database()) as database:
        database.connect()
        database.widen(project.follows, SPAN_FOLLOWS, [(*key, day(1), day(last)) for key, last in seen.items()])
        read_whole = [(f"k{kol}", day(1), day(5)) for kol in range(9)]
        database.widen(crawls_table(project.follows), SPAN_CRAWLS, read_whole)
        tables = Follows(database, project.follows, project.target)

        # then whether few are asked for or many, those that are lost count nowhere
        current = [key for key, last in seen.items() if last == 9 or int(key[0][1:]) >= 9]
        accounts = sorted(Counter(user for _, user in current).items(), key=lambda one: (-one[1], one[0]))
        kols = sorted(Counter(kol for kol, _ in current).items(), key=lambda one: (-one[1], one[0]))
        assert [(one.user_id, one.kols) for one in tables.shared(least=1, new_since=None)] == accounts
        for limit in (1, 2, 5, 20, 60):
            for least in (1, 5):
                shared = tables.top(least=least, new_since=None, limit=limit)
                expected = [one for one in accounts if one[1] >= least][:limit]
                assert [(one.user_id, one.kols) for one in shared] == expected
            assert tables.largest(limit) == kols[:limit]


def test_an_answer_is_the_same_text_however_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kolspider.console.output._IN_MEMORY", 100)
    rows = [FollowSeen("a", str(n), "x", "two\nlines\u2028", None, day(1), day(2)) for n in range(9)]
    for some in (rows, rows[:1], []):
        expected = json.dumps([row._asdict() for row in some], indent=2, ensure_ascii=False) + "\n"
        with spooled(json_lines(row._asdict() for row in some)) as written:
            assert written.read() == expected
        with spooled(csv_lines(FollowSeen._fields, some)) as written:
            texts = [tuple("" if value is None else value for value in row) for row in some]
            assert [tuple(row) for row in csv.reader(written)] == [FollowSeen._fields, *texts]


def day(number: int) -> str:
    return f"2026-11-{number:02} 08:00:00"


def keys(found: Iterable[FollowSeen | Edge]) -> list[str]:
    return [f"{one.kol}{one.user_id}" for one in found]


def test_the_report_tells_what_kols_share_and_does_without_when_it_can_not_ask(make_project: MakeProject) -> None:
    project = make_project({"alpha": 450, "beta": 300}, follows=True)
    project.crawl().expect(0)
    both = len(set(project.api.expected_ids("alpha")) & set(project.api.expected_ids("beta")))
    page = project.folder / "report.html"

    assert project.look("report", "-o", str(page)).expect(0).err == ""
    html = page.read_text()
    assert "Accounts followed by the most KOLs" in html
    assert f"alpha and beta both follow {both} accounts" in html

    project.sql(f"DROP TABLE {project.follows}")
    assert "leaves out who follows whom" in project.look("report", "-o", str(page)).expect(0).err
    assert "both follow" not in page.read_text()
    assert "run `scrapy initdb --follows`" in project.look("follows", "new").expect(1).err
    for words in (
        ("old",),
        ("new", "--min", "3"),
        ("top", "--kol", "x"),
        ("new", "--since", "7"),
        ("top", "--min", "0"),
    ):
        assert project.look("follows", *words).expect(2).err.count("\n") == 1


ONE_NODE: dict[bool, tuple[str, ...]] = {True: ("--replicas", "1", "--buckets", "1"), False: ()}


def follows(project: Project) -> dict[tuple[str, str], tuple[str, str]]:
    """The follows table: (KOL, id) to (first_seen, last_seen)."""
    rows = project.sql(f"SELECT kol_user_name, user_id, first_seen, last_seen FROM `{project.follows}`")
    found = {(kol, id_): (str(first), str(last)) for kol, id_, first, last in rows}
    assert len(found) == len(rows)
    return found


def crawls(project: Project) -> dict[str, tuple[str, str]]:
    """The crawls table: KOL to (first_whole, last_whole)."""
    rows = project.sql(f"SELECT kol_user_name, first_whole, last_whole FROM `{project.follows}_crawls`")
    return {kol: (str(first), str(last)) for kol, first, last in rows}


def fetched(project: Project) -> dict[tuple[str, int], str]:
    """When each page came, by (handle, its number): of lists that were read once."""
    return {(kol, n): moment(at) for kol, n, at in project.ledger("SELECT handle, number, fetched_at FROM page")}


def expected_follows(project: Project) -> dict[tuple[str, str], tuple[str, str]]:
    """Of lists that did not change and were read once."""
    pages, expected = fetched(project), {}
    for kol, size in KOLS.items():
        places = followings(kol, size, unusable=project.api._world._unusable)
        ids = project.api.expected_ids(kol)
        usable = [place for place, user in enumerate(places) if user >= 0]
        for place, id_ in zip(usable, ids, strict=True):
            at = pages[kol.lower(), place // 200 + 1]
            expected[kol.lower(), id_] = (at, at)
    return expected


def expected_crawls(project: Project) -> dict[str, tuple[str, str]]:
    pages = fetched(project)
    return {
        kol.lower(): (pages[kol.lower(), -(-size // 200)], pages[kol.lower(), 1]) for kol, size in KOLS.items() if size
    }
