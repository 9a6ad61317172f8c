"""`python -m tests.mutation [--sample 100] [--seed S]`: changes single places of the rooms that promises rest on, runs
the tests that call the changed function, the nearest first, and prints the changes that no test noticed. Exit code 1
when fewer than 90 in 100 were noticed. `--near` leaves out the end-to-end tests, which takes a tenth of the time."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tests.mutation.mutants import count, mutant
from tests.mutation.notes import Calls
from tests.mutation.runner import pass_

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mutation.mutants import Mutant

ROOT = Path(__file__).parents[2]
ROOMS = ("store", "load", "crawl", "providers", "db")
ENOUGH = 0.9
MOST_SECS = 1800
"""A mutant that makes the tests hang is noticed, too."""


def main() -> int:
    """Try a sample of the mutants, two at a time."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=100, help="how many mutants are tried (100)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the sample")
    parser.add_argument("--near", action="store_true", help="without the end-to-end tests")
    parser.add_argument("--notes", type=Path, help="folder for who calls what; a filled one saves a run of the tests")
    options = parser.parse_args()
    places = [(path, number) for path in _modules() for number in range(count(path.read_text()))]
    chosen = random.Random(options.seed).sample(places, min(options.sample, len(places)))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for name in ("one", "two"):
            trees.put(_copy(Path(folder, name)))
        notes = options.notes or Path(folder, "notes")
        if not notes.exists():
            _note_calls(Path(folder, "one"), notes, near=options.near)
        calls = Calls(notes)
        noticed = list(pool.map(lambda place: _try(trees, calls, *place, near=options.near), chosen))
    print(f"{len(chosen)} of {len(places):,} mutants tried, {sum(noticed)} noticed")
    near = " --near" if options.near else ""
    print(f"the same again: python -m tests.mutation --sample {options.sample} --seed {options.seed}{near}")
    return 0 if sum(noticed) >= ENOUGH * len(chosen) else 1


def _modules() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((ROOT / "kolspider" / room).rglob("*.py"))


def _copy(tree: Path) -> Path:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in files.splitlines():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    return tree


def _note_calls(tree: Path, notes: Path, *, near: bool) -> None:
    """Run the tests on the unchanged product, and note which functions each of them calls."""
    notes.mkdir()
    env = os.environ | {"MUTATION_NOTES": str(notes), "PYTHONPATH": str(tree / "tests/mutation/noting")}
    tests = ["tests", *(["--ignore=tests/e2e"] if near else [])]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *tests]
    if subprocess.run(command, check=False, cwd=tree, env=env, stdout=sys.stderr).returncode:
        sys.exit("the tests fail before anything is changed")


def _try(trees: SimpleQueue[Path], calls: Calls, path: Path, number: int, *, near: bool) -> bool:
    """Tell whether the tests notice a mutant."""
    name = path.relative_to(ROOT)
    changed = mutant(path.read_text(), number)
    tests = calls.tests_of(name, path.read_text(), changed.line)
    room = [test for test in tests if test.startswith(f"tests/{name.parts[1]}/")]
    room.sort(key=lambda test: f"test_{name.stem}.py" not in test)
    whole = [] if near else [test for test in tests if test.startswith("tests/e2e/")]
    others = [test for test in tests if not test.startswith((f"tests/{name.parts[1]}/", "tests/e2e/"))]
    tree = trees.get()
    try:
        (tree / name).write_text(changed.source)
        # The nearest tests first: most mutants need no others.
        noticed = any(stage and not pass_(tree, stage, MOST_SECS) for stage in (room, others, whole))
        _report(name, changed, noticed=noticed)
        return noticed
    finally:
        shutil.copy(path, tree / name)
        trees.put(tree)


def _report(name: Path, changed: Mutant, *, noticed: bool) -> None:
    print(f"{'noticed' if noticed else 'NOT NOTICED'}: {name}:{changed.line}", flush=True)
    if not noticed:
        print(f"  - {_shown(changed.before)}\n  + {_shown(changed.after)}", flush=True)


def _shown(text: str) -> str:
    return " ".join(text.split())[:600]


if __name__ == "__main__":
    sys.exit(main())
