"""A store with a long history, made by script: what months of runs leave behind."""

from __future__ import annotations

import json
import random
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from kolspider.providers import provider
from kolspider.store.database import SqliteConnection, connect
from kolspider.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NOW", "TARGET", "add_kol", "add_page", "add_run", "rich_store", "store_of"]

NOW = 1_795_000_000.0
"""18 November 2026, when the reports of these stores are written."""
TARGET = "doris://fe-1.example.com:9030/public_data twitter_kol_all"
_DAY = 86400.0
_REASONS = (
    ("failed", "page {page}: HTTP 502: the server failed", 60),
    ("failed", "page {page}: no answer within 30 s (DOWNLOAD_TIMEOUT)", 41),
    ("failed", "cursor refused again (invalid cursor); -a retry=failed begins anew", 3),
    ("partial", "page {page}: the API names a next page, but no cursor", 88),
    ("partial", "page {page}: the cursor was met before", 19),
    ("not_found", 'the API says "user not found"', 240),
    ("not_found", 'the API says "用户已被冻结 (account suspended)"', 61),
)


@contextmanager
def store_of(directory: Path) -> Iterator[SqliteConnection]:
    """A store that knows the target, to be filled."""
    directory.mkdir(parents=True, exist_ok=True)
    Ledger.open(directory, provider("twitterapi_io"), TARGET).close()
    with closing(connect(directory)) as store:
        yield store


def add_run(store: SqliteConnection, *, at: float = NOW - 3600, seconds: float = 60.0, **columns: object) -> int:
    """A run, done unless said otherwise. Returns its number."""
    row = {
        "provider": "twitterapi_io",
        "target": 1,
        "mode": "buy",
        "asked": "scrapy crawl followings",
        "started_at": at,
        "updated_at": at + seconds,
        "exit_code": 0,
    } | columns
    row["finished_at"] = None if row["exit_code"] is None else row["updated_at"]
    done = store.execute(
        f"INSERT INTO run ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
    )
    return int(done.lastrowid or 0)


def add_page(store: SqliteConnection, name: str, *, at: float, users: int) -> None:
    """A cached page, the first one of a KOL."""
    store.execute(
        "INSERT INTO page (provider, handle, generation, cursor, number, users, fetched_at, body) "
        "VALUES ('twitterapi_io', ?, 0, '', 1, ?, ?, x'00')",
        (name, users, at),
    )


