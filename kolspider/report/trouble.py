"""The cards about what went wrong: lists without a good end, errors of the API, users without a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.console.wording import counted, percent, size
from kolspider.report.charts import row
from kolspider.report.html import Html, code, data, element, join
from kolspider.report.parts import bar_row, bars, section, table

if TYPE_CHECKING:
    from kolspider.report.facts import Facts
    from kolspider.report.failures import Failed, Group

__all__ = ["errors", "failures", "set_aside"]


def failures(facts: Facts) -> Html | None:
    """What did not come to a good end, and what to do about it."""
    if not facts.failures:
        return None
    beyond = facts.failures_beyond
    return section(
        "failures",
        "Lists that did not come to a good end",
        *(_failed(one) for one in facts.failures),
        element(
            "p",
            f"{counted(beyond, 'KOL')} more with other reasons: ",
            code("scrapy kols --state failed"),
            class_="fine",
        )
        if beyond
        else None,
    )


def _failed(one: Failed) -> Html:
    return element(
        "div",
        element("h3", element("span", one.state, class_=f"pill p-{one.state}"), f" {counted(one.kols, 'KOL')}"),
        element("p", code(one.advice.command), " ", one.advice.does, class_="advice"),
        element("ul", *map(_group, one.groups)),
        class_="failed",
    )


def _group(one: Group) -> Html:
    names = [join([", " if n else None, data(name)]) for n, name in enumerate(one.examples)]
    more = one.kols - len(one.examples)
    return element(
        "li",
        element("strong", f"{one.kols:,}"),
        element(
            "div",
            element("p", data(one.reason or "no reason was noted")),
            element("p", *names, f" and {more:,} more" if more > 0 else None, class_="names"),
        ),
    )


def errors(facts: Facts) -> Html | None:
    """What the API answered when it did not answer with a page."""
    counts = facts.total.errors
    if not counts:
        return None
    most = max(counts.values())
    rows = [bar_row(kind.replace("_", " "), row(n, most, "partial"), f"{n:,}") for kind, n in counts.items()]
    note = (
        f"{percent(sum(counts.values()), facts.total.calls)} of all calls; each was retried as far as that makes sense."
    )
    return section(
        "errors",
        "Errors of the API",
        bars("Errors by kind", ["Error", "", "Times"], rows),
        element("p", note, class_="fine"),
    )


def set_aside(facts: Facts) -> Html | None:
    """Users that gave no row."""
    found = facts.set_aside
    if not found.by_reason:
        return None
    most = max(rejected.users for rejected in found.by_reason.values())
    rows = []
    for reason, rejected in list(found.by_reason.items())[:12]:
        names = ", ".join(f"{name} ({n:,})" for name, n in rejected.kols.most_common(3))
        kols = f"{counted(len(rejected.kols), 'KOL')}: {names}{' …' if len(rejected.kols) > 3 else ''}"
        notes = [element("small", data(text), class_="below") for text in (kols, rejected.detail) if text]
        rows.append(bar_row(join([data(reason), *notes]), row(rejected.users, most, "failed"), f"{rejected.users:,}"))
    part = "" if found.is_whole else f" Only its newest {counted(found.users, 'line')} are counted here."
    return section(
        "rejects",
        "Users set aside",
        table("Users that gave no row, by reason", ["Reason", "", "Users"], rows, "bars worded"),
        element("p", "Each is kept, whole, in ", code("rejects.jsonl"), f" ({size(found.size)}).{part}", class_="fine"),
    )
