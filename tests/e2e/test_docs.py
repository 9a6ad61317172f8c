"""The documentation is true: its commands run and print what it shows, and what it names exists, and the reverse."""

from __future__ import annotations

import argparse
import ast
import re
import runpy
import shlex
import sqlite3
import time
import tomllib
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from scrapy.settings import Settings, default_settings

from kolspider.command import NotHere
from kolspider.db.follow_tables import spans
from kolspider.db.url import open_database
from kolspider.items import FollowingsPage, Kol, MappedPage, Row, State, as_item
from kolspider.live.tally import STATS, Tally
from kolspider.options import environment
from kolspider.options.arguments import Arguments
from kolspider.sandbox import SAMPLE_KOLS
from kolspider.watch.words import ListProgress, Snapshot, block
from tests.e2e.project import KEY, ROOT, Home

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import MakeProject

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted(chain(ROOT.glob("*.md"), (ROOT / "docs").glob("*.md")))
}
TWINS = {page: page.replace(".zh-CN", "") for page in PAGES if ".zh-CN" in page}
"""Of each Chinese page the English one."""
STORIES = [["README.md", "docs/reference.md", "docs/operations.md"], ["docs/follows.md"]]
"""Each is told in one fresh project: the pages of a story go on where the one before ended."""
REFERENCE = PAGES["docs/reference.md"]


