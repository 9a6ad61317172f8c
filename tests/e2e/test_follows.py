"""Who follows whom: written with the page that brought it, on every database, whatever happens in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.follows import moment
from kolspider.sandbox import followings
from tests.e2e.harness import SMALL_BATCHES, expected_rows, kill

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.harness import Project

KOLS = {"alpha": 700, "Beta": 450, "shared": 201, "empty": 0}


def test_follows_are_written_with_their_page_and_survive_a_kill(make_project: MakeProject, db_url: str) -> None:
    # Given a crawl that is killed in the middle
    project = make_project(KOLS, db_url=db_url, follows=True, unusable=True, latency=0.1)
    process = project.start_crawl(*SMALL_BATCHES)
    assert project.api.wait_for_calls(8, timeout=30)
    kill(process)
    project.api.latency = 0

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


def test_a_follows_table_switched_on_later_is_filled_from_the_cache(make_project: MakeProject) -> None:
    project = make_project(KOLS)
    project.crawl().expect(0)
    calls = len(project.api.calls)

    for name in ("twitter_kol_follows", "another"):
        project.follows = name
        assert "run `scrapy initdb --follows`" in project.crawl().expect(1).err
        project.scrapy("initdb", "--follows").expect(0)
        assert "4 complete" in project.crawl().expect(0).out
        assert follows(project) == expected_follows(project)
        assert crawls(project) == expected_crawls(project)
    assert len(project.api.calls) == calls


def test_initdb_says_what_to_set_and_a_table_that_will_not_do_stops_the_run(
    make_project: MakeProject, db_url: str
) -> None:
    project = make_project({"alpha": 5}, db_url=db_url)
    if db_url:
        project.follows = f"{project.target}_follows"
        named = project.scrapy("initdb", "--follows", *ONE_NODE[project.db_url.startswith("doris")]).expect(0).out
        assert f"{project.follows}_crawls: created" in named
    else:
        said = project.scrapy("initdb", "--follows").expect(0).out
        assert "twitter_kol_follows: created" in said
        assert "with KOL_FOLLOWS_TABLE=twitter_kol_follows in .env" in said
    project.follows = project.source
    result = project.crawl().expect(1)
    assert "can't hold who follows whom: it lacks " in result.err
    assert project.api.calls == []


def test_the_report_tells_what_kols_share_and_does_without_when_it_can_not_ask(make_project: MakeProject) -> None:
    project = make_project({"alpha": 450, "beta": 300}, follows=True)
    project.crawl().expect(0)
    both = len(set(project.api.expected_ids("alpha")) & set(project.api.expected_ids("beta")))
    page = project.folder / "report.html"

    assert project.scrapy("report", "-o", str(page)).expect(0).err == ""
    html = page.read_text()
    assert "Accounts that most KOLs follow" in html
    assert f"alpha and beta both follow {both} accounts" in html

    project.sql(f"DROP TABLE {project.follows}")
    assert "without who follows whom" in project.scrapy("report", "-o", str(page)).expect(0).err
    assert "both follow" not in page.read_text()
    assert "run `scrapy initdb --follows`" in project.scrapy("follows", "new").expect(1).err
    for words in (
        ("old",),
        ("new", "--min", "3"),
        ("top", "--kol", "x"),
        ("new", "--since", "7"),
        ("top", "--min", "0"),
    ):
        assert project.scrapy("follows", *words).expect(2).err.count("\n") == 1


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
