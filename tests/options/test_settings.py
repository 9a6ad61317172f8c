"""Where settings come from, and where their relative paths start: at scrapy.cfg, as in any Scrapy project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def initdb(folder: Path, **env: str) -> None:
    """Create the tables of the database that the settings name, from this folder, as an installed kolspider does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KOL_", "SCRAPY_"))}
    subprocess.run(
        [sys.executable, "-m", "scrapy", "initdb"],
        cwd=folder,
        env=inherited | {"PYTHONPATH": str(ROOT)} | env,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_env_file_and_relative_paths_are_beside_the_closest_scrapy_cfg(tmp_path: Path) -> None:
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = kolspider.settings\n")
    (tmp_path / ".env").write_text("KOL_DB_URL=sqlite:///mine.db\nKOL_CACHE_DIR=\n")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    initdb(folder)
    assert files(tmp_path) == {"scrapy.cfg", ".env", "mine.db"}
    assert files(folder) == set()


def test_a_cron_job_without_a_scrapy_cfg_above_it_uses_those_of_its_checkout(tmp_path: Path) -> None:
    checkout, folder = tmp_path / "checkout", tmp_path / "cron"
    shutil.copytree(ROOT / "kolspider", checkout / "kolspider", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "scrapy.cfg", checkout)
    folder.mkdir()
    initdb(folder, PYTHONPATH=str(checkout), SCRAPY_SETTINGS_MODULE="kolspider.settings")
    assert files(checkout) == {"scrapy.cfg", "kol.db"}
    assert files(folder) == set()


def test_an_installed_copy_without_a_scrapy_cfg_uses_those_in_the_current_folder(tmp_path: Path) -> None:
    installed, folder = tmp_path / "site-packages", tmp_path / "here"
    shutil.copytree(ROOT / "kolspider", installed / "kolspider", ignore=shutil.ignore_patterns("__pycache__"))
    folder.mkdir()
    (folder / ".env").write_text("KOL_SOURCE_TABLE=kols\n")
    initdb(folder, PYTHONPATH=str(installed), SCRAPY_SETTINGS_MODULE="kolspider.settings")
    assert files(folder) == {".env", "kol.db"}
    assert b"kols" in (folder / "kol.db").read_bytes()
