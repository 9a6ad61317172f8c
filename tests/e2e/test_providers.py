"""The same job over each API, and by a provider file: the same rows, each page and each id bought once, exact caps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.items import Row
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.sandbox import CONTRACTS, SAMPLE_KOLS, followings
from kolspider.sandbox.users import plain_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

    OnApi = Callable[..., Project]

APIS = {"twitterapi_io": "", "aisa": "/apis/v1", "socialdata": "", "tikhub": "", "api45": ""}
"""The contracts of the sandbox, and what stands behind its address in KOL_API_URL."""
LOOKS_UP = "socialdata"
"""The one that asks by id."""
KOLS = {"alpha": 450, "beta": 70, "gamma": 3}


@dataclass(frozen=True)
class Api:
    """An API that the sandbox speaks, and the settings by which kolspider speaks it."""

    name: str

    @property
    def looks_up(self) -> bool:
        return self.name == LOOKS_UP

    def on(self, project: Project) -> Project:
        project.provider = "twitter_api45" if self.name == "api45" else self.name
        project.env |= {
            "KOL_API_PROVIDER": project.provider,
            "KOL_API_URL": project.api.url + APIS[self.name],
        }
        return project

    def rows(self, kols: dict[str, int], revision: int = 0) -> dict[str, Row]:
        """What the table holds of these lists: what twitterapi.io's would, but for what this contract leaves out."""
        contract, mapper = CONTRACTS[self.name], Mapper()
        adapter = provider("twitterapi_io")
        raws = (plain_entry(place, revision) for kol, count in kols.items() for place in followings(kol, count))
        mapped = (mapper.map_user(adapter.followed_user(raw), raw) for raw in raws)
        rows = {row.id: row for row in mapped if isinstance(row, Row)}
        if self.name == "api45":
            rows = {id_: row._replace(created_at=None, created_at_time=None) for id_, row in rows.items()}
        assert contract
        return rows


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> Api:
    return Api(request.param)


def summary(project: Project, *words: str, code: int = 0) -> dict[str, Any]:
    """Run a crawl, and return its closing table."""
    file = project.folder / "summary.json"
    project.crawl(*words, "-s", f"KOL_SUMMARY_FILE={file}").expect(code)
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def shared(rows: dict[str, Row]) -> dict[str, Row]:
    """Rows without the text of a time, which each API writes in a way of its own."""
    return {id_: row._replace(created_at=None) for id_, row in rows.items()}


def test_the_rows_are_the_same_whoever_sells_the_lists(make_project: MakeProject, api: Api) -> None:
    names = [*SAMPLE_KOLS, "gone_kol"]
    project = api.on(make_project(SAMPLE_KOLS, names=names, api=api.name, faults={"btc": "rate_limit_bare"}))

    told = summary(project)

    assert shared(project.rows()) == shared(api.rows(SAMPLE_KOLS))
    assert project.ended() == {**dict.fromkeys(map(str.lower, SAMPLE_KOLS), "complete"), "gone_kol": "not_found"}
    assert told["dollars_estimated"] == round(project.api.spent_usd, 4)
    assert told["calls"] == len(project.api.calls)
    pages = {page: n for page, n in project.bought().items() if page[0]}
    assert {page for page, n in pages.items() if n > 1} == {("btc", "")}, "the one that came too fast"
    looked_up = [call.accounts for call in project.api.calls if call.kind == "profiles"]
    assert looked_up == ([9, 1] if api.looks_up else [])

    # And a refresh reads the lists again, and looks nobody up who is known.
    project.api.revision = 1
    project.api.clear_calls()
    project.crawl("-a", "refresh=0s").expect(0)
    assert shared(project.rows()) == shared(api.rows(SAMPLE_KOLS, 1))
    looked_up = [call.accounts for call in project.api.calls if call.kind == "profiles"]
    assert looked_up == ([1] if api.looks_up else []), "the one who was not found"
