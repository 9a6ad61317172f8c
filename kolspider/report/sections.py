"""The parts of the page, each made of the facts it tells. What has nothing to tell is None."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.console.wording import clock, counted, day, dollars, duration, percent, rate, short, size
from kolspider.items import State
from kolspider.report.charts import Bar, Part, columns, curve, row, stacked
from kolspider.report.html import Html, code, data, element, join
from kolspider.report.parts import bar_row, bars, details, section, table
from kolspider.report.wording import dollar_tick

if TYPE_CHECKING:
    from kolspider.report.facts import Facts
    from kolspider.report.pace import Pace

__all__ = ["cache", "largest", "pace", "spending", "states", "tiles"]

_MEANS = {
    State.COMPLETE: "the whole list is in the table",
    State.FETCHED: "in the cache, not in this table yet",
    State.FETCHING: "begun; the next run goes on with it",
    State.NEW: "in the source table, not begun",
    State.PARTIAL: "broken off by the API; the rest is unknown",
    State.FAILED: "errors outlasted the retries",
    State.NOT_FOUND: "the API says there is no such account",
}
"""In the order in which they stand in the bar: what is done, what is on its way, what went wrong."""


def tiles(facts: Facts) -> Html:
    """The numbers that one looks for first."""
    total, lists = facts.total, sum(facts.states.values()) - facts.states.get(State.NEW, 0)
    failed = sum(total.errors.values())
    made = [
        ("KOLs done", percent(facts.done, facts.known), f"{facts.done:,} of {facts.known:,}"),
        ("Users in the lists", short(facts.users), f"{facts.users / lists:,.0f} a list" if lists else ""),
        ("Spent, estimated", dollars(facts.spent), _of_credits(facts)),
        ("API calls", short(total.calls), counted(failed, "error") if failed else "no errors"),
        ("Rows written", short(total.rows), f"{counted(total.rejects, 'user')} set aside"),
        ("Cache", size(facts.cache.size), counted(facts.cache.pages, "page")),
    ]
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", value), element("dd", note, class_="note"), class_="tile")
            for name, value, note in made
        ),
        class_="tiles",
    )


def _of_credits(facts: Facts) -> str:
    before = f", {dollars(facts.dollars_before)} before run 1" if facts.dollars_before > facts.spent / 50 else ""
    return f"{short(facts.total.credits)} credits{before}"


def states(facts: Facts) -> Html:
    """Where the KOLs stand."""
    shown = [(state, facts.states[state]) for state in _MEANS if facts.states.get(state)]
    parts = [Part(f"{state}: {n:,} ({percent(n, facts.known)})", n, state) for state, n in shown]
    rows = [
        element(
            "tr",
            element("th", element("i", class_=f"dot c-{state}", aria_hidden="true"), state, scope="row"),
            element("td", f"{n:,}", class_="n"),
            element("td", percent(n, facts.known), class_="n"),
            element("td", _MEANS[state], class_="means"),
        )
        for state, n in shown
    ]
    bar = stacked(parts, "KOLs by state: " + ", ".join(part.label for part in parts))
    return section(
        "states", "States of the KOLs", bar, table("", ["State", "KOLs", "Share", "Meaning"], rows, "legend")
    )


def spending(facts: Facts) -> Html | None:
    """Money over time."""
    if not facts.spent:
        return None
    bars = [
        Bar(
            period.name.removeprefix("week of ").removeprefix("month of ").split(",")[0],
            period.dollars,
            _tip(period.name, period.dollars, period.pages),
        )
        for period in facts.periods
    ]
    title = f"Spend by {facts.period}"
    most = max(facts.periods, key=lambda period: period.dollars)
    label = f"{title}: {counted(len(bars), facts.period)}, at most {dollars(most.dollars)} ({most.name})"
    return section(
        "spend",
        title,
        columns(bars, dollar_tick, label) if any(bar.number for bar in bars) else None,
        _remaining(facts),
        element("p", "Estimated from the list price of each call; only the API's bill is exact.", class_="fine"),
    )


def _tip(name: str, amount: float, pages: int) -> str:
    return f"{name}: {dollars(amount)}, {counted(pages, 'page')} bought"


def _remaining(facts: Facts) -> Html | None:
    rest = facts.remaining
    if rest is None:
        return None
    takes = f", and take {duration(rest.seconds)} at the latest pace" if rest.seconds is not None else ""
    lists = "1 list that is" if rest.kols == 1 else f"{rest.kols:,} lists that are"
    return element(
        "p", f"The {lists} not whole yet would cost about ", element("strong", dollars(rest.dollars)),
        f"{takes}, if they are like those that are.",
    )  # fmt: skip


def pace(facts: Facts) -> Html | None:
    """How fast the latest runs were."""
    if not facts.paces:
        return None
    last, *earlier = facts.paces
    return section(
        "pace",
        "Pace",
        _curve(last),
        details(counted(len(earlier), "earlier run"), *map(_curve, earlier)) if earlier else None,
    )


def _curve(one: Pace) -> Html:
    run, began = one.run, one.run.started_at
    tips = []
    for n, number in enumerate(one.a_minute):
        at = began + n * one.stretch
        tips.append(f"{day(at)} {clock(at)}: {rate(number)} {one.what} a minute")
    long, middle, end = one.seconds > 86400, began + one.seconds / 2, began + one.seconds
    ends = [f"{day(at)} {clock(at)}" if long else clock(at) for at in (began, middle, end)]
    if one.seconds < 300:
        ends = ["0 s", duration(one.seconds / 2), duration(one.seconds)]
    told = f"Run {run.id}: {rate(one.average)} {one.what} a minute on average over {duration(one.seconds)}"
    return element(
        "figure",
        element("figcaption", told),
        curve(one.a_minute, one.average, tips, ends, short, f"{told}, at most {rate(max(one.a_minute))}"),
    )


def largest(facts: Facts) -> Html | None:
    """The longest lists."""
    if not facts.largest:
        return None
    most = facts.largest[0].users
    rows = []
    for kol in facts.largest:
        name = join([data(kol.user_name), None if kol.state is State.COMPLETE else element("small", f" {kol.state}")])
        rows.append(bar_row(name, row(kol.users, most, kol.state), f"{kol.users:,}"))
    title = "Largest KOLs"
    return section("largest", title, bars("Users in the list", ["KOL", "", "Users"], rows))


def cache(facts: Facts) -> Html | None:
    """What is kept, and what that is worth."""
    count = facts.cache
    if not count.pages and not facts.total.cache_hits:
        return None
    told: list[tuple[str, Html | str]] = [
        ("Pages", f"{count.pages:,} of {counted(count.kols, 'KOL')}, {count.users:,} users"),
        ("Size", f"{size(count.size)}, {size(count.size / count.pages) if count.pages else '0 B'} a page"),
        ("Worth", f"about {dollars(facts.cache_dollars)}: what buying these pages again would cost"),
        (
            "Used so far",
            f"{counted(facts.total.cache_hits, 'page')} read from it, about {dollars(facts.saved)} not paid again"
            if facts.total.cache_hits
            else "not yet: nothing was loaded again",
        ),
    ]
    if count.waiting:
        waiting = f"{counted(count.waiting, 'page')} of {counted(count.waiting_kols, 'KOL')} not in this table: "
        told.append(
            ("Waiting", join([waiting, code("scrapy crawl followings -a replay=pending"), " loads them for nothing"]))
        )
    told.append(("Folder", code(facts.cache_dir)))
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in told)
    return section("cache", "Cache", element("dl", *pairs, class_="pairs"))
