"""A page's way through the item pipelines, whatever kind of item brings it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from itemadapter import ItemAdapter

from kolspider.db.base import Table
from kolspider.db.url import open_database
from kolspider.items import FollowingsPage, Kol, MappedPage, as_item
from kolspider.live.tally import Tally
from kolspider.load.remarks import Remarks
from kolspider.load.repeats import Repeats
from kolspider.pipelines import MapPipeline, UpsertPipeline
from kolspider.providers import provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USERS = [{"id": "1", "name": "A", "followers_count": -1}, {"id": "2", "name": "B"}, {"name": "without an id"}, "junk"]
PAGE = FollowingsPage(Kol("btc", "BTC"), 1, "", USERS, last=True, seq=7, fetched_at=1.0, full_reading_began=1.0)


@dataclass
class OfATeam:
    """An item of a pipeline that is not ours, with the fields of ours."""

    kol: Kol
    number: int
    cursor: str
    users: list[object]
    last: bool
    seq: int | None
    fetched_at: float
    full_reading_began: float | None
    only_rows: frozenset[str] | None
    is_list: bool
    is_selected: bool


def mapping(tally: Tally, repeats: Repeats | None = None, **others: bool) -> MapPipeline:
    others = {"keeps_follows": False} | others
    return MapPipeline(provider("twitterapi_io"), Table("t", {}, []), tally, repeats, Remarks(), **others)


def as_dict(page: FollowingsPage) -> dict[str, Any]:
    return dict(ItemAdapter(page))


def as_dataclass(page: FollowingsPage) -> OfATeam:
    return OfATeam(**ItemAdapter(page))


@pytest.mark.parametrize("kind", [lambda page: page, as_dict, as_dataclass])
def test_any_item_with_the_fields_of_a_page_is_mapped(kind: Callable[[FollowingsPage], object]) -> None:
    tally = Tally()
    mapped = mapping(tally).process_item(kind(PAGE))
    assert [row.id for row in mapped.rows] == ["1", "2"]
    assert [reject.reason for reject in mapped.rejects] == ["no_id", "not_an_object"]
    assert mapped.page.users == [], "later stages don't need raw users"
    assert (mapped.page.seq, tally.users_read, tally.rows_out_of_range) == (7, 4, {"followers": 1})
    assert tally.rows_rejected == {"no_id": 1, "not_an_object": 1}


def test_a_user_that_is_in_the_table_already_gives_no_row() -> None:
    tally, repeats = Tally(), Repeats()
    pipeline = mapping(tally, repeats)
    for row in pipeline.process_item(PAGE).rows:
        repeats.committed([row.id])
    assert pipeline.process_item(PAGE).rows == []
    assert tally.rows_repeated == 2


def test_a_feed_gets_what_only_a_kol_that_was_not_selected_had_before() -> None:
    for has_feed, expected in ((True, ["1", "2"]), (False, [])):
        repeats = Repeats()
        pipeline = mapping(Tally(), repeats, has_feed=has_feed)
        for row in pipeline.process_item(replace(PAGE, is_selected=False)).rows:
            repeats.committed([row.id])
        assert [row.id for row in pipeline.process_item(PAGE).rows] == expected


def test_follows_are_kept_when_asked_for() -> None:
    mapped = mapping(Tally(), keeps_follows=True).process_item(PAGE)
    assert [follow.user_id for follow in mapped.follows] == ["1", "2"]
    assert mapped.whole is not None
    assert mapping(Tally()).process_item(PAGE).follows == []


class FakeWriter:
    def __init__(self) -> None:
        self.pages: list[MappedPage] = []

    def add(self, page: MappedPage) -> None:
        self.pages.append(page)

    async def room(self) -> None: ...


@pytest.mark.parametrize("kind", [lambda item: item, lambda item: dict(ItemAdapter(item))])
def test_a_mapped_page_reaches_the_writer_as_one(kind: Callable[[MappedPage], object]) -> None:
    writer, mapped = FakeWriter(), mapping(Tally()).process_item(PAGE)
    item = kind(mapped)
    assert asyncio.run(UpsertPipeline(writer, None, Remarks()).process_item(item)) is item  # type: ignore[arg-type]
    assert writer.pages == [mapped]


def test_a_dry_run_writes_nothing() -> None:
    mapped = mapping(Tally()).process_item(PAGE)
    assert asyncio.run(UpsertPipeline(None, None, Remarks()).process_item(mapped)) is mapped


def test_an_item_without_the_fields_is_a_bug_of_whoever_made_it() -> None:
    with pytest.raises(TypeError):
        as_item(FollowingsPage, {"kol": Kol("btc", "BTC")})


def test_of_a_page_that_lacks_rows_only_these_are_mapped() -> None:
    tally, repeats = Tally(), Repeats()
    users: list[object] = [{"id": "1", "name": "A"}, {"id": "2", "name": "B"}, {"name": "without an id"}]
    mapping(tally, repeats).process_item(replace(PAGE, users=users))
    repeats.committed(["1", "2"])
    tally = Tally()
    pipeline = mapping(tally, repeats, keeps_follows=True)
    mapped = pipeline.process_item(replace(PAGE, users=users[:2], only_rows=frozenset({"2"})))
    assert [row.id for row in mapped.rows] == ["2"], "also if the run has written the same values before"
    assert [follow.user_id for follow in mapped.follows] == ["1", "2"]
    assert (tally.users_read, tally.rows_repeated) == (2, 1)


@pytest.mark.parametrize("max_bytes", [None, 4_294_967_295])
def test_a_text_is_cut_before_it_is_too_long_for_any_statement(tmp_path: Path, max_bytes: int | None) -> None:
    with closing(open_database("sqlite:///kol.db", base=tmp_path)) as database:
        database.create_tables("kols", "t")
        table = database.describe("t")
    assert table
    table.columns["name"] = replace(table.columns["name"], max_bytes=max_bytes)
    tally = Tally()
    pipeline = MapPipeline(provider("twitterapi_io"), table, tally, None, Remarks(), keeps_follows=False)
    users: list[object] = [{"id": "1", "name": "x" * 40_000_000}, {"id": "2", "name": "\U0001f680" * 20_000}]
    long, wide = pipeline.process_item(replace(PAGE, users=users)).rows
    assert long.name == "x" * 65_535
    assert wide.name == "\U0001f680" * 16_383
    assert tally.rows_clipped == {"name": 2}
