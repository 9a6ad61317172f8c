"""Scrapy's own commands in this project: one line, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.project import KEY

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject


def test_commands_that_would_send_requests_outside_of_a_run_are_refused(make_project: MakeProject) -> None:
    project = make_project({"BTC": 3})
    for words in (["fetch", project.api.url], ["view", project.api.url], ["parse", project.api.url], ["bench"]):
        refused = project.look(*words).expect(2)
        assert (
            refused.text
            == f"kolspider: scrapy {words[0]} is not available in kolspider; use `scrapy crawl followings`\n"
        )
    for words in (["shell", "-c", "1"], ["runspider", "kolspider/spiders/followings.py"]):
        assert len(project.look(*words).expect(2).err.splitlines()) == 1
    assert project.api.calls == []


@pytest.mark.parametrize("how", ["--get", "--getlist"])
def test_settings_are_printed_and_secrets_are_not(make_project: MakeProject, how: str) -> None:
    project = make_project({}, db_url="")
    assert KEY not in project.look("settings", how, "KOL_API_KEY").expect(0).text
    assert "***" in project.look("settings", how, "KOL_DB_URL").expect(0).out
    assert project.api.url in project.look("settings", how, "KOL_API_URL").expect(0).out
