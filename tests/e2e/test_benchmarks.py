"""The benchmarks run: the figures of a small input say nothing, but the rows of each run are checked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.mariadb import MariaDB


@pytest.mark.long
@pytest.mark.sqlite_only("the benchmarks have databases of their own")
def test_our_benchmarks_run(mariadb: MariaDB) -> None:
    words = ["-m", "benchmarks", "--quick", "--only", "ours,flat,follows"]
    done = subprocess.run(
        [sys.executable, *words], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(f"## {part}" in done.stdout for part in ("Side by side", "Flat", "Who follows whom"))
