"""The wild users are the same in every run, and as ugly as real ones."""

import json

from kolspider.sandbox import SAMPLE_KOLS, entry, followings, profile, user_id

ID_KEYS = ("id", "id_str", "user_id", "rest_id")


def values(key: str) -> list[object]:
    return [user[key] for user in map(profile, followings("BTC", 1000)) if key in user]


def sent_id(user: dict[str, object]) -> object:
    return next(user[key] for key in ID_KEYS if key in user)


def test_world_is_the_same_in_every_run():
    ids = " ".join(user_id(index) for index in followings("BTC", 4))
    assert ids == "49 549224094185291777 1069679766377288785 10125930350107262765"
    assert followings("btc", 450) == followings("BTC", 1000)[:450]


def test_no_user_twice_in_a_list_and_half_of_them_in_another_list():
    btc, ethereum = set(followings("BTC", 1000)), set(followings("ethereum", 1000))
    assert len(btc) == 1000
    assert 400 < len(btc & ethereum) < 600


def test_ids_are_1_to_20_digits_and_never_shared():
    indices = {index for kol in map(str, range(50)) for index in followings(kol, 2000)}
    texts = {user_id(index) for index in indices}
    assert len(texts) == len(indices)
    assert {len(text) for text in texts} >= {1, 2, 9, 12, 18, 19, 20}
    assert all(text.isascii() and text.isdigit() and 1 <= len(text) <= 20 for text in texts)


def test_profile_holds_its_id_as_text_or_int_under_each_known_key():
    users = {index: profile(index) for index in followings("BTC", 1000)}
    assert all(str(sent_id(user)) == user_id(index) for index, user in users.items())
    assert {key for user in users.values() for key in ID_KEYS if key in user} == set(ID_KEYS)
    assert {type(sent_id(user)) for user in users.values()} == {str, int}


def test_revision_changes_names_and_counts_and_keeps_ids():
    old, new = ([profile(index, revision) for index in range(200)] for revision in (0, 1))
    assert [sent_id(user) for user in old] == [sent_id(user) for user in new]
    differ = [a for a, b in zip(old, new, strict=True) if a != b]
    assert len(differ) > 150


def test_every_ugly_text_occurs():
    texts = [text for text in values("name") + values("description") if isinstance(text, str)]
    for ugly in ("%s", "%(x)s", "{}", *"🚀\u200d区\u202b'\"\\\n\t\x00\ud83d"):
        assert any(ugly in text for text in texts), ascii(ugly)
    assert max(len(text.encode("utf-8", "replace")) for text in texts) > 4000
    for key in ("name", "description", "location"):
        assert None in values(key), key
        assert len(values(key)) < 950, key


def test_every_ugly_count_time_and_shape_occurs():
    for key in ("followers_count", "statuses_count", "followers"):
        found = values(key)
        for count in (0, 2**31, 2**63 - 1, 2**63, -1, None, "12345"):
            assert count in found, (key, count)
    times = values("created_at") + values("createdAt")
    assert None in times
    assert "some time ago" in times
    for part in (" +0000 2012", "000Z", "+05:30"):
        assert any(isinstance(time, str) and part in time for time in times), part
    assert len(values("unavailable")) > 30
    assert len(values("profilePicture")) > 100
    assert {type(value) for value in values("following")} >= {int, bool}
    assert any("created_at" not in user and "createdAt" not in user for user in map(profile, range(99)))


def test_unusable_entries_are_of_every_kind_and_occur_only_on_request():
    assert min(followings("BTC", 1000)) >= 0
    found = [entry(index) for index in followings("BTC", 400, unusable=True) if index < 0]
    assert len(found) == 10
    assert None in found
    assert "suspended" in found
    ids = {json.dumps(user.get("id", "missing")) for user in found if isinstance(user, dict)}
    assert ids == {'"missing"', "null", '""', '"abc"', '"1234567890123456789012345"', "true"}


def test_sample_world_has_the_sizes_where_paging_breaks():
    assert {0, 1, 199, 200, 201, 1000} <= set(SAMPLE_KOLS.values())
    assert all(len(kol) <= 15 and kol.replace("_", "").isalnum() for kol in SAMPLE_KOLS)
