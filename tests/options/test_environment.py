"""Settings from the environment and `.env`: what is mistyped or can't be read ends the process with one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolspider.errors import WrongUsage
from kolspider.options.environment import Environment, parsed
from tests.wild import wildly

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TABLE = "KOL_TARGET_TABLE"


def environment(folder: Path, environ: Mapping[str, str], dotenv: bytes = b"") -> Environment:
    (folder / ".env").write_bytes(dotenv)
    return Environment(dict(environ), folder / ".env")


def ends(capsys: pytest.CaptureFixture[str], folder: Path, environ: Mapping[str, str], dotenv: bytes = b"") -> str:
    """The one line with which settings.py ends the process."""

    def read() -> None:
        found = environment(folder, environ, dotenv)
        for name in (TABLE, "KOL_API_KEY", "DOWNLOAD_DELAY"):
            found.get(name, "")
        found.check()

    with pytest.raises(SystemExit) as end:
        read()
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert "hunter2" not in line
    return line


@pytest.mark.parametrize("name", ["KOL_TARGET_TABEL", "kol_target_table", "KOL_TARGETTABLE"])
def test_a_mistyped_name_is_refused_with_the_right_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    told = f"kolspider: unknown setting {name} in {{}}; did you mean KOL_TARGET_TABLE?"
    assert ends(capsys, tmp_path, {name: "hunter2"}) == told.format("the environment")
    assert ends(capsys, tmp_path, {}, f"{name}=hunter2".encode()) == told.format(".env")


def test_a_name_of_scrapy_that_is_not_read_from_dotenv_is_refused_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "did you mean DOWNLOAD_DELAY?" in ends(capsys, tmp_path, {}, b"DOWNLOAD_DELYA=5")
    assert "-s USER_AGENT=..." in ends(capsys, tmp_path, {}, b"USER_AGENT=me")


def test_names_of_others_are_nobodys_business(tmp_path: Path) -> None:
    found = environment(tmp_path, {"KOL_TEST_DB": "sqlite", "USER_AGENT": "me"}, b"MYSQL_ROOT_PASSWORD=x\nTZ=UTC")
    found.check()


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_means_unset(tmp_path: Path, empty: str) -> None:
    assert environment(tmp_path, {TABLE: empty}, b"KOL_TARGET_TABLE=mine").get(TABLE, "default") == "mine"
    assert environment(tmp_path, {TABLE: empty}, f"KOL_TARGET_TABLE='{empty}'".encode()).get(TABLE, "default") == (
        "default"
    )
    environment(tmp_path, {"KOL_TARGET_TABEL": empty}).check()  # there is nothing that could be lost


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_an_env_file_is_read_in_each_encoding_with_a_mark(encoding: str) -> None:
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    text = f"{mark}# Schlüssel\r\nKOL_API_KEY=é币\r\n"
    assert parsed(text.encode(encoding)) == {"KOL_API_KEY": "é币"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("KOL_API_KEY=a\n# Schlüssel\n".encode("latin-1"), "line 2"),
        ("# 密钥 hunter2\n".encode("gbk"), "UTF-8"),
        ("KOL_API_KEY=hunter2".encode("utf-16-le"), "UTF-8"),
        (b"\xff\xfeK", "UTF-8"),
        (b"\n\nKOL_TARGET_TABLE hunter2\n", "line 3"),
        (b"A=1\nKOL_TARGET_TABLE='hunter2\n", "line 2"),
        (b"KOL_TARGET_TABLE\n", "line 1"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, told: str
) -> None:
    line = ends(capsys, tmp_path, {}, content)
    assert ".env" in line
    assert told in line


def test_an_env_file_that_may_not_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)  # root may read everything
    assert ends(capsys, tmp_path, {}) == f"kolspider: {tmp_path / '.env'} can't be read: Permission denied"


def test_a_folder_of_that_name_is_no_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert Environment({}, tmp_path / ".env").get(TABLE, "default") == "default"


def test_a_password_with_a_dollar_stays_as_it_is() -> None:
    assert parsed(b"A=x\nKOL_DB_URL=mysql://u:p${A}$A@h/db\n")["KOL_DB_URL"] == "mysql://u:p${A}$A@h/db"


@given(st.binary())
@wildly
def test_any_bytes_are_understood_or_refused_in_one_line(content: bytes) -> None:
    try:
        parsed(content)
    except WrongUsage as error:
        line = str(error)
        assert line.splitlines() == [line]
