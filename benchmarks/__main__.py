"""Measures kolspider and its peers in turn, on the same input, and checks the rows of each.

    make bench                                            everything, about 45 minutes; writes RESULTS.md
    make bench BASE=OLD                                   the same beside an older checkout
    .venv/bin/python -m benchmarks --quick                a small run to try it; prints only
    .venv/bin/python -m benchmarks --only ours,plain      contestants with one of these words in their name; prints only
    .venv/bin/python -m benchmarks --only flat            the measures of flat.py alone
    .venv/bin/python -m benchmarks --only follows         `scrapy follows` on 10 million follows; needs 8 GB of disk
    .venv/bin/python -m benchmarks --only pace            live runs at several rates; 25 minutes
    .venv/bin/python -m benchmarks --only base --base OLD CPU beside that of an older checkout, such as one of 2ca033e
    .venv/bin/python -m benchmarks --profile out.prof     our replay into SQLite under cProfile; or --profile-live
    .venv/bin/python -m benchmarks.side_by_side OLD       two checkouts of this repository against each other

The peers are in peers/, written as their users would write them. contestants.py has their commands.
"""

from __future__ import annotations

import argparse
import pstats
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.api import serve
from benchmarks.contestants import ROOT, Contestant, Stage, contestants
from benchmarks.databases import MariaDB, doris_double
from benchmarks.flat import cache_per_user, many_kols, operations, reload_many
from benchmarks.follows import POOL, follows
from benchmarks.inputs import build
from benchmarks.measure import machine
from benchmarks.pace import pace
from benchmarks.report import base_table, flat_table, follows_table, heading, pace_table, race_table, reach_table
from benchmarks.side_by_side import DISTINCT, LIVE, START, checkout, compare, side_table

if TYPE_CHECKING:
    from benchmarks.inputs import Input
    from benchmarks.measure import Cost

RESULTS = Path(__file__).with_name("RESULTS.md")


def race(stage: Stage, racers: list[Contestant], rounds: int) -> dict[str, list[Cost]]:
    """Run each contestant once per round, and reverse their order in every other round."""
    costs: dict[str, list[Cost]] = {racer.name: [] for racer in racers}
    for number in range(rounds):
        for racer in racers[:: -1 if number % 2 else 1]:
            cost = racer.run(stage)
            costs[racer.name].append(cost)
            print(f"{racer.name:36} {cost.wall:7.2f} s {cost.cpu:7.2f} s CPU {cost.peak:5.0f} MB", flush=True)
    return costs


def flat(stage: Stage, *, quick: bool) -> str:
    """The measurements of flat.py as text."""
    racers = {racer.name: racer for racer in contestants(stage)}
    cache = stage.cache("SQLite")
    if not cache.exists():
        racers["ours replay SQLite"].run(stage)
    folder, part = stage.folder / "flat", 100 if quick else 1
    many = many_kols(folder, 100_000 // part, 95_000 // part)
    reload = reload_many(folder, cache, stage.input.kols, 2_000_000 // part)
    if reload.rows != stage.input.rows:
        raise SystemExit("the replay of many users left the wrong rows")
    shutil.rmtree(folder)
    return flat_table(many, reload, operations(folder, [size // part for size in (1_000, 10_000, 100_000)]))


def profile(stage: Stage, name: str, file: Path) -> None:
    """Run one of our contestants under cProfile and print where the time went."""
    racer = next(racer for racer in contestants(stage) if racer.name == name)
    racer.words = ("-m", "cProfile", "-o", str(file), *racer.words)
    racer.run(stage)
    pstats.Stats(str(file)).sort_stats("tottime").print_stats(45)


def measure_all(stage: Stage, arguments: argparse.Namespace) -> str:
    """All requested measurements as text."""
    only = [word.strip() for word in arguments.only.split(",") if word.strip()]
    racers = [racer for racer in contestants(stage) if not only or any(word in racer.name for word in only)]
    parts = [heading(machine(stage.mariadb.version), stage.input, arguments.rounds)]
    if racers:
        costs = race(stage, racers, arguments.rounds)
        cache = stage.cache("MariaDB")
        size = cache_per_user(cache) if cache.exists() else None
        parts += ["## Side by side\n", race_table(costs), "## Reach\n", reach_table(costs, stage.input, size)]
    if not only or "flat" in only:
        parts += ["## Flat\n", flat(stage, quick=arguments.quick)]
    if not only or "follows" in only:
        (folder := stage.folder / "follows").mkdir()
        found = follows(folder, arguments.rounds, quick=arguments.quick)
        shutil.rmtree(folder)
        parts += ["## Who follows whom\n", follows_table(found, POOL, arguments.rounds)]
    if not only or "pace" in only:
        (folder := stage.folder / "pace").mkdir()
        parts += ["## Pace\n", pace_table(pace(folder, quick=arguments.quick))]
    if arguments.base:
        distinct = build(stage.folder / "distinct", arguments.kols, arguments.users, repeats=False)
        pairs = compare(stage.folder / "base", stage.input, distinct, (arguments.base, ROOT), arguments.rounds)
        goals = base_table(pairs[LIVE], pairs[DISTINCT], pairs[START])
        parts += ["## Beside an older checkout\n", goals, side_table(pairs)]
    return "\n".join(parts)


def run(folder: Path, given: Input, arguments: argparse.Namespace) -> None:
    """Start the servers, measure, print the results."""
    with MariaDB() as mariadb, doris_double() as doris, serve(given.folder) as url:
        stage = Stage(folder, given, url, mariadb, doris)
        if arguments.profile or arguments.profile_live:
            name = "ours replay SQLite" if arguments.profile else "ours live SQLite"
            profile(stage, name, (arguments.profile or arguments.profile_live).resolve())
            return
        text = measure_all(stage, arguments)
    print(f"\n{text}")
    if not (arguments.quick or arguments.only):
        RESULTS.write_text(text, encoding="utf-8")
        print(f"written to {RESULTS}")


def main() -> None:
    """Read the command line, build the input, measure, clean up."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kols", type=int, default=200)
    parser.add_argument("--users", type=int, default=1000, help="average followings of a KOL")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="WORD,...", help="contestants with one of these in their name")
    parser.add_argument("--base", type=checkout, metavar="CHECKOUT", help="an older checkout of this repository")
    parser.add_argument("--quick", action="store_true", help="10 KOLs, one round, a hundredth of the flat measures")
    parser.add_argument("--profile", type=Path, metavar="FILE")
    parser.add_argument("--profile-live", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.kols, arguments.rounds = 10, 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    folder = Path(tempfile.mkdtemp(prefix="kol-bench-"))
    try:
        given = build(folder / "input", arguments.kols, arguments.users)
        print(f"{given.users:,} users, {len(given.rows):,} different, {given.pages:,} pages, {given.size / 1e6:.0f} MB")
        run(folder, given, arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
