"""Every kind of statement that the product sends to Doris, in tests/data/doris_statements.sql, to be parsed elsewhere.

KOL_WRITE_EXAMPLES=1 writes the file anew; without it the statements must be those in the file.
"""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

from kolspider.db.check import check_follows, check_source, check_target
from kolspider.db.doris import database as dialect
from kolspider.db.doris.database import DorisDatabase
from kolspider.db.follow_tables import spans
from kolspider.db.url import open_database
from kolspider.errors import StopRun
from kolspider.follows import queries
from kolspider.follows.emptied import empty_tables
from kolspider.follows.queries import Follows, known_ids
from kolspider.items import COLUMNS, CRAWLS, FOLLOWS
from tests.db.conftest import row
from tests.db.doris.test_doris import ONE, OURS, VERSIONS
from tests.doris_double import DorisDouble
from tests.doris_double.tokens import RESERVED

FILE = Path(__file__).parents[2] / "data" / "doris_statements.sql"
# The words that the statements are made of. Any other word that stands unquoted is a name.
KEYWORDS = set(
    """
    add aggregate allocation alter and as asc auto bigint buckets by case coalesce column comment count create cross
    datetime default desc distinct distributed duplicate else end engine exists from group group_commit hash having
    if in information_schema insert insert_timeout insert_visible_timeout_ms into is join key label largeint left
    limit lower max min not null olap on or order partial_update_new_key_behavior properties query_timeout rename
    replace select set show sql_mode string table text then transaction unique values varchar when where with
    enable_insert_strict enable_unique_key_partial_update true false names utf8mb4 int enable_insert_value_auto_cast
    """.split()  # noqa: SIM905
)
ALIASES = set("acftxy")
"""Of tables: no reserved word has one letter."""
LITERAL = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`""", re.DOTALL)


def spoken() -> list[str]:
    """What is sent while a project does everything it can."""
    said: dict[str, None] = {}
    for version in VERSIONS:
        with DorisDouble(version, backends=3) as double:
            db = open_database(double.url(), base=Path("/"))
            assert isinstance(db, DorisDatabase)
            _everything(db, double)
            db.close()
            said |= {" ".join(statement.text.split(" ")): None for statement in double.statements}
            assert double.violations == []
    return list(said)


def _everything(db: DorisDatabase, double: DorisDouble) -> None:
    db.create_tables("twitter_kol", "twitter_kol_all")
    db.insert_handles("twitter_kol", ["BTC", "o'neil", "vitalik"])
    db.spread(replicas=1, buckets=8)
    db.create_tables("kol.k8", "kol.t8")
    db.spread(replicas=None, buckets=None)
    for table, id_type in (("twitter_kol", ""), ("k_by_id", "BIGINT"), ("k_by_large_id", "LARGEINT")):
        if id_type:
            columns = f"`id` {id_type} NULL, `user_name` VARCHAR(9) NULL"
            _arrange(db, f"CREATE TABLE `{table}` ({columns}) DUPLICATE KEY(`id`)")
            _arrange(db, f"INSERT INTO `{table}` VALUES (1, 'a'), (2, 'b'), (2, 'c'), (4, 'd')")
        check_source(db, table)
        db.count(table)
        list(db.handles(table))
    check_target(db, "twitter_kol_all")
    db.upsert("twitter_kol_all", [row("1", name="it's \\ 100%\n中文 😀"), row("2", name=None, followers=None)])
    db._execute(db.add_column_ddl("twitter_kol_all", "following").replace("`following`", "`theirs`"))
    check_target(db, "twitter_kol_all")
    db.upsert("twitter_kol_all", [row("2"), row("3")])
    double.fail_next("drop_after")
    with suppress(*db.errors):
        db.upsert("twitter_kol_all", [row("4")])
    db.close()
    db.upsert("twitter_kol_all", [row("4")])
    _who_follows_whom(db)
    for name, table in (
        ("dup", f"CREATE TABLE `dup` ({OURS}) DUPLICATE KEY(`id`)"),
        ("mor", f"CREATE TABLE `mor` ({OURS}, `note` VARCHAR(9) NULL) UNIQUE KEY(`id`)"),
    ):
        off = ', "enable_unique_key_merge_on_write" = "false"' if name == "mor" else ""
        _arrange(db, f"{table} DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ({ONE}{off})")
        _mend(db, name)
    with suppress(*db.errors):
        db.describe("nowhere")


def _who_follows_whom(db: DorisDatabase) -> None:
    table, moments = "twitter_kol_follows", ("2026-11-01 00:00:00", "2026-11-24 07:08:09")
    db.create_tables("twitter_kol", "twitter_kol_all", table)
    check_follows(db, table)
    for (name, span), key in zip(spans(table), (("o'neil", "7"), ("o'neil",)), strict=True):
        db.widen(name, span, [(*key, *moments)])
    known_ids(db, table, "o'neil", moments[1])
    empty_tables(db, table)
    follows = Follows(db, table, "twitter_kol_all")
    follows.knows("o'neil")
    for since, kol in product((None, moments[0]), (None, "o'neil")):
        list(follows.new(since=since, kol=kol))
        list(follows.lost(since=since, kol=kol))
    for lost in (False, True):
        list(follows.who("7", lost=lost))
        list(follows.of("o'neil", lost=lost))
        list(follows.edges(["btc", "o'neil"], lost=lost))
    follows.accounts("satoshi")
    follows.kols()
    follows.last_whole()
    follows.top(least=3, new_since=None, limit=100)
    follows.top(least=3, new_since=moments[0], limit=100)
    list(follows.shared(least=3, new_since=None))
    list(follows.shared(least=3, new_since=moments[0]))
    follows.largest(12)
    follows.overlap(["btc", "o'neil"])
    follows.last_whole()
    follows.knows("o'neil")
    empty_tables(db, table)


def _arrange(db: DorisDatabase, sql: str) -> None:
    """Not a statement of the product's, but it is parsed all the same."""
    db._execute(sql)


def _mend(db: DorisDatabase, table: str) -> None:
    with pytest.raises(StopRun) as caught:
        check_target(db, table)
    for statement in str(caught.value).partition(" with: ")[2].split("; "):
        db._execute(statement)


@pytest.fixture(scope="module")
def statements() -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialect, "PAGE_ROWS", 2)
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=7))
        patch.setattr(queries, "latest", lambda: 1_795_000_000.0)  # a moment that stands in statements
        return spoken()


def test_the_examples_are_what_is_sent(statements: list[str]) -> None:
    text = "".join(f"{statement.strip()};\n\n" for statement in statements)
    if os.environ.get("KOL_WRITE_EXAMPLES"):
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(text)
    assert FILE.read_text() == text, "write them anew: KOL_WRITE_EXAMPLES=1 python -m pytest tests/db"


def test_no_name_stands_unquoted(statements: list[str]) -> None:
    for statement in statements:
        words = set(re.findall(r"[A-Za-z_]\w*", LITERAL.sub(" ", statement)))
        assert {word.lower() for word in words} <= KEYWORDS | ALIASES, statement


def test_every_column_of_ours_is_quoted_everywhere(statements: list[str]) -> None:
    assert "following" in RESERVED
    names = {*COLUMNS, *FOLLOWS, *CRAWLS}
    assert not names & KEYWORDS
    for name in names:
        assert any(f"`{name}`" in statement for statement in statements)


def test_what_doris_refuses_is_not_among_them(statements: list[str]) -> None:
    refused = re.compile(r"ON DUPLICATE|REPLACE INTO|INSERT IGNORE|\bVALUE\s*\(|FOR UPDATE|PRIMARY KEY", re.IGNORECASE)
    for statement in statements:
        assert not refused.search(LITERAL.sub(" ", statement)), statement
