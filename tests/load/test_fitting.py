"""A row always fits the table after `fit`, and loses no more than it must."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolspider.db.base import UTF8, Charset, Column, Form
from kolspider.items import COLUMNS, Row
from kolspider.load.fitting import Fitter
from tests.wild import wildly


def limited(
    max_chars: int | None = None,
    max_bytes: int | None = None,
    int_min: int | None = None,
    int_max: int | None = None,
    charset: Charset = UTF8,
) -> Column:
    """A column of some name that takes whatever is within its limits."""
    return Column("x", "", frozenset(Form), max_chars, max_bytes, int_min, int_max, charset=charset)


BMP = Charset("utf8mb3", unheld="[\U00010000-\U0010ffff]")
LATIN = Charset("latin1", unheld="[^\x00-\xff]", wide_bytes=1)
WIDE = Charset("gbk", unheld="[\U00010000-\U0010ffff]", wide_bytes=2)


ROW = Row(
    id="1323730225067339784",
    name="币🚀x",
    user_name="example",
    avatar=None,
    description="",
    created_at="Wed Mar 18 13:46:38 +0000 2009",
    created_at_time="2009-03-18 13:46:38",
    followers=3_000_000_000,
    following=0,
    statuses_count=None,
)


def fit(fitter: Fitter, row: Row) -> Row:
    (found,) = fitter.fit([row])
    return found


@pytest.mark.parametrize(
    "columns",
    [
        {},
        dict.fromkeys(COLUMNS, limited()),
        dict.fromkeys(COLUMNS, limited(max_chars=30, max_bytes=30, int_min=0, int_max=2**63 - 1)),
        {"not_ours": limited(max_chars=0)},
        {"avatar": limited(max_chars=0), "statuses_count": limited(int_max=-1)},
    ],
)
def test_a_row_that_fits_is_the_same_object(columns: dict[str, Column]) -> None:
    fitter = Fitter(columns)
    assert fit(fitter, ROW) is ROW
    assert not fitter.clipped


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (limited(max_chars=3), "币🚀x"),
        (limited(max_chars=2), "币🚀"),
        (limited(max_chars=0), ""),
        (limited(max_bytes=8), "币🚀x"),
        (limited(max_bytes=7), "币🚀"),
        (limited(max_bytes=6), "币"),
        (limited(max_bytes=3), "币"),
        (limited(max_bytes=2), ""),
        (limited(charset=BMP), "币x"),
        (limited(charset=BMP, max_bytes=4), "币x"),
        (limited(charset=BMP, max_chars=2), "币x"),
        (limited(max_chars=2, max_bytes=3), "币"),
        (limited(charset=LATIN), "x"),
        (limited(charset=WIDE, max_bytes=3), "币x"),
        (limited(charset=WIDE, max_bytes=2), "币"),
        (limited(charset=WIDE, max_bytes=1), ""),
    ],
)
def test_texts_are_cut_at_a_character_and_counted(limits: Column, name: str) -> None:
    fitter = Fitter({"name": limits})
    assert fit(fitter, ROW) == ROW._replace(name=name)
    assert fitter.clipped["name"] == (name != ROW.name)


@pytest.mark.parametrize("limits", [limited(int_min=-(2**31), int_max=2**31 - 1), limited(int_max=0)])
def test_a_number_that_the_column_cannot_hold_is_null_and_counted(limits: Column) -> None:
    fitter = Fitter({"followers": limits, "following": limits})
    for _ in range(2):
        assert fit(fitter, ROW) == ROW._replace(followers=None)
    assert fitter.clipped == {"followers": 2}


@pytest.mark.parametrize(
    ("time", "kept"),
    [("1970-01-01 00:00:00", False), ("2009-03-18 13:46:38", True), ("2038-01-19 03:14:08", False)],
)
def test_a_moment_that_the_column_cannot_hold_is_null_and_counted(time: str, kept: bool) -> None:
    column = Column("created_at_time", "timestamp", frozenset({Form.MOMENT}))
    column = replace(column, moment_min="1970-01-01 00:00:01", moment_max="2038-01-19 03:14:07")
    fitter = Fitter({"created_at_time": column})
    assert fit(fitter, ROW._replace(created_at_time=time)).created_at_time == (time if kept else None)
    assert fitter.clipped["created_at_time"] == (not kept)


def test_spaces_that_the_column_drops_are_dropped_before() -> None:
    fitter = Fitter({"name": replace(limited(), drops_spaces=True)})
    assert fit(fitter, ROW._replace(name=" a  ")).name == " a"
    assert fit(fitter, ROW) is ROW


def test_an_id_is_never_cut() -> None:
    fitter = Fitter({"id": limited(max_chars=5, max_bytes=5)})
    assert fit(fitter, ROW) is ROW


sizes = st.none() | st.integers(0, 12)
bounds = st.none() | st.integers(-100, 100)
limits = st.builds(limited, sizes, sizes, bounds, bounds, st.sampled_from([UTF8, BMP]))
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=15) | st.text("a币🚀", max_size=15)
counts = st.none() | st.integers(0, 200)
rows = st.builds(Row, st.just("7"), texts, texts, texts, texts, texts, texts, counts, counts, counts)


@given(rows, st.dictionaries(st.sampled_from(COLUMNS), limits))
@wildly
def test_every_row_fits_afterwards(row: Row, columns: dict[str, Column]) -> None:
    fitter = Fitter(columns)
    fitted = fit(fitter, row)
    for name, limit in columns.items():
        before, after = getattr(row, name), getattr(fitted, name)
        if name == "id" or before is None:
            assert after == before
        elif isinstance(after, str):
            assert limit.max_chars is None or len(after) <= limit.max_chars
            assert limit.max_bytes is None or len(after.encode()) <= limit.max_bytes
            assert limit.charset is UTF8 or all(char <= "\uffff" for char in after)
            kept = [char for char in before if char <= "\uffff" or limit.charset is UTF8]
            assert after == "".join(kept[: len(after)])
        elif after is not None:
            assert after == before
            assert limit.int_min is None or after >= limit.int_min
            assert limit.int_max is None or after <= limit.int_max
    changed = {name for name in COLUMNS if getattr(row, name) != getattr(fitted, name)}
    assert set(fitter.clipped) == changed
    assert changed <= set(columns)
    assert fit(fitter, fitted) is fitted


@given(st.lists(rows, max_size=4), st.dictionaries(st.sampled_from(COLUMNS), limits))
@wildly
def test_a_row_is_fitted_alike_whatever_rows_stand_beside_it(beside: list[Row], columns: dict[str, Column]) -> None:
    fitter, one_by_one = Fitter(columns), Fitter(columns)
    assert fitter.fit(beside) == [fit(one_by_one, row) for row in beside]
    assert fitter.clipped == one_by_one.clipped
