"""Whatever a column's type and charset: a table is refused with the DDL that mends it, or keeps every row as sent."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from kolspider.db.base import Charset, Column, DbErrorKind, Form
from kolspider.db.capacity import losses, unfitness
from kolspider.db.check import check_target, warnings
from kolspider.db.resilient import Upserter
from kolspider.errors import StopRun
from kolspider.items import COLUMNS, Row
from kolspider.load.fitting import Fitter
from kolspider.load.mapping import Mapper
from kolspider.providers import provider
from kolspider.sandbox import entry, followings
from tests.db.conftest import Subject, row
from tests.wild import users, wildly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kolspider.db.base import Table

OURS = ", ".join(COLUMNS)
BOUNDS = [0, 1, 2**15, 2**31 - 1, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1]
MOMENTS = ["1000-01-01 00:00:00", "1970-01-01 00:00:00", "2006-03-21 00:00:00", "2040-01-01 00:00:00"]
IDS = [1, 2**31, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1, 2**63, 2**63 + 1, 10**20 - 1]
ODD = [
    "007",
    "1e3",
    "2009",
    "",
    " ",
    "spaces  ",
    "\t ",
    "\\N",
    "🚀 é 币 ß ¥ ~ @ [ |",
    "NULL",
    "{}",
    "2009-03-18 13:46:38",
]


@cache
def wild_rows() -> list[Row]:
    """Rows of wild users, and of values at the bounds of types."""
    api, mapper, rows = provider("twitterapi_io"), Mapper(), dict[str, Row]()

    @given(users)
    @wildly
    def map_user(text: str) -> None:
        raw = json.loads(text)
        found = mapper.map_user(api.followed_user(raw), raw)
        if isinstance(found, Row):
            rows[f"{len(rows) + 1}"] = found._replace(id=f"{len(rows) + 1}")

    map_user()
    at_bounds: list[dict[str, Any]] = [
        *[{"followers": n, "following": n} for n in BOUNDS],
        *[{"created_at_time": m} for m in MOMENTS],
    ]
    at_bounds += [dict.fromkeys(("name", "user_name", "avatar", "description", "created_at"), text) for text in ODD]
    return [*rows.values(), *(row(str(10**6 + number), **changes) for number, changes in enumerate(at_bounds))]


@cache
def all_characters() -> list[Row]:
    """Rows with every character of the first plane, and some of the others."""
    codes = [code for code in range(1, 0x10000) if not 0xD800 <= code < 0xE000] + [0x1F680, 0x20000, 0x10FFFD]
    texts = ["".join(map(chr, codes[start : start + 2000])) for start in range(0, len(codes), 2000)]
    return [row(str(number), name=text[:400], description=text) for number, text in enumerate(texts, 1)]


def kept(subject: Subject, table: Table, rows: Iterable[Row]) -> None:
    """Write the rows as a run does, and find them as they were fitted."""
    fitter = Fitter(table.columns)
    fitted = {row.id: row for row in fitter.fit([*rows])}
    subject.db.upsert(table.name, list(fitted.values()))
    found = {as_sent(values[0]): values for values in subject.sql(f"SELECT {OURS} FROM {table.name}")}
    assert found.keys() == fitted.keys()
    for id_, expected in fitted.items():
        assert list(map(as_sent, found[id_])) == list(map(as_sent, expected)), id_


def as_sent(value: object) -> str | None:
    """A number and a moment as the text that they are sent as."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    return str(value)[:19] if hasattr(value, "year") else str(int(value))  # type: ignore[call-overload]


def mended(subject: Subject, name: str) -> Table:
    """The table, after the DDL of the refusal if it is refused."""
    try:
        return check_target(subject.db, name)
    except StopRun as refusal:
        message = str(refusal)
        assert "can't hold what is sent" in message
        for statement in message.partition("; fix it with: ")[2].removesuffix(ELSE).split("; "):
            subject.sql(statement)
        return check_target(subject.db, name)


ELSE = "; or set KOL_TARGET_TABLE to another table"


TEXTS, COUNTS = (
    ("name", "user_name", "avatar", "description", "created_at"),
    ("followers", "following", "statuses_count"),
)


