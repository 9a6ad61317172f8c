"""A link in the cache directory leads to somebody else's file, which is not touched."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import StopRun, WrongUsage
from kolspider.items import FollowingsPage, Kol, Reject
from kolspider.store.lock import DirectoryLock
from kolspider.store.rejects import RejectsFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text("precious")
    return path


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symlink", "hard link"])
def test_a_lock_that_is_a_link_is_refused(tmp_path: Path, victim: Path, link: Callable[[Path, Path], None]) -> None:
    link(victim, tmp_path / "lock")
    with pytest.raises(StopRun, match="lock is a link"):
        DirectoryLock(tmp_path)
    assert victim.read_text() == "precious"


def test_the_run_that_holds_the_lock_is_named_by_its_process(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123456789\n", encoding="utf-8")  # of a run that is over
    with DirectoryLock(tmp_path) as lock:
        assert not lock.is_new
        with pytest.raises(WrongUsage, match=rf"^another run \(process {os.getpid()}\) holds {tmp_path}; wait"):
            DirectoryLock(tmp_path)
    with DirectoryLock(tmp_path):
        pass


def test_rejects_never_go_through_a_link(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "rejects.jsonl").symlink_to(victim)
    rejects = RejectsFile(tmp_path / "rejects.jsonl")
    with pytest.raises(OSError, match="it is a link"):
        rejects.cut_to(0)
    with pytest.raises(OSError, match="it is a link"):
        rejects.append([])
    assert victim.read_text() == "precious"


def test_rejects_are_on_the_disk_before_their_size_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, int]] = []

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.append((stat.S_ISDIR(found.st_mode), 0 if stat.S_ISDIR(found.st_mode) else found.st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    rejects = RejectsFile(tmp_path / "rejects.jsonl")
    page = FollowingsPage(Kol("btc", "BTC"), 1, "", [], last=True)
    first = rejects.append([(page, Reject("no_id", {}))])
    assert synced == [(False, first), (True, 0)], "a new file is lost if its folder does not name it"
    second = rejects.append([(page, Reject("no_id", {}))] * 2)
    assert (synced[2:], second) == ([(False, second)], 3 * first)
    assert rejects.size() == second == rejects.path.stat().st_size


def test_rejects_are_cut_to_the_size_that_was_noted(tmp_path: Path) -> None:
    rejects = RejectsFile(tmp_path / "rejects.jsonl")
    rejects.cut_to(10)  # none is there
    rejects.path.write_bytes(b"0123456789abc")
    rejects.cut_to(10)
    assert rejects.path.read_bytes() == b"0123456789"
