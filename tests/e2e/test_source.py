"""The table of KOLs: how KOLs get into it and out of it, an existing one, and one without KOLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.expected import expected_rows

if TYPE_CHECKING:
    from tests.e2e.conftest import MakeProject
    from tests.e2e.project import Project

LISTS = {"BTC": 3, "ethereum": 2, "defi_otter": 4}


def names(project: Project, column: str = "user_name") -> set[str]:
    return {name for (name,) in project.sql(f"SELECT {column} FROM `{project.source}`")}


def refusal(project: Project, code: int, *words: str) -> str:
    """The one line with which a command ends that does nothing."""
    result = project.look(*words).expect(code)
    (line,) = result.err.splitlines()
    assert result.out == ""
    return line


# --- kols add, kols remove ----------------------------------------------------------------------------------------


def test_kols_are_added_once_however_they_are_spelled_and_then_bought(make_project: MakeProject, db_url: str) -> None:
    project = make_project(LISTS, db_url=db_url, names=["@BTC"])

    added = project.look("kols", "add", "btc", "https://x.com/ethereum", " @defi_otter", "Ethereum").expect(0).out

    assert added.splitlines() == [
        f"{project.source}: 2 KOLs added",
        "  already there: btc",
        "  named more than once: ethereum",
    ]
    assert names(project) == {"@BTC", "ethereum", "defi_otter"}
    project.crawl().expect(0)
    assert project.rows() == expected_rows(LISTS)


def test_kols_are_removed_however_the_table_spells_them(make_project: MakeProject, db_url: str) -> None:
    spelled = ["@BTC", "https://x.com/btc/", "defi_otter", "o'neil%s"]
    project = make_project(LISTS, db_url=db_url, names=[*spelled, *(f"kol{number}" for number in range(2500))])

    removed = project.look("kols", "remove", "btc", "nobody", *(f"@KOL{number}" for number in range(2500)))

    assert removed.expect(0).out.splitlines() == [f"{project.source}: 2,501 KOLs removed", "  not there: nobody"]
    assert names(project) == {"defi_otter", "o'neil%s"}
    assert "0 KOLs removed" in project.look("kols", "remove", "btc").expect(0).out


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("@BTC\n\nhttps://x.com/ethereum\r\n  defi_otter  \n", {"BTC", "ethereum", "defi_otter"}),
        ('\ufeffid,User_Name ,note\n1,BTC,"a, b"\n2,@ethereum,\n3,,none\n4\n', {"BTC", "ethereum"}),
        ("user_name;note\nBTC;1\n", {"BTC"}),
        ("user_name\nBTC\n", {"BTC"}),
    ],
)
def test_a_file_has_one_handle_a_line_or_a_column(make_project: MakeProject, text: str, added: set[str]) -> None:
    project = make_project({}, names=[])
    file = project.folder / "kols"
    file.write_bytes(text.encode())

    project.look("kols", "add", "--file", str(file)).expect(0)

    assert names(project) == added
    project.look("kols", "remove", "--file", str(file)).expect(0)
    assert names(project) == set()


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"BTC\nno handle\nethereum\n", "line 2: not a Twitter handle: 'no handle'; nothing is changed"),
        (b"note,user_name\nx,BTC\nx,https://x.com/home\n", "line 3: not a Twitter handle: 'https://x.com/home'"),
        (b"id,name\n1,BTC\n", "a CSV without a column user_name"),
        (b"Handle\nBTC\n", "begins with the header handle: call it user_name, or delete that line"),
        ("BTC\n".encode("utf-16"), "no text in UTF-8"),
        (b"user_name,x\n" + b"a" * 200_000, "can't be read"),
        (None, "can't be read: No such file or directory"),
    ],
)
def test_nothing_is_written_when_a_line_of_a_file_is_no_handle(
    make_project: MakeProject, data: bytes | None, line: str
) -> None:
    project = make_project({}, names=["there"])
    file = project.folder / "kols"
    if data is not None:
        file.write_bytes(data)
    for change in ("add", "remove"):
        assert line in refusal(project, 2, "kols", change, "there", "new", "--file", str(file))
    assert names(project) == {"there"}


def test_what_add_and_remove_can_not_do_is_one_line(make_project: MakeProject) -> None:
    project = make_project({}, names=["there"])
    assert "not a Twitter handle: 'two words'" in refusal(project, 2, "kols", "add", "new", "two words")
    assert "name the KOLs" in refusal(project, 2, "kols", "add")
    assert "name the KOLs" in refusal(project, 2, "kols", "remove", "--file", "/dev/null")
    assert "@add" in refusal(project, 2, "kols", "add", "--json")
    assert "--file goes with" in refusal(project, 2, "kols", "--file", "kols.txt")
    assert names(project) == {"there"}


def test_a_kol_called_add_can_be_added_bought_and_looked_at(make_project: MakeProject) -> None:
    project = make_project({"add": 3}, names=[])
    project.look("kols", "add", "add").expect(0)
    project.crawl().expect(0)
    assert project.look("kols", "@add").expect(0).out.startswith("add: complete")


# --- a table without KOLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [[], ["no handle", " "]])
def test_a_source_without_kols_is_refused_with_the_command_that_adds_some(
    make_project: MakeProject, rows: list[str | None]
) -> None:
    project = make_project(LISTS, names=rows)

    tested = project.crawl("-a", "test=1").expect(1).out
    assert f"FAIL  kols      {project.source} has no KOL" in tested
    for words in ((), ("-a", "estimate=1")):
        (line,) = (line for line in project.crawl(*words).expect(2).err.splitlines() if line.startswith("kolspider: "))
        assert "`scrapy kols add NAME`" in line
        assert ("'no handle'" in line) == bool(rows)
    assert project.api.calls == []

    project.crawl("-a", "kols=BTC").expect(0)
    project.crawl("-a", "replay=all").expect(0)
    assert project.rows() == expected_rows({"BTC": 3})
    project.look("kols", "add", "BTC").expect(0)
    assert "none is due" in project.crawl("-a", "test=1").expect(0).out


# --- a table that was there before -------------------------------------------------------------------------------


def existing(project: Project, more: str = "") -> None:
    """A team's own table of KOLs, in which ethereum is not active."""
    project.sql(f"DROP TABLE `{project.source}`")
    # With the key that Doris wants; the others take it as a column.
    kind = " DUPLICATE KEY(`Nick`) DISTRIBUTED BY HASH(`Nick`) BUCKETS 1" if project.dialect == "doris" else ""
    properties = ' PROPERTIES ("replication_num" = "1")' if kind else ""
    project.sql(
        f"CREATE TABLE `{project.source}` (`Nick` VARCHAR(40), `active` INT DEFAULT '1', `tag` VARCHAR(9){more})"
        f"{kind}{properties}"
    )
    project.sql(
        f"INSERT INTO `{project.source}` (`Nick`, `active`, `tag`) VALUES ('BTC', 1, '5%'), ('ethereum', 0, 'x')"
    )
    project.env |= {"KOL_SOURCE_COLUMN": "nick", "KOL_SOURCE_WHERE": "active = 1 OR tag LIKE 'a%b'"}


