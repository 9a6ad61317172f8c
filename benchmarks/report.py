"""The measurements as text: the tables of RESULTS.md."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.flat import Many, Operations, Reload
    from benchmarks.follows import FollowsFound
    from benchmarks.inputs import Input
    from benchmarks.measure import Cost
    from benchmarks.pace import Use

__all__ = ["base_table", "flat_table", "follows_table", "heading", "race_table", "reach_table", "table"]

Costs = dict[str, list["Cost"]]
Pairs = list[tuple["Cost", "Cost"]]
OURS = "ours replay MariaDB"
PLAIN, PLAIN_LIVE = "plain Scrapy replay", "plain Scrapy live"
LOAD_DATA = "no framework LOAD DATA"


def heading(machine: Iterable[str], given: Input, rounds: int) -> str:
    """The date, the machine and the input."""
    size = (
        f"{given.users:,} users of {len(given.kols)} KOLs, {len(given.rows):,} different, {given.pages:,} pages, "
        f"{given.size / 1e6:.0f} MB of JSON"
    )
    facts = [
        *machine,
        f"{size}; medians of alternating runs, rounds: {rounds}; every column of every row checked after each run",
        "wall time and CPU of the whole process, start-up included; the database's and the API's CPU is not in it",
    ]
    written = f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}. Do not edit."
    return "\n".join(["# Results", "", written, "", *(f"- {fact}" for fact in facts), ""])


def race_table(costs: Costs) -> str:
    """The medians of each contestant, and its time as a multiple of our replay into MariaDB."""
    ours = _wall(costs, OURS)
    rows = [
        (
            name,
            f"{median(cost.wall for cost in runs):.1f}",
            f"{min(cost.wall for cost in runs):.1f}-{max(cost.wall for cost in runs):.1f}",
            f"{median(cost.cpu for cost in runs):.1f}",
            f"{max(cost.peak for cost in runs):.0f}",
            f"{median(cost.wall for cost in runs) / ours:.2f}" if ours else "",
        )
        for name, runs in costs.items()
    ]
    return table(("", "wall s", "from-to", "CPU s", "peak MB", f"times {OURS}"), rows)


def reach_table(costs: Costs, given: Input, cache_bytes: float | None) -> str:
    """The targets and whether they are reached."""
    rows = [
        _ratio(costs, PLAIN, OURS, 5),
        _ratio(costs, "no framework executemany", OURS, 1),
        _ratio(costs, PLAIN_LIVE, "ours live MariaDB", 3),
        _ratio(costs, "script live", "ours live MariaDB", 1),
        _ratio(costs, LOAD_DATA, OURS, 1.5),
    ]
    if {LOAD_DATA, OURS} <= costs.keys():
        cpu = _median(costs[OURS], "cpu") / _median(costs[LOAD_DATA], "cpu")
        rows.append(_share(f"CPU of {OURS} / of {LOAD_DATA}", cpu, 1))
    if live := costs.get("ours live MariaDB"):
        page = 1000 * median(cost.cpu for cost in live) / given.pages
        rows.append(_at_most("CPU of a live page, start-up shared out", page, 10, "ms"))
    if cache_bytes is not None:
        rows.append(_at_most("cache bytes a user", cache_bytes, given.size / given.users / 8, ""))
    return table(("", "measured", "target", ""), [row for row in rows if row])


def base_table(live: Pairs, replay: Pairs, start: Pairs) -> str:
    """CPU in comparison with that of an older checkout, as medians of the ratios of each round."""
    rows = [
        _share(f"CPU of {what} / that of the older checkout", median(new.cpu / old.cpu for old, new in pairs), most)
        for what, pairs, most in (
            ("a live page, start-up shared out", live, 0.6),
            ("a replay into SQLite without repeats", replay, 1 / 3.5),
            ("the start-up", start, 0.6),
        )
    ]
    return table(("", "measured", "target", ""), rows)


def flat_table(many: Many, reload: Reload, operations: Operations) -> str:
    """The measurements of flat.py: many KOLs, many users, the operations of the store."""
    of = f"{many.kols:,} KOLs, {many.done:,} done"
    limits = table(
        ("", "measured", "target", ""),
        [
            _at_most(f"{of}: first request after", many.first, 5, "s"),
            _at_most(f"{of}: peak memory", many.peak, 130, "MB"),
            _at_most(f"{reload.users:,} users replayed in {reload.wall:.0f} s: peak memory", reload.peak, 150, "MB"),
        ],
    )
    sizes = list(operations)
    names = list(operations[sizes[0]])
    took = table(
        ("median µs without fsync, with", *(f"{size:,} KOLs" for size in sizes), "last / first"),
        [
            (
                name,
                *(f"{operations[size][name]:.0f}" for size in sizes),
                f"{operations[sizes[-1]][name] / operations[sizes[0]][name]:.1f}",
            )
            for name in names
        ],
    )
    return f"{limits}\n{took}"


def _wall(costs: Mapping[str, Sequence[Cost]], name: str) -> float | None:
    return _median(costs[name], "wall") if name in costs else None


def _median(costs: Iterable[Cost], unit: str) -> float:
    return float(median(getattr(cost, unit) for cost in costs))


def follows_table(found: FollowsFound, pool: str, rounds: int) -> str:
    """The times of the commands, of the report's queries and of writing a page."""
    rows = [
        (
            f"`{command}`",
            f"{asked['SQLite'].lines:,}",
            *(f"{asked[name].wall:.1f}" for name in found.report),
            f"{max(one.peak for one in asked.values()):.0f}",
        )
        for command, asked in found.asked.items()
    ]
    rows.append(("the report's queries", "", *(f"{found.report[name]:.1f}" for name in found.report), ""))
    for what, took in (("known follows", found.again), ("new follows", found.new)):
        rows.append((f"write a page of 200 {what}", "", *(f"{took[name]:.0f} ms" for name in found.report), ""))
    told = (
        f"{found.total:,} follows of {found.kols:,} KOLs, {found.accounts:,} accounts. `scrapy ... --csv` as a "
        f"process, start-up included, both databases printing the same; best of {rounds}. MariaDB with a buffer pool "
        f"of {pool}; SQLite as it is. Pages: medians, five to a transaction."
    )
    return f"{told}\n\n" + table(("", "rows", *(f"{name} s" for name in found.report), "peak MB"), rows)


