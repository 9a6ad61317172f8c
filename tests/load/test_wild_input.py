"""Whatever the API answers: a page or an error; of a page, each user a row or a reject; of a list, an end."""

from __future__ import annotations

import itertools
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kolspider.db.base import UTF8
from kolspider.items import COLUMNS, FollowingsPage, Kol, Reject, Row, usable_id
from kolspider.load.fitting import Fitter
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.providers.base import Account, ApiError, Page
from kolspider.providers.paging import End, Next, Paging
from kolspider.providers.users import Users
from kolspider.store.rejects import RejectsFile
from tests.load.test_fitting import BMP, limited
from tests.wild import answers, damaged_pages, pages, users, wildly

if TYPE_CHECKING:
    from pathlib import Path

    from kolspider.db.base import Column

api = provider("twitterapi_io")
KOL = Kol("btc", "BTC")

sizes = st.none() | st.integers(0, 12)
narrow_columns = st.dictionaries(
    st.sampled_from(COLUMNS[1:]),
    st.builds(
        limited,
        sizes,
        sizes,
        st.none() | st.integers(-10, 0),
        st.none() | st.integers(0, 2**31),
        st.sampled_from([UTF8, BMP]),
    ),
    max_size=5,
)


def mapped(raw: object) -> Row | Reject:
    return Mapper().map_user(api.followed_user(raw), raw)


def expected_id(raw: dict[str, Any]) -> str | None:
    """The id that a user must be kept under; None when it has none that a row can have."""
    found = [raw.get(key) for key in ("id", "id_str", "user_id", "rest_id")]
    texts = [value for value in found if isinstance(value, str)]
    numbers = [str(value) for value in found if type(value) is int]  # perhaps rounded by a relay, so they come last
    for text in texts + numbers:
        if re.fullmatch(r"\s*[0-9]{1,20}\s*", text) and text.strip("0 \t\r\n"):
            return text.strip()
    return None


