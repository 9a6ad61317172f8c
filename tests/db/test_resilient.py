"""How often and how long a batch is tried, and how few statements find the rows that the database refuses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import pytest

from kolspider.db.base import Database, DbErrorKind, Table
from kolspider.db.resilient import Upserter
from kolspider.errors import StopRun
from kolspider.items import COLUMNS
from tests.db.conftest import row

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from kolspider.items import Row


class Fake:
    """A database that refuses the rows whose name is "bad", and is away for some tries; its clock stands still."""

    def __init__(self, away: int = 0, patience: float = 0) -> None:
        self.away, self.now = away, 0.0
        self.batches: list[int] = []
        self.waits: list[float] = []
        self.retries = 0
        self.patience = lambda: patience
        self.connect = self.close = lambda: None

    def upsert(self, _: str, rows: Sequence[Row]) -> str:
        self.batches.append(len(rows))
        if len(self.batches) <= self.away:
            raise ConnectionError("gone")
        for one in rows:
            if one.name == "bad":
                raise ValueError(f"row {one.id}")
        return f"receipt of {len(rows)}"

    def describe(self, name: str) -> Table:
        return Table(name, {}, [])

    def error_kind(self, error: Exception) -> DbErrorKind:
        return DbErrorKind.LOST if isinstance(error, ConnectionError) else DbErrorKind.REFUSED

    def explain(self, error: Exception) -> str:
        return str(error)

    def wait(self, secs: float) -> None:
        self.waits.append(secs)
        self.now += secs

    def is_set(self) -> bool:
        return False

    def upserter(self, monkeypatch: pytest.MonkeyPatch, retry_secs: float = 1000) -> Upserter:
        def count() -> None:
            self.retries += 1

        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        table = Table("t", dict.fromkeys(COLUMNS, "other than described"), [])  # type: ignore[arg-type]
        return Upserter(
            cast("Database", self), table, retry_secs=retry_secs, give_up=cast("threading.Event", self), on_retry=count
        )


def rows(*names: str) -> list[Row]:
    return [row(str(number), name=name) for number, name in enumerate(names)]


def test_the_waits_double_up_to_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(away=7)
    upserter = fake.upserter(monkeypatch)
    assert upserter.upsert(rows("good")) == []
    assert (fake.waits, fake.retries) == ([0.5, 1, 2, 4, 8, 10, 10], 7)
    assert upserter.receipts == ["receipt of 1"]


@pytest.mark.parametrize(
    ("retry_secs", "patience", "waits"), [(0, 0, []), (3, 0, [0.5, 1, 1.5]), (3, 3, None), (0, 0.5, None)]
)
def test_it_gives_up_when_the_time_is_over_that_it_was_given(
    monkeypatch: pytest.MonkeyPatch, retry_secs: float, patience: float, waits: list[float] | None
) -> None:
    """A database whose outcome is unknown sets the time anew with each try."""
    fake = Fake(away=50, patience=patience)
    upserter = fake.upserter(monkeypatch, retry_secs)
    if waits is None:
        assert upserter.upsert(rows("good")) == []
        return
    with pytest.raises(StopRun, match=rf"the database was away for {retry_secs} s \(KOL_DB_RETRY_SECS\): gone"):
        upserter.upsert(rows("good"))
    assert fake.waits == waits
    assert len(fake.batches) == len(waits) + 1


def test_a_bad_row_is_found_by_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    refused = fake.upserter(monkeypatch)._judged(
        rows(*["good"] * 7, "bad"), set(), lambda part: fake.upsert("t", part), "t", lambda: False
    )
    assert [reason for _, reason in refused] == ["row 7"]
    assert fake.batches == [8, 4, 4, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["bad"] * 3, r"^t refuses most rows \(at least 3 of 3\): row 0; change the table"),
        (["bad"] * 30, r"^t refuses most rows \(at least 16 of 30\): row 0; change the table"),
    ],
)
def test_a_table_that_is_to_blame_is_told_with_the_first_reason(
    monkeypatch: pytest.MonkeyPatch, names: list[str], told: str
) -> None:
    fake = Fake()
    with pytest.raises(StopRun, match=told):
        fake.upserter(monkeypatch)._judged(rows(*names), set(), lambda part: fake.upsert("t", part), "t", lambda: False)


def test_a_table_that_was_altered_is_told_with_the_first_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    upserter = Fake().upserter(monkeypatch)
    assert upserter.upsert(rows("good")) == [], "nobody asks while all goes well"
    with pytest.raises(StopRun, match=r"^the columns of t were altered during the run \(row 1\)"):
        upserter.upsert(rows("good", "bad", "bad"))
