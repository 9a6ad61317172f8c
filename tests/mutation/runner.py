"""Runs tests in processes that have imported already what takes two seconds to import: most mutants need no longer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

__all__ = ["PRELOADED", "pass_"]

PRELOADED = ["pytest", "xdist", "hypothesis", "pymysql", "scrapy.http", "scrapy.cmdline", "tests.mutation.runner"]
"""Nothing of the product, and no reactor."""
_ROOT = Path(__file__).parents[2]


def pass_(tree: Path, tests: list[str], secs: float) -> bool:
    """Tell whether tests pass in a copy of the project; those that hang do not."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_run, args=(str(tree), tests))
    process.start()
    process.join(secs)
    try:
        return process.exitcode == 0
    finally:
        if process.exitcode is None:
            os.killpg(process.pid or 0, signal.SIGKILL)
            process.join()


def _run(tree: str, tests: list[str]) -> None:
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    os.chdir(tree)
    sys.path[:] = [tree, *(path for path in sys.path if path and Path(path) != _ROOT)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    preloaded = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
    sys.exit(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", preloaded, *tests]))
