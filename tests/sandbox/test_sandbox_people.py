"""The demo's users are the same in every run, and look like people."""

import re
from typing import Any

from kolspider.sandbox import SAMPLE_KOLS, Sandbox, followings, plausible

A_WEEK = 20


def demo_users() -> list[Any]:
    indices = {index for kol, count in SAMPLE_KOLS.items() for index in followings(kol, count + A_WEEK)}
    return [plausible(index) for index in sorted(indices)]


def test_a_plausible_user_is_the_same_in_every_run():
    user: Any = plausible(48)
    assert (user["id"], user["name"], user["screen_name"]) == ("3165207468", "Jiaqi Huang", "jiaqi_huang562")
    assert user["created_at"] == "Sun Dec 29 00:52:53 +0000 2013"


def test_no_two_users_of_the_demo_share_an_id_or_a_handle():
    users = demo_users()
    for key in ("id", "screen_name"):
        assert len({user[key] for user in users}) == len(users)


def test_plausible_users_have_what_twitter_allows():
    users = demo_users()
    for user in users:
        assert re.fullmatch(r"\d{8,19}", user["id"])
        assert re.fullmatch(r"[a-z0-9_]{4,15}", user["screen_name"])
        assert 0 < len(user["name"]) <= 50
        assert len(user["description"]) <= 160
        assert 0 <= user["following_count"] < 50_000
        assert 0 <= user["followers_count"] < 100_000_000
    chinese = [user for user in users if re.search("[\u4e00-\u9fff]", user["name"] + user["description"])]
    assert 0.2 < len(chinese) / len(users) < 0.5


def test_a_sandbox_of_plausible_people_lists_them_by_their_ids(walk, ids):
    with Sandbox({"BTC": 250}, people="plausible") as sandbox:
        before = sandbox.expected_ids("BTC")
        assert ids(walk(sandbox)) == before
        sandbox.unfollow("BTC", before[:2])
        sandbox.follow("BTC", [before[1]])
        assert ids(walk(sandbox)) == [before[1], *before[2:]]
