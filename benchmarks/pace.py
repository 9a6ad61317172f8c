"""How well a live run uses the rate that the API allows: wall time against what rate and longest list make it take.

The calls are those of lists as long as real ones are (log-normal, at most 60 pages), as many as the rate allows in some
30 s. They are read a second time: nobody can know of a list that is new that it is so long that it has to begin early.
Time counts from the first call to the last answer, by the API's own log.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contestants import KEY, SETTINGS
from benchmarks.databases import SqliteFile
from kolspider.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Use", "pace"]

RATES = (0.2, 3, 20, 50)
ANSWERS = (0.1, 0.7, 2.0)
_SECS = 30
_MOST_KOLS = 200


@dataclass(frozen=True, slots=True)
class Use:
    """What a run took, and what it had to take."""

    name: str
    calls: int
    refused: int
    seconds: float
    least: float
    """Calls / rate, or the longest list, in seconds."""

    @property
    def ratio(self) -> float:
        """How many times as long as it had to take."""
        return self.seconds / self.least


def pace(folder: Path, *, quick: bool) -> Iterator[Use]:
    """Measure each rate at each answer time, then `auto` at 20 a second, without and with what it found."""
    for rate in RATES[1:2] if quick else RATES:
        for answer in ANSWERS[:1] if quick else ANSWERS:
            lists = _lists(rate * _SECS)
            yield _run(folder / f"{rate}-{answer}", f"KOL_RATE={rate}", rate, answer, lists, None)
    lists = _lists(20 * _SECS / (10 if quick else 0.3))
    for name in ("KOL_RATE=auto", "KOL_RATE=auto, again"):
        yield _run(folder / "auto", name, 20, 0.7, lists, 20)


def _lists(calls: float) -> dict[str, int]:
    """Users of as many lists as make that many calls."""
    draw, lists = random.Random(7), dict[str, int]()
    while calls > 0 and len(lists) < _MOST_KOLS:
        pages = max(1, min(60, round(draw.lognormvariate(1.8, 1.0)), int(calls)))
        lists[f"kol{len(lists):03}"] = pages * 200 - draw.randrange(200)
        calls -= pages
    return lists


def _run(folder: Path, name: str, rate: float, answer: float, lists: dict[str, int], limit: int | None) -> Use:
    """Run once; a folder of an earlier run goes on with its ledger, and reads the lists again."""
    if not folder.exists():
        folder.mkdir()
        SqliteFile(folder / "target.db").empty(list(lists))
        with Sandbox(lists, key=KEY) as api:
            _crawl(folder, api, {}, "-s", "DOWNLOAD_DELAY=0")
    with Sandbox(lists, key=KEY, latency=answer, rate=limit) as api:
        _crawl(folder, api, {"KOL_RATE": name.split("=")[1].split(",", maxsplit=1)[0]}, "-a", "refresh=0s")
        calls = api.calls
    seconds = calls[-1].at + answer - calls[0].at
    refused = sum(call.status == 429 for call in calls)
    longest = max(-(-users // 200) for users in lists.values())
    used = Use(f"{name}, {answer:g} s an answer", len(calls), refused, seconds, 0)
    least = max((len(calls) - refused - 1) / rate + answer, longest * answer)
    return Use(used.name, used.calls, refused, seconds, least)


def _crawl(folder: Path, api: Sandbox, settings: Mapping[str, str], *words: str) -> None:
    environment = {
        **os.environ,
        **SETTINGS,
        **settings,
        "KOL_API_URL": api.url,
        "KOL_DB_URL": SqliteFile(folder / "target.db").url,
        "KOL_CACHE_DIR": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "scrapy", "crawl", "followings", *words]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
