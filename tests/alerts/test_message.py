"""What a chat gets: short lines, in which a stranger's name calls nobody."""

from __future__ import annotations

import json
from typing import Any

from kolspider.alerts.message import message
from kolspider.store.outbox import Parcel

ACCOUNT = {"id": "77", "user_name": "alice", "name": "Alice", "followers": 1, "description": "", "created_at": None}
ALERT = {
    "id": "abc",
    "rule": "smart money",
    "event": "shared_follow",
    "seen": "2026-11-26 08:00:00",
    "account": ACCOUNT,
    "kols": ["btc", "eth"],
    "detail": "",
    "page": {"kol": "eth", "number": 2, "read_at": "2026-11-26 08:00:00"},
}


def text_of(*, count: int = 1, **changes: Any) -> tuple[str, list[str]]:
    title, text = message(Parcel(1, "smart money", [json.dumps(ALERT | changes)], count, 1))
    return title, text.splitlines()


def test_a_line_names_account_kols_when_and_on_which_page() -> None:
    assert text_of() == (
        "kolspider: smart money, 1 alert",
        [
            "- x.com/alice, Alice, 1 follower: now followed by btc, eth, seen 2026-11-26 08:00:00 UTC, page 2 of eth",
            "(message abc)",
        ],
    )
    assert "newly followed by btc, eth, seen" in text_of(event="new_follow")[1][0]
    assert "no longer followed by btc, eth, last seen" in text_of(event="lost_follow")[1][0]


def test_a_lost_follow_says_why_as_far_as_that_is_known() -> None:
    def line(**changes: Any) -> str:
        return text_of(event="lost_follow", **changes)[1][0]

    assert "no longer followed by btc, eth (suspended), last seen" in line(why="suspended")
    assert "btc, eth (unfollowed, is now x.com/al), last" in line(why="unfollowed", detail="is now x.com/al")
    assert "btc, eth (reason not known), last seen" in line(why="not known")


def test_what_is_unknown_is_left_out() -> None:
    bare = ACCOUNT | {"user_name": None, "name": None, "followers": None}
    assert text_of(account=bare, page=None)[1][0].startswith("- account 77: now followed by")


def test_a_kol_has_a_line_of_its_own() -> None:
    _, lines = text_of(account=None, kols=["btc"], event="kol_gone", detail='the API says "user not found"', page=None)
    assert lines[0] == '- btc: the API says "user not found", found 2026-11-26 08:00:00 UTC'


def test_many_kols_and_many_alerts_are_counted() -> None:
    title, lines = text_of(count=1234, kols=[f"k{number}" for number in range(9)])
    assert title == "kolspider: smart money, 1,234 alerts"
    assert "k0, k1, k2, k3, k4 and 4 more" in lines[0]
    assert lines[1] == 'and 1,233 more: scrapy alerts backtest "smart money"'


def test_the_name_of_a_stranger_calls_nobody() -> None:
    for name in ("@everyone", "<!channel>", "line\nbreak", "[a](http://evil)", "**bold** `code` _it_", "x" * 500):
        _, lines = text_of(account=ACCOUNT | {"name": name})
        assert len(lines) == 2
        assert not set("@<>[]*`_") & set(lines[0]), name
        assert len(lines[0]) < 200
