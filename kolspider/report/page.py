"""The report's page: facts put into the templates beside this file, and text made safe to show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kolspider.console import wording
from kolspider.report.charts import bar_labels, round_up

if TYPE_CHECKING:
    from kolspider.report.facts import Facts

__all__ = ["page"]

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {name: getattr(wording, name) for name in wording.__all__} | {"commas": "{:,}".format}
_TEMPLATES.globals |= {"bar_labels": bar_labels, "round_up": round_up}


def page(facts: Facts) -> str:
    """HTML that needs nothing but a browser.

    Autoescape makes markup in names and messages harmless. Control characters may not stand in HTML, lone surrogates
    can't be written, and a character that turns the direction of text could reorder the page: each becomes U+FFFD.
    """
    html = _TEMPLATES.get_template("page.html").render(facts=facts)
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in html)
