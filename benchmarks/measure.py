"""Runs a command and measures its cost; and describes this machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Cost", "RunError", "machine", "measure"]

_TIMED = Path(__file__).with_name("timed.py")
_PACKAGES = ("Scrapy", "Twisted", "PyMySQL", "orjson", "requests", "dlt", "SQLAlchemy")


class RunError(Exception):
    """The command failed or left the wrong rows."""


@dataclass(frozen=True)
class Cost:
    """The cost of a whole process, from fork to exit."""

    wall: float
    cpu: float
    """Seconds, user and system; the database's and the API's are not in it."""
    peak: float
    """MB of resident memory."""


def measure(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """Run a command to its end in `folder`, which keeps its output in run.log."""
    left_out = ("KOL_", "SCRAPY_", "PYTHONDONTWRITEBYTECODE")  # users start compiled modules
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    cost = folder / "cost.json"
    with (folder / "run.log").open("wb") as log:
        code = subprocess.run(
            [sys.executable, "-I", "-S", str(_TIMED), str(cost), *command],
            cwd=folder,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        ).returncode
    if code:
        raise RunError(f"exit code {code}:\n{(folder / 'run.log').read_text(errors='replace')[-3000:]}")
    return Cost(**json.loads(cost.read_text()))


def machine(mariadb: str) -> list[str]:
    """Lines that describe the machine and the versions."""
    cpus = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = {line.partition(": ")[2] for line in cpus.splitlines() if line.startswith("model name")}
    return [
        f"{', '.join(models)}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, MariaDB {mariadb}, {', '.join(map(_versioned, _PACKAGES))}",
    ]


def _versioned(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
