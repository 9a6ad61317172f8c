"""The part of the page that lists the runs: what each was asked, did and cost, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.console.wording import ago, counted, dollars, duration, rate
from kolspider.items import State
from kolspider.report.html import Html, code, data, element, join
from kolspider.report.parts import section
from kolspider.report.wording import minute

if TYPE_CHECKING:
    from kolspider.report.facts import Facts
    from kolspider.store.runs import RunRecord

__all__ = ["latest", "outcome", "runs"]

_OPEN = 12
_HEADS = ("Run", "Began (UTC)", "Took", "Asked", "KOLs", "Pages", "Rows", "Spent", "End")
_ENDS = {0: ("done", "good"), 3: ("done, some KOLs failed", "warn"), 130: ("interrupted", "warn")}


def latest(facts: Facts) -> Html | None:
    """One sentence about the last run, for the head of the page."""
    if not facts.runs:
        return None
    run = facts.runs[0]
    told, class_ = outcome(facts, run)
    if facts.is_alive(run):
        heard = ago(facts.now - run.updated_at)
        text = f" has been running for {duration(run.updated_at - run.started_at)}, last heard of {heard}."
    else:
        text = f": {told}, {ago(facts.now - (run.finished_at or run.updated_at))}."
    why = join([" ", data(_sentence(run.stopped))]) if run.stopped and run.stopped != told else None
    goes_on = run.exit_code not in {0, 3} and not facts.is_alive(run)
    command = join([" The same command goes on: ", code(run.asked)]) if goes_on else None
    return element("p", element("i", class_=f"dot e-{class_}", aria_hidden="true"), f"Run {run.id}{text}", why, command)


def outcome(facts: Facts, run: RunRecord) -> tuple[str, str]:
    """How a run ended, in words and as a colour."""
    if run.exit_code is None:
        return ("running", "live") if facts.is_alive(run) else ("killed, no end was noted", "bad")
    return _ENDS.get(run.exit_code, ("stopped early", "bad"))


def runs(facts: Facts) -> Html | None:
    """The latest runs, the last one first."""
    if not facts.runs:
        return None
    shown, more = facts.runs[:_OPEN], facts.runs[_OPEN:]
    older = facts.run_count - len(facts.runs)
    note = f"{counted(older, 'run')} before these {'is' if older == 1 else 'are'} in the sums above." if older else None
    return section(
        "runs",
        "Runs",
        _table(facts, shown),
        element("details", element("summary", f"{counted(len(more), 'earlier run')}"), _table(facts, more))
        if more
        else None,
        element("p", note, class_="fine") if note else None,
        wide=True,
    )


def _table(facts: Facts, shown: list[RunRecord]) -> Html:
    # Roles, because a phone shows each row as a block, and a browser then forgets that it is a row.
    head = element("tr", *(element("th", name, scope="col", role="columnheader") for name in _HEADS), role="row")
    return element(
        "table",
        element("thead", head, role="rowgroup"),
        element("tbody", *(_row(facts, run) for run in shown), role="rowgroup"),
        class_="runs", role="table", aria_label="Runs",
    )  # fmt: skip


def _row(facts: Facts, run: RunRecord) -> Html:
    done = run.done
    told, class_ = outcome(facts, run)
    seconds = (run.finished_at or run.updated_at) - run.started_at
    asked = run.asked.removeprefix("scrapy crawl followings").strip()
    pace = f"{rate(60 * done.pages / seconds)} a minute" if done.pages and seconds > 0 else ""
    cached = f"{done.cache_hits:,} cached" if done.cache_hits else ""
    cells: list[tuple[str, Html | str, str]] = [
        ("began", minute(run.started_at), ""),
        ("took", duration(seconds), ""),
        ("asked", join([_mode(run), code(asked) if asked else "all that is due", _elsewhere(facts, run)]), ""),
        ("KOLs", _kols(run), ""),
        ("pages", join([f"{done.pages:,}", element("small", pace) if pace else None]), cached),
        ("rows", f"{done.rows:,}", f"{done.rejects:,} set aside" if done.rejects else ""),
        ("spent", dollars(done.dollars), counted(done.calls, "call")),
        ("end", element("span", told, class_=f"end e-{class_}"), run.stopped if run.stopped != told else ""),
    ]  # fmt: skip
    return element(
        "tr",
        element("th", str(run.id), scope="row", role="rowheader"),
        *(
            element(
                "td", value, element("small", data(note)) if note else None,
                class_=name.lower(), role="cell", data_label=name,
            )
            for name, value, note in cells
        ),
        role="row",
    )  # fmt: skip


def _mode(run: RunRecord) -> Html | None:
    return None if run.mode == "buy" else join([element("span", run.mode, class_="pill"), " "])


def _elsewhere(facts: Facts, run: RunRecord) -> Html | None:
    """Said of a run that wrote to another table than the one that this report is about."""
    return None if run.target == facts.target else element("small", "to ", data(run.target))


def _kols(run: RunRecord) -> Html:
    ended = sum(run.states.get(state, 0) for state in (State.COMPLETE, State.NOT_FOUND, State.FETCHED))
    bad = [f"{run.states[state]:,} {state}" for state in (State.FAILED, State.PARTIAL) if run.states.get(state)]
    return join([f"{ended:,} of {run.selected:,}", element("small", ", ".join(bad)) if bad else None])


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
