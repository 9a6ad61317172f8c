"""The lines of a feed, whatever kind of item brings the rows, and a CSV that is appended to."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from scrapy import Spider, signals
from scrapy.exceptions import NotConfigured
from scrapy.extensions.feedexport import FeedExporter
from scrapy.utils.test import get_crawler

from kolspider.crawl.feeds import CsvRows, FileStorage, RowFeeds, Rows, _in_one_line
from kolspider.items import COLUMNS, FollowingsPage, Kol, MappedPage, Row
from kolspider.live.stop import Stop
from kolspider.options.arguments import Feed

if TYPE_CHECKING:
    from pathlib import Path


def row(number: int, name: str = "n") -> Row:
    return Row(str(number), name, "a", None, "x,y", None, None, 1, 2, 3)


def page(kol: str, *rows: Row) -> MappedPage:
    return MappedPage(FollowingsPage(Kol(kol.lower(), kol), 1, "", [], last=True), list(rows))


@dataclass
class OfATeam:
    """An item of a pipeline that is not ours."""

    page: FollowingsPage
    rows: list[Row]


@pytest.mark.parametrize(
    "item",
    [page("BTC", row(1)), {"page": page("BTC").page, "rows": [row(1)]}, OfATeam(page("BTC").page, [row(1)])],
    ids=["ours", "dict", "of a team"],
)
def test_any_item_with_the_fields_of_a_page_has_lines(item: object) -> None:
    assert list(Rows(Feed.ACCOUNTS).of(item)) == [row(1)._asdict()]
    (follow,) = Rows(Feed.FOLLOWS).of(item)
    assert list(follow) == ["kol", *COLUMNS]
    assert follow == {"kol": "BTC", **row(1)._asdict()}


PAGES = [page("BTC", row(1), row(2)), page("eth", row(2, "later"), row(3)), page("BTC", row(2), row(3), row(3))]


def lines(feed: Feed) -> list[tuple[str | None, str]]:
    rows = Rows(feed)
    return [(line.get("kol"), line["id"]) for item in PAGES for line in rows.of(item)]


def test_an_account_is_one_line_whoever_follows_it() -> None:
    assert lines(Feed.ACCOUNTS) == [(None, "1"), (None, "2"), (None, "3")]


def test_a_follow_is_one_line_on_however_many_pages_it_is() -> None:
    assert lines(Feed.FOLLOWS) == [("BTC", "1"), ("BTC", "2"), ("eth", "2"), ("eth", "3"), ("BTC", "3")]


def test_a_csv_has_its_header_once_however_often_it_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    for number in (1, 2, 3):
        with path.open("ab") as file:
            exporter = CsvRows(file)
            exporter.start_exporting()
            exporter.export_item(row(number)._asdict())
            exporter.finish_exporting()
    header, *others = path.read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert [line.partition(",")[0] for line in others] == ["1", "2", "3"]


def test_a_csv_has_no_formula_and_its_numbers_are_numbers(tmp_path: Path) -> None:
    with (tmp_path / "users.csv").open("wb") as file:
        exporter = CsvRows(file)
        exporter.start_exporting()
        exporter.export_item(row(1, "=HYPERLINK(1)\x1b[31m")._replace(followers=-1)._asdict())
        exporter.finish_exporting()
    _, line = (tmp_path / "users.csv").read_text().splitlines()
    assert line.startswith("1,'=HYPERLINK(1)\ufffd[31m,")
    assert ",-1," in line


def test_a_file_has_every_line_and_the_first_error_is_told_at_its_end(tmp_path: Path) -> None:
    storage = FileStorage(str(tmp_path / "a.csv"))
    file = storage.open(Spider("a"))
    for part in (b"1\n", b"2\n" * 100_000, b"3\n"):
        file.write(part)
        file.flush()
    storage.store(file)
    assert (tmp_path / "a.csv").read_bytes() == b"1\n" + b"2\n" * 100_000 + b"3\n"

    for path in ("/dev/full", str(tmp_path)):
        full = FileStorage(path)
        file = full.open(Spider("a"))
        for _ in range(2):
            file.write(b"1\n")
            file.flush()
        with pytest.raises(OSError, match=r"No space left|Is a directory"):
            full.store(file)


def test_a_feed_that_can_not_be_written_is_one_line_and_counts_as_failed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    lines: list[str] = []

    def fail(_: object, line: dict[str, str], __: Spider) -> None:
        lines.append(line["id"])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FeedExporter, "item_scraped", fail)
    feeds = object.__new__(RowFeeds)
    feeds._rows, feeds._has_failed = Rows(Feed.ACCOUNTS), False
    feeds.crawler = cast("Any", SimpleNamespace(stats=SimpleNamespace(inc_value=counted.append)))
    feeds.item_scraped(page("BTC", row(1), row(2)), Spider("a"))
    assert lines == ["1", "2"]
    assert counted == ["feedexport/failed_count/temporary"]
    assert caplog.messages == ["the feed can't be written: No space left on device"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space"), "Error storing: No space"),
        (KeyError("a"), "Error storing: KeyError: 'a'"),
        (None, "Error storing"),
    ],
)
def test_an_error_of_a_feed_has_no_traceback(error: Exception | None, told: str) -> None:
    traceback = (type(error), error, None) if error else None
    record = logging.LogRecord("x", logging.ERROR, "", 1, "Error %s", ("storing",), traceback)
    assert _in_one_line(record)
    assert (record.getMessage(), record.exc_info, record.exc_text) == (told, None, None)


@pytest.mark.parametrize(("feeds", "fails"), [({}, False), ({"nowhere://x.csv": {"format": "csv"}}, True)])
def test_a_feed_that_nothing_can_write_stops_the_run_before_its_first_call(
    monkeypatch: pytest.MonkeyPatch, feeds: dict[str, object], fails: bool
) -> None:
    run = SimpleNamespace(stop=Stop(), arguments=SimpleNamespace(feed=Feed.ACCOUNTS))
    monkeypatch.setattr("kolspider.crawl.feeds.run_of", lambda _: run)
    crawler = get_crawler(settings_dict={"FEEDS": feeds})
    with pytest.raises(NotConfigured):
        RowFeeds(crawler)
    assert run.stop.error is None
    crawler.signals.send_catch_log(signals.spider_opened)
    assert ("the feed can't be written" in str(run.stop.error)) is fails
