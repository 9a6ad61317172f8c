"""A forked command is what `python -m scrapy` is."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.e2e.forks import Fork, can_fork
from tests.e2e.processes import finish, kill

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.e2e.conftest import MakeProject


def test_a_forked_command_ends_as_one_that_python_started(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project({"BTC": 30})
    forked = project.start("crawl", "followings", "-a", "limits=1")
    monkeypatch.setattr("tests.e2e.forks.can_fork", lambda _: False)
    started = project.start("crawl", "followings", "-a", "limits=1")

    assert isinstance(forked, Fork)
    assert not isinstance(started, Fork)
    assert finish(forked) == finish(started).expect(2)


def test_a_signal_ends_a_forked_command_and_its_own_alone(make_project: MakeProject) -> None:
    project = make_project({"BTC": 30})
    killed = project.start_crawl_and_hold(0)
    other = project.start_crawl("-a", "dry_run=1", env={"KOL_CACHE_DIR": str(project.folder / "other")})

    assert kill(killed).code == -signal.SIGKILL
    project.api.release()
    finish(other).expect(0)


def test_what_python_reads_when_it_starts_is_not_forked_but_for_hooks(tmp_path: Path) -> None:
    environment = dict(os.environ)
    (tmp_path / "sitecustomize.py").touch()

    assert can_fork(environment | {"PYTHONPATH": str(tmp_path), "https_proxy": "http://proxy"})
    assert can_fork(environment | {"KOL_API_KEY": "key"})
    assert not can_fork(environment | {"PYTHONPATH": "elsewhere"})
    assert not can_fork(environment | {"TZ": "Asia/Shanghai"})
