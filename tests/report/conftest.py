"""Reports of stores made by script, and one browser to look at them."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kolspider.providers import provider
from kolspider.report.facts import Facts
from kolspider.report.page import page
from kolspider.store.ledger import Ledger
from tests.browser import Browser, installed
from tests.report.history import NOW, TARGET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kolspider.report.follows import FollowFacts


def report(directory: Path, now: float = NOW, follows: FollowFacts | None = None) -> tuple[Facts, str]:
    """The facts of a store, and its page."""
    adapter = provider("twitterapi_io")
    config: Any = SimpleNamespace(cache_dir=directory, provider=adapter, credit_usd=adapter.credit_usd)
    with Ledger.read(directory, adapter, TARGET) as ledger:
        facts = Facts.gather(ledger, config, TARGET, now, follows)
    return facts, page(facts)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, started once."""
    if installed() is None:
        reason = "Chromium is not installed: apt-get install chromium"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    started = Browser(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()