def tables_of(types: list[str], of_moments: list[str]) -> Iterator[dict[str, str]]:
    """Types of the columns of few tables, so that each type is in a column of texts and in one of counts."""
    texts, counts = cycle(types), cycle(types)
    for moment in of_moments + [of_moments[0]] * max(0, -(-len(types) // 3) - len(of_moments)):
        yield (
            {name: next(texts) for name in TEXTS}
            | {name: next(counts) for name in COUNTS}
            | {"created_at_time": moment}
        )


MYSQL_NUMBERS = ["TINYINT", "BOOLEAN", "SMALLINT UNSIGNED", "MEDIUMINT", "INT", "INT UNSIGNED", "BIGINT"]
MYSQL_NUMBERS += ["BIGINT UNSIGNED ZEROFILL", "DECIMAL(20,0)", "DECIMAL(10,2)", "DECIMAL(19,0) UNSIGNED"]
MYSQL_NUMBERS += ["FLOAT", "DOUBLE", "DOUBLE UNSIGNED", "DOUBLE(12,2)", "BIT(64)"]
MYSQL_TEXTS = ["CHAR(20)", "CHAR(40)", "VARCHAR(8)", "VARCHAR(20)", "VARBINARY(20)", "BINARY(40)", "NCHAR(20)"]
MYSQL_LONG = ["TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT", "BLOB", "LONGBLOB", "JSON", "VARCHAR(90) COMPRESSED"]
MYSQL_OTHERS = ["DATE", "TIME", "YEAR", "DATETIME", "DATETIME(6)", "TIMESTAMP NULL", "ENUM('1', 'B')", "SET('1', '2')"]
MYSQL_OTHERS += ["POINT", "UUID", "INET6", "INT AS (1)"]
SQLITE_TYPES = ["", "INTEGER", "BIGINT UNSIGNED", "TEXT", "VARCHAR(3)", "BLOB", "REAL", "DOUBLE PRECISION", "NUMERIC"]
SQLITE_TYPES += ["DECIMAL(10,2)", "BOOLEAN", "DATE", "DATETIME", "STRING", "JSON", "FLOATING POINT", "TEXT AS ('x')"]
STRICT_TYPES = ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"]


def test_every_type_of_mysql_keeps_what_it_is_sent_or_is_mended(mysql: Subject) -> None:
    types = MYSQL_NUMBERS + MYSQL_TEXTS + MYSQL_LONG + MYSQL_OTHERS
    moments = [*MYSQL_OTHERS, "BIGINT", "DOUBLE", "CHAR(18)", "VARCHAR(19)", "VARBINARY(20)", "BINARY(40)", "JSON"]
    for number, columns in enumerate(tables_of(types, moments)):
        listed = ", ".join(f"{name} {sql_type}" for name, sql_type in columns.items())
        mysql.sql(f"CREATE TABLE t{number} (id VARCHAR(20) PRIMARY KEY, {listed}) ENGINE=MyISAM CHARSET utf8mb4")
        kept(mysql, mended(mysql, f"t{number}"), wild_rows())


@pytest.mark.parametrize("strict", ["", "STRICT"])
def test_every_type_of_sqlite_keeps_what_it_is_sent_or_is_mended(sqlite: Subject, strict: str) -> None:
    types = STRICT_TYPES if strict else SQLITE_TYPES
    for number, columns in enumerate(tables_of(types, types)):
        listed = ", ".join(f"{name} {sql_type}" for name, sql_type in columns.items())
        sqlite.sql(f"CREATE TABLE t{number} (id TEXT PRIMARY KEY, {listed}) {strict}")
        kept(sqlite, mended(sqlite, f"t{number}"), wild_rows())


def test_every_type_of_id_keeps_accounts_apart_or_is_mended(subject: Subject) -> None:
    is_sqlite = subject.url.startswith("sqlite")
    types = ["CHAR(20)", *MYSQL_NUMBERS, *MYSQL_TEXTS, "TIMESTAMP", "DATE", "ENUM('1')", "INET6"]
    types = [*SQLITE_TYPES[:-1], *(f"{kind} STRICT" for kind in STRICT_TYPES)] if is_sqlite else types
    for number, sql_type in enumerate(types):
        kind, _, strict = sql_type.partition(" ST")
        name, options = f"t{number}", "STRICT" if strict else "" if is_sqlite else "ENGINE=MyISAM"
        others = ", ".join(f"{name} {subject.db.types[name]}" for name in COLUMNS[1:])
        subject.sql(f"CREATE TABLE {name} (id {kind} PRIMARY KEY, {others}) {options}")
        table = mended(subject, name)
        largest = None if Form.TEXT in table.columns["id"].takes else table.columns["id"].int_max
        fits = [id_ for id_ in IDS if largest is None or id_ <= largest]
        assert 2**63 - 1 in fits
        kept(subject, table, [row(str(id_)) for id_ in fits])
        for id_ in set(IDS) - set(fits):
            assert "an account with a larger id" in warnings(table)[0]
            with pytest.raises((*subject.db.errors, OverflowError)) as refused:
                subject.db.upsert(name, [row(str(id_))])
            assert subject.db.error_kind(refused.value) is DbErrorKind.REFUSED


def test_every_charset_keeps_the_characters_that_it_has(mysql: Subject) -> None:
    charsets = [name for name, *_ in mysql.sql("SHOW CHARACTER SET") if name != "binary"]
    assert len(charsets) > 30
    for charset in charsets:
        mysql.sql(
            f"CREATE TABLE t_{charset} (id VARCHAR(20) PRIMARY KEY, name VARCHAR(400), user_name CHAR(20), "
            "avatar TINYTEXT, description TEXT, created_at VARCHAR(40), created_at_time VARCHAR(19), "
            f"followers VARCHAR(19), following BIGINT, statuses_count BIGINT) ENGINE=MyISAM CHARSET {charset}"
        )
        table = check_target(mysql.db, f"t_{charset}")
        kept(mysql, table, [*wild_rows()[-len(ODD) :], *all_characters()])
        lacks = [warning for warning in warnings(table) if f"are in {charset}: the characters that it lacks" in warning]
        assert bool(lacks) == (charset not in {"utf8mb4", "utf16", "utf16le", "utf32"})


def sandbox_rows() -> list[Row]:
    api, mapper = provider("twitterapi_io"), Mapper()
    raws = [entry(index) for index in followings("BTC", 1000)]
    return [row for raw in raws if isinstance(row := mapper.map_user(api.followed_user(raw), raw), Row)]


MYSQL_TARGETS = {
    "id is INT": ("MODIFY id INT", "id (int(11)) can't hold ids"),
    "id is too short": ("MODIFY id VARCHAR(8)", "can't hold ids of up to 20 digits"),
    "id is signed": ("MODIFY id BIGINT", "values of id hold numbers up to 9,223,372,036,854,775,807"),
    "id is DOUBLE": ("MODIFY id DOUBLE", "id (double) can't hold ids"),
    "id is FLOAT": ("MODIFY id FLOAT", "id (float) can't hold ids"),
    "table in gbk": ("CONVERT TO CHARACTER SET gbk", "are in gbk: the characters that it lacks, such as emoji,"),
    "table in latin1": ("CONVERT TO CHARACTER SET latin1", "name, user_name, avatar, description, created_at are in"),
    "description in latin1": ("MODIFY description TEXT CHARACTER SET latin1", "values of description are in latin1"),
    "created_at is DATETIME": ("MODIFY created_at DATETIME", "created_at (datetime) can't hold texts"),
    "created_at_time is BIGINT": ("MODIFY created_at_time BIGINT", "created_at_time (bigint(20)) can't hold moments"),
    "created_at_time is TIMESTAMP": ("MODIFY created_at_time TIMESTAMP NULL", "from 1970-01-01 00:00:01 to 2038"),
    "name is NOT NULL": ("MODIFY name VARCHAR(90) NOT NULL", "is NOT NULL, and the API leaves values out"),
}


@pytest.mark.parametrize("what", MYSQL_TARGETS)
def test_no_row_of_a_list_is_lost_in_a_table_that_passes(mysql: Subject, what: str) -> None:
    alteration, word = MYSQL_TARGETS[what]
    mysql.db.create_tables("s", "t")
    mysql.sql(f"ALTER TABLE t {alteration}")
    check_that_rows_are_kept(mysql, word)


SQLITE_TARGETS = {
    "id INTEGER PRIMARY KEY": "values of id hold numbers up to 9,223,372,036,854,775,807",
    "id BIGINT PRIMARY KEY": "values of id hold numbers up to 9,223,372,036,854,775,807",
    "id REAL PRIMARY KEY": "id (REAL) can't hold ids",
    "id FLOAT PRIMARY KEY": "id (FLOAT) can't hold ids",
}


@pytest.mark.parametrize("id_", SQLITE_TARGETS)
def test_no_row_of_a_list_is_lost_in_a_sqlite_table_that_passes(sqlite: Subject, id_: str) -> None:
    sqlite.sql(f"CREATE TABLE t ({id_}, {', '.join(COLUMNS[1:])})")
    check_that_rows_are_kept(sqlite, SQLITE_TARGETS[id_])


def check_that_rows_are_kept(subject: Subject, word: str) -> None:
    """Refused with the word, or every row is kept; ids beyond 64 bits may be set aside where that was announced."""
    if "can't" in word or "NOT NULL" in word:
        with pytest.raises(StopRun, match=re.escape(word)):
            check_target(subject.db, "t")
        return
    table = check_target(subject.db, "t")
    assert [warning for warning in warnings(table) if word in warning]
    largest = table.columns["id"].int_max
    fitter, rows = Fitter(table.columns), sandbox_rows()[: 150 if largest else None]  # refused ones take time
    upserter = Upserter(subject.db, table, retry_secs=0, give_up=threading.Event(), on_retry=lambda: None)
    refused = upserter.upsert(fitter.fit(rows))
    assert {row.id for row, _ in refused} == {row.id for row in rows if largest and int(row.id) > largest}
    assert subject.db.count("t") == len(rows) - len(refused)


USUAL = {"name": 50, "user_name": 15, "avatar": 200, "description": 160, "created_at": 30}


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("id", {"max_chars": 19}, "can't hold ids of up to 20 digits"),
        ("id", {"max_chars": 20}, ""),
        ("user_id", {"max_bytes": 19}, "can't hold ids of up to 20 digits as text"),
        ("user_id", {"takes": frozenset({Form.NUMBER})}, "can't hold ids of up to 20 digits as text"),
        ("kol_user_name", {"max_chars": 49}, "can't hold handles of up to 50 characters"),
        ("last_seen", {"max_chars": 18}, "can't hold moments"),
        ("last_seen", {"moment_max": "2038-01-19 03:14:07"}, "can't hold moments until the year 9999"),
        ("first_seen", {"nullable": False}, ""),
        ("name", {"nullable": False}, "is NOT NULL"),
        ("id", {"nullable": False}, ""),
        ("followers", {"generated": True}, "is generated"),
        ("followers", {"max_chars": 1, "int_max": 1}, ""),
        ("created_at_time", {"max_chars": 10}, "can't hold moments"),
        ("description", {"takes": frozenset[Form]()}, "can't hold texts"),
    ],
)
def test_a_column_is_judged_by_what_it_is_sent(name: str, changes: dict[str, Any], reason: str) -> None:
    found = unfitness(replace(Column(name, "", frozenset(Form)), **changes))
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("name", "changes", "loss"),
    [
        (
            "id",
            {"takes": frozenset({Form.NUMBER}), "int_max": 2**63 - 1},
            "hold numbers up to 9,223,372,036,854,775,807",
        ),
        (
            "id",
            {"takes": frozenset({Form.NUMBER}), "int_max": 10**20 - 1},
            "hold numbers up to 99,999,999,999,999,999,999",
        ),
        ("id", {"takes": frozenset({Form.NUMBER}), "int_max": 10**20}, ""),
        ("id", {"int_max": 2**63 - 1}, ""),
        *((name, {"max_chars": usual}, "") for name, usual in USUAL.items()),
        *((name, {"max_chars": usual - 1}, "are narrow: longer texts are cut") for name, usual in USUAL.items()),
        *((name, {"max_bytes": usual}, "") for name, usual in USUAL.items()),
        ("name", {"max_bytes": 99, "charset": Charset("ucs2", ascii_bytes=2)}, "are narrow"),
        ("name", {"max_bytes": 100, "charset": Charset("ucs2", ascii_bytes=2)}, ""),
        (
            "name",
            {"charset": Charset("latin1", unheld="[^\x00-\xff]")},
            "are in latin1: the characters that it lacks, such",
        ),
        ("name", {"charset": Charset("odd", unheld="[a]")}, "are in odd: the characters that it lacks, are removed"),
        ("followers", {"max_chars": 10}, ""),
        ("followers", {"max_chars": 9}, "are narrow: longer numbers become NULL"),
        ("followers", {"max_chars": 1, "takes": frozenset({Form.TEXT, Form.NUMBER}), "int_max": 2**31 - 1}, ""),
        (
            "followers",
            {"takes": frozenset({Form.NUMBER}), "int_max": 2**31 - 2},
            "hold numbers up to 2,147,483,646: larger",
        ),
        ("created_at_time", {"moment_min": "1970", "moment_max": "2038"}, "hold moments from 1970 to 2038: others"),
        ("created_at_time", {}, ""),
    ],
)
def test_what_is_lost_in_a_column_is_told(name: str, changes: dict[str, Any], loss: str) -> None:
    found = losses(replace(Column(name, "", frozenset(Form)), **changes))
    assert len(found) == bool(loss)
    assert "".join(found).startswith(loss)


@pytest.mark.parametrize(
    ("int_max", "reason"), [(2**63 - 1, ""), (2**63 - 2, "can't hold ids of up to 20 digits"), (None, "")]
)
def test_a_number_holds_ids_if_it_holds_the_real_ones(int_max: int | None, reason: str) -> None:
    assert unfitness(Column("id", "", frozenset({Form.NUMBER}), int_max=int_max)) == reason