def _ratio(costs: Costs, slower: str, faster: str, target: float) -> tuple[str, ...]:
    above, below = _wall(costs, slower), _wall(costs, faster)
    if above is None or below is None:
        return ()
    reached = above / below >= target
    return f"{slower} / {faster}", f"{above / below:.2f}", f"at least {target:g}", _verdict(reached=reached)


def _at_most(what: str, value: float, target: float, unit: str) -> tuple[str, ...]:
    shown = f"{value:.1f} {unit}".strip()
    return what, shown, f"at most {target:.0f} {unit}".strip(), _verdict(reached=value <= target)


def _share(what: str, share: float, target: float) -> tuple[str, ...]:
    return what, f"{share:.2f}", f"at most {target:.2g}", _verdict(reached=share <= target)


def _verdict(*, reached: bool) -> str:
    return "reached" if reached else "**not reached**"


def pace_table(uses: Iterable[Use]) -> str:
    """Wall time of live runs against what the rate or the longest list makes them take."""
    rows = []
    for use in uses:
        most = 1.25 if "auto" in use.name else 1.1
        verdict = "reached" if use.ratio <= most and use.refused < 0.01 * use.calls + 1 else "MISSED"
        numbers = (f"{use.calls:,}", f"{use.refused}", f"{use.least:.1f} s", f"{use.seconds:.1f} s", f"{use.ratio:.2f}")
        rows.append((use.name, *numbers, f"{most}", verdict))
        print(" ".join(rows[-1]), flush=True)
    return table(("", "calls", "refused", "at least", "took", "ratio", "target", ""), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table that is also readable as plain text."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    texts = [
        "| "
        + " | ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 1) + (":" if n else "-") for n, width in enumerate(widths)) + "|"
    return "\n".join([texts[0], rule, *texts[1:]]) + "\n"
