"""What is particular to SQLite."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from kolspider.db import sqlite as sqlite_module
from kolspider.db.base import DbErrorKind, Fill, Form
from kolspider.db.check import check_follows, check_target
from kolspider.db.url import open_database
from kolspider.errors import StopRun
from tests.db.conftest import Subject, row


def test_a_missing_file_is_an_error_that_says_what_to_run_and_is_not_created(tmp_path: Path) -> None:
    db = open_database("sqlite:///kol.db", base=tmp_path)

    with pytest.raises(sqlite3.OperationalError) as caught:
        db.count("twitter_kol")

    assert db.error_kind(caught.value) is DbErrorKind.FATAL
    assert "no such database file" in db.explain(caught.value)
    assert "scrapy initdb" in db.explain(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_create_tables_makes_the_file_but_no_directory(tmp_path: Path) -> None:
    db = open_database("sqlite:///odd %41 name.db", base=tmp_path)
    assert db.create_tables("s", "t") == ["s", "t"]
    db.close()
    assert [path.name for path in tmp_path.iterdir()] == ["odd %41 name.db"]

    with pytest.raises(StopRun, match="no directory"):
        open_database("sqlite:///typo/kol.db", base=tmp_path).create_tables("s", "t")


def test_a_file_that_is_no_database_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "kol.db").write_text("not a database, whatever its name says" * 100)
    db = open_database("sqlite:///kol.db", base=tmp_path)

    with pytest.raises(sqlite3.DatabaseError) as caught:
        db.count("twitter_kol")
    db.close()

    assert db.error_kind(caught.value) is DbErrorKind.FATAL
    assert db.explain(caught.value) == f"{db.label}: file is not a database"


def test_a_locked_file_is_waited_for(sqlite: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_SECS", 0.1)
    sqlite.db.create_tables("s", "t")

    with closing(sqlite3.connect(sqlite.url.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as caught:
            sqlite.db.upsert("t", [row("1")])

    assert sqlite.db.error_kind(caught.value) is DbErrorKind.LOST
    sqlite.db.upsert("t", [row("1")])
    assert sqlite.db.count("t") == 1


def test_describe_knows_the_kinds_of_columns_and_keys(sqlite: Subject) -> None:
    sqlite.sql(
        """CREATE TABLE t (pk INTEGER PRIMARY KEY, Id VARCHAR(10) UNIQUE, name TEXT NOT NULL,
           n INT DEFAULT 5 NOT NULL, d DECIMAL(10), b BLOB, x)"""
    )
    sqlite.sql("CREATE UNIQUE INDEX partial ON t (name) WHERE name > 'a'")
    sqlite.sql("CREATE UNIQUE INDEX expression ON t (lower(name))")
    sqlite.sql("CREATE UNIQUE INDEX mixed ON t (n, lower(name))")
    sqlite.sql("CREATE UNIQUE INDEX two ON t (name, n)")
    sqlite.sql("CREATE INDEX plain ON t (n)")

    table = sqlite.db.describe("main.t")

    assert table is not None
    assert table.name == "main.t"
    of_some = [("(condition)", "name"), ("(expression)",)]
    assert sorted(table.unique_keys) == [*of_some, ("id",), ("n", "(expression)"), ("name", "n"), ("pk",)]
    columns = table.columns
    assert columns["id"].max_chars is None  # VARCHAR(10) takes any length
    assert columns["id"].int_max is None
    assert (columns["n"].int_min, columns["n"].int_max) == (-(2**63), 2**63 - 1)
    assert columns["d"].int_max == 2**63 - 1
    assert columns["b"].int_max is columns["x"].int_max is None
    assert [name for name, column in columns.items() if not column.nullable] == ["pk", "name", "n"]
    assert [name for name, column in columns.items() if column.needs_value] == ["name"]


INTEGERS, REALS, ALL = (-(2**63), 2**63 - 1), (-(2**53), 2**53), (None, None)
NUMBERS, ANY = frozenset({Form.NUMBER, Form.MOMENT}), frozenset(Form)


@pytest.mark.parametrize(
    ("declared", "strict", "takes", "limits"),
    [
        ("INTEGER", False, NUMBERS, INTEGERS),
        ("BOOLEAN", False, NUMBERS, INTEGERS),
        ("FLOATING POINT", False, NUMBERS, INTEGERS),  # INT is in POINT
        ("DOUBLE", False, NUMBERS, REALS),
        ("REAL", False, NUMBERS, REALS),
        ("float", False, NUMBERS, REALS),
        ("CHARINT", False, NUMBERS, INTEGERS),
        ("NCHAR(5)", False, ANY, ALL),
        ("CLOB", False, ANY, ALL),
        ("text", False, ANY, ALL),
        ("BLOB", False, ANY, ALL),
        ("", False, ANY, ALL),
        ("INT", True, frozenset({Form.NUMBER}), INTEGERS),
        ("INTEGER", True, frozenset({Form.NUMBER}), INTEGERS),
        ("REAL", True, frozenset({Form.NUMBER}), REALS),
        ("TEXT", True, ANY, ALL),
        ("ANY", True, ANY, ALL),
        ("BLOB", True, frozenset[Form](), ALL),
    ],
)
def test_a_column_takes_what_its_affinity_leaves_as_it_is(
    declared: str, strict: bool, takes: frozenset[Form], limits: tuple[int | None, int | None]
) -> None:
    found = sqlite_module._column(("X", declared, 0, None, 0, 0), is_key=False, strict=strict)
    assert (found.name, found.takes, (found.int_min, found.int_max)) == ("x", takes, limits)
    assert (found.nullable, found.needs_value, found.fill, found.generated) == (True, False, Fill.NULL, False)


@pytest.mark.parametrize(
    ("facts", "is_key", "expected"),
    [
        (("x", "INTEGER", 0, None, 1, 0), True, (False, False, Fill.DISTINCT, False)),
        (("x", "INTEGER", 1, None, 1, 0), True, (False, False, Fill.DISTINCT, False)),
        (("x", "INT", 1, None, 1, 0), True, (False, True, Fill.NULL, False)),
        (("x", "TEXT", 1, "'a'", 0, 0), False, (False, False, Fill.OTHER, False)),
        (("x", "TEXT", 0, "NULL", 0, 0), False, (True, False, Fill.NULL, False)),
        (("x", "TEXT", 0, None, 0, 1), False, (True, False, Fill.NULL, False)),  # hidden, of a virtual table
        (("x", "TEXT", 1, None, 0, 2), False, (False, False, Fill.OTHER, True)),
        (("x", "TEXT", 1, None, 0, 3), False, (False, False, Fill.OTHER, True)),
    ],
)
def test_what_stands_in_a_column_that_is_left_out(
    facts: tuple[str, str, int, object, int, int], is_key: bool, expected: tuple[bool, bool, Fill, bool]
) -> None:
    found = sqlite_module._column(facts, is_key=is_key, strict=False)
    assert (found.nullable, found.needs_value, found.fill, found.generated) == expected


@pytest.mark.parametrize(
    ("ddl", "strict", "checked"),
    [
        ("CREATE TABLE t (a TEXT -- CHECK (a)\n, b INT) STRICT", True, False),
        ("CREATE TABLE t (a TEXT DEFAULT 'CHECK (', \"STRICT\" INT)", False, False),
        ("CREATE TABLE t (a TEXT, -- a comment\n CHECK (a <> ')')) WITHOUT ROWID, STRICT", True, True),
        ("CREATE TABLE t (a /* STRICT */ TEXT)", False, False),
    ],
)
def test_the_options_of_a_table_are_read_past_names_texts_and_comments(
    sqlite: Subject, ddl: str, strict: bool, checked: bool
) -> None:
    sqlite.sql(ddl.replace("a TEXT,", "a TEXT PRIMARY KEY,"))
    table = sqlite.db.describe("t")
    assert table is not None
    assert table.has_checks is checked
    assert (Form.MOMENT not in [*table.columns.values()][-1].takes) == (strict and not checked)


def test_a_key_of_several_columns_is_one_key(sqlite: Subject) -> None:
    sqlite.sql("CREATE TABLE t (a INTEGER, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID")

    table = sqlite.db.describe("t")

    assert table is not None
    assert table.unique_keys == [("b", "a")]


def test_a_handle_that_is_not_utf8_hides_no_other(sqlite: Subject) -> None:
    sqlite.sql("CREATE TABLE k (user_name)")
    sqlite.sql("INSERT INTO k VALUES (CAST(x'ff41' AS TEXT)), (x'4142'), ('btc')")

    assert list(sqlite.db.handles("k")) == ["\ufffdA", "AB", "btc"]


def test_a_folder_that_may_not_be_written_is_found_before_the_first_row() -> None:
    folder = Path(tempfile.mkdtemp(prefix="kol-folder-"))
    nobody = 65_534
    try:
        db = open_database("sqlite:///kol.db", base=folder)
        db.create_tables("s", "t", "f")
        db.close()
        folder.chmod(0o555)
        if os.geteuid() == 0:  # root may write everywhere
            os.chown(folder / "kol.db", nobody, -1)
            os.seteuid(nobody)
        for check, table in ((check_target, "t"), (check_follows, "f")):
            with pytest.raises(sqlite3.OperationalError) as refused:
                check(db, table)
            assert db.error_kind(refused.value) is DbErrorKind.FATAL
            assert "must be able to write" in db.explain(refused.value)
            assert db.advice(refused.value) == "change their permissions"
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        db.close()
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_the_check_that_rows_can_be_written_writes_nothing(sqlite: Subject) -> None:
    sqlite.db.create_tables("s", "t")
    before = Path(sqlite.url.removeprefix("sqlite:///")).read_bytes()

    check_target(sqlite.db, "t")

    assert Path(sqlite.url.removeprefix("sqlite:///")).read_bytes() == before
