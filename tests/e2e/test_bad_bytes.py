"""One bad byte costs one user, not its page: the others are rows, and the page is bought once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.http_servers import http_server, reply
from tests.e2e.processes import stats
from tests.e2e.project import settings

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    from tests.e2e.conftest import MakeProject

UNREADABLE = {
    "nan": (b'"followers_count": 7', b'"followers_count": NaN', "followers_count"),
    "infinity": (b'"followers_count": 7', b'"followers_count": Infinity', "followers_count"),
    "cut_utf8": (b'"name": "Name"', b'"name": "\xe5\xb8"', "name"),
    "digits": (b'"statuses_count": 7', b'"statuses_count": ' + b"7" * 5000, "statuses_count"),
}
HARMLESS = {
    "control": (b'"name": "Name"', b'"name": "Na\x01me"'),
    "digits_not_used": (b'"favourites_count": 7', b'"favourites_count": ' + b"7" * 5000),
    "nan_not_used": (b'"favourites_count": 7', b'"favourites_count": NaN'),
}
FIRST_ID = dict(zip([*UNREADABLE, *HARMLESS], range(1000, 9000, 1000), strict=False))
DAMAGED = 100
"""Which user of each page is the damaged one."""


def body(kol: str) -> bytes:
    """A page of 200 users, one of them damaged."""
    counts = {"followers_count": 7, "statuses_count": 7, "favourites_count": 7}
    users = [
        json.dumps({"id": str(FIRST_ID[kol] + number), "name": "Name", **counts}).encode() for number in range(200)
    ]
    was, now, *_ = (UNREADABLE | HARMLESS)[kol]
    assert was in users[DAMAGED]
    users[DAMAGED] = users[DAMAGED].replace(was, now)
    return b'{"followings": [%s], "has_next_page": false, "next_cursor": ""}' % b", ".join(users)


def test_one_bad_byte_loses_no_other_user_and_the_page_is_bought_once(make_project: MakeProject) -> None:
    project = make_project({}, names=list(FIRST_ID), follows=True)
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        (kol,) = parse_qs(urlsplit(request.path).query)["userName"]
        asked.append(kol)
        reply(request, 200, body(kol))

    with http_server(answer) as url:
        env = {"KOL_API_URL": url}
        result = project.crawl(*settings(STATS_DUMP=True), env=env).expect(0)
        assert f"{len(FIRST_ID)} complete" in result.out
        assert sorted(asked) == sorted(FIRST_ID)

        # All are rows but the unreadable ones, which are set aside with the field, and whose follow is known
        aside = {str(FIRST_ID[kol] + DAMAGED): field for kol, (_, _, field) in UNREADABLE.items()}
        all_ids = {str(first + number) for first in FIRST_ID.values() for number in range(200)}
        assert project.rows().keys() == all_ids - aside.keys()
        rejects = project.rejects()
        assert {(line["kol"], line["reason"], line["detail"]) for line in rejects} == {
            (kol, "unreadable", field) for kol, (_, _, field) in UNREADABLE.items()
        }
        assert len(rejects) == len(UNREADABLE)
        assert stats(result.text)["rows/rejected/unreadable"] == len(UNREADABLE)
        assert f"{len(UNREADABLE)} set aside" in result.out
        assert {id_ for (id_,) in project.sql(f"SELECT user_id FROM `{project.follows}`")} == all_ids

        # And a replay reads the cached pages in the same way
        rows = project.rows()
        project.empty()
        project.crawl("-a", "replay=all", env=env).expect(0)
        assert project.rows() == rows
        assert project.rejects() == rejects
        assert sorted(asked) == sorted(FIRST_ID)


@pytest.mark.parametrize("damage", [b"NaN", b'"\xff"'])
def test_a_damaged_page_that_is_cut_off_is_asked_for_again(make_project: MakeProject, damage: bytes) -> None:
    project = make_project({}, names=["nan"])
    whole = body("nan").replace(b"NaN", damage)
    answers = [b"no balance", whole[: len(whole) // 2], whole[:-1], whole]

    with http_server(lambda request: reply(request, 200, answers.pop(0))) as url:
        result = project.crawl(env={"KOL_API_URL": url}).expect(0)

    assert result.text.count("HTTP 200: not JSON; retry") == 2
    assert len(project.rows()) == 199
    assert answers == []
