"""The report as a browser shows it: on a phone and on a desk, light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.follows.queries import Shared
from kolspider.report.follows import FollowFacts
from tests.report.conftest import report
from tests.report.history import NOW, add_kol, rich_store, store_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser import Browser

WIDTHS, THEMES = (390, 1280), (False, True)
ATTACK = """"'><script>alert(1)</script><img src="http://127.0.0.1:9/x.png" onerror="alert(2)">"""
LONG = "https://api.example.com/" + "x" * 170


def follow_facts(*names: str) -> FollowFacts:
    """Accounts and KOLs of these names, and some more."""
    accounts = [Shared(str(n), name, name, n or None, 20 - n, "2026-11-20 08:00:00") for n, name in enumerate(names)]
    accounts.append(Shared("12345678901234567890", None, None, 2**63 - 1, 2, "2026-11-20 08:00:00"))
    kols = [(name.lower(), 1000 - 10 * n) for n, name in enumerate([*names, *(f"kol{n}" for n in range(9))])]
    both = {(one, other): len(one) * len(other) % 700 for one, _ in kols for other, _ in kols if one < other}
    return FollowFacts(accounts, accounts, dict(kols), both)


FOLLOWS = {
    "rich": follow_facts("VitalikButerin", "saylor", "balajis"),
    "hostile": follow_facts(ATTACK, LONG, "名前" * 60),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of each kind of store."""
    folder = tmp_path_factory.mktemp("reports")
    rich_store(folder / "rich")
    hostile_store(folder / "hostile")
    made = {}
    for name in ("empty", "rich", "hostile"):
        made[name] = folder / f"{name}.html"
        made[name].write_text(report(folder / name, follows=FOLLOWS.get(name))[1])
    return made


def hostile_store(directory: Path) -> None:
    """Whatever comes from outside is an attack, or has no place to break a line."""
    with store_of(directory) as store, store.transaction():
        for n, text in enumerate((ATTACK, LONG, "名前" * 60)):
            add_kol(store, f"{n}{text}", "complete", users=500)
            add_kol(store, f"failed{n}{text}", "failed", reason=text)
            store.execute(
                "INSERT INTO run (provider, target, mode, asked, started_at, updated_at, finished_at, exit_code, "
                "stopped, errors, dollars, pages, calls) "
                "VALUES (?1, 1, ?1, ?1, ?2, ?2, ?2, 1, ?1, json_object(?1, 3), 1, 9, 9)",
                (text, NOW - 90),
            )
    (directory / "rejects.jsonl").write_text(
        '{"kol": "\\"><script>alert(3)</script>", "reason": "<script>alert(4)</script>", "detail": "\\ud800<b>"}\n'
    )


@pytest.mark.parametrize("name", ["empty", "rich", "hostile"])
def test_no_script_no_error_no_request_and_nothing_sticks_out(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    for width in WIDTHS:
        for dark in THEMES:
            looked = browser.look(pages[name], width=width, dark=dark, open_all=True)
            assert (looked.complaints, looked.requests) == ([], []), f"{width} px, dark: {dark}"
            assert (looked.width, looked.scroll_width, looked.wider) == (width, width, []), f"dark: {dark}"
    assert browser.run("document.scripts.length + document.images.length") == 0


def test_a_phone_shows_each_name_whole_and_in_one_line(browser: Browser, pages: dict[str, Path]) -> None:
    for width in WIDTHS:
        browser.look(pages["rich"], width=width)
        assert browser.run(CUT_OR_BROKEN) == [], width


CUT_OR_BROKEN = """
[...document.querySelectorAll('.name')].filter(e => e.scrollWidth > e.clientWidth + 1 || e.clientHeight > 30)
  .map(e => e.textContent)
"""


def test_no_column_of_a_desk_is_half_empty(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look(pages["rich"], width=1280)
    for left, right, longest in browser.run(HEIGHTS):
        assert abs(left - right) < longest


HEIGHTS = """
[...document.querySelectorAll('.columns')].map(columns => {
  const cards = [...columns.children].map(e => e.getBoundingClientRect());
  const low = side => Math.max(0, ...cards.filter(c => (c.left > 600) === side).map(c => c.bottom));
  return [low(false), low(true), Math.max(...cards.map(c => c.height))];
})
"""
"""Where the left and the right column end, and the height of the highest card: no card would make them more even."""


def test_what_came_from_outside_is_shown_as_text(browser: Browser, pages: dict[str, Path]) -> None:
    text = browser.look(pages["hostile"], width=1280).text
    for shown in (ATTACK, "<script>alert(4)</script>", "名前名前"):
        assert shown in text


def test_both_themes_can_be_read(browser: Browser, pages: dict[str, Path]) -> None:
    seen = set()
    for dark in THEMES:
        browser.look(pages["rich"], width=390, dark=dark)
        seen.add(browser.run("getComputedStyle(document.body).backgroundColor"))
        assert browser.run(CONTRAST) == []
    assert len(seen) == 2


CONTRAST = """
(() => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(n => colour.startsWith('color(') ? +n : n / 255).map(
      n => n <= .04045 ? n / 12.92 : ((n + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!colour.startsWith('rgba(0, 0, 0, 0')) return colour;
    }
  };
  const poor = new Set();
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.add(`${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`);
  }
  return [...poor];
})()
"""
"""Text whose contrast is below WCAG AA."""


def test_ten_thousand_kols_give_a_small_page(tmp_path: Path) -> None:
    rich_store(tmp_path)
    facts, html = report(tmp_path)
    assert len(html.encode()) < 500_000
    assert facts.known == 10_640
    assert facts.is_alive(facts.runs[0])
