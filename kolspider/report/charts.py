"""Plots as inline SVG. Shapes are placed in percent and text is never scaled, so it is readable on a phone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.report.html import Html, element

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Bar", "Part", "columns", "curve", "row", "stacked"]

_PLOT_TOP, _PLOT_HEIGHT, _LABELS = 18, 150, 24
"""Pixels: above the plot, of the plot, below it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole, in a colour of the style sheet."""

    label: str
    number: float
    colour: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a column chart. The label is under it, the tip shows when it is pointed at."""

    label: str
    number: float
    tip: str


def stacked(parts: Sequence[Part], label: str) -> Html:
    """One bar, divided; the smallest part is still to be seen."""
    whole = sum(part.number for part in parts) or 1
    shares = [max(100 * part.number / whole, 0.6) for part in parts]
    scale = 100 / sum(shares)
    pieces, x = [], 0.0
    for part, share in zip(parts, shares, strict=True):
        width = share * scale
        pieces.append(
            element(
                "rect",
                element("title", part.label),
                x=f"{x:.3f}%", y="0", width=f"{width:.3f}%", height="100%", class_=f"part c-{part.colour}",
            )
        )  # fmt: skip
        x += width
    return element("svg", *pieces, class_="stacked", role="img", aria_label=label)


def row(number: float, most: float, colour: str) -> Html:
    """One horizontal bar; its row has the words."""
    bar = element(
        "rect", x="0", y="0", width=f"{100 * number / (most or 1):.2f}%", height="100%", rx="3", class_=f"c-{colour}"
    )
    return element("svg", bar, class_="row-bar", aria_hidden="true")


def columns(bars: Sequence[Bar], tick: Callable[[float], str], label: str) -> Html:
    """Bars over time."""
    top = _round_up(max(bar.number for bar in bars))
    step = 100 / len(bars)
    width = min(step * 0.72, 9.0)
    drawn = []
    for n, bar in enumerate(bars):
        height = 100 * bar.number / top
        x = (n + 0.5) * step
        drawn += [
            element(
                "rect",
                x=f"{x - width / 2:.3f}%", y=f"{100 - height:.2f}%", width=f"{width:.3f}%", height=f"{height:.2f}%",
                rx="2", class_="column",
            ),
            _hover(n * step, step, bar.tip),
        ]  # fmt: skip
    return _plot(drawn, top, tick, [bar.label for bar in bars], label, centred=True)


def curve(
    numbers: Sequence[float], average: float, tips: Sequence[str], ends: Sequence[str], tick: Callable[[float], str],
    label: str,
) -> Html:  # fmt: skip
    """A quantity over time, with its average as a dashed line. `ends`: what stands under the axis, evenly spread."""
    top = _round_up(max(*numbers, average))
    step = 1000 / len(numbers)
    heights = [100 - 100 * number / top for number in numbers]
    # Each number holds for a stretch of time: steps, not slopes.
    path = "".join(f"{n * step:.1f},{y:.2f} {(n + 1) * step:.1f},{y:.2f} " for n, y in enumerate(heights)).strip()
    stretched = element(
        "svg",
        element("polygon", points=f"0,100 {path} 1000,100", class_="area"),
        element("polyline", points=path, class_="line"),
        viewBox="0 0 1000 100", preserveAspectRatio="none", width="100%", height="100%", overflow="visible",
    )  # fmt: skip
    level = f"{100 - 100 * average / top:.2f}%"
    drawn = [stretched, element("line", x1="0", x2="100%", y1=level, y2=level, class_="average")]
    drawn += [_hover(n * step / 10, step / 10, tip) for n, tip in enumerate(tips)]
    return _plot(drawn, top, tick, ends, label, centred=False)


def _plot(
    drawn: Sequence[Html], top: float, tick: Callable[[float], str], labels: Sequence[str], label: str, *, centred: bool
) -> Html:
    grid, ticks = [], []
    for share in (0.0, 0.5, 1.0):
        y = f"{100 - 100 * share:.0f}%"
        grid.append(element("line", x1="0", x2="100%", y1=y, y2=y, class_="grid"))
        if share:
            ticks.append(element("text", tick(top * share), x="0", y=y, dy="-4", class_="tick"))
    plot = element(
        "svg", *grid, *drawn, *ticks,
        x="0", y=str(_PLOT_TOP), width="100%", height=str(_PLOT_HEIGHT), overflow="visible",
    )  # fmt: skip
    height = _PLOT_TOP + _PLOT_HEIGHT + _LABELS
    under = _under(labels, height - 6, centred=centred)
    return element("svg", plot, *under, class_="plot", height=str(height), role="img", aria_label=label)


def _under(labels: Sequence[str], y: int, *, centred: bool) -> list[Html]:
    """At most five labels: the first one, the last one, and some between, as far as a phone has room for."""
    count = len(labels)
    if count == 1:
        places = [0]
    else:
        shown = min(count, 3 if max(map(len, labels)) > 7 else 5)
        places = sorted({round(n * (count - 1) / (shown - 1)) for n in range(shown)})
    texts = []
    for place in places:
        x = 100 * (place + 0.5) / count if centred else 100 * place / max(count - 1, 1)
        anchor = "middle"
        if count > 1 and place in {0, count - 1} and (count > 6 or not centred):
            x, anchor = (0.0, "start") if place == 0 else (100.0, "end")
        texts.append(element("text", labels[place], x=f"{x:.2f}%", y=str(y), text_anchor=anchor, class_="tick"))
    return texts


def _hover(x: float, width: float, tip: str) -> Html:
    """All of a bar's column answers to the pointer, also above a low bar."""
    return element(
        "rect", element("title", tip), x=f"{x:.3f}%", y="0", width=f"{width:.3f}%", height="100%", class_="hover"
    )


def _round_up(number: float) -> float:
    """To 1, 2, 3, 4, 5, 6, 8 or 10 times a power of ten: half of it is short to write, too."""
    if number <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(number))
    return float(next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if number <= step * power * 1.0001))
