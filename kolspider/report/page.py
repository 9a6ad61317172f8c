"""The whole page: its head, its headline, its parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kolspider.console.wording import counted, day, dollars, short
from kolspider.items import State
from kolspider.report import follows, history, sections, trouble
from kolspider.report.html import Html, code, data, element
from kolspider.report.parts import section
from kolspider.report.wording import minute

if TYPE_CHECKING:
    from kolspider.report.facts import Facts

__all__ = ["page"]

_STYLE = Path(__file__).with_name("report.css")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is fetched and no script runs, whatever a name or a message holds."""


def page(facts: Facts) -> str:
    """HTML that needs nothing but a browser."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("link", rel="icon", href="data:,"),
        element("title", f"kolspider report, {facts.target}"),
        element("style", Html(_STYLE.read_text(encoding="utf-8"))),
    )
    body = element("body", _header(facts), element("main", *_parts(facts)), _footer(facts))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _header(facts: Facts) -> Html:
    return element(
        "header",
        element("p", "kolspider", element("span", " report"), class_="brand"),
        element("h1", _headline(facts)),
        element("p", _since(facts), class_="lead") if facts.known else None,
        history.latest(facts),
        element(
            "p", "Table ", data(facts.target), f" · {facts.provider} · as of ", minute(facts.now), " UTC", class_="fine"
        ),
    )  # fmt: skip


def _headline(facts: Facts) -> str:
    if not facts.known:
        return "No KOL has been begun yet"
    if facts.done == facts.known:
        return f"All {facts.known:,} KOLs are done" if facts.known > 1 else "The one known KOL is done"
    return f"{facts.done:,} of {facts.known:,} KOLs are done"


def _since(facts: Facts) -> str:
    since = f" since {day(facts.began_at, year=True)}" if facts.began_at is not None else ""
    runs = f" in {counted(facts.run_count, 'run')}" if facts.run_count else ""
    return f"{short(facts.users)} users read, about {dollars(facts.spent)} spent{runs}{since}."


def _parts(facts: Facts) -> list[Html | None]:
    if not facts.known:
        return [_begin(), history.runs(facts), sections.cache(facts)]
    return [
        sections.tiles(facts),
        *_middle(facts),
        *_follows(facts),
        history.runs(facts),
        _side_by_side(sections.largest(facts)),
        _side_by_side(sections.cache(facts), trouble.set_aside(facts)),
    ]


def _middle(facts: Facts) -> list[Html]:
    states, failures = sections.states(facts), trouble.failures(facts)
    spending, pace, errors = sections.spending(facts), sections.pace(facts), trouble.errors(facts)
    if failures is None:
        return [_side_by_side(states, pace), _side_by_side(spending, errors)]
    return [_side_by_side(states, failures), _side_by_side(spending, pace, errors)]


def _follows(facts: Facts) -> list[Html | None]:
    told = facts.follows
    if told is None:
        return []
    return [_side_by_side(follows.shared(told)), _side_by_side(follows.newest(told)), follows.overlap(told)]


def _side_by_side(*parts: Html | None) -> Html:
    """A column of the page: its cards follow each other without gaps, however high those beside them are."""
    return element("div", *parts, class_="stack")


def _begin() -> Html:
    steps = (
        ("scrapy crawl followings -a sandbox=1", "the whole job against the built-in sandbox: no key, no cost"),
        ("scrapy initdb --sample", "create both tables, with a few KOLs to try"),
        ("scrapy crawl followings -a test=1", "check key, database and tables; nothing is called or written"),
        ("scrapy crawl followings -a limit=5", "buy the lists of five KOLs"),
        ("scrapy report", "write this page again"),
    )
    return section(
        "begin",
        "How to begin",
        element(
            "ol", *(element("li", code(command), element("span", does)) for command, does in steps), class_="steps"
        ),
        wide=True,
    )


def _footer(facts: Facts) -> Html:
    new = facts.states.get(State.NEW, 0)
    seen = " KOLs that no run has begun are counted as the last run saw them in the source table." if new else ""
    asked = "; the database was not asked" if facts.follows is None else " and, who follows whom, in the database"
    return element(
        "footer",
        element(
            "p",
            "Read from the ledger in ", code(facts.cache_dir), f"{asked}.{seen} Times are UTC. ",
            "Write it anew: ", code("scrapy report"),
        ),
    )  # fmt: skip
