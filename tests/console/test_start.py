"""How a command begins."""

from __future__ import annotations

import sys

import pytest

from kolspider.console.start import commands_module


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["crawl", "followings"], "kolspider.commands.crawl"),
        (["kols"], "kolspider.commands.kols"),
        ([], "kolspider.commands"),
        (["-h"], "kolspider.commands"),
        (["list"], "kolspider.commands"),
        (["../settings"], "kolspider.commands"),
    ],
)
def test_only_the_command_that_is_typed_is_imported(
    words: list[str], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["scrapy", *words])
    assert commands_module() == module