def check_row(row: Row) -> None:
    """What every database takes."""
    assert re.fullmatch(r"[0-9]{1,20}", row.id)
    for name in ("name", "user_name", "avatar", "description", "created_at"):
        text = getattr(row, name)
        assert text is None or b"\0" not in text.encode(), name
    if row.created_at_time is not None:
        time = datetime.strptime(row.created_at_time, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - a DATETIME has no zone
        assert time.year >= 1000
        assert str(time) == row.created_at_time
    for count in (row.followers, row.following, row.statuses_count):
        assert count is None or (type(count) is int and 0 <= count < 2**63)


def not_json(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


@given(st.just(200) | st.integers(0, 999), answers, st.sampled_from(["", "1|2"]))
@wildly
def test_any_bytes_are_a_page_or_an_error_told_in_one_line(status: int, body: bytes, cursor: str) -> None:
    answer = api.parse(status, body, cursor)
    if isinstance(answer, ApiError):
        assert answer.message.isprintable()
        assert 0 < len(answer.message) <= 200
        return
    assert type(answer) is Page
    assert status == 200
    assert isinstance(answer.users, list | Users)
    assert answer.next_cursor is None or api.url(api.default_url, Account("BTC"), answer.next_cursor, 200).isascii()
    for raw in answer.users:
        user = mapped(raw)
        assert isinstance(user, Reject) or usable_id(user.id) == user.id


@given(users, narrow_columns)
@example('{"id": "\u0661\u0662", "rest_id": 1}', {})  # digits, but none of an id
@wildly
def test_a_user_with_a_usable_id_is_a_row_that_fits_and_any_other_is_set_aside(
    text: str, columns: dict[str, Column]
) -> None:
    raw = json.loads(text)
    found = mapped(raw)
    id_ = expected_id(raw) if isinstance(raw, dict) else None
    if id_ is None:
        assert isinstance(found, Reject)
        assert found.user is raw
        assert found.reason in ({"no_id", "bad_id"} if isinstance(raw, dict) else {"not_an_object"})
        return
    assert isinstance(found, Row)
    assert found.id == id_
    check_row(found)
    (fitted,) = Fitter(columns).fit([found])
    assert fitted.id == id_
    for name, column in columns.items():
        value = getattr(fitted, name)
        if isinstance(value, int):
            assert (column.int_min or 0) <= value <= (2**63 if column.int_max is None else column.int_max)
        if value is not None:
            assert column.max_chars is None or len(str(value)) <= column.max_chars
            assert column.max_bytes is None or len(str(value).encode()) <= column.max_bytes


@given(damaged_pages)
@wildly
def test_a_damaged_user_takes_no_other_user_with_it(parts: tuple[list[str], list[str], str, bytes, bool]) -> None:
    before, behind, field, damage, has_id = parts
    fields = [b'"%s": %s' % (field.encode("unicode_escape").replace(rb"\x", rb"\u00"), damage)]
    damaged = b"{" + b", ".join([b'"id": "5"'] * has_id + fields) + b"}"
    listed = [*(text.encode("utf-8", "surrogatepass") for text in before), damaged]
    listed += [text.encode("utf-8", "surrogatepass") for text in behind]
    page = api.parse(200, b'{"followings": [%s], "has_next_page": true, "next_cursor": "c"}' % b",".join(listed), "")

    assert isinstance(page, Page)
    assert (page.next_cursor, page.more, len(page.users)) == ("c", True, len(listed))
    others = [mapped(raw) for number, raw in enumerate(page.users) if number != len(before)]
    assert repr(others) == repr([mapped(json.loads(text)) for text in before + behind])
    found = mapped(page.users[len(before)])
    assert isinstance(found, Reject) or found.id == "5"
    if has_id and field not in {"id", "id_str", "user_id", "rest_id"}:
        assert usable_id(api.account_id(page.users[len(before)])) == "5"


@given(st.lists(pages, min_size=1, max_size=4), st.booleans())
@wildly
def test_any_list_ends_and_counts_the_accounts_that_are_kept(bodies: list[str], fresh_cursors: bool) -> None:
    answered = [page for body in bodies if isinstance(page := api.parse(200, body.encode(), ""), Page)]
    assert len(answered) == len(bodies), "nothing but users and cursors was wild"
    paging, step, seen = Paging(), Next(""), set[int]()
    for number, page in enumerate(itertools.cycle(answered)):
        if fresh_cursors and page.more:
            page = Page(page.users, f"fresh {number}", more=True)  # noqa: PLW2901
        rows = [row for raw in page.users if isinstance(row := mapped(raw), Row)]
        seen |= {int(row.id) for row in rows}
        outcome = paging.take(step.cursor, page, [row.id for row in rows])
        assert (paging.pages, paging.users) == (number + 1, len(seen))
        if isinstance(outcome, End):
            assert bool(outcome.reason) == page.more
            break
        step = outcome
        assert number <= len(bodies) + 3 * (len(seen) + 1)


def test_whoever_is_set_aside_can_be_read_in_rejects_jsonl(tmp_path: Path) -> None:
    rejects: list[Reject] = []

    @given(users)
    @wildly
    def set_aside(text: str) -> None:
        found = mapped(json.loads(text))
        if isinstance(found, Reject):
            rejects.append(found)

    set_aside()
    page = FollowingsPage(KOL, 1, "\ud800|\0", [], last=True)
    file = RejectsFile(tmp_path / "rejects.jsonl")
    assert file.append((page, reject) for reject in rejects) == file.size()

    lines = file.path.read_text(encoding="ascii").splitlines()
    read = [json.loads(line, parse_constant=not_json) for line in lines]
    assert [line["reason"] for line in read] == [reject.reason for reject in rejects]
    for line, reject in zip(read, rejects, strict=True):
        assert line["user"] in (reject.user, repr(reject.user))


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ('{"id": 1e999, "name": "\\ud800"}', "inf"),
        (f'{{"id": {"[" * 850 + "]" * 850}}}', "[[["),
        ('{"id": [-1e999, 5]}', "[-inf, 5]"),
    ],
    ids=["infinity", "nest", "minus infinity"],
)
def test_a_user_that_json_cannot_hold_is_set_aside_in_words(tmp_path: Path, user: str, told: str) -> None:
    reject = mapped(json.loads(user))
    assert isinstance(reject, Reject)
    file = RejectsFile(tmp_path / "rejects.jsonl")
    page = FollowingsPage(KOL, 1, "", [], last=True)

    def deeper(levels: int) -> None:
        """The stack of a crawl is deeper than that of the parser, and the limit is on their sum."""
        if levels:
            deeper(levels - 1)
        else:
            file.append([(page, reject)])

    for levels in (0, 100, 200, 500):
        deeper(levels)

    lines = [json.loads(line, parse_constant=not_json) for line in file.path.read_text().splitlines()]
    assert [line["reason"] for line in lines] == ["bad_id"] * 4
    assert told in str(lines[0]["user"])
