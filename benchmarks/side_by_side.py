"""Two checkouts of this repository side by side: how does the time of one compare with that of the other?

    python -m benchmarks.side_by_side OLD_CHECKOUT [NEW_CHECKOUT] [--rounds 5] [--kols 50] [--users 1000]

Each round runs old and new in turn: a live crawl into SQLite, then a replay of its pages. The ratios are new / old
within a round, so a machine that is busy for a while slows both. Both checkouts run with this Python and its packages.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.api import serve
from benchmarks.contestants import ROOT, Stage, ours
from benchmarks.databases import SqliteFile
from benchmarks.inputs import build
from benchmarks.report import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Cost


def _ratios(what: str, pairs: Sequence[tuple[Cost, Cost]]) -> list[tuple[str, ...]]:
    """A line for wall time and one for CPU: medians of old and new, then the ratio's median, minimum and maximum."""
    lines = []
    for unit in ("wall", "cpu"):
        old, new = zip(*((getattr(one, unit), getattr(other, unit)) for one, other in pairs), strict=True)
        ratios = [after / before for before, after in zip(old, new, strict=True)]
        numbers = (median(old), median(new), median(ratios), min(ratios), max(ratios))
        lines.append((f"{what}, {unit}", *(f"{number:.2f}" for number in numbers)))
    return lines


def main() -> None:
    """Read the command line, run both checkouts, print the ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.side_by_side",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", type=Path, metavar="OLD_CHECKOUT")
    parser.add_argument("new", type=Path, metavar="NEW_CHECKOUT", nargs="?", default=ROOT, help="default: this one")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--kols", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--users", type=int, default=1000, help="average followings of a KOL (default: %(default)s)")
    arguments = parser.parse_args()
    checkouts = [path.resolve() for path in (arguments.old, arguments.new)]
    for checkout in checkouts:
        if not (checkout / "kolspider").is_dir():
            parser.error(f"{checkout} is not a checkout of kolspider")
    with tempfile.TemporaryDirectory(prefix="kol-bench-") as name:
        folder = Path(name)
        given = build(folder / "input", arguments.kols, arguments.users)
        pairs: dict[str, list[tuple[Cost, Cost]]] = {"live": [], "replay": []}
        with serve(given.folder) as url:
            sides = []
            for number, checkout in enumerate(checkouts):
                stage = Stage(folder / str(number), given, url)
                stage.folder.mkdir()
                live, replay = ours(stage, "SQLite", SqliteFile(stage.folder / "target.db"), checkout=checkout)
                sides.append((stage, {"live": live, "replay": replay}))
            for _ in range(arguments.rounds):
                for what, costs in pairs.items():
                    old, new = (racers[what].run(stage) for stage, racers in sides)
                    costs.append((old, new))
                    print(f"{what:7} {old.wall:7.2f} s and {new.wall:7.2f} s", flush=True)
    head = ("", "old s", "new s", "new / old", "min", "max")
    print("\n" + table(head, [line for what, costs in pairs.items() for line in _ratios(what, costs)]))


if __name__ == "__main__":
    main()