def test_the_kols_of_an_existing_table_are_those_of_its_column_and_condition(
    make_project: MakeProject, db_url: str
) -> None:
    project = make_project(LISTS, db_url=db_url)
    existing(project)

    added = project.look("kols", "add", "defi_otter", "ethereum").expect(0).out
    assert "1 KOL added" in added
    assert "already there: ethereum" in added
    assert "left out by KOL_SOURCE_WHERE: ethereum" in added
    assert "2 rows where active = 1" in project.crawl("-a", "test=1").expect(0).out
    assert "2 due (2 new)" in project.crawl("-a", "estimate=1").expect(0).out
    project.crawl().expect(0)
    assert project.rows() == expected_rows({"BTC": 3, "defi_otter": 4})
    assert project.look("kols", "--state", "new", "--json").expect(0).out.strip() == "[]"

    assert "2 KOLs removed" in project.look("kols", "remove", "BTC", "ethereum").expect(0).out
    assert names(project, "`Nick`") == {"defi_otter"}


def test_a_table_whose_rows_need_more_than_a_handle_is_read_but_not_written(
    make_project: MakeProject, db_url: str
) -> None:
    project = make_project(LISTS, db_url=db_url)
    existing(project)
    project.env |= {"KOL_SOURCE_WHERE": ""}
    project.sql(f"DROP TABLE `{project.source}`")
    unique = ' DUPLICATE KEY(`nick`) DISTRIBUTED BY HASH(`nick`) BUCKETS 1 PROPERTIES ("replication_num" = "1")'
    project.sql(
        f"CREATE TABLE `{project.source}` (`nick` VARCHAR(40) NOT NULL, `desk` VARCHAR(9) NOT NULL)"
        f"{unique if project.dialect == 'doris' else ''}"
    )
    project.sql(f"INSERT INTO `{project.source}` (`nick`, `desk`) VALUES ('BTC', 'a')")

    for change in ("add", "remove"):
        assert "needs a value for desk, too" in refusal(project, 1, "kols", change, "BTC", "ethereum")
    assert names(project, "`nick`") == {"BTC"}
    project.crawl().expect(0)
    assert project.rows() == expected_rows({"BTC": 3})


def test_a_wrong_column_or_condition_is_one_line_with_the_settings_name(make_project: MakeProject, db_url: str) -> None:
    project = make_project(LISTS, db_url=db_url)
    existing(project)
    for code, setting, value in (
        (1, "KOL_SOURCE_COLUMN", "handle"),
        (1, "KOL_SOURCE_WHERE", "aktiv = 1"),
        (1, "KOL_SOURCE_WHERE", "active ="),
        (2, "KOL_SOURCE_WHERE", "1 = 1; DROP TABLE x"),
        (2, "KOL_SOURCE_COLUMN", " "),
    ):
        result = project.crawl("-s", f"{setting}={value}").expect(code)
        (line,) = (line for line in result.err.splitlines() if line.startswith("kolspider: "))
        assert setting in line
        assert setting in project.look("kols", "add", "x", "-s", f"{setting}={value}").expect(code).err
    assert project.api.calls == []
    assert len(names(project, "`Nick`")) == 2


def test_initdb_creates_the_column_that_the_setting_names(make_project: MakeProject, db_url: str) -> None:
    project = make_project(LISTS, db_url=db_url)
    project.sql(f"DROP TABLE `{project.source}`")
    project.env |= {"KOL_SOURCE_COLUMN": "nick"}
    project.look("initdb", *(("--replicas", "1") if project.dialect == "doris" else ())).expect(0)
    project.look("kols", "add", "BTC").expect(0)
    assert names(project, "`nick`") == {"BTC"}
