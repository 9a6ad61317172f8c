"""What a run is doing, in words: for a terminal of any size, and in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kolspider.console.columns import cut, width
from kolspider.items import State
from kolspider.live.tally import Tally
from kolspider.watch.words import ListProgress, Snapshot, block, log_lines

TALLY = Tally(pages=116, cache_hits=5, calls=118, credits=21480, users_read=21700, rows_upserted=21300)
NOW = Snapshot(
    tally=TALLY,
    due=50,
    done={State.COMPLETE: 11, State.FAILED: 1},
    lists=[
        ListProgress("vitalik", 7, None, 1400),
        ListProgress("BTC", 3, 5, 600),
        ListProgress("ethereum", 0, None, 0),
    ],
    to_load=5,
    waiting=400,
    dollars=0.2148,
    seconds=252.4,
    pace=28 / 60,
    left=4800.0,
    waits=[],
    replay=False,
)
REST = ", 118 calls, $0.21"
AWAY = "the database is away, waiting up to 60 s: 12 s so far"
REPLAY = replace(
    NOW,
    tally=replace(TALLY, pages=0, cache_hits=69, calls=0),
    replay=True,
    due=8,
    done={},
    lists=[],
    to_load=151,
    left=None,
)
BEGUN = replace(
    NOW, tally=Tally(), done={}, lists=[], to_load=0, dollars=0.0, waiting=0, seconds=0.5, pace=None, left=None
)
any_list = st.builds(
    ListProgress,
    st.text(max_size=60),
    st.integers(0, 10**6),
    st.none() | st.integers(0, 10**6),
    st.integers(0, 10**9),
)


def test_a_block_shows_what_a_run_is_doing() -> None:
    assert block(NOW, 80, 24, colour=False) == [
        "",
        "KOLs      [####----------------] 12 of 50 done, 1 failed",
        "pages     116 bought, 5 from the cache, 28 calls/min",
        "users     21,300 written, 400 waiting to be written",
        "API       118 calls, about 21,480 credits ($0.21)",
        "time      4 min 12 s, about 1 h 20 min left",
        "reading   vitalik page 7, 1,400 users        BTC page 3 of 5, 600 users",
        "          ethereum begun",
    ]


def test_a_block_of_a_run_that_has_just_begun_claims_nothing() -> None:
    assert block(BEGUN, 80, 24, colour=False)[1:] == [
        "KOLs      [--------------------] 0 of 50 done",
        "pages     0 bought, 0 from the cache",
        "users     0 written, 0 waiting to be written",
        "API       0 calls, about 0 credits ($0.00)",
        "time      0 s",
    ]


def test_a_block_of_a_replay_has_no_api() -> None:
    assert block(REPLAY, 80, 24, colour=False)[1:] == [
        "KOLs      [#########-----------] 8 to load",
        "pages     69 of 151 from the cache, 28 pages/min",
        "users     21,300 written, 400 waiting to be written",
        "time      4 min 12 s",
    ]


def test_a_dry_run_writes_nothing() -> None:
    dry = replace(NOW, waiting=None)
    assert "users     21,700 read (not written: dry run)" in block(dry, 80, 24, colour=False)
    assert next(log_lines(replace(dry, left=None))) == "12 of 50 KOLs, 1 failed, 118 calls, $0.21, 21.7 k users read"


def test_cached_pages_that_are_loaded_first_have_their_total() -> None:
    loading = replace(NOW, tally=replace(TALLY, pages=0, cache_hits=40), to_load=120, pace=None)
    assert "pages     0 bought, 40 of 120 from the cache" in block(loading, 80, 24, colour=False)


@pytest.mark.parametrize(
    ("waits", "shown"),
    [
        (["429 (too fast): next request in 12 s"], ["waiting   429 (too fast): next request in 12 s"]),
        (["one", "two"], ["waiting   one", "          two"]),
        (["one", "two", "three", "four"], ["waiting   one", "          two (and 2 more)"]),
    ],
)
def test_waits_are_the_last_lines(waits: list[str], shown: list[str]) -> None:
    assert block(replace(NOW, waits=waits), 80, 24, colour=False)[-len(shown) :] == shown


def test_many_lists_are_a_table_that_fits() -> None:
    lists = [ListProgress(f"somebody_{n:06}", 100 + n, 230, 20000 + n) for n in range(30)]
    shown = block(replace(NOW, lists=lists), 120, 40, colour=False)[6:]
    assert shown[0] == (
        "reading   somebody_000000 page 100, 20,000    somebody_000001 page 101, 20,001    "
        "somebody_000002 page 102, 20,002"
    )
    assert len(shown) == 4
    assert shown[-1].endswith("and 19 more")
    assert block(replace(NOW, lists=lists), 80, 12, colour=False)[-1].endswith("and 29 more")


def test_a_long_name_is_cut() -> None:
    (shown,) = (
        text for text in block(replace(NOW, lists=[ListProgress("x" * 50, 7, None, 1400)]), 40, 24, colour=False)[6:]
    )
    assert shown == "reading   xxxxxxxxxxx... page 7, 1,400"


@given(
    st.integers(1, 250),
    st.integers(1, 60),
    st.lists(any_list, max_size=40),
    st.lists(st.text(max_size=300), max_size=5),
)
def test_a_block_always_fits_its_terminal(columns: int, rows: int, lists: list[ListProgress], waits: list[str]) -> None:
    lines = block(replace(NOW, lists=lists, waits=waits), columns, rows, colour=False)
    assert 0 < len(lines) <= max(rows - 1, 1)
    assert all(width(text) <= max(columns - 1, 0) and (text.isprintable()) for text in lines)


def test_colour_changes_nothing_but_the_colour() -> None:
    now = replace(NOW, waits=["429"])
    plain, coloured = block(now, 80, 24, colour=False), block(now, 80, 24, colour=True)
    assert "".join(coloured).count("\x1b") > 5
    for sequence in ("\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[33m"):
        coloured = [text.replace(sequence, "") for text in coloured]
    assert coloured == plain


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("plain", 80, "plain"),
        ("plain", 5, "plain"),
        ("plainer", 6, "pla..."),
        ("区块链观察者", 12, "区块链观察者"),
        ("区块链观察者", 11, "区块链观..."),
        ("区块链观察者", 10, "区块链..."),
        ("e\N{COMBINING ACUTE ACCENT}t\N{COMBINING ACUTE ACCENT}e", 3, "e\N{COMBINING ACUTE ACCENT}t\u0301e"),
        ("\x1b[2J\r\n", 80, " [2J  "),
        ("anything", 2, ".."),
        ("anything", 0, ""),
    ],
)
def test_text_is_cut_by_the_columns_it_takes(text: str, columns: int, expected: str) -> None:
    assert cut(text, columns) == expected
    assert width(cut(text, columns)) <= columns


MUCH = Tally(calls=1_234_567, rows_upserted=123_456_789)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW, ["12 of 50 KOLs, 1 failed" + REST + ", 1 h 20 min left"]),
        (replace(BEGUN, tally=Tally(calls=1), due=1, dollars=0.002), ["0 of 1 KOL, 1 call, $0.002, 0 rows"]),
        (
            replace(NOW, done={State.COMPLETE: 3}, waits=[AWAY]),
            ["3 of 50 KOLs" + REST + ", 21.3 k rows", f"waiting: {AWAY}"],
        ),
        (
            replace(NOW, done={}, waits=["x" * 100, AWAY]),
            ["0 of 50 KOLs" + REST + ", 21.3 k rows", f"waiting: {'x' * 44}... (and 1 more)"],
        ),
        (REPLAY, ["69 of 151 pages from the cache, 21.3 k rows"]),
        (
            replace(NOW, tally=MUCH, due=100_000, dollars=12_345.6, done={State.COMPLETE: 12_345}),
            ["12,345 of 100,000 KOLs, 1,234,567 calls, $12,346, 1 h 20 min left"],
        ),
    ],
)
def test_what_a_log_says_fits_80_columns_behind_time_and_level(now: Snapshot, expected: list[str]) -> None:
    assert list(log_lines(now)) == expected
    assert max(map(len, expected)) <= 80 - len("08:25:33 I ")
