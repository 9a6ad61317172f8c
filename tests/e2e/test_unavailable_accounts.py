"""An account of which the API knows only that it is followed keeps the values that the table has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from kolspider.items import Row
from tests.e2e.http_servers import http_server, reply

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    from tests.e2e.conftest import MakeProject

STUBS: list[dict[str, object]] = [
    {"id": "1", "unavailable": True, "unavailableReason": "Suspended", "name": "gone", "followers_count": 0},
    {"id": "2"},
    {"id": "3", "unavailable": True},
]
LISTS: dict[str, list[dict[str, object]]] = {
    "full": [{"id": id_, "name": f"Name {id_}", "followers_count": 7} for id_ in ("1", "2")],
    "stubs": STUBS,
}


def answer(request: BaseHTTPRequestHandler) -> None:
    (kol,) = parse_qs(urlsplit(request.path).query)["userName"]
    page = {"followings": LISTS[kol], "has_next_page": False, "next_cursor": ""}
    reply(request, 200, json.dumps(page).encode())


@pytest.mark.parametrize("order", [["full", "stubs"], ["stubs", "full"]])
def test_an_account_that_is_only_followed_replaces_no_row_and_is_one_if_there_is_none(
    make_project: MakeProject, db_url: str, order: list[str]
) -> None:
    project = make_project({}, names=[], follows=True, db_url=db_url)
    expected = {id_: Row(id_, *[None] * 9) for id_ in ("1", "2", "3")}
    expected |= {id_: expected[id_]._replace(name=f"Name {id_}", followers=7) for id_ in ("1", "2")}

    # When the lists are loaded one after the other, and then both at once
    with http_server(answer) as url:
        for kol in order:
            project.crawl("-a", f"kols={kol}", env={"KOL_API_URL": url}).expect(0)
    assert project.rows() == expected
    project.empty()
    project.crawl("-a", f"kols={','.join(order)}", "-a", "replay=all").expect(0)

    # Then only an account without a row has its id alone, and every follow is known
    assert project.rows() == expected
    assert project.rejects() == []
    follows = project.sql(f"SELECT kol_user_name, user_id FROM `{project.follows}`")
    assert sorted(follows) == [("full", "1"), ("full", "2"), ("stubs", "1"), ("stubs", "2"), ("stubs", "3")]
