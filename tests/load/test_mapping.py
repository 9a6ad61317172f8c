"""Whatever the API sends for a user becomes a row that a database takes, or is set aside with a reason."""

import json
import locale
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolspider.items import FollowedUser, Reject, Row, usable_id
from kolspider.load import mapping
from kolspider.load.mapping import Mapper, utc_time
from tests.wild import wildly

FIELDS = list(FollowedUser._fields)
HUGE = pytest.param(10**5000, id="huge")  # longer than str() takes
NOBODY = FollowedUser(**dict.fromkeys(FIELDS))


def user(**changes: object) -> FollowedUser:
    return NOBODY._replace(**({"id": "7"} | changes))


def row(**changes: object) -> Row:
    mapped = Mapper().map_user(user(**changes), raw=None)
    assert isinstance(mapped, Row)
    return mapped


def test_a_user_becomes_a_row() -> None:
    mapped = row(
        id="1323730225067339784",
        name="Example",
        screen_name="example_kol",
        profile_image_url_https="https://pbs.twimg.com/x.jpg",
        description="…",
        created_at="Wed Mar 18 13:46:38 +0000 2009",
        followers_count=109429,
        following_count=1530,
        statuses_count=59821,
    )
    assert mapped == Row(
        "1323730225067339784",
        "Example",
        "example_kol",
        "https://pbs.twimg.com/x.jpg",
        "…",
        "Wed Mar 18 13:46:38 +0000 2009",
        "2009-03-18 13:46:38",
        109429,
        1530,
        59821,
    )


def test_what_is_absent_is_null_and_not_0() -> None:
    assert row() == Row("7", *[None] * 9)


@pytest.mark.parametrize(
    ("sent", "id_"),
    [
        ("1323730225067339784", "1323730225067339784"),
        (1323730225067339784, "1323730225067339784"),
        (" 12\n", "12"),
        ("9" * 20, "9" * 20),
        (10**20 - 1, "9" * 20),
        ("007", "007"),
    ],
)
def test_ids(sent: object, id_: str) -> None:
    assert row(id=sent).id == id_
    assert usable_id(sent) == id_


@pytest.mark.parametrize("sent", [None, "", "  \n"])
def test_a_user_without_an_id_is_set_aside(sent: object) -> None:
    assert Mapper().map_user(user(id=sent), {"raw": 1}) == Reject("no_id", {"raw": 1})


@pytest.mark.parametrize(
    "sent", ["abc", "1 2", "-1", "1.0", "９", "²", "9" * 21, "0", "000", 0, -1, 10**20, HUGE, 1.5e18, True, [1], {}]
)
def test_a_user_with_an_unusable_id_is_set_aside(sent: object) -> None:
    assert usable_id(sent) is None
    assert Mapper().map_user(user(id=sent), "raw") == Reject("bad_id", "raw")


def test_what_is_no_object_is_set_aside() -> None:
    assert Mapper().map_user(None, ["raw"]) == Reject("not_an_object", ["raw"])


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("", ""),
        ("  as\nit is\r\n", "  as\nit is\r\n"),
        ("👩\u200d🚀 比特币 e\u0301", "👩\u200d🚀 比特币 e\u0301"),
        ("a\0b\0", "ab"),
        ("a\ud83db\ude80c", "abc"),
        (json.loads('"\\ud83d\\ude80"'), "🚀"),
        (json.loads('"\\ud83d \\ude80"'), " "),
        ("\ufffe\uffff", "\ufffe\uffff"),
        (42, "42"),
        (1.5, "1.5"),
        (True, None),
        (["a"], None),
        ({"a": 1}, None),
        (float("inf"), None),
        pytest.param(10**5000, None, id="huge"),
    ],
)
@pytest.mark.parametrize(
    ("field", "column"), [("name", "name"), ("screen_name", "user_name"), ("description", "description")]
)
def test_texts_stay_but_for_what_no_database_holds(field: str, column: str, sent: object, text: str | None) -> None:
    assert getattr(row(**{field: sent}), column) == text


