"""The block at the bottom of a terminal, as a terminal shows it: the log above it is whole, and nothing is left."""

from __future__ import annotations

import io
import logging
import os
import pty
import sys
import threading

import pyte
import pytest

from kolspider.watch.terminal import LiveBlock, is_live


class Terminal(io.StringIO):
    """A screen in memory; as a stream it is what a program writes to."""

    def __init__(self, columns: int = 40, rows: int = 10) -> None:
        super().__init__()
        self.screen = pyte.Screen(columns, rows)
        self.screen.set_mode(pyte.modes.LNM)  # a terminal's driver makes \n a new line
        self._stream = pyte.Stream(self.screen)
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        self._stream.feed(text)
        return len(text)

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> list[str]:
        return [row.rstrip() for row in self.screen.display if row.strip()]


class Block(LiveBlock):
    """Of a terminal in memory, whose size the system does not know."""

    @property
    def size(self) -> os.terminal_size:
        screen = self._stream.screen  # type: ignore[attr-defined]
        return os.terminal_size((screen.columns, screen.lines))


def test_the_log_goes_above_the_block() -> None:
    terminal = Terminal()
    block = Block(terminal)
    block.show(["one", "two"])
    for number in range(20):
        block.write(f"log line {number}\n")
    assert terminal.shown == [*(f"log line {n}" for n in range(12, 20)), "one", "two"]
    block.show(["three"])
    block.write("log line 20\n")
    assert terminal.shown == [*(f"log line {n}" for n in range(12, 21)), "three"]
    block.close()
    block.close()
    block.show(["too late"])
    assert terminal.shown == [f"log line {n}" for n in range(12, 21)]


def test_each_change_is_one_write_so_that_nothing_flickers() -> None:
    terminal = Terminal()
    block = Block(terminal)
    block.show(["one", "two"])
    block.write("log\n")
    block.show(["one", "three"])
    block.show(["one", "three"])  # no change, no write
    assert len(terminal.pieces) == 3
    assert not any("\x1b[?25l" in piece for piece in terminal.pieces)  # the cursor is never hidden: nothing to restore


def test_a_log_line_longer_than_the_terminal_is_whole() -> None:
    terminal = Terminal(columns=20)
    block = Block(terminal)
    block.show(["one", "two"])
    block.write("abcdefghij" * 5 + "\n")
    block.show(["three"])
    assert terminal.shown == ["abcdefghij" * 2] * 2 + ["abcdefghij", "three"]


@pytest.mark.parametrize("columns", [10, 30, 60])
def test_a_terminal_that_changes_its_size_keeps_its_log(columns: int) -> None:
    terminal = Terminal(columns=40)
    block = Block(terminal)
    block.show(["x" * 39, "y" * 39])
    block.write("log one\n")
    terminal.screen.resize(10, columns)
    block.write("log two\n")  # before there are lines for the new size
    block.show(["z" * (columns - 1), "z"])
    assert terminal.shown == ["log one", "log two", "z" * (columns - 1), "z"]


def test_what_others_write_is_not_torn() -> None:
    terminal = Terminal()
    block = Block(terminal)
    block.show(["one", "two", "three"])
    terminal.write("^C")  # the terminal's own echo
    block.write("log\n")
    assert terminal.shown == ["log", "one", "two", "three"]


def test_a_block_higher_than_the_terminal_is_cut() -> None:
    terminal = Terminal(rows=4)
    block = Block(terminal)
    block.show(["one", "two", "three", "four", "five", "six"])
    block.write("log\n")
    block.close()
    assert terminal.shown == ["log"]


def test_it_replaces_the_terminal_for_everybody_and_restores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, other = Terminal(), io.StringIO()
    ours, file = logging.StreamHandler(terminal), logging.StreamHandler(other)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(logging.root, "handlers", [ours, file])
    block = Block(terminal)

    block.open()
    block.show(["block"])
    logging.getLogger("kolspider.test").warning("both")
    print("stray", file=sys.stderr)
    assert terminal.shown == ["both", "stray", "block"]
    assert sys.stderr.isatty()
    block.close()

    assert other.getvalue() == "both\n"
    assert ours.stream is terminal
    assert sys.stderr is terminal
    assert terminal.shown == ["both", "stray"]


@pytest.mark.parametrize(("term", "live"), [("xterm-256color", True), ("dumb", False), (None, False)])
def test_a_dumb_terminal_is_none(monkeypatch: pytest.MonkeyPatch, term: str | None, live: bool) -> None:
    monkeypatch.delenv("TERM", raising=False)
    if term:
        monkeypatch.setenv("TERM", term)
    assert is_live(Terminal()) is live
    assert not is_live(io.StringIO())


def log_fifty_times() -> None:
    for _ in range(50):
        logging.getLogger("t").warning("x" * 30)


def test_a_thread_that_logs_while_it_is_closed_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler(terminal)])
    for _ in range(20):
        block = Block(terminal)
        block.open()
        block.show(["block"])
        thread = threading.Thread(target=log_fifty_times)
        thread.start()
        block.close()
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert set(terminal.shown) == {"x" * 30}


def test_a_terminal_that_is_gone_is_no_error() -> None:
    ours, its = pty.openpty()
    with os.fdopen(its, "w") as stream:
        live = LiveBlock(stream)
        live.show(["reading"])
        os.close(ours)
        live.show(["still reading"])
        live.close()