def add_kol(
    store: SqliteConnection,
    name: str,
    state: str,
    *,
    users: int = 0,
    reason: str = "",
    at: float = NOW,
    target: int = 1,
) -> None:
    """A KOL as the ledger keeps it; `complete` is a fetched one that is in the target."""
    pages = -(-users // 200)
    store.execute(
        "INSERT INTO kol (provider, handle, user_name, state, reason, pages, users, calls, started_at, finished_at) "
        "VALUES ('twitterapi_io', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (name.lower(), name, "fetched" if state == "complete" else state, reason, pages, users, pages, at - 60, at),
    )
    if state == "complete":
        store.execute(
            "INSERT INTO kol_load (target, provider, handle, generation, loaded_at) "
            "VALUES (?, 'twitterapi_io', ?, 0, ?)",
            (target, name.lower(), at),
        )


def rich_store(directory: Path, *, kols: int = 10_000, runs: int = 40, last_is_running: bool = True) -> None:
    """KOLs in every state, runs with every end, cached pages, users set aside."""
    dice = random.Random(7)
    with store_of(directory) as store:
        store.execute("INSERT INTO target (label) VALUES (?)", ("sqlite:////home/data/trial.db twitter_kol_all",))
        with store.transaction():
            _add_kols(store, kols, dice)
            _add_pages(store, kols, dice)
            _add_runs(store, runs, kols, dice, last_is_running=last_is_running)
    _add_rejects(directory, dice)


def _add_kols(store: SqliteConnection, kols: int, dice: random.Random) -> None:
    troubled = [(state, reason) for state, reason, times in _REASONS for _ in range(times * kols // 10_000 or 1)]
    for n in range(kols):
        users = int(min(dice.lognormvariate(6.9, 1.1), 95_000))
        at = NOW - 50 * _DAY * (1 - n / kols)
        name = f"kol_{n:05}" if n % 97 else f"VeryLong_{n:06}"
        if n < len(troubled):
            state, reason = troubled[n]
            add_kol(
                store,
                name,
                state,
                users=0 if state == "not_found" else users // 3,
                reason=reason.format(page=dice.randint(1, 9)),
                at=at,
            )
        elif n % 61 == 0:
            add_kol(store, name, "fetched", users=users, at=at)
        elif n % 211 == 0:
            add_kol(store, name, "fetching", at=at)
        else:
            add_kol(store, name, "complete", users=users, at=at)


def _add_pages(store: SqliteConnection, kols: int, dice: random.Random) -> None:
    rows = (
        (f"kol_{n % kols:05}", str(n // kols), 1 + n // kols, NOW - dice.random() * 50 * _DAY, b"x" * 60)
        for n in range(kols * 2)
    )
    store.executemany(
        "INSERT INTO page (provider, handle, generation, cursor, number, users, fetched_at, body) "
        "VALUES ('twitterapi_io', ?, 0, ?, ?, 200, ?, ?)",
        rows,
    )
    store.execute("INSERT INTO page_load (seq, target) SELECT seq, 1 FROM page WHERE seq % 50 <> 0")


_ENDS = (
    (0, ""),
    (3, ""),
    (130, "interrupted"),
    (None, ""),
    (1, "the API account has no credit left (Credits is not enough. Please recharge); recharge it, then run it again"),
    (1, "doris://fe-1.example.com:9030 was away for 60 s (Lost connection to server during query); run it again"),
)
_ASKED = ("", " -a limit=250", " -a limit=250 -s DOWNLOAD_DELAY=0.5", " -a retry=partial,not_found")


def _add_runs(store: SqliteConnection, runs: int, kols: int, dice: random.Random, *, last_is_running: bool) -> None:
    for n in range(1, runs + 1):
        seconds = dice.uniform(0.4, 9.5) * 3600
        at = NOW - 50 * _DAY + (n - 1) * 50 * _DAY / runs + dice.random() * 3600
        code, why = dice.choices(_ENDS, (8, 8, 3, 1, 1, 1))[0]
        if n == runs:
            at = NOW - seconds - 4
            code, why = (None, "") if last_is_running else (code, why)
        mode, asked = "buy", dice.choice(_ASKED)
        if n % 9 == 5:
            mode, asked = "replay", " -a replay=pending"
        pages = 0 if mode == "replay" else int(seconds / dice.uniform(1.6, 3.2))
        users = pages * 185 or dice.randint(2000, 90_000)
        spent = users if pages else 0
        selected = kols // runs
        bad = dice.randint(1, 9) if code == 3 else 0
        good = selected - bad if code in {0, 3} else selected // 2
        states = {"complete": good, "failed": bad, "new": selected - good - bad}
        errors = {"transient": pages // 160, "rate_limit": pages // 900, "network": pages // 1500} if pages else {}
        run = add_run(
            store,
            at=at,
            seconds=seconds,
            mode=mode,
            target=2 if n == 3 else 1,
            exit_code=code,
            stopped=why,
            asked=f"scrapy crawl followings{asked}",
            unbegun=(runs - n) * kols // runs // 8 + 640,
            selected=selected,
            states=json.dumps({state: count for state, count in states.items() if count}),
            pages=pages,
            users=users,
            calls=pages + sum(errors.values()),
            cache_hits=dice.randint(0, 900),
            rows=int(users * 0.97),
            rejects=dice.randint(0, 40),
            credits=spent,
            dollars=spent / 100_000,
            errors=json.dumps(errors),
        )
        _add_samples(store, run, (at, seconds), (pages, pages, users, users, spent), dice)


def _add_samples(
    store: SqliteConnection, run: int, when: tuple[float, float], totals: tuple[int, ...], dice: random.Random
) -> None:
    """Of an uneven pace, with an outage in every second run."""
    at, seconds = when
    steps = 120
    shares = [dice.uniform(0.7, 1.1) * (0.15 if 40 < step < 52 and run % 2 == 0 else 1) for step in range(steps)]
    done = 0.0
    for step, share in enumerate(shares, 1):
        done += share / sum(shares)
        store.execute(
            "INSERT INTO sample (run, at, calls, pages, users, rows, credits) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run, at + seconds * step / steps, *(int(number * done) for number in totals)),
        )


def _add_rejects(directory: Path, dice: random.Random) -> None:
    said = {"no_id": "", "bad_id": "", "refused": "(1366) Incorrect string value: '\\xF0\\x9F' for column `name`"}
    with (directory / "rejects.jsonl").open("w") as file:
        for n in range(400):
            reason = dice.choices(list(said), (5, 2, 1))[0]
            line = {
                "kol": f"kol_{n % 37:05}",
                "page": 1,
                "cursor": "",
                "reason": reason,
                "detail": said[reason],
                "user": {},
            }
            file.write(json.dumps(line) + "\n")
        file.write('{"kol": "half a li')
