"""Feeds (`-o users.csv`): a line for each account or each follow, although an item is a page.

A feed that can't be written does not end the run: the rows are paid for, and go into the table. It is one line in the
log, and the exit code of the run.
"""

from __future__ import annotations

import io
import logging
import os
from collections import defaultdict
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, cast

from itemadapter import ItemAdapter
from scrapy import signals
from scrapy.exceptions import NotConfigured
from scrapy.exporters import CsvItemExporter
from scrapy.extensions.feedexport import FeedExporter, FileFeedStorage, StdoutFeedStorage

from kolspider.console.columns import spreadsheet_cell
from kolspider.errors import StopRun
from kolspider.options.arguments import Feed
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Spider
    from scrapy.crawler import Crawler

    from kolspider.items import Row

__all__ = ["CsvRows", "FileStorage", "RowFeeds", "Rows", "StdoutStorage"]

logger = logging.getLogger(__name__)


class Rows:
    """The lines of a feed: each account once, or each follow once with its KOL in front; of selected KOLs alone."""

    def __init__(self, feed: Feed) -> None:
        self._of_follows = feed is Feed.FOLLOWS
        self._known: defaultdict[str, set[int]] = defaultdict(set)
        """Accounts that were written, as ints: half the memory of the texts; for follows those of each KOL."""

    def of(self, item: Any) -> Iterator[dict[str, Any]]:
        """Yield the lines of a page: a MappedPage, or any item with its fields."""
        page = ItemAdapter(item)
        if not page["page"].is_selected or (self._of_follows and not page["page"].is_list):
            return
        kol = {"kol": page["page"].kol.user_name} if self._of_follows else {}
        known = self._known[page["page"].kol.handle if self._of_follows else ""]
        rows: list[Row] = page["rows"]
        for row in rows:
            if (id_ := int(row.id)) not in known:
                known.add(id_)
                yield kol | row._asdict()


class RowFeeds(FeedExporter):
    """Scrapy's feeds, with rows for items."""

    def __init__(self, crawler: Crawler) -> None:
        run = run_of(crawler)
        try:
            super().__init__(crawler)
        except NotConfigured:
            if crawler.settings.getdict("FEEDS"):  # Scrapy has logged why, and would go on without the feed
                error = StopRun("the feed can't be written (see ERROR above); nothing was bought")
                crawler.signals.connect(lambda: run.stop.fail(error), signal=signals.spider_opened, weak=False)
            raise
        self._rows = Rows(run.arguments.feed)
        self._has_failed = False
        logging.getLogger(FeedExporter.__module__).addFilter(_in_one_line)

    def item_scraped(self, item: Any, spider: Spider) -> None:
        """Write the rows of a page."""
        for row in self._rows.of(item):
            try:
                super().item_scraped(row, spider)
            except OSError as error:  # of the temporary file of an upload: a file and stdout raise nothing
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._has_failed:
            self._has_failed = True
            logger.error("the feed can't be written: %s", error.strerror)
            self.crawler.stats.inc_value("feedexport/failed_count/temporary")


def _in_one_line(record: logging.LogRecord) -> bool:
    """Replace the traceback of a failed upload or write by the error itself."""
    if record.exc_info and (error := record.exc_info[1]):
        text = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        record.msg, record.args = f"{record.getMessage()}: {text}", ()
        record.exc_info = record.exc_text = None
    return True


class _File(io.FileIO):
    """A file that takes everything, and remembers the first error: what comes after it is dropped."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                return cast("int", super().write(data))
            except OSError as error:
                self.error = error
        return len(data)


def _open(path: str | int, mode: str) -> IO[bytes]:
    try:
        file = _File(path, mode)
    except OSError as error:
        file = _File(os.devnull, "wb")
        file.error = error
    return cast("IO[bytes]", io.BufferedWriter(file))


def _close(file: IO[bytes]) -> None:
    file.close()
    if error := cast("_File", cast("io.BufferedWriter", file).raw).error:
        raise error


class FileStorage(FileFeedStorage):
    """A local file. A full disk is reported once, at the end."""

    def open(self, spider: Spider) -> IO[bytes]:
        """Open the file; what can't be opened fails in `store`."""
        return _open(self.path, self.write_mode)

    def store(self, file: IO[bytes]) -> None:
        """Close the file. Raises OSError if something could not be written."""
        _close(file)


class StdoutStorage(StdoutFeedStorage):
    """Standard output. Who closes the pipe, as `head` does, has what he wanted: the run goes on without a word."""

    def open(self, spider: Spider) -> IO[bytes]:
        """Open another descriptor of it."""
        return _open(os.dup(self._stdout.fileno()), "wb")

    def store(self, file: IO[bytes]) -> None:
        """Close the descriptor. Raises OSError if something could not be written."""
        with suppress(BrokenPipeError):
            _close(file)


class CsvRows(CsvItemExporter):
    """The format of `-o users.csv`: safe for spreadsheets; a file that has lines already has its header, too."""

    def __init__(self, file: IO[bytes], **options: Any) -> None:
        with suppress(OSError):  # a pipe
            if file.tell():
                options["include_headers_line"] = False
        super().__init__(cast("io.BytesIO", file), **options)

    def serialize_field(self, field: Any, name: str, value: Any) -> Any:
        """Return the value of a cell."""
        return spreadsheet_cell(super().serialize_field(field, name, value))
