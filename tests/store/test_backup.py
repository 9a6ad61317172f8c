"""A copy of the store is whole, or there is none, and never takes the place of something else unasked."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import StopRun, WrongUsage
from kolspider.store import backup
from kolspider.store.backup import back_up
from kolspider.store.database import connect

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """A cache directory whose store is in use."""
    (tmp_path / "cache").mkdir()
    with closing(connect(tmp_path / "cache")) as store:
        store.execute("INSERT INTO target (label) VALUES ('here')")
        yield tmp_path / "cache"


def labels(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",), "one file is enough"
        return [label for (label,) in copy.execute("SELECT label FROM target")]


def test_a_copy_has_what_is_in_the_journal_and_nothing_is_left_beside_it(cache: Path, tmp_path: Path) -> None:
    back_up(cache, tmp_path / "copy", replace=False)
    assert labels(tmp_path / "copy") == ["here"]
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "copy"}


def test_a_file_is_replaced_only_when_asked(cache: Path, tmp_path: Path) -> None:
    back_up(cache, tmp_path / "copy", replace=False)
    with closing(connect(cache)) as store:
        store.execute("UPDATE target SET label = 'newer'")
    with pytest.raises(WrongUsage, match="is there already; add --yes"):
        back_up(cache, tmp_path / "copy", replace=False)
    assert labels(tmp_path / "copy") == ["here"]
    back_up(cache, tmp_path / "copy", replace=True)
    assert labels(tmp_path / "copy") == ["newer"]


@pytest.mark.parametrize("replace", [True, False])
def test_what_is_no_file_is_never_replaced(cache: Path, tmp_path: Path, *, replace: bool) -> None:
    (tmp_path / "victim").write_text("old")
    (tmp_path / "link").symlink_to("victim")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("link", "dangling", "cache"):
        with pytest.raises(WrongUsage, match="is not the name of a file"):
            back_up(cache, tmp_path / name, replace=replace)
    assert (tmp_path / "victim").read_text() == "old"


def test_a_copy_beside_the_store_is_none(cache: Path) -> None:
    with pytest.raises(WrongUsage, match="is in the cache directory"):
        back_up(cache, cache / "copy", replace=True)


def test_without_a_store_there_is_nothing_to_copy(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StopRun, match="there is no store"):
        back_up(tmp_path / "empty", tmp_path / "copy", replace=False)


def test_a_copy_that_fails_leaves_what_was_there(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up(cache, tmp_path / "copy", replace=False)

    def fail(_: sqlite3.Connection, to: Path) -> None:
        to.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_copy", fail)
    with pytest.raises(StopRun, match="No space left on device; what was there before is as it was"):
        back_up(cache, tmp_path / "copy", replace=True)
    assert labels(tmp_path / "copy") == ["here"]
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "copy"}


def test_a_copy_is_on_the_disk_before_it_has_its_name_and_its_name_is_when_it_returns(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name.partition(".")[0], (tmp_path / "copy").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    back_up(cache, tmp_path / "copy", replace=False)
    assert synced == [("copy", False), (tmp_path.name, True)]
