"""`python -m tests.chaos [--kills 200] [--alert-kills 500] [--seed S]`: stories on SQLite, the Doris double and
MariaDB, two at a time, until there were that many kills, then stories of alerts. Prints what they took and what they
cost. Exit code 1 when a row was lost or wrong, a page was bought in vain, or an alert was lost, or told under two
ids."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.alerts import AlertStory, AlertToll
from tests.chaos.story import Story, Toll
from tests.doris_double import DorisDouble
from tests.mariadb import MariaDB, installed

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> int:
    """Tell stories, seed after seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many kills of runs are enough (200)")
    parser.add_argument("--alert-kills", type=int, default=500, help="how many of runs with alerts (500)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first story; the next has the next")
    options = parser.parse_args()
    with ExitStack() as stack:
        servers = ["", stack.enter_context(DorisDouble()).url()]
        if installed():
            servers.append(stack.enter_context(MariaDB()).url)
        else:
            print("without MariaDB, which is not installed (apt-get install mariadb-server)")
        pool = stack.enter_context(ThreadPoolExecutor(2))
        toll, alerts = Toll(), AlertToll()
        is_good = _tell_until(pool, Story, toll, options.kills, options.seed, servers)
        is_good &= _tell_until(pool, AlertStory, alerts, options.alert_kills, options.seed, servers)
    print(
        f"kills {toll.kills}, faults {toll.faults}, pages {toll.pages:,}, in flight at a kill {toll.in_flight}, "
        f"bought twice {toll.bought_twice}, of these in vain {toll.bought_in_vain}, "
        f"rows lost {toll.rows_lost}, rows wrong {toll.rows_wrong}"
    )
    print(f"kills {alerts.kills}, alerts {alerts.alerts:,}, sent again {alerts.twice:,}, lost {alerts.lost}")
    again = f"--seed {options.seed} --kills {options.kills} --alert-kills {options.alert_kills}"
    print(f"the same again: python -m tests.chaos {again}")
    return 0 if is_good else 1


def _tell_until(
    pool: ThreadPoolExecutor,
    kind: type[Story | AlertStory],
    toll: Toll | AlertToll,
    kills: int,
    seed: int,
    servers: Sequence[str],
) -> bool:
    """Tell stories of a kind, two at a time, until there were this many kills. Returns whether all ended well."""
    is_good = True
    running: dict[Future[Any], int] = {}
    while running or (toll.kills < kills and is_good):
        while len(running) < 2 and toll.kills < kills and is_good:
            running[pool.submit(_tell, kind, seed, servers[seed % len(servers)])] = seed
            seed += 1
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            is_good &= _reckon(done, running.pop(done), toll)
    return is_good


def _tell(kind: type[Story | AlertStory], seed: int, db_url: str) -> Toll | AlertToll:
    with tempfile.TemporaryDirectory() as folder:
        return kind(Path(folder), seed, db_url).tell()


def _reckon(done: Future[Any], seed: int, toll: Toll | AlertToll) -> bool:
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