def code_blocks(text: str, kind: str = r"\w*") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def marked_blocks(text: str) -> list[tuple[str, str]]:
    """The language and content of the blocks marked as tested."""
    return re.findall(r"^<!-- tested -->\n```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code_spans(text: str) -> list[str]:
    """The code within the sentences, each on one line."""
    prose = re.sub(r"^```.*?^```$|^### .*?$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", prose, re.DOTALL)
    return [" ".join(span.split()) for _, span in found]


def shape(line: str, home: Path) -> str:
    """A line without what differs from run to run: paths, times, sizes, how batches fell."""
    line = line.replace(str(home), "/home/you/kolspider").replace("http://127.0.0.1", "https://api.twitterapi.io")
    line = re.sub(r"twitterapi_io at \S+,", "twitterapi_io at URL,", line)
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", line)
    line = re.sub(r"[\d,]+ (rows written|unchanged duplicates? skipped|counts set to NULL)", r"N \1", line)
    line = re.sub(r"^(time\s+).*", r"\1", line)
    line = re.sub(r"^(size\s+).*", r"\1", line)
    return re.sub(r" +[\d,]+(?=  TIME)", " BYTES", line)


def words_of(command: str) -> list[str]:
    """The arguments of `scrapy` in a command, which may be the one that `make demo` ends with."""
    if command == "make demo":
        recipe = (ROOT / "Makefile").read_text().split("\ndemo:")[1]
        command = next(line for line in recipe.splitlines() if "scrapy" in line).split("/")[-1]
    program, *words = shlex.split(command)
    assert program == "scrapy", command
    return words


@pytest.mark.sqlite_only("the documentation shows the commands with the database that needs no server")
@pytest.mark.parametrize("story", STORIES, ids="+".join)
def test_each_command_prints_what_its_page_shows(story: list[str], make_project: MakeProject) -> None:
    project = make_project(SAMPLE_KOLS, people="plausible", balance=250_000)
    home = Home.of(project, {"KOL_API_KEY": KEY, "KOL_API_URL": project.api.url, "DOWNLOAD_DELAY": "0"})

    for kind, content in chain.from_iterable(marked_blocks(PAGES[page]) for page in story):
        if kind == "sql":
            with closing(sqlite3.connect(home.root / "kol.db")) as connection, connection:
                connection.executescript(content)
            continue
        for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
            command, *printed = part.rstrip("\n").split("\n")
            words = words_of(command)
            if "sandbox=2" in words:
                time.sleep(1)  # the follows table has whole seconds
            result = home.scrapy(*words).expect(0)
            got = [shape(line, home.root) for line in result.out.splitlines()]
            for line in printed:  # a page may leave lines out
                assert shape(line, home.root) in got, f"{command}\n{result.text}"


def test_every_block_marked_as_tested_is_in_a_story() -> None:
    assert {page for page, text in PAGES.items() if marked_blocks(text) and page not in TWINS} == set(chain(*STORIES))


def test_each_chinese_page_shows_the_same_code_as_its_english_one() -> None:
    for twin, page in TWINS.items():
        assert code_blocks(PAGES[twin]) == code_blocks(PAGES[page]), twin
        assert marked_blocks(PAGES[twin]) == marked_blocks(PAGES[page]), twin
        assert set(code_spans(PAGES[page])) <= set(code_spans(PAGES[twin])), twin
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#\s]+\.zh-CN\.md)", text):
            assert str(((ROOT / page).parent / target).resolve().relative_to(ROOT)) in TWINS, target


def commands_named(text: str) -> Iterator[list[str]]:
    """The arguments of each `scrapy` command of a page, in its blocks and in its sentences."""
    lines = [*"".join(code_blocks(text)).splitlines(), *code_spans(text)]
    for line in lines:
        for command in re.findall(r"(?:^|[\s=/])scrapy ([a-z][^#>&;:(]*)", line):
            if "…" not in command:
                yield shlex.split(command)


@pytest.mark.parametrize("page", PAGES)
def test_each_command_that_a_page_names_exists(page: str) -> None:
    for name, *words in commands_named(PAGES[page]):
        if name == "version":
            continue
        command = import_module(f"kolspider.commands.{name}").Command()
        command.settings = Settings()
        parser = argparse.ArgumentParser(exit_on_error=False)
        command.add_options(parser)
        options, rest = parser.parse_known_args([word for word in words if word != "-h"])
        assert not [word for word in rest if word.startswith("-")], (name, words)
        if name == "crawl":
            Arguments.parse(dict(pair.split("=", 1) for pair in options.spargs))


@pytest.mark.parametrize("page", PAGES)
def test_each_argument_setting_and_make_target_that_a_page_names_exists(page: str) -> None:
    text = PAGES[page]
    ours, of_tests = set(declared_settings()), "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert set(re.findall(r"-a ([a-z_]+)=", text)) <= set(Arguments.__dataclass_fields__)
    assert set(re.findall(r"-s ([A-Z_]+)=", text)) <= ours | set(vars(default_settings)) | {"NAME", "SETTING"}
    for name in set(re.findall(r"\bKOL_[A-Z_]+\b", text)):
        assert name in ours or (name.startswith("KOL_TEST_") and name in of_tests), name
    for span in code_spans(text):
        if target := re.fullmatch(r"make (\w+)", span):
            assert f"\n{target[1]}:" in (ROOT / "Makefile").read_text(), span


def declared_settings() -> dict[str, Any]:
    """The settings of settings.py, as they are where neither the environment nor `.env` has any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.environ", {})
        patch.setattr(environment, "_read", lambda _: {})
        return {k: v for k, v in runpy.run_path(str(ROOT / "kolspider/settings.py")).items() if k.isupper()}


def test_the_reference_has_each_setting_with_its_default_and_each_argument_and_state() -> None:
    settings = declared_settings()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)` )?\|", REFERENCE, re.MULTILINE))
    assert {name for name in settings if name.startswith("KOL_")} <= set(rows)
    assert rows == {name: str(settings[name]) for name in rows}
    assert set(re.findall(r"^\| `-a (\w+)=", REFERENCE, re.MULTILINE)) == set(Arguments.__dataclass_fields__)
    for state in State:
        assert f"| `{state}` |" in REFERENCE


def test_the_reference_has_each_command_as_its_help_shows_it() -> None:
    headings = set(re.findall(r"^### `scrapy (.*)`$", REFERENCE, re.MULTILINE))
    names = {path.stem for path in (ROOT / "kolspider/commands").glob("*.py")} - {"__init__", "settings", "version"}
    names = {name for name in names if not issubclass(import_module(f"kolspider.commands.{name}").Command, NotHere)}
    assert headings == {f"{name} {import_module(f'kolspider.commands.{name}').Command().syntax()}" for name in names}


def literals(node: ast.AST) -> Iterator[str]:
    """The texts of a string, with NUL where a value goes."""
    for part in node.values if isinstance(node, ast.JoinedStr) else [node]:
        yield part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "\0"


def test_the_reference_has_each_stat_and_no_other() -> None:
    at_the_end = re.findall(r'set_value\(f?"(.*?)"', (ROOT / "kolspider/extensions/outcome.py").read_text())
    ours = {name for name, _ in STATS.values()} | {re.sub(r"{(\w+)}", r"<\1>", name) for name in at_the_end}
    assert set(re.findall(r"^\| `(kol/\S+)` \|", REFERENCE, re.MULTILINE)) == ours


def test_each_message_of_the_troubleshooting_is_one_that_the_code_has() -> None:
    strings = [
        "".join(literals(node))
        for tree in (ast.parse(path.read_text()) for path in (ROOT / "kolspider").rglob("*.py"))
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.Constant)
    ]
    tables = PAGES["docs/operations.md"].split("| message | what to do |")[1:]
    rows = chain.from_iterable(takewhile(str.strip, table.splitlines()[2:]) for table in tables)
    messages = [match[1] for row in rows if (match := re.match(r"\| `(.*?)` \|", row))]
    assert len(messages) > 10
    for message in messages:
        parts = [part for part in (part.strip(" :;.()") for part in message.split("…")) if len(part) >= 8]
        assert parts, message
        assert [part for part in parts if not any(part in string for string in strings)] == [], message


def test_the_tables_are_those_that_initdb_creates() -> None:
    for url in ("doris://u:p@h/d", "mysql://u:p@h/d", "sqlite:///kol.db"):
        database = open_database(url, base=ROOT)
        ours = [database.source_ddl("twitter_kol"), database.target_ddl("twitter_kol_all")]
        follows = [database.span_ddls(table, span) for table, span in spans("twitter_kol_follows")]
        for ddl in chain(ours, *follows):
            assert ddl in PAGES["docs/tables.md"]


def test_the_picture_and_operations_show_a_terminal_as_it_is() -> None:
    pages = {"BTC": 8, "ethereum": 8, "whale_watch": 7, "nft_queen": 7, "layer2_lena": 6, "stablecoin_sue": 2}
    pages |= {"cold_wallet": 1, "hodl_hannah": 0}
    now = Snapshot(
        tally=Tally(pages=58, calls=60, credits=11270, users_read=6560, rows_upserted=5722),
        due=18,
        done={State.COMPLETE: 4, State.NOT_FOUND: 1},
        lists=[ListProgress(kol, number, None, 200 * number) for kol, number in pages.items()],
        to_load=0,
        waiting=838,
        dollars=0.1127,
        seconds=24.0,
        pace=145 / 60,
        left=30.0,
        waits=["429 (too fast): next request in 3 s"],
        replay=False,
    )
    lines = [line for line in block(now, 108, 30, colour=False) if line]

    texts = ["".join(text.itertext()) for text in ET.parse(ROOT / "docs/run.svg").iter() if text.tag.endswith("text")]  # noqa: S314 - ours
    assert texts[1 : 1 + len(lines)] == lines
    assert "\n".join(lines) in PAGES["docs/operations.md"]


def test_the_pipeline_that_operations_shows_works() -> None:
    names: dict[str, Any] = {}
    exec(code_blocks(PAGES["docs/operations.md"], "python")[0], names)  # noqa: S102 - ours
    small = Row("1", None, None, None, None, None, None, 999, None, None)
    large = small._replace(id="2", followers=1000)
    page = MappedPage(FollowingsPage(Kol("btc", "BTC"), 1, "", [], last=True), rows=[small, large])

    assert as_item(MappedPage, names["OnlyLargeAccounts"]().process_item(page)) == replace(page, rows=[large])


def test_the_architecture_has_the_layers_that_are_enforced() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    settings, *layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rows = re.findall(r"^\| (`.*?`) \| ", PAGES["docs/architecture.md"].split("## A page")[0], re.MULTILINE)
    assert settings == "settings"
    assert [set(re.findall(r"`(\w+)", row)) for row in rows] == [set(layer.split(" | ")) for layer in layers]


def test_each_file_that_the_architecture_and_contributing_name_exists() -> None:
    for page in ("docs/architecture.md", "CONTRIBUTING.md"):
        for name in re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", PAGES[page]):
            assert (ROOT / name).exists() or (ROOT / "kolspider" / name).exists(), f"{page}: {name}"


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_somewhere(page: str) -> None:
    for target in links(PAGES[page]):
        name, _, anchor = target.partition("#")
        path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text()), target


def links(text: str) -> Iterable[str]:
    """The links within the project."""
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in found if "://" not in target]
