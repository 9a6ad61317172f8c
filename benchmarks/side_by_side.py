"""Two checkouts of this repository side by side: how does the time of one compare with that of the other?

    python -m benchmarks.side_by_side OLD_CHECKOUT [NEW_CHECKOUT] [--rounds 5] [--kols 50] [--users 1000]

Each round runs old and new in turn, all into SQLite: a live crawl, a replay of its pages, a replay of pages without
repeats, and one of nothing, which is the start-up. The ratios are new / old within a round, so a machine that is busy
for a while slows both. Both checkouts run with this Python and its packages.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.api import serve
from benchmarks.contestants import ROOT, Contestant, Stage, ours
from benchmarks.databases import SqliteFile
from benchmarks.inputs import build
from benchmarks.report import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.inputs import Input
    from benchmarks.measure import Cost

__all__ = ["DISTINCT", "LIVE", "REPLAY", "START", "Pairs", "checkout", "compare", "side_table"]

Pairs = dict[str, list[tuple["Cost", "Cost"]]]
"""What the old and the new checkout took in each round, by what they did."""
LIVE, REPLAY, DISTINCT, START = "live", "replay", "replay without repeats", "start-up"


def compare(folder: Path, given: Input, distinct: Input, checkouts: Sequence[Path], rounds: int) -> Pairs:
    """Run both checkouts on the input and on one without repeats."""
    with ExitStack() as stack:
        inputs = {stack.enter_context(serve(one.folder)): one for one in (given, distinct)}
        sides = [dict(_racers(folder / str(number), inputs, path)) for number, path in enumerate(checkouts)]
        pairs: Pairs = {what: [] for what in sides[0]}
        for _ in range(rounds):
            for what, costs in pairs.items():
                old, new = (racer.run(stage) for stage, racer in (side[what] for side in sides))
                costs.append((old, new))
                print(f"{what:23} {old.cpu:7.2f} s and {new.cpu:7.2f} s CPU", flush=True)
    return pairs


def _racers(folder: Path, inputs: dict[str, Input], path: Path) -> Iterable[tuple[str, tuple[Stage, Contestant]]]:
    """The contestants of one checkout, each with the stage of its own."""
    (url, given), (distinct_url, distinct) = inputs.items()
    nothing = replace(given, rows={})
    whats = ((LIVE, url, given), (REPLAY, url, given), (DISTINCT, distinct_url, distinct), (START, url, nothing))
    for what, api_url, of in whats:
        stage = Stage(folder / ("repeats" if of is given else what), of, api_url)
        stage.folder.mkdir(parents=True, exist_ok=True)
        live, replay = ours(stage, "SQLite", SqliteFile(stage.folder / "target.db"), checkout=path)
        if what == START:
            replay.prepare = lambda _: None  # without a cache there is nothing to load
        yield what, (stage, live if what == LIVE else replay)


def side_table(pairs: Pairs) -> str:
    """Medians of old and new, then the ratio's median, minimum and maximum."""
    lines = []
    for what, costs in pairs.items():
        for unit in ("wall", "cpu"):
            old, new = zip(*((getattr(one, unit), getattr(other, unit)) for one, other in costs), strict=True)
            ratios = [after / before for before, after in zip(old, new, strict=True)]
            numbers = (median(old), median(new), median(ratios), min(ratios), max(ratios))
            lines.append((f"{what}, {unit}", *(f"{number:.2f}" for number in numbers)))
    return table(("", "old s", "new s", "new / old", "min", "max"), lines)


def checkout(text: str) -> Path:
    """Return the path of a checkout of this repository; for argparse."""
    path = Path(text).resolve()
    if not (path / "kolspider").is_dir():
        raise argparse.ArgumentTypeError(f"{path} is not a checkout of kolspider")
    return path


def main() -> None:
    """Read the command line, run both checkouts, print the ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.side_by_side",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", type=checkout, metavar="OLD_CHECKOUT")
    parser.add_argument("new", type=checkout, metavar="NEW_CHECKOUT", nargs="?", default=ROOT, help="default: this one")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--kols", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--users", type=int, default=1000, help="average followings of a KOL (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kol-bench-") as name:
        folder, size = Path(name), (arguments.kols, arguments.users)
        given, distinct = build(folder / "input", *size), build(folder / "distinct", *size, repeats=False)
        pairs = compare(folder, given, distinct, (arguments.old, arguments.new), arguments.rounds)
    print("\n" + side_table(pairs))


if __name__ == "__main__":
    main()