@pytest.mark.parametrize(
    ("sent", "count"),
    [
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (1e3, 1000),
        ("1530", 1530),
        (" 1530 ", 1530),
        ("0" * 5000 + "7", 7),
        ("", None),
        ("1,530", None),
        ("１", None),
        (1.5, None),
        (True, None),
        (False, None),
        ([1], None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_counts(sent: object, count: int | None) -> None:
    mapper = Mapper()
    mapped = mapper.map_user(user(followers_count=sent), None)
    assert isinstance(mapped, Row)
    assert mapped.followers == count
    assert not mapper.out_of_range


@pytest.mark.parametrize("sent", [-1, 2**63, HUGE, 1e300, -1e3, str(2**63), "9" * 5000])
def test_a_count_out_of_range_is_null_and_counted(sent: object) -> None:
    mapper = Mapper()
    for _ in range(2):
        mapped = mapper.map_user(user(following_count=sent, statuses_count=5), None)
        assert isinstance(mapped, Row)
        assert (mapped.following, mapped.statuses_count) == (None, 5)
    assert mapper.out_of_range == {"following": 2}


TIMES = [
    ("Thu Dec 13 08:41:26 +0000 2007", "2007-12-13 08:41:26"),
    ("Thu Dec 13 08:41:26 +0530 2007", "2007-12-13 03:11:26"),
    ("Mon Dec 31 23:30:00 -0100 2007", "2008-01-01 00:30:00"),
    ("Fri Feb 29 00:00:00 +0000 2008", "2008-02-29 00:00:00"),
    ("thu dec 3 08:41:26 +0000 2007", "2007-12-03 08:41:26"),
    (" Thu Dec 13 08:41:26 +0000 2007\n", "2007-12-13 08:41:26"),
    ("2007-12-13T08:41:26Z", "2007-12-13 08:41:26"),
    ("2007-12-13t08:41:26z", "2007-12-13 08:41:26"),
    ("2007-12-13T08:41:26.000000Z", "2007-12-13 08:41:26"),
    ("2007-12-13T08:41:26.999999999+08:00", "2007-12-13 00:41:26"),
    ("2007-12-13T08:41:26,5-0330", "2007-12-13 12:11:26"),
    ("2007-12-13T08:41+08", "2007-12-13 00:41:00"),
    ("2007-12-13T08:41:26", "2007-12-13 08:41:26"),
    ("2007-12-13 08:41:26 +00:00", "2007-12-13 08:41:26"),
    ("2007-12-13", "2007-12-13 00:00:00"),
    ("2007-12-13T23:59:00+23:59", "2007-12-13 00:00:00"),
    ("2007-12-13T00:00:00-23", "2007-12-13 23:00:00"),
    ("1000-01-01T00:00:00Z", "1000-01-01 00:00:00"),
    ("9999-12-31T23:59:59Z", "9999-12-31 23:59:59"),
]


@pytest.mark.parametrize(("sent", "time"), TIMES)
def test_times_are_utc_and_the_text_stays_as_sent(sent: str, time: str) -> None:
    mapped = row(created_at=sent)
    assert mapped.created_at == sent
    assert mapped.created_at_time == time


@pytest.fixture
def any_locale() -> Iterator[None]:
    before = locale.setlocale(locale.LC_TIME)
    for name in ("zh_CN.UTF-8", "de_DE.UTF-8", "fr_FR.UTF-8", ""):
        try:
            locale.setlocale(locale.LC_TIME, name)
            break
        except locale.Error:
            continue
    yield
    locale.setlocale(locale.LC_TIME, before)


@pytest.mark.usefixtures("any_locale")
def test_month_names_are_english_in_any_locale() -> None:
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    for number, month in enumerate(months, 1):
        assert utc_time(f"Thu {month} 13 08:41:26 +0000 2007") == f"2007-{number:02}-13 08:41:26"


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "soon",
        "Thu Dez 13 08:41:26 +0000 2007",
        "Thu Dec 32 08:41:26 +0000 2007",
        "Thu Feb 29 08:41:26 +0000 2007",
        "Thu Dec 13 24:41:26 +0000 2007",
        "Thu Dec 13 08:41:26 +9900 2007",
        "Thu Dec 13 08:41:26 +0099 2007",
        "Thu Dec 13 08:41:26 +0000 0999",
        "Thu Dec 13 08:41:26 +0000 ２００７",
        "2007-13-01",
        "2007-00-01T00:00:00Z",
        "2007-12-13T08:41:26+24:00",
        "2007-12-13T08:41:26+00:60",
        "1000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+01:00",
        "0000-01-01",
        "12007-12-13",
        "1197535286",
        "1612012312345",
    ],
)
def test_an_unreadable_time_is_null_and_the_row_stays(sent: str) -> None:
    mapped = row(created_at=sent)
    assert mapped.created_at == sent
    assert mapped.created_at_time is None


@given(st.text(st.characters()))
@wildly
def test_no_text_makes_the_time_raise(text: str) -> None:
    assert utc_time(text) is None or text


def test_a_negative_count_is_null_and_counted_as_a_text_too() -> None:
    mapper = Mapper()
    row = mapper.map_user(FollowedUser("1", None, None, None, None, None, "-5", -5, "-0"), {})
    assert isinstance(row, Row)
    assert (row.followers, row.following, row.statuses_count) == (None, None, 0)
    assert mapper.out_of_range == {"followers": 1, "following": 1}


def test_the_usual_form_of_a_time_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row has one, and the long way takes half as long again."""

    def long_way(_: str) -> None:
        raise AssertionError

    monkeypatch.setattr(mapping, "_UTC", frozenset())
    monkeypatch.setattr(mapping, "_offset", long_way)
    for text, time in TIMES[:1] + TIMES[3:4] + TIMES[5:6]:
        assert utc_time(text) == time
    with pytest.raises(AssertionError):
        utc_time("thu dec 3 08:41:26 +0000 2007")
