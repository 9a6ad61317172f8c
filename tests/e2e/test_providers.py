"""The same job over each API, and by a provider file: the same rows, each page and each id bought once, exact caps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.items import Row
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.providers.base import dearest_page
from kolspider.sandbox import SAMPLE_KOLS, Fault, followings
from kolspider.sandbox.users import plain_entry
from tests.e2e.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

    OnApi = Callable[..., Project]

FILE = str(ROOT / "tests/data/api45.toml")
"""A provider file, written by what docs/providers.md says."""
APIS = {
    "twitterapi_io": ("twitterapi_io", ""),
    "aisa": ("aisa", "/apis/v1"),
    "socialdata": ("socialdata", ""),
    "tikhub": ("tikhub", ""),
    "api45": (FILE, ""),
}
"""The contracts of the sandbox: KOL_API_PROVIDER, and what KOL_API_URL has behind the sandbox's address."""
NEEDS_IDS = "socialdata"
KOLS = {"alpha": 450, "beta": 70, "gamma": 3}


IN_SHORT = {"socialdata", "api45"}
"""The contracts that are furthest from that of all other tests."""


@pytest.fixture(params=[pytest.param(name, marks=[] if name in IN_SHORT else pytest.mark.long) for name in APIS])
def api(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def on_api(make_project: MakeProject) -> OnApi:
    """make_project for an API."""

    def make(api: str, kols: dict[str, int], **options: Any) -> Project:
        return use(make_project(kols, api=api, **options), api)

    return make


def use(project: Project, api: str, url: str = "") -> Project:
    """Let a project speak an API from now on; at its own sandbox, or at this address."""
    project.provider, path = APIS[api]
    project.env |= {"KOL_API_PROVIDER": project.provider, "KOL_API_URL": (url or project.api.url) + path}
    if api == "api45":
        project.env["KOL_CREDIT_PRICE"] = "0"  # as in the sandbox: it is a plan that is paid
    return project


def rows_of(api: str, kols: dict[str, int], revision: int = 0) -> dict[str, Row]:
    """What the lists give through any API, as far as its users have it."""
    mapper, adapter = Mapper(), provider("twitterapi_io")
    raws = (plain_entry(place, revision) for kol, count in kols.items() for place in followings(kol, count))
    mapped = (mapper.map_user(adapter.followed_user(raw), raw) for raw in raws)
    rows = {row.id: row for row in mapped if isinstance(row, Row)}
    return {id_: row._replace(created_at_time=None) for id_, row in rows.items()} if api == "api45" else rows


def shared(rows: dict[str, Row]) -> dict[str, Row]:
    """Rows without the text of a time, which each API writes in a way of its own."""
    return {id_: row._replace(created_at=None) for id_, row in rows.items()}


def summary(project: Project, *words: str, code: int = 0) -> dict[str, Any]:
    """Run a crawl, and return its closing table."""
    file = project.folder / "summary.json"
    project.crawl(*words, "-s", f"KOL_SUMMARY_FILE={file}").expect(code)
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def looked_up(project: Project) -> list[int]:
    """How many accounts each look-up asked about."""
    return [call.accounts for call in project.api.calls if call.kind == "profiles"]


@pytest.mark.parametrize("api", APIS)
def test_the_rows_are_the_same_whoever_sells_the_lists(on_api: OnApi, api: str) -> None:
    project = on_api(
        api, SAMPLE_KOLS, names=[*SAMPLE_KOLS, "gone_kol"], faults={"btc": Fault("rate_limit_bare", page=2)}
    )

    told = summary(project)

    assert shared(project.rows()) == shared(rows_of(api, SAMPLE_KOLS))
    assert project.ended() == {**dict.fromkeys(map(str.lower, SAMPLE_KOLS), "complete"), "gone_kol": "not_found"}
    assert told["dollars_estimated"] == round(project.api.spent_usd, 4)
    assert told["calls"] == len(project.api.calls)
    pages = [call for call in project.api.calls if call.kind == "followings"]
    assert len({(call.handle, call.cursor) for call in pages}) == len(pages) - 1, "all but the one that came too fast"
    assert looked_up(project) == ([9, 1] if api == NEEDS_IDS else [])

    # And a refresh reads the lists again, without a look-up for anybody who is known.
    project.api.revision = 1
    project.api.clear_calls()
    project.crawl("-a", "refresh=0s").expect(0)
    assert shared(project.rows()) == shared(rows_of(api, SAMPLE_KOLS, 1))
    assert looked_up(project) == ([1] if api == NEEDS_IDS else [])


def test_kill_9_loses_no_page_and_no_id(on_api: OnApi, api: str) -> None:
    project = on_api(api, KOLS)
    lost: list[tuple[str, str]] = []
    for answers in (0, 3):  # in the look-up, where there is one, and in the lists
        before = len(project.api.calls)
        project.kill_crawl(answers)
        lost += project.in_flight(since=before)

    project.crawl().expect(0)

    assert shared(project.rows()) == shared(rows_of(api, KOLS))
    assert project.ended() == dict.fromkeys(KOLS, "complete")
    bought = [(call.handle, call.cursor) for call in project.api.calls if call.kind == "followings"]
    for page in lost:
        if page in bought:
            bought.remove(page)
    assert len(bought) == len(set(bought))
    assert looked_up(project) == ([3, 3] if api == NEEDS_IDS else []), "only the one in flight was lost"


def test_caps_are_exact_by_the_meter_of_the_api(on_api: OnApi, api: str) -> None:
    project = on_api(api, KOLS)
    adapter = provider(project.provider)
    assert summary(project, "-a", "max_calls=3", code=1)["calls"] == len(project.api.calls) == 3
    assert len(looked_up(project)) == (api == NEEDS_IDS)

    if api != "api45":  # whose calls cost nothing by themselves
        spent, dearest = project.api.spent_usd, dearest_page(adapter, adapter.page_size) * adapter.credit_usd
        cap = round(1.5 * dearest, 6)
        told = summary(project, "-a", f"max_usd={cap}", code=1)
        spent_now = project.api.spent_usd - spent
        assert told["dollars_estimated"] == round(spent_now, 4)
        assert spent_now <= cap < spent_now + dearest

    project.crawl().expect(0)
    assert shared(project.rows()) == shared(rows_of(api, KOLS))
    assert len(looked_up(project)) == (api == NEEDS_IDS)


def test_a_wrong_key_stops_the_run(on_api: OnApi, api: str) -> None:
    project = on_api(api, KOLS)
    stopped = project.crawl(env={"KOL_API_KEY": "wrong-key-0123456789"}).expect(1)
    assert "check KOL_API_KEY" in stopped.text
    assert project.api.spent_usd == 0
    assert project.rows() == {}


@pytest.mark.parametrize("unset", [(), ("-s", "DOWNLOAD_DELAY=")])
def test_without_a_delay_the_pace_is_the_one_of_the_provider(on_api: OnApi, unset: tuple[str, ...]) -> None:
    project = on_api("socialdata", {"gamma": 3})
    assert "at one call in 0.5 s" in project.scrapy("crawl", "followings", "-a", "estimate=1", *unset).expect(0).out
    project.scrapy("crawl", "followings", *unset).expect(0)
    look_up, page, end = (call.at for call in project.api.calls)
    assert min(page - look_up, end - page) > 0.4


def test_lists_of_a_family_count_for_all_of_its_providers(on_api: OnApi, make_project: MakeProject) -> None:
    project = on_api("twitterapi_io", KOLS)
    project.crawl().expect(0)
    other = make_project(KOLS, api="aisa")
    use(project, "aisa", other.api.url)

    project.crawl().expect(0)
    project.empty()
    project.crawl("-a", "replay=all").expect(0)

    assert other.api.calls == []
    assert project.rows() == project.rows()
    assert shared(project.rows()) == shared(rows_of("aisa", KOLS))


def test_a_provider_that_sells_the_lists_again_says_so_before_the_first_call(
    on_api: OnApi, make_project: MakeProject
) -> None:
    project = on_api("twitterapi_io", KOLS)
    project.crawl().expect(0)
    other = make_project(KOLS, api="socialdata")
    use(project, "socialdata", other.api.url)
    project.crawl("-a", "kols=delta").expect(0)  # whom nobody has sold so far

    refused = project.crawl().expect(2)
    estimated = project.crawl("-a", "estimate=1").expect(0)

    told = (
        "3 of the 3 lists of this run were bought from twitterapi_io, and not from socialdata: their rows stay in "
        f"{project.target}, but it buys these lists again (about 13 calls, 526 credits, $0.11)"
    )
    assert f"{told}; buy them with -a fresh=1, or set KOL_API_PROVIDER as it was" in refused.err
    assert told in " ".join(estimated.out.split())
    assert estimated.out.endswith(" -a fresh=1\n"), "the command to run next"
    assert "1 to look up the ids of 3 KOLs" in estimated.out
    assert {call.kind for call in other.api.calls} == {"profiles"}, "of delta, who is not found"

    # One list to try the provider needs a yes, and is none for all the others.
    project.crawl("-a", "kols=gamma", "-a", "dry_run=1", "-a", "fresh=1").expect(0)
    assert "2 of the 3 lists of this run were bought from twitterapi_io" in project.crawl("-a", "limit=5").expect(2).err
    project.crawl("-a", "fresh=1", "-a", "max_calls=5").expect(1)
    project.crawl("-a", "fresh=1").expect(0)
    assert sum(call.credits for call in other.api.calls) == 450 + 70 + 3 + len(KOLS)
    project.crawl("-a", "refresh=0s").expect(0)
    assert shared(project.rows()) == shared(rows_of("socialdata", KOLS))


def test_a_list_that_two_other_providers_sold_counts_once(on_api: OnApi, make_project: MakeProject) -> None:
    project = on_api("twitterapi_io", KOLS)
    project.crawl().expect(0)
    second, third = (make_project(KOLS, api=name) for name in ("tikhub", "socialdata"))
    use(project, "tikhub", second.api.url)
    project.crawl("-a", "fresh=1").expect(0)
    use(project, "socialdata", third.api.url)

    refused = project.crawl().expect(2)

    assert "3 of the 3 lists of this run were bought from tikhub and twitterapi_io, and not from social" in refused.err
    assert third.api.calls == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("twiterapi_io", "no provider 'twiterapi_io'; did you mean twitterapi_io?"),
        ("no/such.toml", "no/such.toml can't be read: No such file or directory"),
        ("README.md", "no provider 'README.md'"),
        ("scrapy.toml", "scrapy.toml is no TOML: "),
    ],
)
def test_a_provider_that_is_none_is_told_before_anything_is_paid(
    on_api: OnApi, tmp_path: Path, name: str, told: str
) -> None:
    project = on_api("twitterapi_io", KOLS)
    (tmp_path / "scrapy.toml").write_text("[settings]\ndefault = kolspider.settings\n")
    given = str(tmp_path / name) if name == "scrapy.toml" else name
    refused = project.crawl(env={"KOL_API_PROVIDER": given}).expect(2)
    assert told in refused.err
    assert len(refused.err.splitlines()) == 1
    assert project.api.calls == []


