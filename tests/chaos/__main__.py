"""`python -m tests.chaos [--kills 200] [--seed S]`: stories on SQLite, the Doris double and MariaDB, two at a time,
until there were that many kills. Prints what they took and what they cost. Exit code 1 when a row was lost or wrong,
or a page was bought in vain."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.story import Story, Toll
from tests.doris_double import DorisDouble
from tests.mariadb import MariaDB, installed


def main() -> int:
    """Tell stories, seed after seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many kills are enough (200)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first story; the next has the next")
    options = parser.parse_args()
    seed, toll = options.seed, Toll()
    failed: list[int] = []
    running: dict[Future[Toll], int] = {}
    with ExitStack() as stack:
        servers = ["", stack.enter_context(DorisDouble()).url()]
        if installed():
            servers.append(stack.enter_context(MariaDB()).url)
        else:
            print("without MariaDB, which is not installed (apt-get install mariadb-server)")
        pool = stack.enter_context(ThreadPoolExecutor(2))
        while running or (toll.kills < options.kills and not failed):
            while len(running) < 2 and toll.kills < options.kills and not failed:
                running[pool.submit(_tell, seed, servers[seed % len(servers)])] = seed
                seed += 1
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                story_seed = running.pop(done)
                failed += [story_seed] * (not _reckon(done, story_seed, toll))
    print(
        f"kills {toll.kills}, faults {toll.faults}, pages {toll.pages:,}, in flight at a kill {toll.in_flight}, "
        f"bought twice {toll.bought_twice}, of these in vain {toll.bought_in_vain}, "
        f"rows lost {toll.rows_lost}, rows wrong {toll.rows_wrong}"
    )
    print(f"the same again: python -m tests.chaos --seed {options.seed} --kills {options.kills}")
    return 1 if failed else 0


def _tell(seed: int, db_url: str) -> Toll:
    with tempfile.TemporaryDirectory() as folder:
        return Story(Path(folder), seed, db_url).tell()


def _reckon(done: Future[Toll], seed: int, toll: Toll) -> bool:
    """Add up a story that ended; whether it ended well."""
    try:
        result = done.result()
    except Exception as error:  # noqa: BLE001 - whatever it was, its seed is printed
        print(f"seed {seed}: {error}", *getattr(error, "__notes__", ()), sep="\n", flush=True)
        return False
    toll.add(result)
    print(f"seed {seed}: {result}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
