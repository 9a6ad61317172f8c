"""Whether a file can be written is found before anything is bought."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import WrongUsage
from kolspider.options.feeds import check_writable

if TYPE_CHECKING:
    from pathlib import Path


def is_refused(path: Path, *, makes_folder: bool = False) -> bool:
    with ExitStack() as stack:
        caught = stack.enter_context(pytest.raises(WrongUsage, match=f"the file {path} can't be written"))
        check_writable(path, "the file", makes_folder=makes_folder)
        stack.pop_all()
        return False
    assert "\n" not in str(caught.value)
    return True


def test_a_file_needs_a_folder_or_one_that_can_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    new = tmp_path / "a" / "b" / "new"
    assert [is_refused(path) for path in (file, tmp_path / "new", tmp_path, new, file / "new")] == [False] * 2 + [
        True
    ] * 3
    assert [is_refused(path, makes_folder=True) for path in (new, tmp_path, file / "new")] == [False, True, True]


def test_a_database_is_never_written_over(tmp_path: Path) -> None:
    database, link = tmp_path / "kol.db", tmp_path / "summary.json"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE t (id)")
    link.symlink_to(database)
    for path in (database, link):
        with pytest.raises(WrongUsage, match=f"the file {path} is a database, which would be lost"):
            check_writable(path, "the file", makes_folder=True)


def test_a_folder_that_may_not_be_entered_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(path: object, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", stat)  # root may enter everything
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert is_refused(tmp_path / "file")
    assert is_refused(tmp_path / "file", makes_folder=True)