def test_a_list_in_smaller_pages_than_the_api_can_give_is_bought_once(on_api: OnApi, tmp_path: Path) -> None:
    project = on_api("twitterapi_io", {"BTC": 450})
    (file := tmp_path / "small.toml").write_text('like = "twitterapi_io"\nname = "small"\n[list]\npage_size = 100\n')
    project.crawl("-a", "max_calls=9", env={"KOL_API_PROVIDER": str(file)}).expect(0)
    assert [call.page for call in project.api.calls] == [1, 2, 3, 4, 5]


def test_the_faults_of_a_file_are_told_in_a_line_each(on_api: OnApi, tmp_path: Path) -> None:
    project = on_api("api45", KOLS)
    file = tmp_path / "my.toml"
    good = Path(FILE).read_text()
    file.write_text(good.replace('cursor = "next_cursor"', "curser = 'x'").replace('"my_api45"', '"My API"'))
    refused = project.crawl(env={"KOL_API_PROVIDER": str(file)}).expect(2)
    assert refused.err.splitlines() == [
        f"kolspider: {file}: name: 'My API' must be 1 to 40 small letters, digits and underscores",
        f"{file}: [list] curser: there is no such key; did you mean cursor?",
        f"{file}: [list] cursor: must be a text such as next_cursor",
    ]

    # A path that finds nothing is found by the sample, without a call, and in a real answer by its first page.
    file.write_text(good.replace('users = "following"', 'users = "followed"'))
    env = {"KOL_API_PROVIDER": str(file)}
    tested = project.crawl("-a", "test=1", env=env).expect(1)
    assert "the sample answer of my_api45 is no page: followed is missing or null, not a list" in tested.out
    assert project.api.calls == []
    crawled = project.crawl("-a", "kols=gamma", "-s", "RETRY_TIMES=0", env=env).expect(3)
    assert "followed is missing or null, not a list" in crawled.text
    file.write_text(good.replace('id = "user_id"', 'id = ["idd", "ID"]'))
    crawled = project.crawl("-a", "kols=beta", "-s", "RETRY_TIMES=0", env=env).expect(3)
    assert "none of 70 users has an id, at idd or ID" in crawled.text


def test_a_plan_that_is_used_up_is_no_pause(on_api: OnApi, api: str) -> None:
    project = on_api(api, KOLS, faults={"*": Fault("plan_used_up", times=None)})
    stopped = project.crawl().expect(1)
    assert ("no credit left" if api == "api45" else "asks to wait 24.0 h") in stopped.text
    assert sum(call.kind == "followings" for call in project.api.calls) <= len(KOLS)
