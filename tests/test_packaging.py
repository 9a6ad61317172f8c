"""What an installed kolspider is: its version, its files, and the packages it runs on."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kolspider import __version__

ROOT = Path(__file__).resolve().parents[1]


def requirements(file: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


@pytest.mark.parametrize("name", ["requirements", "requirements-fleet", "requirements-dev"])
def test_each_requirement_is_locked_at_a_version_that_fits_it(name: str) -> None:
    locked = {canonicalize_name(found.name): found for found in requirements(f"{name}.txt")}
    for asked in requirements(f"{name}.in"):
        found = locked[canonicalize_name(asked.name)]
        (pin,) = found.specifier
        assert pin.operator == "=="
        assert pin.version in asked.specifier, f"{asked} is locked at {pin.version}; run make lock"
        assert found.marker == asked.marker


def test_files_that_are_not_python_are_installed_too() -> None:
    package = ROOT / "kolspider"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["kolspider"]
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path for path in package.rglob("*.*") if path.suffix not in {".py", ".pyc"}} <= installed


def test_each_room_is_installed() -> None:
    """Setuptools finds the packages by their __init__.py."""
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert find == {"include": ["kolspider*"]}
    folders = {path.parent for path in (ROOT / "kolspider").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    ("words", "line"), [([], f"kolspider {__version__}"), (["-v"], f"kolspider    : {__version__}")]
)
def test_scrapy_version_says_that_of_kolspider_too(words: list[str], line: str) -> None:
    command = [sys.executable, "-m", "scrapy", "version", *words]
    printed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    assert printed[0].startswith("Scrapy ")
    assert printed[-1] == line
