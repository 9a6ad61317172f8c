"""Where settings come from, and where their relative paths start: at scrapy.cfg, as in any Scrapy project."""

from __future__ import annotations

import os
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


def test_without_a_scrapy_cfg_they_are_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KOL_SOURCE_TABLE=kols\n")
    initdb(tmp_path, SCRAPY_SETTINGS_MODULE="kolspider.settings")
    assert files(tmp_path) == {".env", "kol.db"}
    assert b"kols" in (tmp_path / "kol.db").read_bytes()
