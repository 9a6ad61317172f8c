"""Every command of the READMEs that needs no key is run, in order, and prints what they say it prints."""

from __future__ import annotations

import re
import shlex
import time
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from kolspider.db.spans import spans
from kolspider.db.url import open_database
from kolspider.items import State
from kolspider.options.arguments import Arguments
from kolspider.options.config import PROJECT_DIR
from kolspider.sandbox import SAMPLE_KOLS
from tests.e2e.project import KEY, ROOT, Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import MakeProject

ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh-CN.md"))


def code_blocks(readme: Path) -> list[str]:
    return re.findall(r"^```.*?^```$", readme.read_text(), re.MULTILINE | re.DOTALL)


def commands_to_test(readme: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands of the blocks marked as tested, each with the lines it is said to print."""
    for block in re.findall(r"^<!-- tested -->\n```console\n(.*?)^```$", readme.read_text(), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *printed = part.rstrip("\n").split("\n")
            yield command, printed


def shape(line: str, home: Path) -> str:
    """A line without what differs from run to run: paths, times, sizes, how batches fell."""
    line = line.replace(str(home), "/home/you/kolspider").replace("http://127.0.0.1", "https://api.twitterapi.io")
    line = re.sub(r"twitterapi_io at \S+,", "twitterapi_io at URL,", line)
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", line)
    line = re.sub(r"[\d,]+ (rows written|repeats of these|counts made NULL)", r"N \1", line)
    line = re.sub(r"^(time\s+).*", r"\1", line)
    line = re.sub(r"^(size\s+).*", r"\1", line)
    return re.sub(r" +[\d,]+(?=  TIME)", " BYTES", line)


@pytest.mark.sqlite_only("the READMEs show the commands with the database that needs no server")
def test_each_command_prints_what_the_readme_says(make_project: MakeProject) -> None:
    project = make_project(SAMPLE_KOLS, people="plausible")
    home = Home.of(project, {"KOL_API_KEY": KEY, "KOL_API_URL": project.api.url, "DOWNLOAD_DELAY": "0"})

    for command, printed in commands_to_test(ENGLISH):
        program, *words = shlex.split(command)
        assert program == "scrapy"
        if "sandbox=2" in words:
            time.sleep(1)  # the follows table has whole seconds
        result = home.scrapy(*words).expect(0)
        got = [shape(line, home.root) for line in result.out.splitlines()]
        for line in printed:  # README may leave lines out
            assert shape(line, home.root) in got, f"{command}\n{result.text}"


def test_both_readmes_show_the_same_commands_and_output() -> None:
    assert code_blocks(CHINESE) == code_blocks(ENGLISH)
    assert list(commands_to_test(CHINESE)) == list(commands_to_test(ENGLISH))


def test_the_readmes_name_every_argument_setting_and_state() -> None:
    from kolspider import settings  # noqa: PLC0415 - reads .env

    names = [name for name in dir(settings) if name.startswith("KOL_")]
    for readme in (ENGLISH, CHINESE):
        text = readme.read_text()
        for name in names:
            assert f"| `{name}` |" in text, f"{readme.name}: {name}"
        for name in Arguments.__dataclass_fields__:
            assert f"`-a {name}=" in text, f"{readme.name}: {name}"
        for state in State:
            assert f"| `{state}` |" in text, f"{readme.name}: {state}"


def test_the_readmes_give_the_ddl_that_initdb_runs() -> None:
    for url in ("doris://u:p@h/d", "mysql://u:p@h/d", "sqlite:///kol.db"):
        database = open_database(url, base=PROJECT_DIR)
        ours = [database.source_ddl("twitter_kol"), database.target_ddl("twitter_kol_all")]
        follows = [database.span_ddls(table, span) for table, span in spans("twitter_kol_follows")]
        for ddl in chain(ours, *follows):
            assert ddl in ENGLISH.read_text()
            assert ddl in CHINESE.read_text()
