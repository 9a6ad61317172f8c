"""A row always fits the table after `fit`, and loses no more than it must."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolspider.items import COLUMNS, Row
from kolspider.load.fitting import Fitter
from tests.wild import wildly


@dataclass(frozen=True)
class Column:
    max_chars: int | None = None
    max_bytes: int | None = None
    int_min: int | None = None
    int_max: int | None = None
    bmp_only: bool = False


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


@pytest.mark.parametrize(
    "columns",
    [
        {},
        dict.fromkeys(COLUMNS, Column()),
        dict.fromkeys(COLUMNS, Column(max_chars=30, max_bytes=30, int_min=0, int_max=2**63 - 1)),
        {"not_ours": Column(max_chars=0)},
        {"avatar": Column(max_chars=0), "statuses_count": Column(int_max=-1)},
    ],
)
def test_a_row_that_fits_is_the_same_object(columns: dict[str, Column]) -> None:
    fitter = Fitter(columns)
    assert fitter.fit(ROW) is ROW
    assert not fitter.clipped


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Column(max_chars=3), "币🚀x"),
        (Column(max_chars=2), "币🚀"),
        (Column(max_chars=0), ""),
        (Column(max_bytes=8), "币🚀x"),
        (Column(max_bytes=7), "币🚀"),
        (Column(max_bytes=6), "币"),
        (Column(max_bytes=3), "币"),
        (Column(max_bytes=2), ""),
        (Column(bmp_only=True), "币x"),
        (Column(bmp_only=True, max_bytes=4), "币x"),
        (Column(bmp_only=True, max_chars=2), "币x"),
        (Column(max_chars=2, max_bytes=3), "币"),
    ],
)
def test_texts_are_cut_at_a_character_and_counted(limits: Column, name: str) -> None:
    fitter = Fitter({"name": limits})
    assert fitter.fit(ROW) == ROW._replace(name=name)
    assert fitter.clipped["name"] == (name != ROW.name)


@pytest.mark.parametrize("limits", [Column(int_min=-(2**31), int_max=2**31 - 1), Column(int_max=0)])
def test_a_number_that_the_column_cannot_hold_is_null_and_counted(limits: Column) -> None:
    fitter = Fitter({"followers": limits, "following": limits})
    for _ in range(2):
        assert fitter.fit(ROW) == ROW._replace(followers=None)
    assert fitter.clipped == {"followers": 2}


def test_an_id_is_never_cut() -> None:
    fitter = Fitter({"id": Column(max_chars=5, max_bytes=5)})
    assert fitter.fit(ROW) is ROW


sizes = st.none() | st.integers(0, 12)
bounds = st.none() | st.integers(-100, 100)
limits = st.builds(Column, sizes, sizes, bounds, bounds, st.booleans())
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=15) | st.text("a币🚀", max_size=15)
counts = st.none() | st.integers(0, 200)
rows = st.builds(Row, st.just("7"), texts, texts, texts, texts, texts, texts, counts, counts, counts)


@given(rows, st.dictionaries(st.sampled_from(COLUMNS), limits))
@wildly
def test_every_row_fits_afterwards(row: Row, columns: dict[str, Column]) -> None:
    fitter = Fitter(columns)
    fitted = fitter.fit(row)
    for name, limit in columns.items():
        before, after = getattr(row, name), getattr(fitted, name)
        if name == "id" or before is None:
            assert after == before
        elif isinstance(after, str):
            assert limit.max_chars is None or len(after) <= limit.max_chars
            assert limit.max_bytes is None or len(after.encode()) <= limit.max_bytes
            assert not limit.bmp_only or all(char <= "\uffff" for char in after)
            kept = [char for char in before if char <= "\uffff" or not limit.bmp_only]
            assert after == "".join(kept[: len(after)])
        elif after is not None:
            assert after == before
            assert limit.int_min is None or after >= limit.int_min
            assert limit.int_max is None or after <= limit.int_max
    changed = {name for name in COLUMNS if getattr(row, name) != getattr(fitted, name)}
    assert set(fitter.clipped) == changed
    assert changed <= set(columns)
    assert fitter.fit(fitted) is fitted
