"""A few days of the benchmark of a month: what it measures holds for a small world, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.month import Month, live

if TYPE_CHECKING:
    from pathlib import Path


def month(folder: Path, way: str) -> Month:
    folder.mkdir()
    return live(way, 12, 3, 5, folder)


@pytest.mark.long
@pytest.mark.sqlite_only("the benchmark's projects have files of their own")
def test_a_kill_every_day_changes_neither_the_rows_nor_the_bill_beyond_what_was_in_flight(tmp_path: Path) -> None:
    watch, killed = (month(tmp_path / way, way) for way in ("watch", "killed"))
    assert watch.project.rows() == killed.project.rows()
    assert killed.spent - killed.repeated == watch.spent
    assert watch.repeated == 0
    assert killed.waited == watch.waited != {}
    assert watch.lost == killed.lost == 0
