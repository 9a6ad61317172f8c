"""What is written stays what it is: a file is replaced at once, a link leads on, a device or a pipe is written to."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from kolspider.files import open_own, write_atomically


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "summary.json"
    write_atomically(path, "one")
    before = path.stat().st_ino
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_ino != before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path, there: bool) -> None:
    target, link = tmp_path / "elsewhere" / "summary.json", tmp_path / "summary.json"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert not target.is_symlink()


def test_a_pipe_gets_the_text_and_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(path.read_text()))
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so that the writer finds a reader
    reader.start()
    try:
        write_atomically(path, "text" * 50_000)
    finally:
        os.close(descriptor)
        reader.join(timeout=10)
    assert "".join(got).endswith("text")
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_pipe_that_nobody_reads_is_an_error_and_no_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device"):
        write_atomically(tmp_path / "pipe", "text")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make or destroy a device")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    path = tmp_path / "null"
    os.mknod(path, stat.S_IFCHR | 0o666, Path(os.devnull).stat().st_rdev)
    write_atomically(path, "text")
    assert stat.S_ISCHR(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_that_is_standard_output_is_written_to_and_not_replaced(
    capfd: pytest.CaptureFixture[str],
) -> None:
    os.write(1, b"before\n")
    write_atomically(Path("/dev/stdout"), "text\n")
    assert capfd.readouterr().out == "before\ntext\n"


def test_a_link_in_the_place_of_a_file_of_our_own_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="it is a link"):
        open_own(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    assert victim.read_text() == "precious"
