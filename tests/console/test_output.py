"""Standard output: a closed pipe ends a command quietly, a full disk is one line, ASCII gets escapes."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from kolspider.console.output import as_json, print_error, standard_output
from kolspider.errors import StopRun, UserError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("buffering", [1, -1], ids=["at once", "at the end"])
def test_a_closed_pipe_ends_a_command_without_a_message(
    buffering: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w", buffering) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(UserError) as caught, standard_output():
            print("a line\n" * 3)
        assert print_error(caught.value) == 141  # as a shell has it for a tool that SIGPIPE ended
        assert sys.stdout is stream
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("buffering", [1, -1], ids=["at once", "at the end"])
def test_a_full_disk_is_one_line(
    buffering: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", buffering) as stream:  # noqa: PTH123 - a device
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(StopRun) as caught, standard_output():
            print("a line\n" * 3)
        assert print_error(caught.value) == 1
    assert capsys.readouterr().err == "kolspider: the output can't be written: No space left on device\n"


@pytest.mark.parametrize(
    ("encoding", "errors", "name"),
    [
        ("ascii", "strict", rb"V\xe9lo \U0001f600"),
        ("ascii", "surrogateescape", rb"V\xe9lo \U0001f600"),
        ("ascii", "replace", b"V?lo ?"),
        ("utf-8", "strict", "Vélo 😀".encode()),
    ],
)
def test_every_character_can_be_printed(
    encoding: str, errors: str, name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "out").open("w", encoding=encoding, errors=errors) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with standard_output():
            print("Vélo 😀")
            print(as_json(["Vélo 😀"]))
    line, rest = (tmp_path / "out").read_bytes().split(b"\n", 1)
    assert line == name
    assert json.loads(rest) == ["Vélo 😀"]


def test_a_closed_stdout_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with standard_output():
        print("to nobody")
        assert as_json(["é"]) == '[\n  "é"\n]'


def test_json_has_escapes_for_what_a_terminal_would_obey() -> None:
    text = "\x1b]52;c\x07 \x9b31m \u202e \x7f \u2066"
    printed = as_json({text: [text, "é 币"]})
    assert "é 币" in printed
    assert all(char.isprintable() or char == "\n" for char in printed)
    assert json.loads(printed) == {text: [text, "é 币"]}
